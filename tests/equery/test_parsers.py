# SPDX-License-Identifier: BSD-3-Clause
"""Our parsers against Portage's own, and against what they must never do."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

from answers import Equery
from hypothesis import assume, given, settings, strategies as st

from flatcar_prefix.equery.cpv import Package, in_order
from flatcar_prefix.equery.dependencies import Wanted, dependencies, intersect, wanted
from flatcar_prefix.equery.output import fill
from flatcar_prefix.equery.queries.belongs import real_path
from flatcar_prefix.equery.queries.changes import split_changelog
from flatcar_prefix.equery.queries.size import human
from flatcar_prefix.equery.vdb_contents import parse, parse_line

quick = settings(deadline=None)
_TEXT = st.text(alphabet=st.characters(codec="utf-8", exclude_characters="\n\r"), max_size=40)
_WORDS = st.sampled_from(["obj", "sym", "dir", "dev", "fif", "->", "12", "/a b", "/x", "", "d41d8"])
_PATH = _TEXT.map(lambda text: "/" + text.strip("/. ")).filter(lambda path: len(path) > 1)


def _portage_line(line: str) -> tuple[str, str] | None:
    from portage.dbapi.vartree import dblink

    match = dblink._contents_re.match(line)
    if match is None or match["oldsym"]:
        return None
    for kind, _group in (("obj", 5), ("sym", 8)):
        if match[kind]:
            offset = match.re.groupindex[kind]
            return match[offset + 1], match[offset + 2]
    offset = match.re.groupindex["dir"]
    return match[offset + 1], match[offset + 2]


@quick
@given(st.lists(_WORDS, max_size=8).map(" ".join))
def test_lines_of_contents_are_read_as_portage_reads_them(line: str) -> None:
    expected = _portage_line(line)
    got = parse_line(line)
    if expected is None or "  " in line or line.endswith(" "):
        return
    assert got is not None
    kind, path = expected
    assert got[1].kind == kind
    if re.search(r"//|/$|^[^/]", path) is None:
        assert got[0] == path


@quick
@given(_PATH, st.integers(0, 10**10))
def test_a_file_of_any_name_comes_back_from_contents(path: str, mtime: int) -> None:
    import os

    assume(os.path.normpath(path) == path)
    digest = "d41d8cd98f00b204e9800998ecf8427e"
    data = f"dir {path}\nobj {path}x {digest} {mtime}\n".encode()
    got = parse(data)
    assert list(got) == [path, f"{path}x"]
    assert got[f"{path}x"] == ("obj", str(mtime), digest)


@quick
@given(st.binary(max_size=200))
def test_no_bytes_at_all_stop_the_parser(data: bytes) -> None:
    for entry in parse(data).values():
        assert entry.kind in ("obj", "sym", "dir", "dev", "fif")


def test_links_are_followed_within_the_root(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "usr/bin").mkdir(parents=True)
    (root / "bin").symlink_to("/usr/bin")
    (root / "usr/up").symlink_to("../../../../bin/x")
    (root / "loop").symlink_to("loop")
    assert real_path(str(root), "/bin/x") == "/usr/bin/x"
    assert real_path(str(root), "/usr/up") == "/usr/bin/x"
    assert real_path(str(root), "/loop") == "/loop"
    assert real_path(str(root), "/usr/../../etc/./y") == "/etc/y"


_VERSION = st.sampled_from(["1", "1.0", "1.1", "1.1-r1", "2", "2_rc1", "10"])
_OPERATOR = st.sampled_from(["=", "<", "<=", ">", ">=", "~"])


@quick
@given(_OPERATOR, _VERSION, _VERSION)
def test_an_exact_version_meets_an_atom_as_portage_matches_it(
    operator: str, one: str, other: str
) -> None:
    from portage.dep import Atom, match_from_list

    assume(operator != "~" or "-r" not in one)
    atom = Atom(f"{operator}a/b-{one}")
    expected = bool(match_from_list(atom, [f"a/b-{other}"]))
    exact = Wanted("a/b", "=", other)
    assert intersect(wanted(atom), exact) == expected
    assert intersect(exact, wanted(atom)) == expected


@quick
@given(_OPERATOR, _VERSION, _OPERATOR, _VERSION, _VERSION)
def test_what_two_atoms_both_match_is_in_both(
    first: str, one: str, second: str, other: str, version: str
) -> None:
    from portage.dep import Atom, match_from_list

    assume(first != "~" or "-r" not in one)
    assume(second != "~" or "-r" not in other)
    atoms = [Atom(f"{first}a/b-{one}"), Atom(f"{second}a/b-{other}")]
    if all(match_from_list(atom, [f"a/b-{version}"]) for atom in atoms):
        assert intersect(*map(wanted, atoms))


def test_a_name_without_category_meets_every_version() -> None:
    from portage.dep import Atom

    assert intersect(wanted(Atom(">=dev-libs/b-2")), Wanted("b"))
    assert not intersect(wanted(Atom("dev-libs/b:1")), Wanted("dev-libs/b", slot="2"))
    assert not intersect(wanted(Atom("dev-libs/b[x]")), Wanted("dev-libs/b", use=frozenset(["-x"])))


def test_dependencies_are_flattened_without_blockers() -> None:
    text = "a/a !b/b foo? ( c/c !bar? ( || ( d/d e/e ) ) ) >=f/f-1[x]"
    found = [(str(d.atom), d.condition) for d in dependencies([text])]
    assert found == [
        ("a/a", ""), ("c/c", "foo"), ("d/d", "!bar"), ("e/e", "!bar"), (">=f/f-1[x]", ""),
    ]  # fmt: skip


@quick
@given(st.lists(st.sampled_from(["a/b-1", "a/b-1.10", "a/b-1.9", "a/a-3", "b/a-1-r2", "b/a-1"])))
def test_packages_come_once_and_in_order(cpvs: list[str]) -> None:
    order = ["a/a-3", "a/b-1", "a/b-1.9", "a/b-1.10", "b/a-1", "b/a-1-r2"]
    assert [p.cpv for p in in_order(cpvs)] == [cpv for cpv in order if cpv in cpvs]


def test_a_package_knows_its_parts() -> None:
    package = Package("app-misc/a-b-1.2_rc3-r4")
    assert (package.cp, package.version, package.revision, package.fullversion) == (
        "app-misc/a-b", "1.2_rc3", "r4", "1.2_rc3-r4",
    )  # fmt: skip


@quick
@given(st.lists(st.text("abc", min_size=1, max_size=9), min_size=1), st.integers(12, 40))
def test_plain_text_is_wrapped_as_by_the_standard_library(words: list[str], width: int) -> None:
    text = " ".join(words)
    assert fill(text, width) == textwrap.fill(text, width)


@quick
@given(st.lists(st.text("abc", min_size=1, max_size=9), min_size=1), st.integers(12, 40))
def test_colours_do_not_count_when_text_is_wrapped(words: list[str], width: int) -> None:
    coloured = " ".join(f"\x1b[32;01m{word}\x1b[39;49;00m" for word in words)
    plain = re.sub(r"\x1b\[[0-9;]*m", "", fill(coloured, width))
    assert plain == fill(" ".join(words), width)


@quick
@given(st.integers(0, 1 << 60))
def test_sizes_have_a_unit_and_two_decimals_at_most(size: int) -> None:
    number, unit = human(size)
    assert re.fullmatch(r"\d+(\.\d{1,2})?", number)
    assert unit in ("byte", "bytes", "KiB", "MiB", "GiB", "TiB")
    if unit != "TiB":
        assert float(number) < 1024


@quick
@given(
    st.lists(
        st.text(max_size=20)
        | st.sampled_from(["*a-1 (01 Jan 2026)\n", "  01 Jan 2026; A <a@b> +a-1.ebuild:\n", "\n"])
    ).map("".join)
)
def test_any_text_can_be_taken_for_a_changelog(text: str) -> None:
    for entry in split_changelog(text):
        assert entry.text in text


@quick
@given(st.lists(st.text(max_size=12), max_size=4))
def test_no_command_line_makes_a_traceback(equery_args: list[str]) -> None:
    import io

    from flatcar_prefix.equery import main

    args = [arg.replace("\0", "") for arg in equery_args]
    code = main(args, env={"ROOT": "/nonexistent"}, stdout=io.StringIO(), stderr=io.StringIO())
    assert code in (0, 1, 2, 3)


def test_a_query_named_twice_is_answered_twice(equery: Equery) -> None:
    assert equery("list", "zeta", "zeta").out == "app-misc/zeta-1-r1\n\napp-misc/zeta-1-r1\n"
