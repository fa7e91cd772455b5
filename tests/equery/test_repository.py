# SPDX-License-Identifier: BSD-3-Clause
"""Queries that need repositories: depends, depgraph, keywords, meta, uses, which, changes."""

from __future__ import annotations

import os
import subprocess

import pytest
from answers import Equery
from fixture_prefix import Fixture


def test_depends_names_who_depends_and_by_which_atom(equery: Equery) -> None:
    answer = equery("-C", "depends", "beta", tty=True)
    assert answer.lines == [
        " * These packages depend on beta:",
        "app-misc/alpha-1.0 (>=dev-libs/beta-1)",
        "                   (dev-libs/beta:0)",
        "app-misc/alpha-2.0_rc1 (>=dev-libs/beta-1)",
        "                       (dev-libs/beta:0)",
        "app-misc/epsilon-4 (=dev-libs/beta-1*)",
        "dev-libs/delta-2.1 (dev-libs/beta)",
        "x11-misc/extra-7 (dev-libs/beta)",
    ]


def test_depends_shows_the_condition_and_the_flags_of_a_dependency(equery: Equery) -> None:
    answer = equery("-C", "depends", "gamma", "epsilon", tty=True)
    assert "app-misc/alpha-1.0 (foo ? >=dev-libs/gamma-1.2[bar,-foo])" in answer.lines
    assert "dev-libs/delta-2.1 (foo ? dev-libs/gamma:0/0)" in answer.lines
    assert "app-misc/zeta-1-r1 (test ? app-misc/epsilon)" in answer.lines


def test_depends_minds_versions_and_slots(equery: Equery) -> None:
    assert equery("depends", ">=dev-libs/gamma-1.2").lines == [
        "app-misc/alpha-1.0",
        "app-misc/alpha-2.0_rc1",
        "dev-libs/delta-2.1",
    ]
    assert equery("depends", "<dev-libs/gamma-1").lines == ["dev-libs/delta-2.1"]
    assert equery("depends", "dev-libs/delta:1").lines == []


def test_depends_follows_indirect_ones_as_deep_as_told(equery: Equery) -> None:
    assert "  app-misc/docs-0.1_p2" in equery("depends", "-D", "delta").lines
    assert equery("depends", "-D", "--depth=0", "delta").lines == ["virtual/thing-0"]
    assert equery("depends", "delta").lines == ["virtual/thing-0"]


def test_depends_on_everything_in_the_tree(equery: Equery) -> None:
    lines = equery("depends", "-a", "alpha").lines
    assert "x11-misc/masked-1" in lines
    assert "x11-misc/masked-1" not in equery("depends", "alpha").lines


def test_depends_takes_a_format_either_way(equery: Equery) -> None:
    expected = ["dev-libs/delta:2"]
    assert equery("depends", "-F", "$cp:$slot", "=dev-libs/gamma-1:0").lines == expected
    assert equery("depends", "--format=$cp:$slot", "=dev-libs/gamma-1:0").lines == expected


def test_depends_wants_a_number_for_depth(equery: Equery) -> None:
    answer = equery("depends", "--depth=x", "alpha")
    assert answer.code == 2
    assert answer.err == "!!! Module option --depth requires integer (got 'x')\n"


def test_depgraph_is_an_indented_tree(equery: Equery) -> None:
    answer = equery("-C", "depgraph", "--depth=2", "docs", tty=True)
    assert answer.lines[2:6] == [
        " * dependency graph for app-misc/docs-0.1_p2",
        " `--  app-misc/docs-0.1_p2  amd64 ",
        "   `--  app-misc/alpha-2.0_rc1  (>=app-misc/alpha-1) amd64 ",
        "    `--  dev-libs/beta-1.6  (>=dev-libs/beta-1) amd64 ",
    ]
    assert answer.lines[-1].startswith("[ app-misc/docs-0.1_p2 stats: packages (")


def test_depgraph_options_leave_things_out(equery: Equery) -> None:
    answer = equery("-C", "depgraph", "-AUMl", "docs", tty=True)
    assert answer.lines[-3:-1] == [
        " [  0]  app-misc/docs-0.1_p2   ",
        " [  1]  app-misc/alpha-2.0_rc1   ",
    ]


def test_which_prints_the_ebuild_that_would_be_used(equery: Equery, prefix: Fixture) -> None:
    alpha = prefix.repo / "app-misc" / "alpha"
    assert equery("which", "alpha").lines == [f"{alpha}/alpha-2.0_rc1.ebuild"]
    assert equery("which", "-m", "alpha").lines == [f"{alpha}/alpha-9999.ebuild"]
    assert equery("which", "beta").lines == [f"{prefix.overlay}/dev-libs/beta/beta-1.6.ebuild"]
    assert 'SLOT="2/2.5"' in equery("which", "-e", "alpha").out
    assert equery("which", "masked").code == 1


def test_an_ambiguous_name_is_answered_by_the_choices(equery: Equery) -> None:
    answer = equery("-C", "which", "fake-alpha", tty=True)
    assert (answer.code, answer.err) == (
        1,
        "!!! Ambiguous package name. Choose from:\n  app-misc/fake-alpha\n  dev-libs/fake-alpha\n",
    )


def test_uses_shows_what_flags_are_and_do(equery: Equery) -> None:
    answer = equery("-C", "uses", "alpha", tty=True)
    assert answer.lines[3:] == [
        " * Found these USE flags for app-misc/alpha-2.0_rc1:",
        " U I",
        " + + bar                       : (Restricted to >=app-misc/alpha-1.1)",
        "                                 Enables bar",
        " - - doc                       : Build documentation",
        " + + foo                       : Enables dev-libs/gamma as the back end",
        " + + l10n_de                   : German",
        " - - l10n_fr                   : French",
        " + + python_targets_python3_11 : Build with Python 3.11",
    ]


def test_uses_wraps_descriptions_at_the_width_of_the_terminal(equery: Equery) -> None:
    lines = equery("-C", "uses", "delta", tty=True).lines[5:]
    assert lines == [
        " + + foo : Enable the foo back end, which is the one that most people want to",
        "           have in place of the other one",
    ]


def test_uses_in_a_pipe_and_with_its_options(equery: Equery) -> None:
    assert equery("uses", "zeta").lines == ["+test"]
    forced = equery("uses", "-f", "alpha").lines
    assert "(+forced)" in forced
    assert "(-static)" in forced
    assert not [x for x in equery("uses", "-i", "alpha").lines if "l10n" in x]
    assert equery("uses", "nothing").code == 1


def test_meta_tells_about_people_upstream_and_keywords(equery: Equery, prefix: Fixture) -> None:
    answer = equery("-C", "meta", "alpha", tty=True)
    assert answer.lines[:8] == [
        " * app-misc/alpha [gentoo]",
        "Maintainer:  ann@example.org (Ann Other) - Main maintainer",
        "Maintainer:  project@example.org - >=app-misc/alpha-2",
        "Upstream:    Maintainer:  up@example.net (Up Stream)",
        "             ChangeLog:   https://example.net/ChangeLog",
        "             Docs:       https://example.net/doc (en)",
        "             Bugs-to:     mailto:bugs@example.net",
        "             Remote-ID:   https://github.com/example/alpha (github)",
    ]
    assert "Keywords:    1.1-r2:0: -hppa arm64 ~amd64" in answer.lines
    assert answer.lines[-1] == "License:     BSD"


def test_meta_options_show_one_thing(equery: Equery) -> None:
    assert equery("meta", "-m", "alpha").lines == ["ann@example.org", "project@example.org"]
    assert equery("meta", "-l", "docs").code == 0
    assert equery("meta", "-k", "alpha").lines[2] == "2.0_rc1:2/2.5: amd64 arm64"
    assert "<pkgmetadata>" in equery("meta", "-x", "alpha").out
    assert "a synthetic package" in equery("meta", "-d", "alpha").out


def test_meta_warns_where_there_is_no_metadata_xml(equery: Equery) -> None:
    answer = equery("meta", "zeta")
    assert (answer.code, answer.out) == (0, "")
    assert answer.err == "!!! Package app-misc/zeta-1-r1 is missing metadata.xml\n\n"


KEYWORDS = """\
Keywords for dev-libs/gamma:
       |           |   u   |
       | a a     r |   n   |
       | m r   h i | e u s | r
       | d m x p s | a s l | e
       | 6 6 8 p c | p e o | p
       | 4 4 6 a v | i d t | o
-------+-----------+-------+-------
[I]1.2 | + + o o o | 8 o 0 | gentoo
   1.3 | * + * * * | 8 o   | gentoo
"""


def test_keywords_are_a_table(equery: Equery) -> None:
    got = [line.rstrip() for line in equery("keywords", "gamma").lines]
    assert got == [line.rstrip() for line in KEYWORDS.splitlines()]


def test_keywords_for_some_architectures_and_for_overlays(equery: Equery) -> None:
    assert "| + ~ |" in equery("keywords", "-a", "arm64,amd64", "=alpha-1.1").out.replace(
        "~ +", "+ ~"
    )
    assert "fixture-extra" in equery("keywords", "-O", "beta").out
    assert "fixture-extra" not in equery("keywords", "beta").out


def test_keywords_refuse_what_they_do_not_know(equery: Equery) -> None:
    assert equery("keywords").err == "No packages specified\n"
    assert equery("keywords", "nothing") == (1, "", 'No such package "nothing"\n')
    assert equery("keywords", "") == (1, "", 'No such package ""\n')
    assert equery("keywords", "-T", "elsewhere", "alpha").code == 2
    answer = equery("keywords", "--help")
    assert (answer.code, answer.out[:6]) == (0, "usage:")


def test_changes_are_read_from_the_changelog(equery: Equery) -> None:
    assert equery("changes", "alpha").lines == [
        "  02 Feb 2026; Ann Other <ann@example.org> +alpha-2.0_rc1.ebuild:",
        "  The second slot.",
        "",
    ]
    assert equery("c", "-f", "--limit=2", "alpha").out.count("Ann Other") == 2
    middle = equery("changes", "--from=1.1", "--to=1.5", "alpha").out
    assert "A revision." in middle
    assert "slot" not in middle
    assert equery("changes", "zeta").code == 1


def test_changes_are_read_from_git_where_there_is_no_changelog(
    equery: Equery, prefix: Fixture
) -> None:
    git = ["git", "-C", str(prefix.repo), "-c", "user.name=A", "-c", "user.email=a@example.org"]
    subprocess.run([*git, "init", "-q"], check=True)
    try:
        subprocess.run([*git, "add", "app-misc/zeta"], check=True)
        subprocess.run([*git, "commit", "-q", "-m", "app-misc/zeta: new package"], check=True)
        answer = equery("changes", "zeta")
        assert "A <a@example.org>" in answer.lines[0]
        assert "  app-misc/zeta: new package" in answer.lines
    finally:
        subprocess.run(["rm", "-rf", str(prefix.repo / ".git")], check=True)


def test_changes_are_read_from_a_checkout_that_the_repository_is_a_part_of(
    equery: Equery, prefix: Fixture
) -> None:
    top = prefix.repo.parent
    git = ["git", "-C", str(top), "-c", "user.name=A", "-c", "user.email=a@example.org"]
    subprocess.run([*git, "init", "-q"], check=True)
    try:
        for name in ("zeta", "docs"):
            subprocess.run([*git, "add", f"{prefix.repo.name}/app-misc/{name}"], check=True)
            subprocess.run([*git, "commit", "-q", "-m", f"app-misc/{name}: new"], check=True)
        lines = equery("changes", "--full", "zeta").lines
        assert "  app-misc/zeta: new" in lines
        assert "  app-misc/docs: new" not in lines
    finally:
        subprocess.run(["rm", "-rf", str(top / ".git")], check=True)


@pytest.mark.needs_root
def test_what_git_says_when_it_refuses_is_passed_on_in_one_line(
    equery: Equery, prefix: Fixture
) -> None:
    """A checkout that belongs to another user, see safe.directory in git-config(1)."""
    checkout = prefix.repo.parent / ".git"
    subprocess.run(["git", "init", "-q", str(checkout.parent)], check=True)
    try:
        os.chown(checkout, 65534, 65534)
        os.chown(checkout.parent, 65534, 65534)
        answer = equery("changes", "zeta")
        assert answer.code == 1
        (line,) = answer.err.splitlines()
        assert "dubious ownership" in line
    finally:
        os.chown(checkout.parent, 0, 0)
        subprocess.run(["rm", "-rf", str(checkout)], check=True)


@pytest.mark.parametrize("query", "belongs changes check depends depgraph files has hasuse "
                         "keywords list meta size uses which".split())  # fmt: skip
def test_every_query_explains_itself(equery: Equery, query: str) -> None:
    local, asked_globally = equery(query, "--help"), equery("--help", query)
    assert local == asked_globally
    assert local.code == 0
    assert "--help" in local.out
    assert equery(query, "--no-such-option").code == 2
    if query != "keywords":
        assert equery(query).code == 2


def test_global_options_are_read_before_the_query(equery: Equery) -> None:
    assert equery("--version").out.startswith("equery (flatcar-prefix ")
    assert equery("--help").code == 0
    assert equery().code == 2
    assert equery("--bogus").code == 2
    answer = equery("nosuch", "alpha")
    assert (answer.code, answer.err) == (2, "!!! Unknown module 'nosuch'\n")


def test_short_names_are_those_of_gentoolkit(equery: Equery) -> None:
    from flatcar_prefix.equery.cli import QUERIES

    assert {name: letter for name, letter, *_ in QUERIES} == {
        "belongs": "b", "changes": "c", "check": "k", "depends": "d", "depgraph": "g",
        "files": "f", "has": "a", "hasuse": "h", "keywords": "y", "list": "l", "meta": "m",
        "size": "s", "uses": "u", "which": "w",
    }  # fmt: skip


def test_debug_shows_where_an_error_comes_from(equery: Equery) -> None:
    from flatcar_prefix.errors import PrefixError

    with pytest.raises(PrefixError):
        equery("--debug", "which", "nothing")
