# SPDX-License-Identifier: BSD-3-Clause
"""app-portage/flatcar-prefix, the SDK's package of this project, installed in a root."""

from __future__ import annotations

import json
import re
import shutil
import sys
from importlib.metadata import requires
from pathlib import Path

import pytest
from machine import CHECKOUT, InUse, Machine, Overlay

pytestmark = [pytest.mark.e2e, pytest.mark.needs_root]

PACKAGE = "app-portage/flatcar-prefix"

OF_THE_SDK = (
    "dev-lang/python-99",
    "dev-python/lxml-5",
    "dev-python/packaging-24",
    "dev-python/setuptools-69",
    "sys-apps/bubblewrap-0.8.0",
    "sys-apps/portage-3.0.63",
    "sys-apps/util-linux-2.39",
    "sys-fs/squashfs-tools-4.6",
)
"""Its dependencies that the SDK's checkout has; test_real_trees.py checks all of them."""


@pytest.fixture(scope="module")
def installed(shared_machine: Machine) -> InUse:
    """A root with the package; the tests' own Python has all its dependencies.

    Stand-in packages represent them, so that Portage finds all dependencies.
    """
    pytest.importorskip("setuptools", reason="the ebuild's BDEPEND, which this Python lacks")
    overlay = Overlay(shared_machine.base / "of-the-sdk", "of-the-sdk")
    for cpv in OF_THE_SDK:
        overlay.ebuild(cpv)
    prefix = shared_machine.setup("program", f"--custom_ebuild_overlays={overlay.path}")
    prefix.install(
        "--stage", PACKAGE,
        env={
            "FLATCAR_PREFIX_SOURCE": str(CHECKOUT),
            "FLATCAR_PREFIX_HOST_PYTHON": sys.executable,
            "FLATCAR_PREFIX_QA": "off",  # a root of the SDK is not a prefix
        },
    )  # fmt: skip
    return prefix


def site_packages(prefix: InUse) -> Path:
    return next(prefix.staging.glob("usr/lib/python3*/site-packages"))


def test_all_of_it_is_there_and_nothing_of_the_checkouts_rubbish(installed: InUse) -> None:
    package = site_packages(installed) / "flatcar_prefix"
    own = {
        str(p.relative_to(CHECKOUT / "flatcar_prefix"))
        for p in (CHECKOUT / "flatcar_prefix").rglob("*.py")
    }
    there = {str(p.relative_to(package)) for p in package.rglob("*.py")}
    assert own <= there
    data = {p.name for p in (package / "_data").iterdir()}
    tops = {"repos", "wrappers", "eclass-helpers", "completion", "docs"}
    assert data == tops
    for top in tops:
        wanted = {
            str(p.relative_to(CHECKOUT / top))
            for p in (CHECKOUT / top).rglob("*")
            if p.is_file() and not {"md5-cache", "__pycache__"} & set(p.parts)
        }
        found = {
            str(p.relative_to(package / "_data" / top))
            for p in (package / "_data" / top).rglob("*")
            if p.is_file()
        }
        assert found >= wanted, f"missing of {top}: {sorted(wanted - found)}"


def test_what_is_installed_works_by_itself(installed: InUse, machine: Machine) -> None:
    """It runs with the tests' Portage and Python, and without files of the checkout."""
    shutil.rmtree(machine.scripts)
    code = (
        "import sys; sys.path.insert(0, sys.argv.pop(1)); import flatcar_prefix.cli.main as cli;"
        "assert sys.path[0] in cli.__file__, cli.__file__; sys.exit(cli.main())"
    )

    def program(*args: str) -> str:
        argv = (sys.executable, "-c", code, str(site_packages(installed)), *args)
        return machine.ok(*argv, cwd=machine.base / "home").stdout

    assert program("--version").startswith("flatcar-prefix ")
    assert "portage" in program("doctor").lower()
    final = {"FLATCAR_PREFIX_FINAL_DIR": str(machine.base / "final")}
    machine.variables.update(final)
    program("setup", "--bootstrap=none", "made", "/usr/local/made")
    shown = json.loads(program("show", "made", "--json"))
    for location in shown["repositories"].values():
        assert location.startswith(str(site_packages(installed) / "flatcar_prefix/_data/repos"))
    wrapper = machine.bin / "portageq-prefix-made"
    assert machine.ok(wrapper, "best_visible", "/", "sys-apps/grep").stdout == "sys-apps/grep-3.8\n"
    said = machine.ok(machine.bin / "emerge-prefix-made", "--stage", "-p", "app-arch/bzip2")
    assert "app-arch/bzip2-1.0.8" in said.stdout


def test_what_it_needs_is_what_the_program_imports(installed: InUse) -> None:
    """The stand-ins are exactly these dependencies."""
    rdepend = (installed.staging / f"var/db/pkg/{PACKAGE}-0.1.0/RDEPEND").read_text()
    needed = {atom.strip("<>=").split(":")[0] for atom in rdepend.split()}
    known = {cpv.rpartition("-")[0] for cpv in OF_THE_SDK} - {"dev-python/setuptools"}
    assert {re.sub(r"-[0-9].*", "", atom) for atom in needed} == known
    said = requires("flatcar-prefix") or []
    # The SDK has a Python that contains tomllib, so it needs no tomli.
    said = [line for line in said if "extra ==" not in line and "python_version" not in line]
    wanted = {re.split("[^a-z]", line)[0] for line in said}
    assert wanted == {"portage", *(cp.split("/")[1] for cp in known if "dev-python" in cp)}


def test_its_commands_are_installed(installed: InUse) -> None:
    for name in ("flatcar-prefix", "setup_prefix"):
        command = installed.staging / "usr/bin" / name
        assert command.stat().st_mode & 0o111
        assert "flatcar_prefix" in command.read_text() or "flatcar-prefix" in command.read_text()


def test_portage_owns_every_file(installed: InUse) -> None:
    said = installed.machine.ok(installed.wrapper("equery"), "--staging", "check", PACKAGE)
    assert "failed(0)" in said.stdout
