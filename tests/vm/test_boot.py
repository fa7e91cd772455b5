# SPDX-License-Identifier: BSD-3-Clause
"""Images on a booted machine: merged at boot, used, updated, and removed.

The log of each machine's console stays in the directory ``logs`` of the cache. If
FLATCAR_PREFIX_TEST_PYTHON names a prefix with dev-lang/python, its image is merged, too.
"""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from pathlib import Path

import pytest
import shipping_prefix
import virtual_machine as vm

import flatcar_prefix as fp
from flatcar_prefix.image.build import sysext
from flatcar_prefix.prefix.model import Prefix

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.long,
    pytest.mark.needs_root,
    pytest.mark.timeout(3600),
    pytest.mark.skipif(platform.machine() != "x86_64", reason="the machine is an x86_64"),
]

HERE = Path(__file__).parent
# Read it now: fixtures change this program's directories during tests.
PYTHON = os.environ.get("FLATCAR_PREFIX_TEST_PYTHON", "")
BUILD_DIR = os.environ.get("FLATCAR_PREFIX_BUILD_DIR", "/build")

TIMEOUT = int(os.environ.get("FLATCAR_PREFIX_VM_TIMEOUT", "1500"))
"""Seconds. An idle machine needs about a tenth of them."""


def versions(base: Path) -> tuple[Prefix, dict[str, Path]]:
    """Make a prefix, and the images of its two versions."""
    prefix = shipping_prefix.make(base / "prefix", name="hello")
    said = prefix.final.eroot / "usr/share/hello/version"
    images = {}
    for number in ("1", "2"):
        said.write_text(f"{number}\n")
        (base / number).mkdir()
        images[number] = sysext(
            prefix,
            base / number / "hello.raw",
            verify=False,
            units=True,
            reload_manager=True,
            os_id="flatcar",
            sysext_level="1.0",
        )
    return prefix, images


def python_image(directory: Path) -> dict[str, Path]:
    """Return the image of the portable Python and a file that names its program, if asked for."""
    if not PYTHON:
        return {}
    prefix = fp.load(PYTHON if "/" in PYTHON else f"{BUILD_DIR}/prefix-amd64-usr/{PYTHON}")
    image = sysext(prefix, directory / "python.raw", verify=False, level=1)
    program = directory / "program"
    program.write_text(f"{prefix.eprefix}/usr/bin/python3\n")
    return {"python.raw": image, "python.program": program}


def put(disk: Path, source: Path, path: str) -> None:
    """Write a file into the root of a machine that does not run."""
    subprocess.run(
        ["/usr/sbin/debugfs", "-w", "-f", "-", disk],
        input=f"mkdir {os.path.dirname(path)}\nwrite {source} {path}\n",
        text=True,
        check=True,
        capture_output=True,
    )


def test_an_image_is_merged_used_updated_and_removed_on_a_booted_machine(tmp_path: Path) -> None:
    prefix, hello = versions(tmp_path)
    alien = sysext(prefix, tmp_path / "alien.raw", verify=False, os_id="debian", version_id="12")
    python = python_image(tmp_path)
    of = vm.images("bookworm")
    root = tmp_path / "root.ext4"
    subprocess.run(["cp", "--sparse=always", of.root, root], check=True)
    put(root, hello["1"], "/etc/extensions/hello.raw")
    put(root, alien, "/etc/extensions/alien.raw")
    if python:
        put(root, python["python.raw"], "/var/lib/extensions/python.raw")
    console = vm.boot(
        vm.Images(of.kernel, of.initrd, root, of.usr),
        scenario="scenario.sh",
        files={
            "hello.raw": hello["1"],
            "hello-2.raw": hello["2"],
            "on-target": HERE.parent / "merge/on-target",
            **python,
        },
        work=tmp_path / "machine",
        log=vm.cache_dir() / "logs/bookworm.log",
        timeout=TIMEOUT,
    )
    vm.passed(console, 29 + 8 * bool(python))


def test_the_scripts_of_the_machine_are_clean_under_shellcheck() -> None:
    if not shutil.which("shellcheck"):
        pytest.skip("shellcheck is not installed")
    subprocess.run(["shellcheck", "-e", "SC1091", *(HERE / "guest").glob("*.sh")], check=True)
