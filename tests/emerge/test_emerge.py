# SPDX-License-Identifier: BSD-3-Clause
"""The effect of each call of ``emerge-prefix-<name>-<board>`` on the two roots.

The real Portage builds real packages, with sources in ``files/`` or without sources.
"""

from __future__ import annotations

import os
import pty
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from machine import InUse, Machine, Overlay, snapshot, two_lines

pytestmark = pytest.mark.needs_root

LIBRARY = """
src_compile() {
	"${CC}" ${CFLAGS} -fPIC -shared -Wl,-soname,libtestgreet.so.1 ${LDFLAGS} \\
		-o libtestgreet.so.1 "${FILESDIR}/greet.c" || die
}
src_install() {
	dolib.so libtestgreet.so.1
	dosym libtestgreet.so.1 "/usr/$(get_libdir)/libtestgreet.so"
	insinto /usr/include
	doins "${FILESDIR}/greet.h"
}
"""

PROGRAM = """
src_compile() {
	"${CC}" ${CFLAGS} ${LDFLAGS} -o testhello "${FILESDIR}/hello.c" -ltestgreet || die
}
src_install() {
	dobin testhello
}
"""

FAILING = """
src_compile() {
	die "this one never builds"
}
"""


def state(prefix: InUse, *kinds: str) -> dict[str, str]:
    """Return the installed packages and the world file of each root."""
    places = [
        directory
        for kind in kinds
        for directory in (prefix.eroot(kind) / "usr", prefix.eroot(kind) / "var/db/pkg",
                          prefix.eroot(kind) / "var/lib/portage")
    ]  # fmt: skip
    seen = snapshot(*places)
    return {path: what for path, what in seen.items() if not path.endswith((".lock", "/config"))}


def plan(text: str) -> list[str]:
    """Return the lines of a plan, without the build numbers of binary packages.

    The wrapper plans for final what staging is about to build, which has no number yet.
    """
    return [
        re.sub(r"(-\d\S*)-\d+(?=::)", r"\1", line.strip())
        if line.startswith("[binary")
        else line.strip()
        for line in text.splitlines()
        if re.match(r"\[(ebuild|binary|nomerge)", line)
    ]


@pytest.fixture
def prefix(empty_prefix: InUse) -> InUse:
    return empty_prefix


@pytest.fixture(scope="module")
def with_dependencies(empty_prefix: InUse, overlay: Overlay) -> InUse:
    overlay.ebuild("test-dep/run-1")
    overlay.ebuild("test-dep/headers-1")
    overlay.ebuild("test-dep/later-1")
    overlay.ebuild(
        "test-dep/tool-1",
        """
        src_install() {
            exeinto /usr/bin
            newexe - testdep-tool <<<$'#!/bin/sh\\necho made by the tool'
        }
        """,
    )
    overlay.ebuild(
        "test-dep/app-1",
        """
        src_compile() {
            [[ -f ${ESYSROOT}/usr/share/test-dep/headers/1 ]] || die "no headers in ${ESYSROOT}"
            [[ -f ${ESYSROOT}/usr/share/test-dep/run/1 ]] || die "no library in ${ESYSROOT}"
            testdep-tool > made || die
        }
        src_install() {
            insinto /usr/share/app
            doins made
        }
        """,
        depend="test-dep/headers test-dep/run",
        rdepend="test-dep/run",
        bdepend="test-dep/tool",
        pdepend="test-dep/later",
    )
    empty_prefix.install("test-dep/app")
    return empty_prefix


class TestDependencies:
    """Final gets run-time dependencies, but not build dependencies."""

    def test_all_that_is_needed_is_in_staging(self, with_dependencies: InUse) -> None:
        wanted = {"test-dep/app-1", "test-dep/run-1", "test-dep/headers-1", "test-dep/later-1"}
        assert wanted <= with_dependencies.installed("staging")
        assert (
            with_dependencies.staging / "usr/share/app/made"
        ).read_text() == "made by the tool\n"

    def test_what_is_needed_to_run_is_in_final(self, with_dependencies: InUse) -> None:
        assert {
            "test-dep/app-1",
            "test-dep/run-1",
            "test-dep/later-1",
        } <= with_dependencies.installed("final")
        assert (with_dependencies.final / "usr/share/test-dep/run/1").is_file()

    def test_what_only_builds_is_not_in_final(self, with_dependencies: InUse) -> None:
        assert not {"test-dep/headers-1", "test-dep/tool-1"} & with_dependencies.installed("final")
        assert not list(with_dependencies.final.rglob("headers")) + list(
            with_dependencies.final.rglob("testdep-tool")
        )

    def test_a_build_tool_goes_to_the_build_host_and_not_to_the_machine(
        self, with_dependencies: InUse
    ) -> None:
        assert shutil.which("testdep-tool") is None
        assert "test-dep/tool-1" not in with_dependencies.installed("staging")
        assert [
            path.name for path in (with_dependencies.staging_dir / "host").rglob("testdep-tool")
        ] == ["testdep-tool"]

    def test_only_what_was_asked_for_is_in_the_world_file(self, with_dependencies: InUse) -> None:
        for kind in ("staging", "final"):
            mine = [atom for atom in with_dependencies.world(kind) if atom.startswith("test-dep/")]
            assert mine == ["test-dep/app"]

    def test_depclean_of_final_keeps_what_runs(self, with_dependencies: InUse) -> None:
        removed = with_dependencies.install("--depclean", "--pretend", "--quiet").stdout
        assert "test-dep" not in removed


@pytest.fixture(scope="module")
def failed(
    empty_prefix: InUse, overlay: Overlay
) -> tuple[subprocess.CompletedProcess[str], dict[str, str], dict[str, str]]:
    overlay.ebuild("test-fail/good-1")
    overlay.ebuild("test-fail/bad-1", FAILING, rdepend="test-fail/good")
    before = state(empty_prefix, "final")
    result = empty_prefix.emerge(
        "test-fail/bad", capture_output=False, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    return result, before, state(empty_prefix, "final")


class TestFailure:
    """A failed build does not change final, and its message names the log."""

    def test_the_exit_code_is_emerges(self, failed, empty_prefix: InUse) -> None:
        plain = empty_prefix.plain("staging", "emerge", "test-fail/bad")
        assert failed[0].returncode == plain.returncode == 1

    def test_final_is_not_touched(self, failed) -> None:
        _, before, after = failed
        assert before == after

    def test_the_last_line_names_the_build_log(self, failed) -> None:
        last = failed[0].stdout.splitlines()[-1]
        log = Path(last.rpartition(" ")[2])
        assert "this one never builds" in log.read_text()
        assert "test-fail:bad-1" in log.name

    def test_what_was_built_before_stays_in_staging(self, failed, empty_prefix: InUse) -> None:
        assert "test-fail/good-1" in empty_prefix.installed("staging")

    def test_also_with_keep_going_final_is_not_touched(self, failed, overlay, empty_prefix) -> None:
        overlay.ebuild("test-fail/other-1")
        result = empty_prefix.emerge("--keep-going", "test-fail/bad", "test-fail/other")
        assert result.returncode == 1
        assert "test-fail/other-1" in empty_prefix.installed("staging")
        assert "test-fail/other-1" not in empty_prefix.installed("final")

    @pytest.mark.e2e
    def test_resume_goes_on_in_staging_and_then_installs(
        self, failed, overlay, empty_prefix
    ) -> None:
        overlay.ebuild("test-fail/first-1")
        overlay.ebuild("test-fail/second-1", FAILING, rdepend="test-fail/first")
        assert empty_prefix.emerge("test-fail/second").returncode == 1
        overlay.ebuild("test-fail/second-1", rdepend="test-fail/first")
        empty_prefix.install("--resume")
        for kind in ("staging", "final"):
            assert {"test-fail/first-1", "test-fail/second-1"} <= empty_prefix.installed(kind)

    def test_an_unknown_package_is_emerges_own_error(self, prefix: InUse) -> None:
        result = prefix.emerge("test-fail/nothing-of-that-name")
        assert result.returncode == 1
        assert (
            'no ebuilds to satisfy "test-fail/nothing-of-that-name"'
            in result.stdout + result.stderr
        )
        assert "installing into final" not in result.stdout


@pytest.mark.e2e
def test_a_change_of_use_flags_reaches_final(prefix: InUse, overlay: Overlay) -> None:
    overlay.ebuild(
        "test-use/flags-1",
        """
        src_install() {
            insinto /usr/share/flags
            newins - chosen <<<"$(usex alpha) $(usex beta)"
        }
        """,
        iuse="+alpha beta",
    )

    def chosen() -> set[str]:
        return {
            (prefix.eroot(kind) / "usr/share/flags/chosen").read_text()
            for kind in ("staging", "final")
        }

    prefix.install("test-use/flags")
    assert chosen() == {"yes no\n"}
    use = prefix.config("staging") / "package.use/mine"
    use.write_text("test-use/flags -alpha beta\n")
    prefix.install("--update", "--changed-use", "test-use/flags")
    assert chosen() == {"no yes\n"}
    use.unlink()
    prefix.install("--oneshot", "test-use/flags")
    assert chosen() == {"yes no\n"}, "the newest build is installed"
    assert len(prefix.binaries("test-use/flags-1")) == 3
    prefix.install("--oneshot", "test-use/flags", env={"USE": "-alpha"})
    assert chosen() == {"no no\n"}


@pytest.mark.e2e
def test_slots_live_side_by_side_in_both_roots(prefix: InUse, overlay: Overlay) -> None:
    overlay.ebuild("test-slot/lib-1.5", slot="1")
    overlay.ebuild("test-slot/lib-2.5", slot="2")
    overlay.ebuild("test-slot/app-1", rdepend="test-slot/lib:1")
    prefix.install("test-slot/app", "test-slot/lib:2")
    for kind in ("staging", "final"):
        assert {"test-slot/lib-1.5", "test-slot/lib-2.5"} <= prefix.installed(kind)
    prefix.emerge("--prune", "test-slot/lib", env={"CLEAN_DELAY": "0"})
    assert "test-slot/lib-1.5" in prefix.installed("final"), "something needs that slot"
    prefix.install("--prune", "--nodeps", "test-slot/lib", env={"CLEAN_DELAY": "0"})
    assert "test-slot/lib-1.5" not in prefix.installed("final")
    assert "test-slot/lib-1.5" in prefix.installed("staging")


@pytest.mark.e2e
def test_an_update_replaces_in_both_roots(imported_prefix: InUse, overlay: Overlay) -> None:
    prefix = imported_prefix
    overlay.ebuild("test-up/lib-1")
    overlay.ebuild("test-up/app-1", rdepend="test-up/lib")
    prefix.install("test-up/app")
    overlay.ebuild("test-up/lib-2")
    prefix.install("--update", "test-up/app")
    assert "test-up/lib-1" in prefix.installed("final"), "not asked for without --deep"
    prefix.install("-uD", "@world")
    for kind in ("staging", "final"):
        mine = {cpv for cpv in prefix.installed(kind) if cpv.startswith("test-up/")}
        assert mine == {"test-up/app-1", "test-up/lib-2"}
    assert (prefix.final / "usr/share/test-up/lib/2").is_file()
    assert not (prefix.final / "usr/share/test-up/lib/1").exists()


@pytest.fixture(scope="module")
def set_up(machine_of_its_own: Machine) -> InUse:
    return machine_of_its_own.setup("fresh", "--bootstrap=import")


@pytest.fixture(scope="module")
def machine_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    return Machine(tmp_path_factory.mktemp("fresh") / "machine")


@pytest.mark.e2e
class TestAfterSetUp:
    """The packages of the bootstrap are exactly the two roots' @system."""

    @pytest.mark.parametrize("words", [(), ("--staging",), ("--final",)])
    def test_there_is_nothing_to_update(self, set_up: InUse, words: tuple[str, ...]) -> None:
        result = set_up.install(*words, "--pretend", "-uDN", "@world")
        assert plan(result.stdout) == []
        assert result.stderr == ""

    def test_final_does_not_want_what_only_builds(self, set_up: InUse) -> None:
        set_up.install("-uDN", "@world")
        assert not {
            cpv for cpv in set_up.installed("final") if "os-headers" in cpv or "linux-head" in cpv
        }

    @pytest.mark.parametrize("kind", ["staging", "final"])
    def test_depclean_removes_nothing(self, set_up: InUse, kind: str) -> None:
        result = set_up.install(f"--{kind}", "--depclean", "--pretend")
        assert "No packages selected for removal by depclean" in result.stdout, result.stdout
        said = (result.stdout + result.stderr).replace("!!! You have no world file.", "")
        assert "!!!" not in said
        names = {cpv.rpartition("-")[0] for cpv in set_up.installed(kind)}
        assert {"prefix/prefix-final", "prefix/gcc-runtime"} <= names

    @pytest.mark.parametrize("kind", ["staging", "final"])
    def test_depclean_would_remove_neither_by_name(self, set_up: InUse, kind: str) -> None:
        for atom in ("prefix/prefix-final", "prefix/gcc-runtime"):
            set_up.emerge(f"--{kind}", "--depclean", atom, env={"CLEAN_DELAY": "0"})
            assert any(cpv.startswith(f"{atom}-") for cpv in set_up.installed(kind))


def test_a_second_call_with_noreplace_does_nothing(prefix: InUse, overlay: Overlay) -> None:
    overlay.ebuild("test-again/it-1")
    prefix.install("test-again/it")
    before = state(prefix, "staging", "final")
    prefix.install("--noreplace", "test-again/it")
    prefix.install("--update", "test-again/it")
    assert state(prefix, "staging", "final") == before


@pytest.fixture(scope="module")
def stocked(empty_prefix: InUse, overlay: Overlay) -> InUse:
    names = [overlay.ebuild(f"test-rm/{name}-1") for name in ("one", "two", "three", "four")]
    overlay.ebuild("test-rm/needed-1")
    names.append(overlay.ebuild("test-rm/needing-1", rdepend="test-rm/needed"))
    empty_prefix.install(*names)
    return empty_prefix


class TestRemoval:
    """Removal acts on final, and on staging only if the call chooses it."""

    def test_unmerge_acts_on_final(self, stocked: InUse) -> None:
        stocked.install("--unmerge", "test-rm/one", env={"CLEAN_DELAY": "0"})
        assert "test-rm/one-1" not in stocked.installed("final")
        assert "test-rm/one-1" in stocked.installed("staging")
        assert not (stocked.final / "usr/share/test-rm/one").exists()

    def test_its_short_option_acts_on_final(self, stocked: InUse) -> None:
        stocked.install("-Cq", "test-rm/four", env={"CLEAN_DELAY": "0"})
        assert "test-rm/four-1" not in stocked.installed("final")
        assert "test-rm/four-1" in stocked.installed("staging")

    @pytest.mark.parametrize("word", ["--staging", "--stage"])
    def test_with_staging_first_it_acts_on_staging(self, stocked: InUse, word: str) -> None:
        package = "two" if word == "--staging" else "four"
        before = stocked.installed("final")
        stocked.install(word, "--unmerge", f"test-rm/{package}", env={"CLEAN_DELAY": "0"})
        assert f"test-rm/{package}-1" not in stocked.installed("staging")
        assert stocked.installed("final") == before

    def test_deselect_changes_the_world_of_final(self, stocked: InUse) -> None:
        stocked.install("--deselect", "test-rm/three")
        assert "test-rm/three" not in stocked.world("final")
        assert "test-rm/three" in stocked.world("staging")
        assert "test-rm/three-1" in stocked.installed("final")

    def test_depclean_removes_from_final_what_is_not_needed(self, stocked: InUse) -> None:
        stocked.install("--depclean", "test-rm/three", env={"CLEAN_DELAY": "0"})
        assert "test-rm/three-1" not in stocked.installed("final")
        assert "test-rm/three-1" in stocked.installed("staging")

    def test_depclean_keeps_what_is_needed(self, stocked: InUse) -> None:
        stocked.emerge("-c", "test-rm/needed", env={"CLEAN_DELAY": "0"})
        assert "test-rm/needed-1" in stocked.installed("final")


class TestOneRootOnly:
    """``--stage`` builds only, ``--install`` installs only."""

    def test_stage_leaves_final_alone(self, prefix: InUse, overlay: Overlay) -> None:
        overlay.ebuild("test-one/staged-1")
        before = state(prefix, "final")
        prefix.install("--stage", "test-one/staged")
        assert "test-one/staged-1" in prefix.installed("staging")
        assert state(prefix, "final") == before
        assert len(prefix.binaries("test-one/staged-1")) == 1

    def test_install_takes_what_was_built_and_leaves_staging_alone(self, prefix, overlay) -> None:
        overlay.ebuild("test-one/later-1")
        prefix.install("--stage", "test-one/later")
        before = state(prefix, "staging")
        prefix.install("--install", "test-one/later")
        assert "test-one/later-1" in prefix.installed("final")
        assert state(prefix, "staging") == before

    def test_a_missing_binary_package_is_named_with_the_command_that_builds_it(
        self, prefix: InUse, overlay: Overlay
    ) -> None:
        overlay.ebuild("test-one/unbuilt-1")
        before = state(prefix, "staging", "final")
        result = prefix.emerge("--install", "test-one/unbuilt")
        assert result.returncode == 1
        what, to_do = result.stderr.splitlines()[-2:]
        assert what == " * there is no binary package of test-one/unbuilt"
        wrapper = prefix.wrapper("emerge").name
        assert to_do == f" * Build the missing packages: {wrapper} --stage test-one/unbuilt"
        assert state(prefix, "staging", "final") == before
        prefix.install(*to_do.partition(f"{wrapper} ")[2].split())
        prefix.install("--install", "test-one/unbuilt")

    @pytest.mark.e2e
    def test_so_is_the_missing_binary_package_of_a_dependency(self, prefix, overlay) -> None:
        overlay.ebuild("test-one/dep-1")
        overlay.ebuild("test-one/app-1", rdepend="test-one/dep")
        prefix.install("--stage", "--buildpkg=n", "test-one/dep")
        prefix.install("--stage", "test-one/app")
        result = prefix.emerge("--install", "test-one/app")
        assert result.returncode == 1
        assert "test-one/dep" in result.stderr.splitlines()[-2]
        to_do = result.stderr.splitlines()[-1].partition(f"{prefix.wrapper('emerge').name} ")[2]
        prefix.install(*to_do.split())
        prefix.install("--install", "test-one/app")
        assert {"test-one/dep-1", "test-one/app-1"} <= prefix.installed("final")

    @pytest.mark.parametrize("option", ["--buildpkgonly", "--fetchonly"])
    def test_what_installs_nothing_does_not_come_to_final(self, prefix, overlay, option) -> None:
        overlay.ebuild("test-one/only-1")
        result = prefix.install(option, "test-one/only")
        assert "installing into final" not in result.stdout
        assert not {"test-one/only-1"} & (prefix.installed("final") | prefix.installed("staging"))


class TestPretend:
    """``--pretend`` shows both plans, and changes nothing."""

    def test_what_was_never_built_is_shown_in_both(self, prefix: InUse, overlay: Overlay) -> None:
        overlay.ebuild("test-pre/headers-1")
        overlay.ebuild("test-pre/lib-1")
        overlay.ebuild("test-pre/app-1", depend="test-pre/headers", rdepend="test-pre/lib")
        before = state(prefix, "staging", "final")
        result = prefix.install("--pretend", "test-pre/app")
        building, _, installing = result.stdout.partition("installing into final")
        names = [
            re.findall(r"test-pre/\w+", " ".join(plan(text))) for text in (building, installing)
        ]
        assert sorted(names[0]) == ["test-pre/app", "test-pre/headers", "test-pre/lib"]
        assert sorted(names[1]) == ["test-pre/app", "test-pre/lib"]
        assert all(line.startswith("[ebuild") for line in plan(building))
        assert all(line.startswith("[binary") for line in plan(installing))
        assert state(prefix, "staging", "final") == before
        assert prefix.binaries("test-pre/app-1") == []

    @pytest.mark.parametrize("options", [("-pv",), ("-avp",), ("-p1",), ("-puDN",)])
    def test_its_short_option_means_the_same_among_others(self, prefix, overlay, options) -> None:
        overlay.ebuild("test-pre/short-1")
        before = state(prefix, "staging", "final")
        result = prefix.install(*options, "test-pre/short")
        assert [line.count("test-pre/short-1") for line in plan(result.stdout)] == [1, 1]
        assert state(prefix, "staging", "final") == before

    def test_a_package_with_user_patches_is_shown_in_both(self, prefix, overlay) -> None:
        overlay.ebuild("test-pre/patched-1")
        patches = prefix.config("staging") / "patches/test-pre/patched"
        patches.mkdir(parents=True)
        (patches / "fix.patch").write_text("--- a\n+++ b\n")
        result = prefix.install("--pretend", "test-pre/patched")
        assert [line.count("test-pre/patched-1") for line in plan(result.stdout)] == [1, 1]

    def test_of_one_root_when_one_is_asked_for(self, prefix: InUse, overlay: Overlay) -> None:
        overlay.ebuild("test-pre/half-1")
        assert len(plan(prefix.install("--stage", "-p", "test-pre/half").stdout)) == 1
        result = prefix.emerge("--install", "-p", "test-pre/half")
        assert result.returncode == 1, "there is no binary package, and none would be built"

    def test_emerge_default_opts_mean_what_they_mean_to_emerge(self, prefix, overlay) -> None:
        overlay.ebuild("test-pre/default-1")
        before = state(prefix, "staging", "final")
        result = prefix.install(
            "test-pre/default", env={"EMERGE_DEFAULT_OPTS": "--pretend --verbose"}
        )
        assert len(plan(result.stdout)) == 2
        assert state(prefix, "staging", "final") == before

    @pytest.mark.e2e
    def test_emerge_default_opts_of_the_caller_never_make_final_build(
        self, prefix, overlay
    ) -> None:
        overlay.ebuild("test-pre/quietly-1")
        prefix.install("test-pre/quietly", env={"EMERGE_DEFAULT_OPTS": "--quiet-build=y"})
        assert len(prefix.binaries("test-pre/quietly-1")) == 1
        assert "test-pre/quietly-1" in prefix.installed("final")
        again = prefix.install(
            "test-pre/quietly", "--ignore-default-opts", env={"EMERGE_DEFAULT_OPTS": "--pretend"}
        )
        assert "Emerging binary (1 of 1) test-pre/quietly-1" in again.stdout


def in_a_terminal(
    prefix: InUse, args: list[str], answer: str, *, question: str = "[Yes/No]"
) -> tuple[int, str]:
    """Run emerge on a separate terminal; type ``answer`` at each question."""
    master, slave = pty.openpty()
    child = subprocess.Popen(
        [prefix.wrapper("emerge"), *args, "--color=n"],
        stdin=slave, stdout=slave, stderr=slave, start_new_session=True,
        env=prefix.machine.environment(),
    )  # fmt: skip
    os.close(slave)
    said, answered = "", 0
    for piece in _pieces(master):
        said += piece
        if said.count(question) > answered:
            answered += 1
            os.write(master, f"{answer}\n".encode())
    os.close(master)
    return child.wait(timeout=60), said


def _pieces(master: int) -> Iterator[str]:
    while True:
        try:
            piece = os.read(master, 4096)
        except OSError:
            return
        if not piece:
            return
        yield piece.decode(errors="replace")


class TestAsk:
    """``--ask`` asks once, for both roots."""

    def test_a_yes_does_both_halves(self, prefix: InUse, overlay: Overlay) -> None:
        overlay.ebuild("test-ask/yes-1")
        code, said = in_a_terminal(prefix, ["--ask", "test-ask/yes"], "Yes")
        assert code == 0, said
        assert said.count("[Yes/No]") == 1
        assert said.index("[ebuild") < said.index("[binary") < said.index("[Yes/No]")
        for kind in ("staging", "final"):
            assert "test-ask/yes-1" in prefix.installed(kind)

    def test_a_no_does_nothing(self, prefix: InUse, overlay: Overlay) -> None:
        overlay.ebuild("test-ask/no-1")
        before = state(prefix, "staging", "final")
        code, said = in_a_terminal(prefix, ["-av", "test-ask/no"], "No")
        assert code == 130, said
        assert said.count("[Yes/No]") == 1
        assert state(prefix, "staging", "final") == before

    def test_a_removal_is_asked_for_once(self, prefix: InUse, overlay: Overlay) -> None:
        overlay.ebuild("test-ask/rm-1")
        prefix.install("test-ask/rm")
        code, said = in_a_terminal(prefix, ["-aC", "test-ask/rm"], "No")
        assert code == 130, said
        assert said.count("[Yes/No]") == 1
        assert "test-ask/rm-1" in prefix.installed("final")

    def test_without_a_terminal_it_is_emerges_own_error(self, prefix: InUse, overlay) -> None:
        overlay.ebuild("test-ask/nobody-1")
        result = prefix.emerge("--ask", "test-ask/nobody")
        assert result.returncode == 1
        assert "terminal" in result.stdout + result.stderr
        assert "test-ask/nobody-1" not in prefix.installed("staging")


class TestQuestions:
    """A query runs once, in the chosen root."""

    def test_info_is_of_final_unless_staging_is_asked_for(self, prefix: InUse) -> None:
        for words, kind in (((), "final"), (("--staging",), "staging"), (("--final",), "final")):
            result = prefix.install(*words, "--info")
            assert result.stdout.count("System uname:") == 1
            assert f'PORTAGE_CONFIGROOT="{prefix.eroot(kind)}/"' in result.stdout
            assert "building in" not in result.stdout

    def test_search_finds_once(self, prefix: InUse, overlay: Overlay) -> None:
        overlay.ebuild("test-ask/findable-1")
        result = prefix.install("--search", "findable")
        assert result.stdout.count("test-ask/findable") == 1
        assert "[ Applications found : 1 ]" in result.stdout.replace("\n", " ").replace("  ", " ")

    def test_version_and_help_are_said_once(self, prefix: InUse) -> None:
        assert prefix.install("--version").stdout.count("Portage ") == 1
        assert prefix.install("--help").stdout.count("Help (this screen)") <= 1
        assert "emerge: command-line interface" in prefix.install("--help").stdout

    def test_list_sets_is_said_once(self, prefix: InUse) -> None:
        assert prefix.install("--list-sets").stdout.split().count("world") == 1

    @pytest.mark.parametrize("action", ["--regen", "--metadata", "--sync"])
    def test_what_is_done_to_repositories_is_done_once(self, prefix: InUse, action: str) -> None:
        result = prefix.install(action)
        assert "installing into final" not in result.stdout
        if action == "--regen":
            assert result.stdout.count("Processing app-arch/bzip2") <= 1

    def test_a_call_without_arguments_is_emerges_help(self, prefix: InUse) -> None:
        result = prefix.emerge()
        plain = prefix.plain("final", "emerge")
        assert (result.returncode, result.stdout) == (plain.returncode, plain.stdout)


@pytest.mark.e2e
def test_a_package_of_an_overlay_overrides_the_main_repositorys(machine: Machine) -> None:
    low = Overlay(machine.base / "low", "low")
    high = Overlay(machine.base / "high", "high")
    for mine in (low, high):
        mine.ebuild("app-arch/bzip2-1.0.8")
    low.ebuild("test-over/other-1")
    prefix = machine.setup("over", f"--custom_ebuild_overlays={low.path},{high.path}")
    prefix.install("app-arch/bzip2", "test-over/other")
    for kind in ("staging", "final"):
        vdb = prefix.eroot(kind) / "var/db/pkg"
        assert (vdb / "app-arch/bzip2-1.0.8/repository").read_text() == "high\n"
        assert (vdb / "test-over/other-1/repository").read_text() == "low\n"


@pytest.mark.e2e
def test_a_set_of_the_users_own_can_be_an_argument(prefix: InUse, overlay: Overlay) -> None:
    overlay.ebuild("test-set/a-1")
    overlay.ebuild("test-set/b-1")
    sets = prefix.config("staging") / "sets/mine"
    sets.parent.mkdir(exist_ok=True)
    sets.write_text("test-set/a\ntest-set/b\n")
    prefix.install("@mine")
    for kind in ("staging", "final"):
        assert {"test-set/a-1", "test-set/b-1"} <= prefix.installed(kind)


@pytest.mark.parametrize("option", ["--root", "--sysroot", "--prefix", "--config-root"])
def test_an_option_that_names_another_root_is_refused(prefix: InUse, option: str) -> None:
    result = prefix.emerge(f"{option}=/tmp/elsewhere", "--pretend", "virtual/libc")
    assert result.returncode == 2
    what, to_do = two_lines(result)
    assert option in what
    assert "--staging or --final" in to_do


@pytest.mark.parametrize("word", ["--stage", "--final"])
def test_a_word_that_chooses_a_root_comes_first(prefix: InUse, word: str) -> None:
    result = prefix.emerge("--pretend", word, "virtual/libc")
    assert result.returncode == 2
    what, to_do = two_lines(result)
    assert what == f"{word} is not the first argument"
    assert to_do.endswith(f": {word} --pretend virtual/libc")


def test_variables_of_the_caller_that_name_roots_are_not_the_wrappers(prefix, overlay) -> None:
    overlay.ebuild("test-env/stray-1")
    elsewhere = prefix.machine.base / "elsewhere"
    stray = {
        "ROOT": str(elsewhere),
        "PORTAGE_CONFIGROOT": "/nowhere",
        "EPREFIX": "/stray",
        "SYSROOT": "/",
    }
    prefix.install("test-env/stray", env=stray)
    assert "test-env/stray-1" in prefix.installed("final")
    assert not elsewhere.exists()


@pytest.fixture(scope="module")
def compiled(imported_prefix: InUse, overlay: Overlay) -> InUse:
    overlay.ebuild(
        "test-c/greet-1", LIBRARY, rdepend="virtual/libc", depend="virtual/libc",
        files={
            "greet.h": "const char *greet(void);\n",
            "greet.c": '#include "greet.h"\nconst char *greet(void) { return "hello"; }\n',
        },
    )  # fmt: skip
    overlay.ebuild(
        "test-c/hello-1", PROGRAM, rdepend="test-c/greet virtual/libc",
        depend="test-c/greet virtual/libc",
        files={
            "hello.c": "#include <greet.h>\n#include <stdio.h>\n"
            "int main(void) { puts(greet()); return 0; }\n"
        },
    )  # fmt: skip
    imported_prefix.install("test-c/hello")
    return imported_prefix


@pytest.mark.e2e
class TestCompiled:
    """Programs that link: the wrapper and plain emerge build the same files."""

    @pytest.mark.needs_namespaces
    def test_a_program_runs_where_nothing_but_final_exists(self, compiled: InUse) -> None:
        result = subprocess.run(
            ["bwrap", "--ro-bind", compiled.final, compiled.eprefix, "--proc", "/proc", "--dev", "/dev",
             "--unshare-all", "--clearenv", f"{compiled.eprefix}/usr/bin/testhello"],
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert (result.returncode, result.stdout) == (0, "hello\n"), result.stderr

    def test_it_asks_for_the_prefixs_loader_and_names_no_build_directory(
        self, compiled: InUse
    ) -> None:
        program = compiled.final / "usr/bin/testhello"
        headers = subprocess.run(
            ["readelf", "-l", program], capture_output=True, text=True, check=True
        )
        assert f"interpreter: {compiled.eprefix}/lib64/ld-linux-x86-64.so.2]" in headers.stdout
        assert str(compiled.machine.base).encode() not in program.read_bytes()

    def test_plain_emerge_plans_the_same(self, compiled: InUse) -> None:
        args = ("--pretend", "--verbose", "--emptytree", "--color=n", "test-c/hello")
        both = compiled.install(*args).stdout
        building, _, installing = both.partition("installing into final")
        for kind, text in (("staging", building), ("final", installing)):
            plain = compiled.plain(kind, "emerge", *args)
            assert plain.returncode == 0, plain.stderr
            assert plan(text), both
            assert plan(text) == plan(plain.stdout)

    def test_plain_emerge_builds_the_same(self, compiled: InUse) -> None:
        program = "usr/bin/testhello"
        by_wrapper = [
            (compiled.eroot(kind) / program).read_bytes() for kind in ("staging", "final")
        ]
        vdb = "var/db/pkg/test-c/hello-1"
        told = {}
        for kind in ("staging", "final"):
            told[kind] = self.facts(compiled.eroot(kind) / vdb)
            result = compiled.plain(kind, "emerge", "--oneshot", "test-c/hello")
            assert result.returncode == 0, result.stdout + result.stderr
        assert [
            (compiled.eroot(kind) / program).read_bytes() for kind in ("staging", "final")
        ] == by_wrapper
        for kind in ("staging", "final"):
            assert self.facts(compiled.eroot(kind) / vdb) == told[kind]

    @staticmethod
    def facts(vdb: Path) -> dict[str, str]:
        """Return the installed package's record of its compilation."""
        names = "CBUILD CC CFLAGS CHOST CXX EPREFIX FEATURES KEYWORDS LDFLAGS RDEPEND USE PROVIDES REQUIRES"
        found = {name: vdb / name for name in names.split()}
        # Portage does not sort the words of some values.
        return {n: " ".join(sorted(p.read_text().split())) for n, p in found.items() if p.exists()}


def test_one_interpreter_does_both_halves(prefix: InUse, overlay: Overlay) -> None:
    """Portage is loaded once: a repeated call without work starts one Python."""
    overlay.ebuild("test-fast/it-1")
    prefix.install("test-fast/it")
    trace = prefix.machine.base / "trace"
    prefix.machine.ok(
        "strace", "-f", "-qq", "-e", "trace=execve", "-o", trace, prefix.wrapper("emerge"),
        "--update", "--quiet", "test-fast/it",
    )  # fmt: skip
    started = [
        line for line in trace.read_text().splitlines() if "execve(" in line and "= 0" in line
    ]
    assert (
        len(
            [line for line in started if "python" in line.partition("execve(")[2].partition(",")[0]]
        )
        == 1
    )
    began = time.monotonic()
    prefix.install("--update", "--quiet", "test-fast/it")
    assert time.monotonic() - began < 10
