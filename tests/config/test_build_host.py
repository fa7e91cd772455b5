# SPDX-License-Identifier: BSD-3-Clause
"""The build host of a machine that is not Gentoo: its packages, its VDB, its helper files."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest

from flatcar_prefix.config import build_host, host_files, host_vdb, machine_packages
from flatcar_prefix.config.machine_packages import Kind, Package


@pytest.mark.parametrize(
    ("debian", "upstream"),
    [
        ("4:12.2.0-3", "12.2.0"),
        ("5.36.0-7+deb12u2", "5.36.0"),
        ("1.5.4+dfsg2-5", "1.5.4"),
        ("8.6.13+dfsg-2", "8.6.13"),
        ("4.3-4.1", "4.3"),
        ("1.11.1-2~deb12u1", "1.11.1"),
        ("1.1.1w-0+deb11u1", "1.1.1w"),
        ("not-a-version", "0"),
    ],
)
def test_a_debian_version_is_read_as_gentoos(debian: str, upstream: str) -> None:
    assert machine_packages.upstream_version(debian) == upstream


def test_the_version_of_a_program_is_the_package_managers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """perl prints its version as v5.36.0, which a search for numbers reads as 36.0."""
    query = tmp_path / "dpkg-query"
    query.write_text(
        "#!/bin/sh\ncase $1 in\n-S) echo perl-base: /usr/bin/perl ;;\n"
        "*) echo perl-base 5.36.0-7+deb12u2 ;;\nesac\n"
    )
    query.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    assert machine_packages.versions(["/usr/bin/perl"]) == {"/usr/bin/perl": "5.36.0"}


def test_a_program_that_no_package_manager_knows_tells_its_version(tmp_path: Path) -> None:
    program = tmp_path / "tool"
    program.write_text("#!/bin/sh\necho tool 3.28.5\n")
    program.chmod(0o755)
    assert machine_packages.versions([str(program)]) == {str(program): "3.28.5"}


@pytest.mark.parametrize(
    ("slot", "expected"), [("0", "0"), ("{1}", "12"), ("{2}", "12.2"), ("0/{2}", "0/12.2")]
)
def test_a_slot_comes_from_the_version(slot: str, expected: str) -> None:
    assert Kind("a/b", slot).slot_of("12.2.0") == expected


AUTOCONF = Package("dev-build/autoconf", "2.71", "2.71")
NINJA = Package("app-alternatives/ninja", "1", "0", "reference -samurai")


def test_entries_have_slots_and_flags_as_portage_reads_them(tmp_path: Path) -> None:
    import portage
    from portage.dbapi.vartree import vartree

    host_vdb.write(tmp_path, (AUTOCONF, NINJA))
    settings = portage.config(
        config_root=str(tmp_path),
        target_root=str(tmp_path),
        eprefix="",
        env={"PORTAGE_REPOSITORIES": "[DEFAULT]\n"},
    )
    vardb = vartree(settings=settings).dbapi
    assert vardb.match(">=dev-build/autoconf-2.71-r6:2.71")
    assert not vardb.match("dev-build/autoconf:2.72")
    assert vardb.match("app-alternatives/ninja[reference,-samurai]")
    assert not vardb.match("app-alternatives/ninja[samurai]")


def test_a_package_that_portage_built_takes_the_place_of_the_machines(tmp_path: Path) -> None:
    host_vdb.write(tmp_path, (AUTOCONF, NINJA))
    vdb = tmp_path / "var/db/pkg"
    built = vdb / "app-alternatives/ninja-2"
    built.mkdir()
    (built / "SLOT").write_text("0\n")
    (built / "repository").write_text("gentoo-subset\n")
    host_vdb.write(tmp_path, (NINJA,))
    entries = {f"{path.parent.name}/{path.name}" for path in vdb.glob("*/*")}
    assert entries == {"app-alternatives/ninja-2"}


def test_entries_in_one_file_a_package_are_recognised(tmp_path: Path) -> None:
    vartree: Any = pytest.importorskip("portage.dbapi.vartree")
    if not hasattr(vartree, "_consolidate_to_metadata_file"):
        pytest.skip("this Portage has no other form of the VDB")
    host_vdb.write(tmp_path, (AUTOCONF, NINJA))
    entries = sorted((tmp_path / "var/db/pkg").glob("*/*"))
    for entry in entries:
        vartree._consolidate_to_metadata_file(str(entry), delete_individual=True)
        assert not (entry / "repository").exists()
    before = [entry.stat().st_mtime_ns for entry in entries]
    host_vdb.write(tmp_path, (AUTOCONF, NINJA))
    assert [entry.stat().st_mtime_ns for entry in entries] == before
    host_vdb.write(tmp_path, (NINJA,))
    assert [entry.name for entry in entries if entry.exists()] == ["ninja-1-r100"]


def test_slots_are_left_to_the_vdb() -> None:
    text = build_host.package_provided((AUTOCONF, NINJA))
    assert "app-alternatives/ninja-1" in text
    assert "dev-build/autoconf-" not in text


class TestFiles:
    @pytest.fixture
    def host(self, tmp_path: Path) -> Path:
        host = tmp_path / "host"
        host_files.write(host, machine_packages.python_version())
        return host

    def test_the_machines_python_finds_modules_for_the_build_host(self, host: Path) -> None:
        name = f"python{machine_packages.python_version()}"
        site = host / "usr/lib" / name / "site-packages"
        site.mkdir(parents=True)
        (site / "a_module_of_the_host.py").write_text("print('found')\n")
        argv = [host / "usr/bin" / name, "-c", "import a_module_of_the_host"]
        assert subprocess.check_output(argv, text=True) == "found\n"

    def test_a_script_runs_with_the_python_that_is_chosen(self, host: Path) -> None:
        name = f"python{machine_packages.python_version()}"
        script = host / "usr/lib/python-exec" / name / "a-tool"
        script.write_text(f"#!/bin/sh\necho {name} $1\n")
        script.chmod(0o755)
        (host / "usr/bin/a-tool").symlink_to("../lib/python-exec/python-exec2")
        argv = [host / "usr/bin/a-tool", "word"]
        assert subprocess.check_output(argv, text=True) == f"{name} word\n"
        # An EPYTHON that does not have the script leaves the others.
        said = subprocess.check_output(argv, text=True, env={"EPYTHON": "python2.0"})
        assert said == f"{name} word\n"

    def test_a_file_of_a_package_stays(self, host: Path) -> None:
        path = host / "usr/bin/eltpatch"
        path.unlink()
        path.write_text("of a package\n")
        host_files.write(host, machine_packages.python_version())
        assert path.read_text() == "of a package\n"
