# SPDX-License-Identifier: BSD-3-Clause
"""The shell code of configuration roots, with the lists that are written in Python."""

from __future__ import annotations

import subprocess
from pathlib import Path

from flatcar_prefix.config import helpers
from flatcar_prefix.system import variables


def test_the_bashrc_is_a_shell_script(tmp_path: Path) -> None:
    (tmp_path / "bashrc").write_text(helpers.bashrc())
    subprocess.run(["shellcheck", tmp_path / "bashrc"], check=True)


def test_the_bashrc_unsets_the_list_before_the_first_phase(tmp_path: Path) -> None:
    (tmp_path / "bashrc").write_text(helpers.bashrc())
    env = dict.fromkeys(variables.UNSET_IN_BUILDS, "/nonexistent")
    env |= {"PATH": "/usr/bin:/bin", "FLATCAR_PREFIX_TOOLS": "/tools", "CC": "kept", "T": "/none"}
    seen = subprocess.run(
        ["bash", "-c", f". {tmp_path}/bashrc; env"],
        env={**env, "EBUILD_PHASE": "setup"}, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    left = {line.partition("=")[0] for line in seen.splitlines()}
    assert not left & set(variables.UNSET_IN_BUILDS)
    assert {"CC", "PATH"} <= left


def test_aclocal_finds_the_machines_macros_as_with_the_eclass(tmp_path: Path) -> None:
    """autotools.eclass lets aclocal read the directories of a list that it writes, see #677002."""
    (tmp_path / "bashrc").write_text(helpers.bashrc())
    (tmp_path / "macros").mkdir()
    (tmp_path / "macros/own.m4").write_text("AC_DEFUN([PREFIX_TEST_OWN], [:])\n")
    (tmp_path / "list").mkdir()
    (tmp_path / "list/dirlist").write_text("/nonexistent\n")
    (tmp_path / "configure.ac").write_text("AC_INIT([a], [1])\nPREFIX_TEST_OWN\n")
    env = {"PATH": "/usr/bin:/bin", "FLATCAR_PREFIX_TOOLS": "/tools", "T": "/none"}
    env |= {"EBUILD_PHASE": "setup", "ACLOCAL_PATH": "/nonexistent"}
    env |= {"FLATCAR_PREFIX_ACLOCAL": str(tmp_path / "macros")}
    script = f". {tmp_path}/bashrc; cd {tmp_path}; aclocal --system-acdir={tmp_path}/list"
    subprocess.run(["bash", "-c", script], env=env, check=True)
    assert "PREFIX_TEST_OWN" in (tmp_path / "aclocal.m4").read_text()


def test_no_group_repeats_a_variable() -> None:
    assert len(set(variables.ASTRAY)) == len(variables.ASTRAY)
    assert set(variables.UNSET_IN_BUILDS) <= set(variables.ASTRAY)
    assert set(variables.UNSET_FOR_ROOT) <= {*variables.ASTRAY, "LD_PRELOAD"}
