# SPDX-License-Identifier: BSD-3-Clause
"""The settings that a prefix uses from the base profile of Flatcar's overlay."""

from __future__ import annotations

from pathlib import Path

import pytest

from flatcar_prefix.prefix.repository import Repository
from flatcar_prefix.repositories import flatcar_profiles


@pytest.fixture
def repositories(tmp_path: Path) -> tuple[Repository, ...]:
    base = tmp_path / "flatcar/profiles/coreos/base"
    base.mkdir(parents=True)
    (tmp_path / "prefix/app-misc/mine").mkdir(parents=True)
    (tmp_path / "prefix/app-misc/mine/mine-1.ebuild").touch()
    return (
        Repository("flatcar-overlay", tmp_path / "flatcar"),
        Repository("prefix-overlay", tmp_path / "prefix"),
    )


def defaults(repositories: tuple[Repository, ...], text: str) -> dict[str, str]:
    path = repositories[0].location / flatcar_profiles.BASE_PROFILE / "make.defaults"
    path.write_text(text)
    return flatcar_profiles.variables(repositories)


def test_the_chosen_python_applies_and_flags_of_an_image_do_not(
    repositories: tuple[Repository, ...],
) -> None:
    text = 'PYTHON_TARGETS="-python3_13 python3_12"\nUSE="${USE} -cups fips"\nFEATURES="x"\n'
    assert defaults(repositories, text) == {
        "PYTHON_TARGETS": "python3_12",
        "USE": "-cups",
    }


def test_a_python_that_is_chosen_by_use_flags_applies(
    repositories: tuple[Repository, ...],
) -> None:
    text = 'USE="${USE} -python_targets_python2_7 python_targets_python3_11 -tcpd"\n'
    assert defaults(repositories, text) == {"PYTHON_TARGETS": "python3_11", "USE": "-tcpd"}


def test_build_tools_are_for_a_python_that_the_eclasses_support(
    repositories: tuple[Repository, ...],
) -> None:
    def targets(machine: str) -> tuple[str, str]:
        found = flatcar_profiles.python_targets(repositories, machine)
        return found["PYTHON_SINGLE_TARGET"], found["PYTHON_TARGETS"]

    defaults(repositories, 'PYTHON_TARGETS="python3_12"\n')
    assert targets("python3_11") == ("python3_11", "python3_11 python3_12")
    described = repositories[0].location / flatcar_profiles.DESCRIPTIONS
    described.parent.mkdir()
    described.write_text("# Copyright\n\npython3_12 - For 3.12 only\npython3_13 - For 3.13 only\n")
    assert targets("python3_11") == ("python3_12", "python3_12")
    assert targets("python3_13") == ("python3_13", "python3_13 python3_12")


def test_masks_of_packages_that_the_prefix_overlay_replaces_are_left_out(
    repositories: tuple[Repository, ...],
) -> None:
    text = "# why\n>=app-misc/mine-2\n>=app-misc/other-2\n"
    replaced = flatcar_profiles._replaced(repositories)
    assert flatcar_profiles.masks_without(text, replaced) == "# why\n>=app-misc/other-2\n"


def test_flags_that_are_masked_stay_masked_but_the_machines_python_is_not(
    repositories: tuple[Repository, ...],
) -> None:
    text = (
        "# why\ndebuginfod\n-selinux\npython_targets_python3_12\npython_single_target_python3_12\n"
    )
    kept = "# why\ndebuginfod\n-selinux\n"
    assert flatcar_profiles._without_versions(text) == kept


def test_flags_that_flatcars_targets_turn_off_stay_off(
    repositories: tuple[Repository, ...],
) -> None:
    text = (
        "# From /a/package.use\n"
        "# why\n"
        "app-editors/vim\t\tminimal -crypt  # no libsodium\n"
        "dev-lang/python gdbm\n"
        "app-emulation/qemu -doc ncurses QEMU_USER_TARGETS: -* -arm aarch64\n"
        "sys-libs/pam PAM_KINDS: audit\n"
    )
    assert flatcar_profiles.turned_off(text) == (
        "# From /a/package.use\n"
        "app-editors/vim -crypt\n"
        "app-emulation/qemu -doc QEMU_USER_TARGETS: -* -arm\n"
    )


def test_what_both_profiles_leave_out_is_left_out_unless_a_repository_has_it(
    repositories: tuple[Repository, ...],
) -> None:
    flatcar = repositories[0].location
    for place, text in zip(
        flatcar_profiles.LEAVING_OUT,
        ("# why\nvirtual/mta-1\napp-misc/mine-9999\n", "virtual/mta-1\ndev-libs/icu-76.1-r1\n"),
        strict=True,
    ):
        (flatcar / place).mkdir(parents=True, exist_ok=True)
        (flatcar / place / "package.provided").write_text(text)
    found = flatcar_profiles.left_out(repositories)
    assert found == ("virtual/mta-1", "dev-libs/icu-76.1-r1")
    assert flatcar_profiles.left_out(()) == ()


def test_the_mirrors_of_the_base_profile_apply(repositories: tuple[Repository, ...]) -> None:
    defaults(repositories, 'GENTOO_MIRRORS="\n    https://a.test/\n    https://b.test/\n"\n')
    assert flatcar_profiles.mirrors(repositories) == "https://a.test/ https://b.test/"
    defaults(repositories, 'USE="x"\n')
    assert flatcar_profiles.mirrors(repositories) == ""
