# SPDX-License-Identifier: BSD-3-Clause
"""Completion for zsh and fish, in these shells."""

from __future__ import annotations

import builtins
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from machine import Machine

from flatcar_prefix.cli import completion, main


@pytest.fixture(scope="module")
def scripts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("completion")
    for shell in ("zsh", "fish"):
        (directory / shell).write_text(completion.script(shell))
    return directory


def output(argv: Sequence[str | Path], env: dict[str, str] | None = None) -> str:
    done = subprocess.run(argv, capture_output=True, text=True, check=True, env=env)
    assert done.stderr == ""
    return done.stdout


def in_fish(scripts: Path, line: str, env: dict[str, str] | None = None) -> list[str]:
    said = output(
        ["fish", "--no-config", "-c", f"source {scripts / 'fish'}; complete -C '{line}'"], env
    )
    return [row.split("\t")[0] for row in said.splitlines()]


@pytest.mark.parametrize(
    ("line", "wanted"),
    [
        ("flatcar-prefix ver", ["verify", "version"]),
        ("flatcar-prefix sysext x --form", ["--format"]),
        ("flatcar-prefix sysext x --format er", ["erofs"]),
        ("setup_prefix --bootstrap im", ["import"]),
        ("flatcar-prefix setup --board arm", ["arm64-usr"]),
        ("flatcar-prefix update x --from run", ["runtime"]),
    ],
)
def test_fish_completes(scripts: Path, line: str, wanted: list[str]) -> None:
    assert in_fish(scripts, line) == wanted


def test_fish_completes_names_of_prefixes(scripts: Path, machine: Machine) -> None:
    machine.setup("named", "--bootstrap=none")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    env = machine.environment(PATH=path)
    assert in_fish(scripts, "flatcar-prefix show na", env) == ["named-amd64-usr"]


def test_zsh_registers_commands_and_wrappers(scripts: Path) -> None:
    said = output(
        [
            *("zsh", "-fc"),
            'autoload -U compinit; compinit -D; eval "$(<$1)";'
            " print $_comps[flatcar-prefix] $_comps[setup_prefix] ${_patcomps[*-prefix-*]}",
            *("zsh", scripts / "zsh"),
        ]
    )
    assert said.split() == [
        "_shtab_flatcar_prefix",
        "_shtab_setup_prefix",
        "_flatcar_prefix_wrapper",
    ]


def test_bash_gets_the_script_that_knows_wrappers(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["completion", "bash"]) == 0
    assert "_flatcar_prefix_ask" in capsys.readouterr().out


def test_without_shtab_it_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    real = builtins.__import__

    def without(name: str, *args: Any) -> Any:
        if name == "shtab":
            raise ImportError(name)
        return real(name, *args)

    monkeypatch.delitem(sys.modules, "shtab", raising=False)
    monkeypatch.setattr(builtins, "__import__", without)
    assert main.main(["completion", "zsh"]) == 1
    said = capsys.readouterr().err
    assert "shtab" in said
    assert "pip install shtab" in said
