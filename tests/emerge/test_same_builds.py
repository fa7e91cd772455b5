# SPDX-License-Identifier: BSD-3-Clause
"""Final gets the builds that staging has, and files and ebuilds are arguments for both roots."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from machine import InUse, Overlay
from test_emerge import plan

pytestmark = pytest.mark.needs_root

CONTENT = """
src_install() {
	insinto /etc
	newins - %(name)s.conf <<<"%(text)s"
}
"""


@pytest.fixture
def prefix(empty_prefix: InUse) -> InUse:
    return empty_prefix


def made(overlay: Overlay, name: str, text: str) -> str:
    """Write an ebuild that installs a file with ``text``; return its atom."""
    overlay.ebuild(f"test-build/{name}-1", CONTENT % {"name": name, "text": text})
    return f"test-build/{name}"


def contents(prefix: InUse, name: str) -> list[str]:
    return [
        (prefix.eroot(kind) / f"etc/{name}.conf").read_text().strip()
        for kind in ("staging", "final")
    ]


@pytest.mark.e2e
def test_final_has_the_build_of_staging_whatever_says_not_to_package_it(
    prefix: InUse, overlay: Overlay
) -> None:
    atom = made(overlay, "no", "old")
    prefix.install(atom)
    made(overlay, "no", "new")
    options = ["--buildpkg=n", f"--buildpkg-exclude={atom}"]
    env = {"CONFIG_PROTECT": "-*", "FEATURES": "-buildpkg"}
    result = prefix.install(*options, atom, env=env)
    assert contents(prefix, "no") == ["new", "new"]
    assert "--buildpkg=n --buildpkg-exclude is ignored: final installs" in result.stderr


@pytest.mark.e2e
def test_another_build_of_the_same_version_is_refused(prefix: InUse, overlay: Overlay) -> None:
    atom = made(overlay, "other", "old")
    prefix.install(atom)
    made(overlay, "other", "new")
    protect = {"CONFIG_PROTECT": "-*"}
    prefix.install("--stage", "--buildpkg=n", atom, env=protect)
    prefix.install("--final", "--unmerge", atom)
    assert prefix.emerge("--noreplace", "--pretend", atom).returncode == 1
    result = prefix.emerge("--noreplace", atom, env=protect)
    assert result.returncode == 1
    what, to_do = result.stderr.splitlines()[-2:]
    assert what == (
        " * the binary package of test-build/other-1 is from another build than staging's installed one"
    )
    prefix.install(*to_do.partition(f"{prefix.wrapper('emerge').name} ")[2].split())
    prefix.install("--noreplace", atom, env=protect)
    assert contents(prefix, "other") == ["new", "new"]


def test_final_never_builds_and_ignores_what_would_make_it(prefix: InUse, overlay: Overlay) -> None:
    option = "--usepkg-exclude=test-build/used"
    prefix.install(option, made(overlay, "used", "x"))
    assert contents(prefix, "used") == ["x", "x"]
    shown = prefix.install(option, "--pretend", "test-build/used").stdout
    assert "[ebuild" not in shown.partition("installing into final")[2]


def test_an_ebuild_is_built_in_staging_and_installed_in_final(
    prefix: InUse, overlay: Overlay
) -> None:
    name = "file"
    made(overlay, name, "x")
    file = overlay.path / f"test-build/{name}/{name}-1.ebuild"
    word = f"./{file.name}"
    shown = prefix.install("--pretend", word, cwd=file.parent).stdout
    building, _, installing = shown.partition("installing into final")
    assert [line[:7] for text in (building, installing) for line in plan(text)] == [
        "[ebuild", "[binary",
    ]  # fmt: skip
    prefix.install(word, cwd=file.parent)
    assert contents(prefix, name) == ["x", "x"]
    assert f"test-build/{name}" in prefix.world("final")


@pytest.fixture(scope="module")
def name(empty_prefix: InUse, overlay: Overlay) -> str:
    """The name of a package that both roots have, and of its file."""
    empty_prefix.install(made(overlay, "owner", "x"))
    return "owner"


class TestInstalledFiles:
    """Each path of an installed file selects its package."""

    @pytest.mark.parametrize("where", ["final", "relative"])
    def test_emerge_finds_its_package_in_both_roots(
        self, prefix: InUse, name: str, where: str
    ) -> None:
        words: dict[str, tuple[str | Path, Path]] = {
            "final": (prefix.final / f"etc/{name}.conf", Path("/")),
            "relative": (f"./{name}.conf", prefix.final / "etc"),
        }
        word, cwd = words[where]
        shown = plan(prefix.install("--pretend", os.fspath(word), cwd=cwd).stdout)
        assert [f"test-build/{name}-1" in line for line in shown] == [True, True]

    def test_unmerge_takes_it_too(self, prefix: InUse, name: str) -> None:
        said = prefix.install("--pretend", "-C", f"{prefix.eprefix}/etc/{name}.conf").stdout
        assert f"test-build/{name}" in said
        said = prefix.install("--pretend", "-C", f"./{name}.conf", cwd=prefix.staging / "etc")
        assert f"test-build/{name}" in said.stdout

    def test_a_file_of_no_package_is_said_once(self, prefix: InUse) -> None:
        result = prefix.emerge("--pretend", f"{prefix.eprefix}/etc/nothing")
        assert result.returncode == 1
        assert (result.stdout + result.stderr).count("is not claimed by any package") == 1
