# SPDX-License-Identifier: BSD-3-Clause
"""Each name of a prefix works everywhere; near misses of names, verbs and flags are suggested."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from machine import CHECKOUT, InUse, Machine

from flatcar_prefix.cli.main import flatcar_prefix_parser, verbs
from flatcar_prefix.cli.setup import _default_board
from flatcar_prefix.errors import UsageError
from flatcar_prefix.lifecycle import uninstall
from flatcar_prefix.prefix import registry
from flatcar_prefix.system.near import suggestion


@pytest.fixture
def here(monkeypatch: pytest.MonkeyPatch, shared_machine: Machine) -> Machine:
    """The shared machine, for functions that a test calls in this process."""
    for name, place in shared_machine.places.items():
        monkeypatch.setenv(name, place)
    return shared_machine


def test_each_name_means_the_prefix(here: Machine, empty_prefix: InUse) -> None:
    staging = here.staging("empty")
    names = ["empty", "empty-amd64-usr", str(staging), staging, "/usr/local/empty", f"{staging}/."]
    for name in names:
        for board in (None, "amd64-usr"):
            assert registry.load(name, board=board).id == "empty-amd64-usr", name
    prefix = registry.load("empty")
    assert registry.load(prefix) is prefix
    for name in ("empty-amd64-usr", "/usr/local/empty", str(staging)):
        assert here.fp("show", name).stdout.startswith("prefix:     empty-amd64-usr")


def test_uninstall_takes_each_name(here: Machine, empty_prefix: InUse) -> None:
    for name in ("empty", "empty-amd64-usr", "/usr/local/empty", str(here.staging("empty"))):
        assert uninstall._found(name, _default_board(name, None)).id == "empty-amd64-usr"


def test_a_name_that_is_nearly_right_is_suggested(here: Machine, empty_prefix: InUse) -> None:
    for name in ("emty", "empty-amd64"):
        with pytest.raises(Exception, match="there is no prefix") as raised:
            registry.load(name)
        assert raised.value.hint.startswith("Did you mean empty")  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("words", "meant"),
    [
        (["uninstal"], "uninstall"),
        (["sysex", "x"], "sysext"),
        (["sysext", "x", "--fromat=erofs"], "--format"),
        (["setup", "x", "/opt/x", "--bootstarp=none"], "--bootstrap"),
        (["setup", "x", "/opt/x", "--staging_dri=/x"], "--staging-dir"),
        (["sysext", "x", "--format=squasfs"], "squashfs"),
    ],
)
def test_a_verb_flag_or_value_that_is_nearly_right_is_suggested(
    words: list[str], meant: str
) -> None:
    with pytest.raises(UsageError) as raised:
        flatcar_prefix_parser().parse_args(words)
    assert f"Did you mean {meant}?" in raised.value.hint


def test_nothing_is_suggested_for_another_word() -> None:
    assert suggestion("xyz", ["setup", "list"]) == ""


def test_help_and_version_are_verbs(shared_machine: Machine) -> None:
    assert shared_machine.fp("help").stdout == shared_machine.fp("--help").stdout
    assert (
        shared_machine.fp("help", "sysext").stdout == shared_machine.fp("sysext", "--help").stdout
    )
    assert shared_machine.fp("version").stdout == shared_machine.fp("--version").stdout


def test_a_flag_is_spelled_with_dashes_in_each_text() -> None:
    texts = [*CHECKOUT.glob("flatcar_prefix/**/*.py"), *CHECKOUT.glob("docs/*.md"),
             CHECKOUT / "README.md"]  # fmt: skip
    # The page for users of the shell version names the shell version's own spelling.
    texts = [path for path in texts if path.name != "coming-from-the-shell-version.md"]
    pattern = re.compile(r"--(?:[a-z]+-)*[a-z]+_[a-z]+")
    found = {m[0] for path in texts for m in pattern.finditer(path.read_text("utf-8"))}
    assert found <= {"--nowith_gcc", "--toolchain_boards"}  # the latter is the SDK's own


def test_the_habits_of_the_shell_version(machine: Machine) -> None:
    done = machine.try_setup("--bootstrap=none", "--cross_boss_root=/x", "habit", "/opt/last")
    assert done.returncode == 0, done.stderr
    assert "--cross-boss-root is not needed" in done.stderr
    assert "emerge-prefix-habit-amd64-usr, not emerge-prefix-last-amd64-usr" in done.stdout


def test_what_a_path_prevents_is_said_at_setup(machine: Machine) -> None:
    said = machine.try_setup("--bootstrap=none", "one", "/usr/local/same")
    assert "/usr/local is a link on some systems" in said.stdout
    said = machine.try_setup("--bootstrap=none", "two", "/usr/local/same")
    assert "the prefix one-amd64-usr has the same path" in said.stderr
    said = machine.try_setup("--bootstrap=none", "three", "/srv/three")
    assert "outside /usr and /opt" in said.stderr
    assert "is a link" not in said.stdout
    for verb in ("show", "verify"):
        said = machine.fp(verb, "/usr/local/same")
        assert "several prefixes have the path" in said.stderr
        assert "one-amd64-usr, two-amd64-usr" in said.stderr


def test_each_verb_has_help(capsys: pytest.CaptureFixture[str]) -> None:
    for verb in verbs():
        with pytest.raises(SystemExit):
            flatcar_prefix_parser(verb).parse_args([verb, "--help"])
        assert f"usage: flatcar-prefix {verb}" in capsys.readouterr().out


def test_pages_that_messages_name_exist() -> None:
    pattern = re.compile(r"docs/[a-z0-9-]+\.md")
    for path in CHECKOUT.glob("flatcar_prefix/**/*.py"):
        for page in pattern.findall(path.read_text("utf-8")):
            assert Path(CHECKOUT, page).is_file(), f"{path}: {page}"
