# SPDX-License-Identifier: BSD-3-Clause
"""emerge's messages about packages that no repository has, and about missing Manifests."""

from __future__ import annotations

from machine import InUse, Overlay


def test_a_package_of_no_repository_is_told_with_the_repositories(empty_prefix: InUse) -> None:
    said = empty_prefix.emerge("--pretend", "app-misc/nowhere-at-all")
    assert said.returncode == 1
    assert "no repository has app-misc/nowhere-at-all (looked into: gentoo-subset" in said.stderr
    assert "test-overlay" in said.stderr
    assert "docs/your-own-software.md" in said.stderr


def test_a_package_in_another_category_is_suggested(empty_prefix: InUse) -> None:
    said = empty_prefix.emerge("--pretend", "app-misc/grep")
    assert "Did you mean sys-apps/grep?" in said.stderr


def test_a_missing_manifest_is_named(empty_prefix: InUse, overlay: Overlay) -> None:
    package = overlay.ebuild("app-misc/unsummed-1", src_uri="https://example.invalid/x-1.tar.gz")
    file = overlay.path / "app-misc/unsummed/unsummed-1.ebuild"
    distfiles = empty_prefix.machine.base / "cache/distfiles"
    distfiles.mkdir(parents=True, exist_ok=True)
    (distfiles / "x-1.tar.gz").write_bytes(b"content")
    said = empty_prefix.emerge("--stage", package)
    assert said.returncode != 0
    assert f"{file.parent} has no Manifest, which has the checksums of app-misc/unsummed-1" in (
        said.stderr
    )
    hint = said.stderr.strip().splitlines()[-1]
    assert hint.endswith(f"{file} manifest")
    # The hint can be followed.
    wrapper, *words = hint.partition("Make it: ")[2].split()
    empty_prefix.machine.ok(empty_prefix.machine.bin / wrapper, *words)
    (overlay.path / "app-misc/unsummed/Manifest").read_text().index("DIST x-1.tar.gz 7 ")


def test_what_portage_calls_corruption_is_named(empty_prefix: InUse, overlay: Overlay) -> None:
    layout = overlay.path / "metadata/layout.conf"
    text = layout.read_text()
    package = overlay.ebuild("app-misc/thick-1")
    layout.write_text(text.replace("thin-manifests = true\n", ""))
    try:
        said = empty_prefix.emerge("--pretend", package)
    finally:
        layout.write_text(text)
    assert "masked by: corruption" in said.stdout + said.stderr
    assert "has no Manifest, which has the checksums of app-misc/thick-1" in said.stderr


def test_a_category_that_no_repository_lists_is_named(
    empty_prefix: InUse, overlay: Overlay
) -> None:
    package = overlay.ebuild("test-unlisted/thing-1")
    categories = overlay.path / "profiles/categories"
    categories.write_text(categories.read_text().replace("test-unlisted\n", ""))
    said = empty_prefix.emerge("--pretend", package)
    assert said.returncode == 1
    assert f"has {package}, but no repository lists the category test-unlisted" in said.stderr
    hint = f"Add the line test-unlisted to {categories}."
    assert hint in said.stderr
    # The hint can be followed.
    categories.write_text(f"{categories.read_text()}test-unlisted\n")
    assert empty_prefix.emerge("--pretend", package).returncode == 0


def test_an_ebuild_with_another_name_than_its_directory_is_named(
    empty_prefix: InUse, overlay: Overlay
) -> None:
    overlay.ebuild("app-misc/right-1")
    file = overlay.path / "app-misc/right/right-1.ebuild"
    wrong = file.rename(file.with_name("wrong-1.ebuild"))
    said = empty_prefix.emerge("--pretend", "app-misc/right")
    wrong.unlink()
    assert said.returncode == 1
    assert f"{wrong} is not an ebuild of app-misc/right: its name is not right-VERSION" in (
        said.stderr
    )
