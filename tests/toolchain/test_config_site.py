# SPDX-License-Identifier: BSD-3-Clause
"""The values that configure takes from config.site in builds for the prefix."""

from __future__ import annotations

import subprocess

from machine import InUse

from flatcar_prefix.prefix import record
from flatcar_prefix.toolchain import build_systems


def value(prefix: InUse, name: str, *, host: str, **given: str) -> str:
    """Source config.site as configure does, and return a variable."""
    loaded = record.read(prefix.staging_dir)
    script = f'{build_systems.config_site(loaded)}\nprintf %s "${{{name}-unset}}"'
    env = {"host_alias": host, "PATH": "/usr/bin:/bin", **given}
    return subprocess.run(
        ["sh", "-euc", script], env=env, capture_output=True, text=True, check=True
    ).stdout


def test_scripts_get_the_shell_that_each_target_has(empty_prefix: InUse) -> None:
    chost = record.read(empty_prefix.staging_dir).board.chost
    assert value(empty_prefix, "ac_cv_path_shell", host=chost) == "/bin/sh"


def test_a_package_or_user_decides_otherwise(empty_prefix: InUse) -> None:
    chost = record.read(empty_prefix.staging_dir).board.chost
    given = {"ac_cv_path_shell": "/p/bin/bash"}
    assert value(empty_prefix, "ac_cv_path_shell", host=chost, **given) == "/p/bin/bash"


def test_builds_for_the_build_host_are_left_alone(empty_prefix: InUse) -> None:
    assert value(empty_prefix, "ac_cv_path_shell", host="") == "unset"
