# SPDX-License-Identifier: BSD-3-Clause
"""The files of Flatcar's overlay that a board's bashrc sources for a package."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from machine import CHECKOUT


def phase(tmp_path: Path, name: str, *calls: str, category: str = "app-misc") -> list[str]:
    """Source the bashrc as Portage does in a phase, then call functions; return the output."""
    script = f"""
        einfo() {{ :; }}
        PN=tool PV=1 PR=r0 CATEGORY={category} T={tmp_path} D={tmp_path}/image EPREFIX=/p ROOT=/
        EBUILD_PHASE={name} FLATCAR_PREFIX_BOARD_HOOKS={tmp_path}/hooks FLATCAR_PREFIX_TOOLS=/tools
        PORTAGE_TMPDIR={tmp_path}
        source {CHECKOUT}/eclass-helpers/bashrc
        {"; ".join(calls)}
    """
    return subprocess.check_output(["bash", "-c", script], text=True).splitlines()


@pytest.fixture(autouse=True)
def hooks(tmp_path: Path) -> None:
    directory = tmp_path / "hooks/app-misc"
    directory.mkdir(parents=True)
    (tmp_path / "image").mkdir()
    (directory / "tool").write_text(
        "export EXTRA_ECONF=--from-hook\n"
        "cros_post_src_compile_b() { echo second; }\n"
        "cros_post_src_compile_a() { echo first in $(flatcar_target); }\n"
        "cros_pre_src_compile_c() { echo before; }\n"
        "cros_post_src_install_d() { vendorize_pam_files; echo installed; }\n"
    )
    (directory / "tool-1").write_text("EXTRA_ECONF+=' --of-version'\n")


def test_functions_run_before_and_after_their_phase(tmp_path: Path) -> None:
    said = phase(tmp_path, "compile", "pre_src_compile", "echo phase", "post_src_compile")
    assert said == ["before", "phase", "first in generic-board", "second"]


def test_variables_are_set_and_those_of_the_version_come_last(tmp_path: Path) -> None:
    said = phase(tmp_path, "configure", 'echo "${EXTRA_ECONF}"')
    assert said == ["--from-hook --of-version"]


def test_the_hook_after_install_keeps_what_a_prefix_does_then(tmp_path: Path) -> None:
    (tmp_path / "image/a.pc").write_text("prefix=/stage/p\n")
    said = phase(
        tmp_path, "install", "ROOT=/stage", "post_src_install", f"cat {tmp_path}/image/a.pc"
    )
    assert said == ["installed", "prefix=/p"]


def test_other_packages_have_no_hooks(tmp_path: Path) -> None:
    assert phase(tmp_path, "compile", "post_src_compile", category="dev-libs") == []


@pytest.mark.parametrize("name", ["pretend", "preinst", "postinst", "prerm"])
def test_accounts_of_the_build_machine_are_left_alone_without_a_word(
    tmp_path: Path, name: str
) -> None:
    calls = (f"pkg_{name}() {{ echo changed; }}", f"pre_pkg_{name}", f"pkg_{name}")
    assert phase(tmp_path, name, *calls, category="acct-user") == []
    with_hook = phase(tmp_path, name, calls[0], calls[2], category="app-misc")
    assert with_hook == ["changed"]
