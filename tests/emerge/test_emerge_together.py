# SPDX-License-Identifier: BSD-3-Clause
"""Both roots of a prefix stay consistent: versions, interrupted calls, failures."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from machine import InUse, Machine, Overlay
from test_emerge import FAILING, in_a_terminal, plan, state

pytestmark = [pytest.mark.e2e, pytest.mark.needs_root]

REFUSING = """
pkg_preinst() {
	[[ ! -e ${EROOT}/refuse ]] || die "this root refuses"
}
"""
"""A package whose installation fails in a root with a certain file."""


@pytest.fixture
def prefix(empty_prefix: InUse) -> Iterator[InUse]:
    """A prefix; the user's files in it are removed afterwards."""
    yield empty_prefix
    for kind in ("staging", "final"):
        for mine in empty_prefix.config(kind).glob("package.*/mine"):
            mine.unlink()
        (empty_prefix.eroot(kind) / "refuse").unlink(missing_ok=True)


def write(prefix: InUse, kind: str, name: str, text: str) -> None:
    path = prefix.config(kind) / name / "mine"
    path.parent.mkdir(exist_ok=True)
    path.write_text(f"{text}\n")


def installed(prefix: InUse, package: str) -> list[set[str]]:
    """Return staging's and final's versions of a package."""
    return [
        {cpv for cpv in prefix.installed(kind) if cpv.rpartition("-")[0] == package}
        for kind in ("staging", "final")
    ]


@pytest.mark.e2e
class TestVersions:
    """Final gets staging's versions, or the call fails with a message."""

    def test_a_keyword_in_staging_holds_for_final(self, prefix: InUse, overlay: Overlay) -> None:
        overlay.ebuild("test-same/key-1")
        prefix.install("test-same/key")
        overlay.ebuild("test-same/key-2", keywords="~amd64")
        write(prefix, "staging", "package.accept_keywords", "test-same/key ~amd64")
        prefix.install("test-same/key")
        assert installed(prefix, "test-same/key") == [{"test-same/key-2"}] * 2

    def test_a_version_that_is_kept_for_testing_can_be_asked_for(self, prefix, overlay) -> None:
        overlay.ebuild("test-same/testing-2", keywords="~amd64")
        write(prefix, "staging", "package.accept_keywords", "=test-same/testing-2 ~amd64")
        prefix.install("=test-same/testing-2")
        assert installed(prefix, "test-same/testing") == [{"test-same/testing-2"}] * 2

    @pytest.mark.parametrize("option", ["--quiet", "--pretend"])
    def test_what_final_masks_is_not_called_missing(self, prefix, overlay, option) -> None:
        overlay.ebuild("test-same/masked-1")
        write(prefix, "final", "package.mask", "test-same/masked")
        result = prefix.emerge(option, "test-same/masked")
        assert result.returncode == 1
        assert "masked" in result.stdout + result.stderr
        assert "there is no binary package" not in result.stderr
        assert "Traceback" not in result.stdout + result.stderr
        if option != "--pretend":
            what, to_do = result.stderr.splitlines()[-2:]
            assert what == " * the binary package of test-same/masked is masked in final"
            assert str(prefix.config("staging")) in to_do

    def test_going_back_is_not_a_matter_of_staging_alone(self, prefix, overlay) -> None:
        overlay.ebuild("test-same/back-1")
        overlay.ebuild("test-same/back-2")
        prefix.install("test-same/back")
        (overlay.path / "test-same/back/back-2.ebuild").unlink()
        for options in (("--pretend",), (), ("--update",)):
            before = state(prefix, "final")
            result = prefix.emerge(*options, "test-same/back")
            assert result.returncode == 1, options
            what, to_do = result.stderr.splitlines()[-2:]
            assert (
                what == " * final would install test-same/back-2, but staging has test-same/back-1"
            )
            assert "Mask =test-same/back-2 in " in to_do
            assert state(prefix, "final") == before
        write(prefix, "staging", "package.mask", "=test-same/back-2")
        prefix.install("test-same/back")
        assert installed(prefix, "test-same/back") == [{"test-same/back-1"}] * 2

    def test_an_old_binary_package_is_not_taken_for_one_that_is_missing(
        self, prefix, overlay
    ) -> None:
        overlay.ebuild("test-same/old-1")
        prefix.install("--stage", "test-same/old")
        overlay.ebuild("test-same/old-2")
        prefix.install("--stage", "--buildpkg=n", "test-same/old")
        result = prefix.emerge("--noreplace", "test-same/old")
        assert result.returncode == 1
        what, to_do = result.stderr.splitlines()[-2:]
        assert what == " * final would install test-same/old-1, but staging has test-same/old-2"
        prefix.install(*to_do.partition(f"{prefix.wrapper('emerge').name} ")[2].split())
        prefix.install("test-same/old")
        assert installed(prefix, "test-same/old") == [{"test-same/old-2"}] * 2

    def test_what_is_newer_to_build_with_may_be_older_to_run_with(self, prefix, overlay) -> None:
        overlay.ebuild("test-same/lib-1")
        prefix.install("test-same/lib")
        overlay.ebuild("test-same/lib-2")
        overlay.ebuild(
            "test-same/app-1", depend=">=test-same/lib-2", rdepend="test-same/lib"
        )  # fmt: skip
        prefix.install("test-same/app")
        assert installed(prefix, "test-same/lib") == [{"test-same/lib-2"}, {"test-same/lib-1"}]


class TestResume:
    """``--resume`` continues in the root in which the call stopped."""

    def test_in_final(self, prefix: InUse, overlay: Overlay) -> None:
        overlay.ebuild("test-res/first-1")
        overlay.ebuild("test-res/last-1", REFUSING, rdepend="test-res/first")
        (prefix.final / "refuse").touch()
        result = prefix.emerge("--oneshot", "test-res/last")
        assert result.returncode == 1
        said = result.stderr.splitlines()[-1]
        assert said.startswith(" * installing failed: test-res/last-1; the log is ")
        assert "this root refuses" in Path(said.rpartition(" ")[2]).read_text()
        (prefix.final / "refuse").unlink()
        before = state(prefix, "staging")
        shown = prefix.install("-rp")
        assert [line.count("test-res/last-1") for line in plan(shown.stdout)] == [1]
        again = prefix.install("-r")
        assert "nothing to resume" not in again.stdout
        assert "test-res/last-1" in prefix.installed("final")
        assert "test-res/last" not in prefix.world("final")
        assert state(prefix, "staging") == before

    @pytest.mark.parametrize("words", [("-qr",), ("--resume",)])
    def test_in_staging_with_the_options_of_the_call(self, prefix, overlay, words) -> None:
        name = f"test-res/bad{len(words[0])}"
        overlay.ebuild(f"{name}-1", FAILING)
        assert prefix.emerge("--oneshot", name).returncode == 1
        overlay.ebuild(f"{name}-1")
        prefix.install(*words)
        assert installed(prefix, name) == [{f"{name}-1"}] * 2
        assert name not in prefix.world("staging") + prefix.world("final")

    def test_what_is_skipped_does_not_come_to_final(self, prefix, overlay) -> None:
        overlay.ebuild("test-res/skipped-1", FAILING)
        overlay.ebuild("test-res/other-1")
        assert prefix.emerge("test-res/skipped", "test-res/other").returncode == 1
        shown = prefix.install("--skipfirst", "--pretend")
        assert [line.count("test-res/other-1") for line in plan(shown.stdout)] == [1, 1]
        prefix.install("--skipfirst", "--verbose")
        assert installed(prefix, "test-res/other") == [{"test-res/other-1"}] * 2
        assert installed(prefix, "test-res/skipped") == [set(), set()]

    @pytest.mark.parametrize("option", ["-pr", "-rp"])
    def test_its_plan_is_shown_of_both(self, prefix, overlay, option) -> None:
        overlay.ebuild("test-res/shown-1", FAILING)
        prefix.emerge("--oneshot", "test-res/shown")
        before = state(prefix, "staging", "final")
        result = prefix.install(option)
        assert [line.count("test-res/shown-1") for line in plan(result.stdout)] == [1, 1]
        assert state(prefix, "staging", "final") == before

    @pytest.mark.parametrize("options", [("-r",), ("-p", "--resume"), ("--skipfirst",)])
    def test_nothing_to_resume_is_said_once(self, overlay, prefix, options) -> None:
        for kind in ("staging", "final"):
            (prefix.eroot(kind) / "var/cache/edb/mtimedb").unlink(missing_ok=True)
        before = state(prefix, "staging", "final")
        result = prefix.install(*options)
        assert result.stdout.count("nothing to resume") == 1
        assert "installing into final" not in result.stdout
        assert not plan(result.stdout)
        assert state(prefix, "staging", "final") == before


class TestWhatIsSaidToHaveFailed:
    """The message about a failed build names the log of the failed package."""

    @pytest.fixture(autouse=True)
    def a_strangers_log(self, prefix: InUse) -> None:
        log = prefix.staging_dir / "tmp/portage/test-x/stranger-1/temp/build.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        log.write_text("of another call\n")

    @pytest.mark.parametrize(
        "args",
        [("test-say/nothing-of-that-name",), ("--stage", "--ask", "test-say/fine"), ("@no",)],
    )
    def test_nothing_when_nothing_was_built(self, prefix, overlay, args) -> None:
        overlay.ebuild("test-say/fine-1")
        result = prefix.emerge(*args)
        assert result.returncode == 1
        assert "failed: " not in result.stdout + result.stderr

    def test_nothing_after_a_no(self, prefix: InUse, overlay: Overlay) -> None:
        overlay.ebuild("test-say/fine-1")
        code, said = in_a_terminal(prefix, ["--stage", "--ask", "test-say/fine"], "No")
        assert code == 130
        assert "failed: " not in said

    def test_each_that_has_failed(self, prefix: InUse, overlay: Overlay) -> None:
        names = [overlay.ebuild(f"test-say/bad{n}-1", FAILING) for n in (1, 2)]
        result = prefix.emerge("--keep-going", *names)
        said = [line for line in result.stderr.splitlines() if "; the log is " in line]
        assert sorted(line.partition(";")[0] for line in said) == [
            f" * building failed: {name}-1" for name in names
        ]
        for line in said:
            assert "this one never builds" in Path(line.rpartition(" ")[2]).read_text()


class TestOnlydeps:
    """``--onlydeps`` installs the run-time dependencies into final, but not the package."""

    def test_what_is_needed_to_run_comes_to_final(self, prefix: InUse, overlay: Overlay) -> None:
        overlay.ebuild("test-only/headers-1")
        overlay.ebuild("test-only/run-1")
        overlay.ebuild("test-only/app-1", depend="test-only/headers", rdepend="test-only/run")
        shown = prefix.install("--pretend", "--onlydeps", "test-only/app").stdout
        building, _, installing = shown.partition("installing into final")
        assert [len(plan(text)) for text in (building, installing)] == [2, 1]
        prefix.install("--onlydeps", "test-only/app")
        mine = [
            {cpv for cpv in prefix.installed(kind) if cpv.startswith("test-only/")}
            for kind in ("staging", "final")
        ]
        assert mine == [{"test-only/headers-1", "test-only/run-1"}, {"test-only/run-1"}]
        assert not [a for a in prefix.world("final") if a.startswith("test-only/")]


class TestWhatIsNotThereYet:
    """``--pretend`` shows final's plan without a build."""

    def test_a_program_that_is_wanted_when_installing_will_be_on_the_build_host(
        self, prefix: InUse, overlay: Overlay
    ) -> None:
        overlay.ebuild("test-idep/program-1")
        overlay.ebuild("test-idep/app-1", 'IDEPEND="test-idep/program"\n')
        said = prefix.install("--pretend", "test-idep/app")
        building, _, installing = said.stdout.partition("installing into final")
        assert "test-idep/program-1" in building
        assert "test-idep/app-1" in installing

    def test_package_moves_that_nobody_has_applied_yet_do_no_harm(self, machine: Machine) -> None:
        updates = machine.repos / "gentoo-subset/profiles/updates/1Q-2026"
        updates.parent.mkdir()
        updates.write_text("move sys-apps/grab sys-apps/grep\n")
        prefix = machine.setup("moved")
        said = prefix.install("--pretend", "app-arch/bzip2", "--nodeps")
        assert len(plan(said.stdout)) == 2
