# SPDX-License-Identifier: BSD-3-Clause
"""The error of a failed stage names the package, the phase and the ebuild's own message."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from machine import InUse, Machine

from flatcar_prefix.emerge import death
from flatcar_prefix.errors import BuildError
from flatcar_prefix.lifecycle import stages
from flatcar_prefix.prefix import registry
from flatcar_prefix.prefix.model import Prefix
from flatcar_prefix.system.progress import NO_PROGRESS

DIED = """\
>>> Emerging (2 of 3) sys-libs/glibc-2.36::gentoo-subset
 * ERROR: sys-libs/glibc-2.36::gentoo-subset failed (configure phase):
 *   bison is needed
 *\x20
 * Call stack:
"""


@pytest.fixture
def prefix(monkeypatch: pytest.MonkeyPatch, shared_machine: Machine, empty_prefix: InUse) -> Prefix:
    for name, place in shared_machine.places.items():
        monkeypatch.setenv(name, place)
    return registry.load("empty")


def failure(prefix: Prefix, monkeypatch: pytest.MonkeyPatch, script: str) -> BuildError:
    """Return the error of the stage ``libc`` whose emerge is a shell script."""
    stage = next(stage for stage in stages.STAGES if stage.name == "libc")

    def commands(*_args: Any, **_options: Any) -> list[list[str]]:
        return [["sh", "-c", script]]

    monkeypatch.setattr(stages, "commands", commands)
    with pytest.raises(BuildError) as raised:
        stages.run_stage(prefix, stage, label="libc", say=NO_PROGRESS)
    return raised.value


def test_the_message_of_die_is_in_the_error(
    prefix: Prefix, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = failure(prefix, monkeypatch, f"cat <<'END'\n{DIED}END\nexit 1")
    assert str(error).startswith(
        "stage libc failed: sys-libs/glibc-2.36, phase configure: bison is needed; the log is "
    )
    assert (error.stage, error.package, error.phase, error.reason) == (
        "libc", "sys-libs/glibc-2.36", "configure", "bison is needed",
    )  # fmt: skip
    assert error.log == prefix.staging.logdir / "bootstrap-libc.log"


def test_a_failure_before_the_first_package_is_called_so(
    prefix: Prefix, monkeypatch: pytest.MonkeyPatch
) -> None:
    error = failure(prefix, monkeypatch, "echo '!!! no ebuild satisfies it'; exit 1")
    assert "stage libc failed: before the first package: no ebuild satisfies it;" in str(error)
    assert (error.package, error.phase) == ("", "")


def test_the_last_death_counts(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text(DIED + DIED.replace("configure", "install").replace("bison", "gawk"))
    died = death.death(log)
    assert died == death.Death("sys-libs/glibc-2.36", "install", "gawk is needed")
    assert death.death(tmp_path / "none") is None
