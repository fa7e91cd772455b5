# SPDX-License-Identifier: BSD-3-Clause
"""The description of a build differs exactly if the build would."""

from __future__ import annotations

from pathlib import Path

import pytest

from flatcar_prefix.binhost import describe, identity
from flatcar_prefix.binhost.identity import Package

OWN = "gcc (Debian 12.2.0-14) 12.2.0"


@pytest.fixture
def package(tmp_path: Path) -> Package:
    directory = tmp_path / "repo/app-misc/tool"
    (directory / "files").mkdir(parents=True)
    (directory / "tool-1-r2.ebuild").write_text("EAPI=8\n")
    (directory / "files/fix.patch").write_text("a patch\n")
    (directory / "Manifest").write_text(
        "DIST tool-1.tar.gz 1 SHA512 aa\nDIST tool-2.tar.gz 1 SHA512 bb\n"
    )
    return Package(
        "app-misc", "tool", "1", "r2", "0/1", directory / "tool-1-r2.ebuild",
        frozenset({"tool-1.tar.gz"}),
    )  # fmt: skip


def variables(root: Path, eprefix: str = "/opt/a", **more: str) -> dict[str, str]:
    headers = root / "usr/include"
    headers.mkdir(parents=True, exist_ok=True)
    (headers / "features.h").write_text("#define __GLIBC__ 2\n#define\t__GLIBC_MINOR__\t36\n")
    return {
        "FLATCAR_PREFIX_TOOLCHAIN_VERSION": OWN,
        "FLATCAR_PREFIX_LIBC": "built",
        "FLATCAR_PREFIX_PROFILE": "gentoo-subset:default/prefix",
        "FLATCAR_PREFIX_STAGING": str(root),
        "EPREFIX": eprefix,
        "ROOT": f"{root}/",
        "ESYSROOT": str(root),
        "PORTAGE_CONFIGROOT": f"{root}/",
        "CFLAGS": "-O2  -pipe",
        "LDFLAGS": f"-Wl,--dynamic-linker={eprefix}/lib64/ld-linux-x86-64.so.2",
        **more,
    }


def test_two_prefixes_at_different_paths_have_equal_builds(
    tmp_path: Path, package: Package
) -> None:
    one = identity.describe(variables(tmp_path / "one", "/opt/a/much/longer"), package)
    other = identity.describe(variables(tmp_path / "other", "/opt/b"), package)
    assert one == other
    assert one["toolchain"] == "(Debian_12.2.0-14)_12.2.0"
    assert one["libc"] == "built-2.36"
    assert one["patches"] == "none"
    assert identity.parse(identity.text(one)) == one
    assert identity.differences(one, other) == []


def test_a_path_that_only_begins_like_the_eprefix_stays(tmp_path: Path, package: Package) -> None:
    one = variables(tmp_path, "/opt/a", LDFLAGS="-L/opt/ab/lib")
    other = variables(tmp_path, "/opt/c", LDFLAGS="-L/opt/cb/lib")
    assert identity.describe(one, package)["flags"] != identity.describe(other, package)["flags"]


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"FLATCAR_PREFIX_TOOLCHAIN_VERSION": "gcc (Debian 12.2.0-15) 12.2.0"}, "toolchain"),
        ({"FLATCAR_PREFIX_LIBC": "imported"}, "libc"),
        ({"FLATCAR_PREFIX_PROFILE": "gentoo-subset:other"}, "profile"),
        ({"CFLAGS": "-O2 -pipe -march=native"}, "flags"),
        ({"EXTRA_ECONF": "--disable-static"}, "flags"),
    ],
)
def test_a_changed_variable_changes_its_word(
    tmp_path: Path, package: Package, change: dict[str, str], word: str
) -> None:
    theirs = identity.describe(variables(tmp_path), package)
    ours = identity.describe(variables(tmp_path, **change), package)
    assert {name for name in ours if ours[name] != theirs[name]} == {word}
    (reason,) = identity.differences(theirs, ours)
    assert identity.NAMES[word] in reason


def test_a_changed_file_changes_the_ebuild(tmp_path: Path, package: Package) -> None:
    def described() -> str:
        return identity.describe(variables(tmp_path), package)["ebuild"]

    seen = {described()}
    manifest = package.ebuild.parent / "Manifest"
    for file, text in (
        (package.ebuild, "EAPI=8\nIUSE=x\n"),
        (package.ebuild.parent / "files/fix.patch", "another patch\n"),
        (manifest, manifest.read_text().replace("aa", "cc")),
    ):
        file.write_text(text)
        seen.add(described())
    assert len(seen) == 4
    # The distfiles of another version do not count.
    manifest.write_text(manifest.read_text().replace("bb", "dd"))
    assert described() in seen


@pytest.mark.parametrize(
    "file",
    ["patches/app-misc/tool/a.patch", "patches/app-misc/tool-1:0/b.diff", "bashrc.user"],
)
def test_what_the_user_adds_to_a_build_counts(tmp_path: Path, package: Package, file: str) -> None:
    before = identity.describe(variables(tmp_path), package)
    added = tmp_path / "etc/portage" / file
    added.parent.mkdir(parents=True)
    added.write_text("text\n")
    after = identity.describe(variables(tmp_path), package)
    assert identity.differences(before, after) == ["other patches"]


def test_patches_of_another_version_do_not_count(tmp_path: Path, package: Package) -> None:
    other = tmp_path / "etc/portage/patches/app-misc/tool-2/a.patch"
    other.parent.mkdir(parents=True)
    other.write_text("text\n")
    assert identity.describe(variables(tmp_path), package)["patches"] == "none"


def test_a_root_without_a_c_library_takes_any(tmp_path: Path, package: Package) -> None:
    theirs = identity.describe(variables(tmp_path), package)
    (tmp_path / "usr/include/features.h").unlink()
    ours = identity.describe(variables(tmp_path) | {"ESYSROOT": "/nonexistent"}, package)
    assert ours["libc"] == "none"
    assert identity.differences(theirs, ours) == []
    assert identity.differences(ours, theirs) == []
    other = {**theirs, "libc": "built-2.37"}
    assert identity.differences(other, theirs) == ["C library built-2.37, not built-2.36"]


def test_plain_emerge_is_told_what_does_not_fit(
    tmp_path: Path, package: Package, monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    theirs = identity.text(identity.describe(variables(tmp_path), package))
    for name, value in variables(tmp_path).items():
        monkeypatch.setenv(name, value)
    assert describe.main([f"--fits={theirs}"]) == 0
    monkeypatch.setenv("FLATCAR_PREFIX_TOOLCHAIN_VERSION", "gcc (Debian) 13")
    capsys.readouterr()
    assert describe.main([f"--fits={theirs}"]) == 1
    assert capsys.readouterr().out == "compiler (Debian_12.2.0-14)_12.2.0, not (Debian)_13\n"
