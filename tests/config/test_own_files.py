# SPDX-License-Identifier: BSD-3-Clause
"""Lines that a user or a tool adds to a file of this program are moved, reported and kept."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from machine import InUse, Machine

from flatcar_prefix.system.own_files import (
    FROM_CHECKOUT,
    LIST,
    MAKE_CONF,
    PROVIDED,
    REPOS_CONF,
    SCRIPT,
    Kind,
    OwnFiles,
)
from flatcar_prefix.system.progress import Progress

OWN, USER = "00-flatcar-prefix", "zz-user"


class Said(Progress):
    def __init__(self) -> None:
        self.texts: list[str] = []

    def warn(self, text: str) -> None:
        self.texts.append(text)


@pytest.fixture
def said() -> Said:
    return Said()


@pytest.fixture
def own(tmp_path: Path, said: Said) -> OwnFiles:
    return OwnFiles(tmp_path, said)


def append(path: Path, text: str) -> None:
    path.write_text(path.read_text() + text)


CHANGES: dict[str, tuple[Kind, str, str, str, str]] = {
    "a list": (
        LIST, "# why\n*/* -pam\n", "*/* -pam\n",
        "# required by app-misc/foo (argument)\n>=app-misc/bar-1 baz\n",
        "# required by app-misc/foo (argument)\n>=app-misc/bar-1 baz\n",
    ),
    "make.conf": (
        MAKE_CONF, 'CC="gcc"\nsource "/u"\n', 'CC="cc"\nsource "/u"\n',
        'L10N="de\n\ten"\n', 'L10N="de\n\ten"\n',
    ),
    "make.conf that cannot be read": (
        MAKE_CONF, 'CC="gcc"\n', 'CC="gcc"\n', 'L10N="de\n', '# L10N="de\n',
    ),
    "repos.conf": (
        REPOS_CONF, "[DEFAULT]\nmain-repo = a\n[a]\nlocation = /a\n",
        "[DEFAULT]\nmain-repo = a\n[a]\nlocation = /a\n",
        "sync-type = git\nsync-x = 1,\n  2\nlocation = /b\n[mine]\nlocation = /m\n",
        "[a]\nsync-type = git\nsync-x = 1,\n  2\n# location = /b\n[mine]\nlocation = /m\n",
    ),
    "package.provided": (
        PROVIDED, "dev-lang/perl-5.36\n", "dev-lang/perl-5.40\n", "x11-base/xorg-1\n",
        "x11-base/xorg-1\n",
    ),
    "a script": (
        SCRIPT, "if a; then\n\tb\nfi\n", "if c; then\n\tb\nfi\n", "if d; then\n\tb\nfi\n",
        "if d; then\n\tb\nfi\n",
    ),
    "a file of the checkout": (FROM_CHECKOUT, "a/b c\n", "a/b d\n", "e/f g\n", "e/f g\n"),
}  # fmt: skip


@pytest.mark.parametrize("what", CHANGES)
def test_what_was_added_moves_to_the_users_file(own: OwnFiles, said: Said, what: str) -> None:
    kind, before, after, added, moved = CHANGES[what]
    own.write(f"d/{OWN}", before, kind=kind)
    assert not said.texts
    append(own.config / "d" / OWN, added)
    own.write(f"d/{OWN}", after, kind=kind)
    assert (own.config / "d" / OWN).read_text() == after
    assert (own.config / "d" / USER).read_text().endswith(moved)
    (text,) = said.texts
    assert f"d/{OWN}; your lines moved to" in text
    for _ in range(2):
        own.write(f"d/{OWN}", after, kind=kind)
    assert len(said.texts) == 1
    assert (own.config / "d" / USER).read_text().count(moved) == 1


def test_what_this_program_wrote_before_is_not_the_users(own: OwnFiles, said: Said) -> None:
    for text in ("a/b old\n", "a/b new\n", "# other words\na/b new\n", ""):
        own.write(OWN, text)
    assert not said.texts
    assert not (own.config / USER).exists()


def test_an_interruption_before_the_copy_is_written_moves_nothing(
    own: OwnFiles, said: Said
) -> None:
    own.write(OWN, "a/b old\n")
    (own.config / OWN).write_text("a/b new\n")
    own.write(OWN, "a/b new\n")
    assert not said.texts


@pytest.mark.parametrize(
    ("kind", "old", "new", "theirs"),
    [
        (LIST, "# x\na/b c\n\n# required by q\nd/e f\n", "# y\na/b c\n",
         ["# required by q", "d/e f"]),
        (MAKE_CONF, 'CC="old"\nUSE="a b"\nMINE="1"\n', 'CC="new"\nUSE="a"\n',
         ['USE="a b"', 'MINE="1"']),
        (PROVIDED, "a/b-36.0\nc/d-1\n", "a/b-5.36.0-r1\n", ["c/d-1"]),
        (REPOS_CONF, "[old]\nlocation = /o\nauto-sync = no\n\n[own]\nlocation = /m\n", "",
         ["[own]", "location = /m"]),
        (FROM_CHECKOUT, "# From /c\ngone/x y\na/b c\nd/e f\n", "# From /n\na/b c\nnew/x y\n",
         ["d/e f"]),
        (FROM_CHECKOUT, "# From /c\ngone/x y\n", "# From /n\nnew/x y\n", []),
        (FROM_CHECKOUT, "gone/x y\n", "", ["gone/x y"]),
        (SCRIPT, "old\n", "new\n", []),
    ],
)  # fmt: skip
def test_of_version_0_1_0_only_what_is_certain_moves(
    own: OwnFiles, said: Said, kind: Kind, old: str, new: str, theirs: list[str]
) -> None:
    (own.config / "flatcar-prefix").write_text(old)
    own.write(OWN, new, kind=kind, former="flatcar-prefix")
    assert not (own.config / "flatcar-prefix").exists()
    user = own.config / USER
    assert (user.read_text().splitlines()[1:] if user.exists() else []) == theirs
    assert bool(said.texts) == bool(theirs)


def test_a_file_in_place_of_a_directory_becomes_a_file_in_it(own: OwnFiles, said: Said) -> None:
    (own.config / "package.use").write_text("a/b c\n")
    own.write(f"package.use/{OWN}", "d/e f\n")
    assert (own.config / "package.use" / USER).read_text() == "a/b c\n"
    assert "is a directory now" in said.texts[0]


ADDED = {
    "make.conf": 'L10N="de"',
    "bashrc": 'export FROM_BASHRC="1"',
    f"package.use/{OWN}": "app-misc/nothing flag",
    f"package.mask/{OWN}": "app-misc/nothing",
    f"package.accept_keywords/{OWN}": "app-misc/nothing **",
    f"profile/package.provided/{OWN}": "app-misc/nothing-1",
    "profile/packages": "*app-misc/nothing",
    f"repos.conf/{OWN}": "sync-user = nobody",
}
"""A line for each file of this program that is read as configuration, and is in each root."""


def configs(prefix: InUse) -> dict[str, Path]:
    host = prefix.staging_dir / "host/etc/portage"
    return {"staging": prefix.config("staging"), "final": prefix.config("final"), "host": host}


def configuration(directory: Path) -> str:
    return "".join(
        path.read_text()
        for path in sorted(directory.rglob("*"))
        if path.is_file() and ".flatcar-prefix" not in path.parts
    )


def test_a_line_in_any_file_of_ours_outlasts_an_update(machine: Machine) -> None:
    prefix = machine.setup("kept")
    for kind in ("staging", "final"):
        for name in ("use", "accept_keywords", "license", "mask", "unmask"):
            names = sorted(os.listdir(prefix.config(kind) / f"package.{name}"))
            assert names[-1] == USER
            assert names[0] == OWN or kind == "staging"
    where = [
        (directory / name, line)
        for directory in configs(prefix).values()
        for name, line in ADDED.items()
        if (directory / name).is_file()
    ]
    assert len(where) == 18
    for path, line in where:
        append(path, f"{line}\n")
    result = machine.fp("update", "kept")
    assert result.returncode == 0, result.stderr
    for path, line in where:
        assert f"{path}; your lines moved to" in result.stderr
        assert line in configuration(path.parent)
        assert line not in path.read_text() or path.name == "packages"
    again = machine.fp("update", "kept")
    assert (again.returncode, again.stderr) == (0, "")
    said = prefix.plain("staging", "portageq", "envvar", "L10N").stdout
    assert said.strip() == "de"


def test_autounmask_writes_to_the_users_file(machine: Machine) -> None:
    prefix = machine.setup("auto")
    where = machine.repos / "prefix-overlay/test-auto/x"
    where.mkdir(parents=True)
    append(machine.repos / "prefix-overlay/profiles/categories", "test-auto\n")
    (where / "x-1.ebuild").write_text(
        'EAPI=8\nDESCRIPTION="x"\nSLOT="0"\nKEYWORDS="~amd64"\nLICENSE="GPL-2"\n'
    )
    said = prefix.emerge(
        "--stage", "--autounmask-write", "--autounmask=y", "--autounmask-continue=n", "test-auto/x"
    )
    proposed = prefix.config("staging") / f"package.accept_keywords/._cfg0000_{USER}"
    assert "test-auto/x" in proposed.read_text(), said.stdout + said.stderr
