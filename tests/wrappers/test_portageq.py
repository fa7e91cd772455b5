# SPDX-License-Identifier: BSD-3-Clause
"""portageq: every subcommand, with the root as on a Gentoo machine."""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path

import pytest
from hypothesis import given, strategies as st
from machine import InUse, Run

from flatcar_prefix.wrappers.tools import portageq

pytestmark = pytest.mark.needs_root

GREET = "{eprefix}/usr/bin/greet"

# Subcommand, arguments after the root, exit code, and part of the output.
ROOTED = [
    ("all_best_visible", (), 0, "app-misc/letter-1.0\n"),
    ("available_eclasses", ("tool-tests",), 0, "tool-tests\n"),
    ("best_version", ("app-misc/letter",), 0, "app-misc/letter-1.0\n"),
    ("best_version", ("app-misc/none",), 0, "\n"),
    ("best_visible", ("app-misc/letter",), 0, "app-misc/letter-1.0\n"),
    ("best_visible", ("ebuild", "app-misc/letter"), 0, "app-misc/letter-1.0\n"),
    ("best_visible", ("binary", "app-misc/letter"), 0, "app-misc/letter-1.0\n"),
    ("contents", ("app-misc/greeting-1.0",), 0, "{eroot}/usr/bin/greet\n"),
    ("eclass_path", ("tool-tests", "tool-tests"), 0, "/eclass/tool-tests.eclass\n"),
    ("expand_virtual", ("app-misc/letter",), 0, "app-misc/letter\n"),
    ("get_repo_path", ("tool-tests",), 0, "/overlay\n"),
    ("get_repos", (), 0, "tool-tests "),
    ("has_version", ("app-misc/letter",), 0, ""),
    ("has_version", ("app-misc/none",), 1, ""),
    ("is_protected", ("{eprefix}/etc/greeting/conf",), 0, ""),
    ("is_protected", (GREET,), 1, ""),
    ("license_path", ("tool-tests", "Tool-Tests"), 0, "/licenses/Tool-Tests\n"),
    ("list_preserved_libs", (), 1, ""),
    (
        "mass_best_version",
        ("app-misc/letter", "app-misc/none"),
        0,
        "app-misc/letter:app-misc/letter-1.0\n",
    ),
    ("mass_best_visible", ("app-misc/letter",), 0, "app-misc/letter:app-misc/letter-1.0\n"),
    ("master_repositories", ("tool-tests",), 0, "gentoo-subset\n"),
    ("master_repos", ("tool-tests",), 0, "gentoo-subset\n"),
    ("match", ("app-misc/letter",), 0, "app-misc/letter-1.0\n"),
    ("match", ("",), 0, "app-misc/letter-1.0\n"),
    ("metadata", ("installed", "app-misc/letter-1.0", "RDEPEND"), 0, "app-misc/greeting\n"),
    ("metadata", ("ebuild", "app-misc/greeting-1.0", "IUSE"), 0, "+loud quiet\n"),
    ("metadata", ("binary", "app-misc/greeting-1.0", "SLOT"), 0, "0\n"),
    ("owners", (GREET,), 0, "app-misc/greeting-1.0\n\t{eroot}/usr/bin/greet\n"),
    ("owners", ("{eroot}/usr/bin/greet",), 0, "app-misc/greeting-1.0\n\t{eroot}/usr/bin/greet\n"),
    ("owners", ("greet",), 0, "app-misc/greeting-1.0\n\t{eroot}/usr/bin/greet\n"),
    (
        "owners",
        ("/{eprefix}//usr/./bin/greet/",),
        0,
        "app-misc/greeting-1.0\n\t{eroot}/usr/bin/greet\n",
    ),
    ("owners", ("{eprefix}",), 1, ""),
    ("owners", (GREET, "{eprefix}/"), 0, "\t{eroot}/usr/bin/greet\n"),
    ("owners", ("{eprefix}/nobodys",), 1, ""),
    ("is_protected", ("/{eprefix}/etc//greeting/conf",), 0, ""),
    ("repos_config", (), 0, "[tool-tests]"),
    ("repositories_configuration", (), 0, "[tool-tests]"),
]
# Subcommands without a root.
ROOTLESS = [
    ("colormap", (), 0, "WARN="),
    ("config_protect", (), 0, "/etc"),
    ("config_protect_mask", (), 0, "/etc/env.d"),
    ("distdir", (), 0, "/distfiles\n"),
    ("envvar", ("EROOT",), 0, "{eroot}/\n"),
    ("envvar", ("-v", "CHOST"), 0, "CHOST=x86_64-cros-linux-gnu\n"),
    ("gentoo_mirrors", (), 0, "\n"),
    ("jobs", ("--json",), 0, "["),
    ("pkgdir", (), 0, "/pkgs\n"),
    ("portdir", (), 0, "gentoo-subset\n"),
    ("portdir_overlay", (), 0, "/overlay"),
    ("pquery", ("app-misc/letter",), 0, "app-misc/letter-1.0\n"),
    ("vdb_path", (), 0, "{eroot}/var/db/pkg\n"),
]
NOT_THERE_BEFORE = {"jobs"}
"""Subcommands that Portage 3.0.83 added."""


def ask(prefix: InUse, kind: str, *args: str, **options: object) -> Run:
    words = [word.format(eprefix=prefix.eprefix, eroot=prefix.eroot(kind)) for word in args]
    return prefix.machine.run(prefix.wrapper("portageq"), f"--{kind}", *words, **options)


def agree(prefix: InUse, kind: str, run: Run, code: int, said: str) -> None:
    wanted = said.format(eprefix=prefix.eprefix, eroot=prefix.eroot(kind))
    assert wanted in run.stdout, run.stderr
    assert run.returncode == code, (run.stdout, run.stderr)
    assert "Traceback" not in run.stderr


@cache
def program() -> object:
    return portageq.load(portageq.script_path())


def test_every_sub_command_is_tried() -> None:
    tried = {name for name, *_ in ROOTED + ROOTLESS} | {"filter_protected"}
    assert set(program().commands) - tried == set()  # type: ignore[attr-defined]
    assert tried - set(program().commands) <= NOT_THERE_BEFORE  # type: ignore[attr-defined]


def test_portageq_itself_says_which_take_a_root() -> None:
    rooted = {n for n in program().commands if getattr(vars(program())[n], "uses_eroot", False)}  # type: ignore[attr-defined]
    assert rooted == {name for name, *_ in ROOTED} | {"filter_protected"}


def numbered(rows: list[tuple[str, tuple[str, ...], int, str]]) -> pytest.MarkDecorator:
    cases = [pytest.param(n, *row, id=f"{row[0]}-{n}") for n, row in enumerate(rows)]
    return pytest.mark.parametrize(("number", "name", "args", "code", "said"), cases)


@numbered(ROOTED)
def test_a_slash_is_this_prefix(
    toolbox: InUse, number: int, name: str, args: tuple[str, ...], code: int, said: str
) -> None:
    kind = ("staging", "final")[number % 2]
    agree(toolbox, kind, ask(toolbox, kind, name, "/", *args), code, said)


@numbered(ROOTED)
def test_a_root_that_is_left_out_is_this_prefix(
    toolbox: InUse, number: int, name: str, args: tuple[str, ...], code: int, said: str
) -> None:
    kind = ("final", "staging")[number % 2]
    agree(toolbox, kind, ask(toolbox, kind, name, *args), code, said)


@numbered(ROOTLESS)
def test_sub_commands_without_a_root(
    toolbox: InUse, number: int, name: str, args: tuple[str, ...], code: int, said: str
) -> None:
    if name in NOT_THERE_BEFORE and name not in program().commands:  # type: ignore[attr-defined]
        pytest.skip("this Portage has no such sub-command")
    kind = ("staging", "final")[number % 2]
    agree(toolbox, kind, ask(toolbox, kind, name, *args), code, said)


@pytest.mark.parametrize(
    "root", ["/", "//", "/.", "/opt/pre", "/opt/pre/", "/r/opt/pre", "/r/opt/pre//", "/r"]
)
def test_other_spellings_of_the_root_are_this_prefix(root: str) -> None:
    for name, args, *_ in ROOTED:
        words = portageq.rewritten(
            [name, root, *args], program(), eroot="/r/opt/pre", eprefix="/opt/pre"
        )  # type: ignore[arg-type]
        assert words[:2] == [name, "/r/opt/pre"]
        assert len(words) == len(args) + 2


def test_queries_of_packages_pass_unchanged(toolbox: InUse) -> None:
    found = ask(toolbox, "final", "--no-version", "app-misc/letter")
    assert (found.stdout, found.returncode) == ("app-misc/letter\n", 0), found.stderr


def test_filter_protected_takes_and_gives_paths_of_the_target(toolbox: InUse) -> None:
    conf, program_file = f"{toolbox.eprefix}/etc/greeting/conf", f"{toolbox.eprefix}/usr/bin/greet"
    text = f"{conf}\n{program_file}\n{toolbox.final}/etc/other\n"
    for words in (("filter_protected", "/"), ("filter_protected",)):
        found = ask(toolbox, "final", *words, stdin=None, input=text)
        assert found.stdout == f"{conf}\n{toolbox.final}/etc/other\n", found.stderr


@pytest.mark.parametrize("root", [("/",), ()])
def test_relative_paths_begin_where_the_caller_is(toolbox: InUse, root: tuple[str, ...]) -> None:
    found = ask(toolbox, "final", "owners", *root, "bin/../bin/greet", cwd=toolbox.final / "usr")
    assert found.stdout == f"app-misc/greeting-1.0\n\t{toolbox.final}/usr/bin/greet\n", found.stderr
    protected = ask(
        toolbox, "final", "is_protected", *root, "conf", cwd=toolbox.final / "etc/greeting"
    )
    assert protected.returncode == 0, protected.stderr


def test_a_root_that_is_none_is_refused_by_portageq_itself(toolbox: InUse) -> None:
    found = ask(toolbox, "final", "match", "/tmp", "app-misc/letter")
    assert (found.returncode, found.stdout) == (64, "")
    assert "only supports <eroot>s ending in" in found.stderr
    found = ask(toolbox, "final", "match", "/nowhere", "app-misc/letter")
    assert (found.returncode, "Not a directory" in found.stderr) == (64, True)


def test_staging_can_be_named_to_finals_wrapper(toolbox: InUse) -> None:
    found = ask(toolbox, "final", "contents", str(toolbox.staging), "app-misc/greeting-1.0")
    assert f"{toolbox.staging}/usr/bin/greet\n" in found.stdout


def test_the_callers_variables_do_not_lead_it_astray(toolbox: InUse) -> None:
    env = {
        "ROOT": "/tmp",
        "EPREFIX": "/x",
        "PORTAGE_CONFIGROOT": "/etc",
        "EROOT": "/y",
        "CHOST": "none",
    }
    found = ask(toolbox, "final", "envvar", "EROOT", "CHOST", env=env)
    assert found.stdout == f"{toolbox.final}/\nx86_64-cros-linux-gnu\n", found.stderr


def test_it_works_where_text_is_not_utf_8(toolbox: InUse) -> None:
    found = ask(
        toolbox,
        "final",
        "match",
        "/",
        "app-misc/letter",
        env={"LC_ALL": "POSIX", "PYTHONCOERCECLOCALE": "0"},
    )
    assert (found.stdout, found.stderr) == ("app-misc/letter-1.0\n", "")


def test_help_and_version_are_portageqs_own(toolbox: InUse) -> None:
    assert ask(toolbox, "final", "--version").stdout.startswith("Portage 3.")
    assert "pquery" in ask(toolbox, "final", "--help").stdout


PATHS = st.text("abc/.", max_size=12)


@given(PATHS)
def test_only_paths_of_the_prefix_are_moved_into_the_root(path: str) -> None:
    moved = portageq.in_root(f"/opt/pre{path}", eroot="/r/opt/pre", eprefix="/opt/pre")
    normal = os.path.normpath(f"/opt/pre{path}")
    if normal == "/opt/pre" or normal.startswith("/opt/pre/"):
        assert moved == f"/r{normal}"
        assert portageq.in_root(moved, eroot="/r/opt/pre", eprefix="/opt/pre") == moved
    else:
        assert moved == f"/opt/pre{path}"


@given(st.text(max_size=8))
def test_a_root_is_an_absolute_path(word: str) -> None:
    if portageq.is_root(word, eroot="/r/opt/pre", eprefix="/opt/pre"):
        assert Path(word).is_absolute()
