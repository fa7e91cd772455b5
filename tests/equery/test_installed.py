# SPDX-License-Identifier: BSD-3-Clause
"""Queries that the installed packages answer: list, files, belongs, check, size, has, hasuse."""

from __future__ import annotations

import fcntl
import os
import pty
import struct
import termios
from pathlib import Path

import pytest
from answers import Equery
from fixture_prefix import EPREFIX, MTIME, Fixture

from flatcar_prefix.equery.output import Screen

GREEN, BOLD, BLUE, TURQUOISE, RED = (
    f"\x1b[{c}m" for c in ("32;01", "01", "34;01", "36;01", "31;01")
)
END = "\x1b[39;49;00m"

ALL = """\
app-misc/alpha-1.0
app-misc/alpha-2.0_rc1
app-misc/docs-0.1_p2
app-misc/epsilon-4
app-misc/fake-alpha-1
app-misc/zeta-1-r1
dev-libs/beta-1.0
dev-libs/delta-2.1
dev-libs/fake-alpha-1
dev-libs/gamma-1.2
sys-apps/base-1
virtual/thing-0
x11-misc/empty-1
x11-misc/extra-7
x11-misc/gone-1
"""


def test_list_names_every_installed_package_in_order(equery: Equery) -> None:
    assert equery("list", "*") == (0, ALL, "")
    assert equery("l", "*") == (0, ALL, "")


def test_list_on_a_terminal_shows_place_mask_and_slot_in_colour(equery: Equery) -> None:
    answer = equery("list", "x11-misc/*", "dev-libs/delta", tty=True)
    assert answer.lines == [
        f" * Searching for {BOLD}*{END} in {BOLD}x11-misc{END} ...",
        f"[IP-] [{GREEN}  {END}] {GREEN}x11-misc/empty-1{END}:{BOLD}0{END}",
        f"[I-O] [{GREEN}  {END}] {GREEN}x11-misc/extra-7{END}:{BOLD}0{END}",
        f"[I--] [{RED}??{END}] {GREEN}x11-misc/gone-1{END}:{BOLD}0{END}",
        "",
        f" * Searching for {BOLD}delta{END} in {BOLD}dev-libs{END} ...",
        f"[IP-] [{GREEN}  {END}] {GREEN}dev-libs/delta-2.1{END}:{BOLD}2{END}",
    ]


@pytest.mark.parametrize("off", [("-C",), ("--no-color",)])
def test_no_color_takes_the_colours_and_nothing_else(equery: Equery, off: tuple[str]) -> None:
    coloured = equery("list", "dev-libs/*", tty=True).out
    plain = equery(*off, "list", "dev-libs/*", tty=True).out
    assert "\x1b" not in plain
    for code in (GREEN, BOLD, END):
        coloured = coloured.replace(code, "")
    assert coloured == plain
    assert equery("list", "dev-libs/*", tty=True, NOCOLOR="true").out == plain
    assert equery("list", "dev-libs/*", tty=True, NO_COLOR="1").out == plain


def test_no_pipe_treats_a_pipe_as_a_terminal(equery: Equery) -> None:
    assert equery("-N", "list", "alpha").out == equery("list", "alpha", tty=True).out


def test_list_looks_in_repositories_where_told(equery: Equery) -> None:
    assert equery("-C", "list", "-po", "beta", tty=True).lines[1:] == [
        "[IP-] [  ] dev-libs/beta-1.0:0",
        "[-P-] [ ~] dev-libs/beta-1.5:0",
        "[--O] [  ] dev-libs/beta-1.6:0",
    ]
    assert equery("list", "-Ip", "beta").lines == ["dev-libs/beta-1.5"]
    assert equery("list", "-Io", "beta").lines == ["dev-libs/beta-1.6"]
    assert equery("list", "--portage-tree", "beta").lines == [
        "dev-libs/beta-1.0",
        "dev-libs/beta-1.5",
    ]


def test_list_finds_by_atom_slot_repository_pattern_regex_and_set(equery: Equery) -> None:
    assert equery("list", "=app-misc/alpha-1.0").lines == ["app-misc/alpha-1.0"]
    assert equery("list", "alpha:2").lines == ["app-misc/alpha-2.0_rc1"]
    assert equery("list", "extra::fixture-extra").lines == ["x11-misc/extra-7"]
    assert equery("list", "*ake*").lines == ["app-misc/fake-alpha-1", "dev-libs/fake-alpha-1"]
    assert equery("list", "-f", "^dev-libs/(beta|gamma)").lines == [
        "dev-libs/beta-1.0",
        "dev-libs/gamma-1.2",
    ]
    assert equery("list", "@mine").lines == [
        "app-misc/alpha-1.0",
        "app-misc/alpha-2.0_rc1",
        "dev-libs/beta-1.0",
    ]


def test_list_duplicates_and_formats(equery: Equery) -> None:
    answer = equery("list", "--duplicates", "--format=$cp:$slot::$repo $revision-", "*")
    assert answer.lines == [
        "app-misc/alpha:0::gentoo -",
        "app-misc/alpha:2/2.5::gentoo -",
    ]
    assert equery("list", "-F", "${name}_$fullversion $no", "zeta").lines == ["zeta_1-r1 $no"]


def test_list_says_why_a_package_is_masked(equery: Equery) -> None:
    answer = equery("list", "-m", "-Ip", "=app-misc/alpha-3.0")
    assert answer.lines[0] == "app-misc/alpha-3.0"
    assert answer.lines[1].startswith(" * Masked by 'package.mask")
    assert answer.lines[-1] == " * See the bug."


@pytest.mark.parametrize("operand", ["alpha", "*", "@mine"])
def test_list_of_nothing_at_all_announces_no_search(equery: Equery, operand: str) -> None:
    answer = equery("-C", "list", "-I", operand, tty=True)
    assert answer.code == 1
    assert "Searching" not in answer.out
    assert "Not searching in installed, Portage tree, or overlay" in answer.err


def test_list_without_a_match_is_silent_in_a_pipe_and_speaks_on_a_terminal(
    equery: Equery,
) -> None:
    assert equery("list", "nothing") == (3, "", "")
    answer = equery("-C", "list", "nothing", tty=True)
    assert (answer.code, answer.err) == (1, "!!! No installed packages matching 'nothing'\n")


def test_files_are_those_of_the_target_without_root(equery: Equery, prefix: Fixture) -> None:
    answer = equery("files", "beta")
    assert answer.lines == [
        f"{EPREFIX}/usr",
        f"{EPREFIX}/usr/include",
        f"{EPREFIX}/usr/include/beta.h",
        f"{EPREFIX}/usr/lib64",
        f"{EPREFIX}/usr/lib64/libbeta.so",
        f"{EPREFIX}/usr/lib64/libbeta.so.1",
    ]
    assert str(prefix.root) not in answer.out


def test_files_tell_type_time_and_sum(equery: Equery) -> None:
    answer = equery("files", "-mst", "=dev-libs/beta-1.0")
    assert answer.lines[1] == f" dir {EPREFIX}/usr/include    "
    assert answer.lines[2] == (
        f"file {EPREFIX}/usr/include/beta.h  2023-11-14 22:13:20  1806a00daeb608a6081ae62549887fe2"
    )
    assert answer.lines[4] == f" sym {EPREFIX}/usr/lib64/libbeta.so  2023-11-14 22:13:20  "
    assert MTIME == 1700000000


def test_files_as_a_tree(equery: Equery) -> None:
    depth = EPREFIX.count("/")
    top = " " if depth + 1 < 2 else "   " * depth
    assert equery("files", "--tree", "beta").lines[-3:] == [
        f"{top}   > /lib64",
        f"{top}      + libbeta.so -> libbeta.so.1",
        f"{top}      + libbeta.so.1",
    ]


@pytest.mark.parametrize(
    ("rule", "expected"),
    [
        ("sym", ["/usr/lib/alpha-link2"]),
        ("fifo", ["/usr/lib/pipe2"]),
        ("cmd", ["/usr/bin/alpha2"]),
        ("conf", ["/etc/alpha/alpha2.conf"]),
        ("path", ["/etc/alpha", "/usr/bin", "/usr/lib", "/usr/share/name with space"]),
        ("sym,fifo", ["/usr/lib/alpha-link2", "/usr/lib/pipe2"]),
    ],
)
def test_files_filtered(equery: Equery, rule: str, expected: list[str]) -> None:
    answer = equery("files", f"--filter={rule}", "alpha:2")
    assert answer.lines == [EPREFIX + path for path in expected]


def test_files_of_documentation_are_found_in_the_prefix(equery: Equery) -> None:
    assert equery("files", "-f", "doc,info", "base").lines == [
        f"{EPREFIX}/usr/share/doc/base-1/README",
        f"{EPREFIX}/usr/share/info/base.info",
    ]


def test_files_refuse_a_rule_that_is_none(equery: Equery) -> None:
    answer = equery("files", "--filter=bogus", "alpha")
    assert answer.code == 2
    assert answer.err == "!!! Invalid filter rule 'bogus'\n"
    assert "--filter=RULES" in answer.out


@pytest.mark.parametrize(
    "spelling",
    [
        f"{EPREFIX}/usr/bin/base-link",
        f"{EPREFIX}//usr/bin/base-link/",
        "{root}" + f"{EPREFIX}/usr/bin/base-link",
        "base-link",
        "bin/base-link",
    ],
)
def test_belongs_knows_a_file_by_any_of_its_names(
    equery: Equery, prefix: Fixture, spelling: str
) -> None:
    answer = equery("belongs", spelling.replace("{root}", str(prefix.root)))
    assert (answer.code, set(answer.lines)) == (0, {"sys-apps/base-1"})


def test_belongs_takes_a_path_relative_to_where_one_is(
    equery: Equery, prefix: Fixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(prefix.eroot / "usr")
    assert equery("belongs", "./bin/zeta").lines == ["app-misc/zeta-1-r1"]
    monkeypatch.chdir(prefix.eroot / "usr" / "lib")
    assert equery("belongs", "../bin/zeta").lines == ["app-misc/zeta-1-r1"]


def test_belongs_follows_links_within_the_root_only(equery: Equery, prefix: Fixture) -> None:
    link = prefix.eroot / "usr" / "here"
    link.symlink_to(f"{EPREFIX}/usr/bin")
    try:
        assert equery("belongs", f"{EPREFIX}/usr/here/zeta").lines == ["app-misc/zeta-1-r1"]
    finally:
        link.unlink()


def test_belongs_on_a_terminal_shows_the_file(equery: Equery) -> None:
    answer = equery("-C", "belongs", "alpha-link2", "a file", tty=True)
    assert answer.lines == [
        " * Searching for alpha-link2,a file ... ",
        f"app-misc/alpha-1.0 ({EPREFIX}/usr/share/name with space/a file)",
        f"app-misc/alpha-2.0_rc1 ({EPREFIX}/usr/share/name with space/a file)",
        f"app-misc/alpha-2.0_rc1 ({EPREFIX}/usr/lib/alpha-link2 -> ../share/name)",
    ]


def test_belongs_by_regular_expression_name_only_and_early_out(equery: Equery) -> None:
    assert equery("belongs", "-fn", ".*/usr/bin/alpha.$").lines == ["app-misc/alpha"] * 2
    assert equery("belongs", "-e", "a file").lines == ["app-misc/alpha-1.0"]
    assert equery("belongs", "-f", "(").code == 1


def test_belongs_finds_names_that_are_not_ascii(equery: Equery) -> None:
    assert equery("belongs", "é").lines == ["x11-misc/extra-7"]


def test_belongs_exits_1_for_what_nobody_owns(equery: Equery) -> None:
    assert equery("belongs", "/nothing") == (1, "", "")


def test_check_finds_what_was_done_to_the_files(equery: Equery) -> None:
    answer = equery("-C", "check", "-o", "app-misc/alpha", "beta", "base", tty=True)
    faults = [line.removeprefix(f"!!! {EPREFIX}") for line in answer.err.splitlines()]
    assert "/usr/bin/alpha0 has incorrect MD5sum" in faults
    assert f"/usr/lib/alpha/blob2 has wrong mtime (is 1000000000, should be {MTIME})" in faults
    assert "/usr/lib64/libbeta.so does not point to libbeta.so.1" in faults
    assert "/usr/bin/base-tool does not exist" in faults
    assert "* Checking dev-libs/beta-1.0 ..." in answer.lines
    assert "   5 out of 6 files passed" in answer.lines


def test_check_in_a_pipe_is_one_line_a_package(equery: Equery) -> None:
    assert equery("check", "zeta", "beta").lines == [
        "app-misc/zeta-1-r1: failed(0)",
        "",
        "dev-libs/beta-1.0: failed(1)",
    ]
    assert equery("check", "-o", "*", "-f").code == 1
    assert "zeta" not in equery("check", "-o", "*").out


def test_check_does_not_wait_for_a_fifo_in_a_files_place(equery: Equery, prefix: Fixture) -> None:
    path = prefix.eroot / "usr/bin/epsilon"
    before = path.read_bytes()
    path.unlink()
    os.mkfifo(path)
    try:
        assert equery("check", "epsilon").lines == ["app-misc/epsilon-4: failed(1)"]
    finally:
        path.unlink()
        path.write_bytes(before)


def test_size_counts_hard_links_once(equery: Equery, prefix: Fixture) -> None:
    paths = [Path(f"{prefix.root}{line}") for line in equery("files", "alpha:2").lines]
    inodes = {path.lstat().st_ino: path.lstat().st_size for path in paths}
    assert len(inodes) == len(paths) - 1
    expected = f"total({len(inodes)}), inaccessible(0), size({sum(inodes.values())})"
    assert equery("size", "alpha:2").lines == [f"app-misc/alpha-2.0_rc1: {expected}"]


def test_size_on_a_terminal_has_units(equery: Equery) -> None:
    answer = equery("-C", "size", "empty", tty=True)
    assert answer.lines == [
        " * x11-misc/empty-1",
        "         Total files : 0",
        "         Total size  : 0 bytes",
    ]
    assert "KiB" in equery("size", "alpha", tty=True).out
    assert "KiB" not in equery("size", "-b", "alpha", tty=True).out


def test_has_compares_recorded_values(equery: Equery) -> None:
    assert equery("has", "SLOT", "2").lines == ["dev-libs/delta-2.1"]
    assert equery("has", "repository", "fixture-extra").lines == ["x11-misc/extra-7"]
    assert equery("has", "SLOT", "nothing").code == 1
    answer = equery("has", "SLOT")
    assert (answer.code, answer.err) == (
        1, "!!! Fatal error: Used ENV_VAR without match_expression or --package\n"
    )  # fmt: skip
    assert equery("has", "--package=zeta", "IUSE") == (0, "test\n", "")


def test_hasuse_lists_packages_with_a_flag(equery: Equery) -> None:
    assert equery("hasuse", "test").lines == ["app-misc/epsilon-4", "app-misc/zeta-1-r1"]
    assert equery("hasuse", "-Io", "foo").lines == ["dev-libs/beta-1.6"]
    assert equery("hasuse", "nosuchflag").code == 1


@pytest.mark.parametrize("query", ["!@#", "///"])
def test_what_can_name_no_package_is_refused(equery: Equery, query: str) -> None:
    answer = equery("list", query)
    assert (answer.code, answer.err) == (1, f"!!! Invalid package: '{query}'\n")


def test_an_empty_root_has_no_packages(equery: Equery, tmp_path: Path) -> None:
    assert equery("list", "*", ROOT=str(tmp_path)) == (3, "", "")
    assert equery("belongs", "/x", ROOT=str(tmp_path)) == (1, "", "")


def test_names_in_the_vdb_that_are_no_packages_are_passed_over(
    equery: Equery, prefix: Fixture
) -> None:
    strange = prefix.eroot / "var/db/pkg/app-misc/-MERGING-alpha-9"
    odd = prefix.eroot / "var/db/pkg/app-misc/no-version-here"
    strange.mkdir()
    odd.mkdir()
    try:
        assert equery("list", "*").out == ALL
        assert equery("belongs", "zeta").code == 0
    finally:
        strange.rmdir()
        odd.rmdir()


def test_the_announcement_names_a_package_without_its_flags_and_slot(equery: Equery) -> None:
    announced = equery("list", "dev-libs/delta:1[foo]", tty=True).lines[0]
    assert announced == f" * Searching for {BOLD}delta{END} in {BOLD}dev-libs{END} ..."


def test_the_width_is_the_terminals_and_not_columns() -> None:
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 60, 0, 0))
    with os.fdopen(master, "rb"), os.fdopen(slave, "w") as terminal:
        assert Screen(terminal, terminal, {"COLUMNS": "40"}).width == 59
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 0, 0, 0, 0))
        assert Screen(terminal, terminal, {"COLUMNS": "40"}).width == 39
