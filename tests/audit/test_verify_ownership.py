# SPDX-License-Identifier: BSD-3-Clause
"""Changes of the files that Portage installed, with a real prefix and a real merge."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from types import SimpleNamespace

import pytest
from hypothesis import given, strategies as st

from flatcar_prefix.audit.api import verify
from flatcar_prefix.audit.checks.ownership import index_owners
from flatcar_prefix.audit.findings import Finding, Report
from flatcar_prefix.audit.tree import Tree
from flatcar_prefix.audit.vdb_owners import Owners
from flatcar_prefix.errors import PrefixError
from flatcar_prefix.prefix.record import read

EPREFIX = "/opt/verify-test"


def audit(real: SimpleNamespace) -> Report:
    # Load the root again, like another process, because Portage caches the VDB.
    return verify(read(real.prefix.staging_dir).staging)


@pytest.mark.needs_root
def test_a_database_that_cannot_be_read_is_said(
    real: SimpleNamespace, as_user: Callable[[Callable[[], None]], None]
) -> None:
    """Otherwise its packages would count as not installed, and their files as unowned."""
    vartree = real.prefix.staging.trees["vartree"]

    def look() -> None:
        with pytest.raises(PrefixError, match="the VDB cannot be read"):
            index_owners(tree, vartree)

    with TemporaryDirectory() as place:
        root = Path(place) / "root"
        shutil.copytree(real.prefix.staging.path, root, symlinks=True)
        root.chmod(0o755)
        Path(place).chmod(0o755)
        tree = Tree(root=root, eprefix=EPREFIX, board=real.prefix.board)
        (root / EPREFIX.lstrip("/") / "var/db/pkg/app-misc").chmod(0o700)
        as_user(look)


@contextmanager
def put_back(path: Path) -> Iterator[Path]:
    """Within, a test can change or remove the file."""
    data, mode = path.read_bytes(), path.stat().st_mode
    try:
        yield path
    finally:
        path.unlink(missing_ok=True)
        path.write_bytes(data)
        path.chmod(mode)


@pytest.fixture
def eroot(real: SimpleNamespace) -> Path:
    return real.prefix.staging.eroot


def found(real: SimpleNamespace) -> Finding:
    (finding,) = audit(real).findings
    return finding


def test_what_portage_has_just_installed_has_no_findings(real: SimpleNamespace) -> None:
    report = audit(real)
    assert report.findings == ()
    assert report.statistics.packages == 1
    assert report.statistics.not_shipped > 5


def test_a_file_without_an_owner_is_found(real: SimpleNamespace, eroot: Path) -> None:
    stray = eroot / "usr/share/stray"
    stray.write_text("")
    try:
        finding = found(real)
    finally:
        stray.unlink()
    assert (finding.code, finding.path) == ("unowned", f"{EPREFIX}/usr/share/stray")
    assert finding.package is None


def test_a_file_that_is_gone_is_found_with_its_package(real: SimpleNamespace, eroot: Path) -> None:
    with put_back(eroot / "usr/share/fine/data") as file:
        link = eroot / "usr/share/fine/link"
        link.unlink()
        file.unlink()
        findings = audit(real).findings
        link.symlink_to("data")
    assert [finding.code for finding in findings] == ["vdb-missing", "vdb-missing"]
    assert {finding.package for finding in findings} == {"app-misc/fine-1"}


def test_a_file_that_was_changed_is_found(real: SimpleNamespace, eroot: Path) -> None:
    with put_back(eroot / "usr/share/fine/data") as file:
        file.write_text("other")
        finding = found(real)
    assert (finding.code, finding.level) == ("vdb-changed", "error")
    assert finding.package == "app-misc/fine-1"


def test_a_link_that_was_turned_is_found(real: SimpleNamespace, eroot: Path) -> None:
    link = eroot / "usr/share/fine/link"
    link.unlink()
    link.symlink_to("../fine/data")
    try:
        finding = found(real)
    finally:
        link.unlink()
        link.symlink_to("data")
    assert finding.code == "vdb-changed"


def test_a_file_that_became_a_link_is_found(real: SimpleNamespace, eroot: Path) -> None:
    with put_back(eroot / "usr/share/fine/data") as file:
        file.unlink()
        file.symlink_to("../../bin/fine-script")
        finding = found(real)
    assert finding.code == "vdb-changed"


def test_a_file_that_became_a_directory_is_found(real: SimpleNamespace, eroot: Path) -> None:
    with put_back(eroot / "usr/share/fine/data") as file:
        file.unlink()
        file.mkdir()
        try:
            finding = found(real)
        finally:
            file.rmdir()
    assert (finding.code, finding.path) == ("vdb-changed", f"{EPREFIX}/usr/share/fine/data")
    assert "is a directory now" in finding.message
    assert finding.package == "app-misc/fine-1"


def test_configuration_may_be_changed(real: SimpleNamespace, eroot: Path) -> None:
    with put_back(eroot / "etc/fine.conf") as file:
        file.write_text("setting = 2\n")
        report = audit(real)
    (finding,) = report.findings
    assert (finding.code, finding.level) == ("vdb-config-changed", "note")
    assert report.ok


def test_a_waiver_of_the_configuration_is_heard(real: SimpleNamespace, eroot: Path) -> None:
    waivers = eroot / "etc/portage/flatcar-prefix.waivers"
    waivers.write_text("app-misc/fine vdb-changed # it is mine\n")
    try:
        with put_back(eroot / "usr/share/fine/data") as file:
            file.write_text("other")
            report = audit(real)
    finally:
        waivers.unlink()
    assert report.findings == ()
    ((finding, reason),) = report.waived
    assert (finding.code, reason) == ("vdb-changed", "it is mine")


@pytest.mark.parametrize(
    ("atom", "accepted"),
    [
        ("app-misc/fine:0", True),
        ("app-misc/fine:5", False),
        ("*/*:0", True),
        ("*/*:5", False),
        ("app-misc/fine[nonsense]", False),
    ],
)
def test_a_waiver_is_for_the_slot_and_the_use_that_it_names(
    real: SimpleNamespace, eroot: Path, atom: str, accepted: bool
) -> None:
    waivers = eroot / "etc/portage/flatcar-prefix.waivers"
    waivers.write_text(f"{atom} vdb-changed # it is mine\n")
    try:
        with put_back(eroot / "usr/share/fine/data") as file:
            file.write_text("other")
            report = audit(real)
    finally:
        waivers.unlink()
    assert bool(report.waived) is accepted
    assert bool(report.findings) is not accepted


def test_files_are_found_through_linked_directories(real: SimpleNamespace, eroot: Path) -> None:
    """A package can install to lib even if lib is a link to usr/lib."""
    share, moved = eroot / "usr/share", eroot / "usr/moved"
    share.rename(moved)
    share.symlink_to("moved")
    try:
        findings = audit(real).findings
    finally:
        share.unlink()
        moved.rename(share)
    assert [finding.code for finding in findings] == ["unowned"]
    assert findings[0].path == f"{EPREFIX}/usr/share"


@given(
    st.dictionaries(
        st.text(max_size=20), st.tuples(st.text(max_size=5), st.binary(min_size=16, max_size=16))
    )
)
def test_the_index_says_what_was_put_in(files: dict[str, tuple[str, bytes]]) -> None:
    owners = Owners()
    for path, (package, digest) in files.items():
        owners.add(path, package, digest)
    owners.freeze()
    for path, (package, digest) in files.items():
        owner = owners.get(path)
        assert owner is not None
        assert owner.package == package
        assert owner.digest == (digest if any(digest) else b"")
    assert owners.get("\0 not in there") is None


def test_the_last_installed_owner_counts() -> None:
    owners = Owners()
    for package in ("a", "b", "c"):
        owners.add("/x", package)
        owners.add(f"/{package}", package)
    owners.freeze()
    owner = owners.get("/x")
    assert owner is not None
    assert owner.package == "c"


def test_the_index_is_small() -> None:
    owners = Owners()
    for number in range(10_000):
        owners.add(f"/opt/prefix/{number}", f"cat/pkg-{number % 50}", os.urandom(16))
    owners.freeze()
    size = owners._keys.itemsize + owners._package.itemsize + len(owners._digests) // 10_000
    assert size == 28
