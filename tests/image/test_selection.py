# SPDX-License-Identifier: BSD-3-Clause
from __future__ import annotations

import os
import re
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
import shipping_prefix
from hypothesis import given, strategies as st

from flatcar_prefix.audit.api import tree_of, verify
from flatcar_prefix.audit.tree import Entry as Audited, walk
from flatcar_prefix.errors import PrefixError, UsageError
from flatcar_prefix.image.selection import RULES, Selection, in_order, select
from flatcar_prefix.prefix.model import Prefix
from flatcar_prefix.prefix.not_shipped import translate

INSIDE = shipping_prefix.EPREFIX.lstrip("/")


def shipped_paths(selection: Selection) -> set[str]:
    start = INSIDE + "/"
    return {e.path.removeprefix(start) for e in selection.entries if e.path.startswith(start)}


def chosen(
    prefix: Prefix, *, keep: tuple[str, ...] = (), exclude: tuple[str, ...] = ()
) -> set[str]:
    return shipped_paths(select(prefix.final.path, prefix.eprefix, keep=keep, exclude=exclude))


def test_programs_libraries_configuration_and_data_are_shipped(shipped: Prefix) -> None:
    assert {
        "usr/bin/hello",
        "usr/bin/hi",
        "usr/lib64/libgreeting.so.1",
        "lib64/libc.so.6",
        "etc/hello.conf",
        "usr/share/hello/data with a space",
        "usr/share/hello/ünïcode",
    } <= chosen(shipped)


@pytest.mark.parametrize(
    ("rule", "path"),
    [
        ("portage", "var/db/pkg/app-misc/hello-1.2-r3/CONTENTS"),
        ("portage", "etc/portage/make.conf"),
        ("portage", "var/lib/portage/world"),
        ("devel", "usr/include/hello.h"),
        ("devel", "usr/lib64/libhello.a"),
        ("devel", "usr/lib64/pkgconfig/hello.pc"),
        ("devel", "usr/bin/hello-config"),
        ("docs", "usr/share/man/man1/hello.1"),
        ("docs", "usr/share/doc/hello/README"),
        ("cache", "var/cache/edb/counter"),
    ],
)
def test_a_rule_leaves_a_file_out_and_keeping_the_rule_ships_it(
    shipped: Prefix, rule: str, path: str
) -> None:
    assert path not in chosen(shipped)
    assert path in chosen(shipped, keep=(rule,))


RUN_TIME = {
    "usr/bin/pkg-config": "a program\n",
    "usr/bin/hello-config-config": "#!/bin/sh\necho configured\n",
    "usr/share/cmake/Modules/FindHello.cmake": "",
    "usr/share/cmake/Templates/CPack.in": "",
    "usr/share/gdb/python/gdb/__init__.py": "",
    "usr/lib64/ImageMagick-7/modules/coders/png.la": "dlname='png.so'\n",
}
COMPILE_TIME = (
    "usr/lib64/libhello.la",
    "usr/share/cmake/Hello/HelloConfig.cmake",
    "usr/share/cmake/Hello/HelloConfigVersion.cmake",
    "usr/share/cmake/Hello/hello-config.cmake",
    "usr/share/cmake/Hello/HelloTargets-release.cmake",
    "usr/share/gdb/auto-load/libhello-gdb.py",
)


def test_what_a_program_reads_at_run_time_is_not_devel(own_prefix: Prefix) -> None:
    for path, text in {**RUN_TIME, **dict.fromkeys(COMPILE_TIME, "")}.items():
        file = own_prefix.final.eroot / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    (own_prefix.final.eroot / "usr/bin/pkgconf").write_text("a program\n")
    (own_prefix.final.eroot / "usr/bin/x86_64-pkg-config").symlink_to("pkgconf")
    (own_prefix.final.eroot / "usr/bin/link-config").symlink_to("hello-config")
    paths = chosen(own_prefix)
    assert {*RUN_TIME, "usr/bin/x86_64-pkg-config"} <= paths
    assert not paths & {*COMPILE_TIME, "usr/bin/link-config"}


def test_a_directory_that_a_rule_empties_goes_and_one_that_was_kept_empty_stays(
    shipped: Prefix,
) -> None:
    paths = chosen(shipped)
    assert "var/db" not in paths
    assert "usr/lib64/pkgconfig" not in paths
    assert "var/lib/hello" in paths
    assert "var/lib/hello/.keep_app-misc_hello-0" not in paths


def test_a_symlink_to_what_was_left_out_goes_with_it(shipped: Prefix) -> None:
    assert "usr/share/hello/manual" not in chosen(shipped)
    assert "usr/share/hello/manual" in chosen(shipped, keep=("docs",))
    assert "usr/share/hello/absolute" in chosen(shipped)


def test_a_symlink_that_leads_nowhere_stays_for_the_audit_to_find(own_prefix: Prefix) -> None:
    (own_prefix.final.eroot / "usr/bin/broken").symlink_to("nowhere")
    assert "usr/bin/broken" in chosen(own_prefix)


def test_a_symlink_that_leads_there_through_another_goes_too(own_prefix: Prefix) -> None:
    eroot = own_prefix.final.eroot
    (eroot / "usr/man").symlink_to("share")
    (eroot / "usr/page").symlink_to("man/man/man1/hello.1")
    (eroot / "usr/data").symlink_to("man/../share/hello")
    paths = chosen(own_prefix)
    assert "usr/page" not in paths
    assert {"usr/man", "usr/data"} <= paths


STAYING = (
    "etc/config-archive/etc/hello.conf",
    "etc/._cfg0000_hello.conf",
    "etc/sub/._cfg0000_x",
    "run/x.pid",
    "tmp/x",
    "var/cache/x/y",
    "var/lib/portage/config",
    "usr/lib/portage/bin/x",
    "usr/share/hello/.cache",
)


def test_what_the_audit_looks_at_is_what_can_be_shipped(own_prefix: Prefix) -> None:
    for path in STAYING:
        file = own_prefix.final.eroot / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("x")
    looked_at = {
        entry.path.removeprefix(own_prefix.eprefix + "/")
        for entry in walk(tree_of(own_prefix.final))
        if isinstance(entry, Audited)
    }
    keep = ("devel", "docs", "placeholder")
    directories = {e.path for e in select(own_prefix.final.path, "/x").entries if e.is_dir}
    assert looked_at == {
        path for path in chosen(own_prefix, keep=keep) if f"{INSIDE}/{path}" not in directories
    }
    assert not looked_at & set(STAYING)


def test_the_audit_of_a_selection_finds_what_is_missing_in_it(shipped: Prefix) -> None:
    def needed(*exclude: str) -> set[str]:
        selection = select(shipped.final.path, shipped.eprefix, exclude=exclude)
        report = verify(shipped.final, shipped=[f"/{e.path}" for e in selection.entries])
        return {f"{f.code} {f.path}" for f in report.findings if f.level == "error"}

    whole = needed()
    program, script = (f"{shipped.eprefix}/usr/bin/{name}" for name in ("hello", "hello-script"))
    assert needed("usr/lib64/libgreeting*") - whole == {f"elf-needed {program}"}
    assert needed("lib64/ld-linux*") - whole >= {f"elf-interpreter-missing {program}"}
    assert needed("usr/bin/hello") - whole == {f"script-interpreter-missing {script}"}


@pytest.mark.parametrize(
    "pattern", ["usr/share/hello", f"{shipping_prefix.EPREFIX}/usr/share/hel*"]
)
def test_exclude_takes_a_pattern_of_the_prefix_or_of_the_target(
    shipped: Prefix, pattern: str
) -> None:
    paths = chosen(shipped, exclude=(pattern,))
    assert not any(path.startswith("usr/share/hello") for path in paths)
    assert "usr/bin/hello" in paths


@pytest.mark.parametrize("pattern", ["/etc/passwd", "../x", ""])
def test_excluding_what_cannot_be_in_the_prefix_is_refused(shipped: Prefix, pattern: str) -> None:
    with pytest.raises(UsageError):
        chosen(shipped, exclude=(pattern,))


def test_what_is_outside_usr_and_opt_is_left_out_and_counted(own_prefix: Prefix) -> None:
    root = own_prefix.final.path
    (root / "etc").mkdir()
    (root / "etc/stray").write_text("x")
    selection = select(root, own_prefix.eprefix)
    assert not any(entry.path.startswith("etc") for entry in selection.entries)
    assert selection.left_out["unmerged"].files == 1


def test_sockets_and_pipes_are_left_out(own_prefix: Prefix) -> None:
    os.mkfifo(own_prefix.final.eroot / "usr/pipe")
    selection = select(own_prefix.final.path, own_prefix.eprefix)
    assert "usr/pipe" not in shipped_paths(selection)
    assert selection.left_out["special"].files == 1


def test_a_file_name_that_no_tool_could_take_is_refused(own_prefix: Prefix) -> None:
    (own_prefix.final.eroot / "usr/line\nbreak").write_text("x")
    with pytest.raises(PrefixError, match="file name"):
        chosen(own_prefix)


def test_everything_of_the_root_is_either_shipped_or_counted_as_left_out(shipped: Prefix) -> None:
    selection = select(shipped.final.path, shipped.eprefix, keep=("cache",))
    files = sum(not path.is_dir() or path.is_symlink() for path in shipped.final.path.rglob("*"))
    shipped_files = sum(not entry.is_dir for entry in selection.entries)
    assert shipped_files + sum(tally.files for tally in selection.left_out.values()) == files


def test_parents_come_before_children_and_siblings_in_order(shipped: Prefix) -> None:
    entries = select(shipped.final.path, shipped.eprefix).entries
    seen = {""}
    for entry in entries:
        assert os.path.dirname(entry.path) in seen
        seen.add(entry.path)
    assert in_order(reversed(entries)) == entries


def test_every_rule_says_why() -> None:
    assert all(rule.why and rule.patterns for rule in RULES)


NAMES = st.text(alphabet="abc.+[]$^()|é -", min_size=1, max_size=6)


@given(parts=st.lists(NAMES, min_size=1, max_size=4))
def test_a_pattern_without_wildcards_matches_itself_and_nothing_else(parts: list[str]) -> None:
    path = "/".join(parts)
    pattern = re.compile(translate(path))
    assert pattern.fullmatch(path)
    assert not pattern.fullmatch(path + "x")
    assert not pattern.fullmatch("x/" + path)


@given(
    pattern=st.text(alphabet="ab*?", min_size=1, max_size=6),
    name=st.text(alphabet="ab", max_size=8),
)
def test_within_one_part_a_pattern_matches_as_the_shell_does(pattern: str, name: str) -> None:
    while "**" in pattern:
        pattern = pattern.replace("**", "*")
    assert bool(re.fullmatch(translate(pattern), name)) == fnmatchcase(name, pattern)


@given(parts=st.lists(NAMES, min_size=1, max_size=4), last=NAMES)
def test_two_stars_are_any_number_of_parts(parts: list[str], last: str) -> None:
    pattern = re.compile(translate("**/" + last))
    assert pattern.fullmatch(last)
    assert pattern.fullmatch("/".join([*parts, last]))


def test_the_times_of_directories_and_links_say_nothing_of_the_installation(
    own_prefix: Prefix, tmp_path: Path
) -> None:
    again = shipping_prefix.copied(own_prefix, tmp_path)
    first, second = (
        [
            (e.path, e.mode, e.size, e.mtime, e.target)
            for e in select(p.final.path, p.eprefix).at(1_700_000_000, clamp=False).entries
        ]
        for p in (own_prefix, again)
    )
    assert first == second
