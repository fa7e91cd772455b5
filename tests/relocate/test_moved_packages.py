# SPDX-License-Identifier: BSD-3-Clause
"""Binary packages that were built for another EPREFIX, installed by real Portage."""

from __future__ import annotations

import bz2
import json
import os
import shutil

import pytest
from machine import InUse, Machine, Overlay

from flatcar_prefix.relocate.eprefix import LENGTH, pool_eprefix

pytestmark = [pytest.mark.e2e, pytest.mark.needs_root, pytest.mark.timeout(900)]

POOL = pool_eprefix("tests")
PACKAGE = r"""
SAVED="${EPREFIX}/saved"
LIST=( plain "${EPREFIX}/first" )
lookup() {
	echo "function ${SAVED}"
}
src_install() {
	printf '#!%s/bin/sh\n' "${EPREFIX}" > script || die
	printf 'a\0%s/lib\0b' "${EPREFIX}" > binary || die
	exeinto /usr/bin
	doexe script
	insinto /usr/lib
	doins binary
	dosym "${EPREFIX}/usr/bin/script" /usr/bin/link
	keepdir "/var/lib/${EPREFIX}"
	printf '.TH one 1\n%0999d\n%s/etc\n' 0 "${EPREFIX}" > one.1 || die
	doman one.1
}
pkg_setup() {
	[[ ${MERGE_TYPE} != binary ]] || BEFORE="${SAVED} ${LIST[1]}"
}
pkg_postinst() {
	mkdir -p "${EROOT}/var/lib/told" || die
	printf '%s\n' "${BEFORE}" "${SAVED}" "${LIST[@]}" "$(lookup)" > "${EROOT}/var/lib/told/log"
}
"""


FIXED = r"""
src_install() {
	echo "${EPREFIX}" | gzip -n > data.gz || die
	insinto /usr/lib
	doins data.gz
}
"""


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    return Machine(tmp_path_factory.mktemp("relocate"))


@pytest.fixture(scope="module")
def overlay(machine: Machine) -> Overlay:
    overlay = Overlay(machine.base / "overlay", "moving")
    overlay.ebuild("test-move/one-1", PACKAGE)
    overlay.ebuild("test-move/fixed-1", FIXED)
    return overlay


@pytest.fixture(scope="module")
def pool(machine: Machine, overlay: Overlay) -> InUse:
    prefix = machine.setup("pool", f"--custom_ebuild_overlays={overlay.path}", eprefix=POOL)
    prefix.install("--stage", "test-move/one", "test-move/fixed")
    return prefix


def consumer(machine: Machine, overlay: Overlay, pool: InUse, name: str, eprefix: str) -> InUse:
    """Set a prefix up that has the pool's binary packages as its own."""
    prefix = machine.setup(name, f"--custom_ebuild_overlays={overlay.path}", eprefix=eprefix)
    shutil.rmtree(prefix.staging_dir / "pkgs")
    shutil.copytree(pool.staging_dir / "pkgs", prefix.staging_dir / "pkgs")
    return prefix


def check_moved(prefix: InUse) -> None:
    eprefix, eroot = prefix.eprefix, prefix.staging
    assert (eroot / "usr/bin/script").read_text() == f"#!{eprefix}/bin/sh\n"
    padded = eprefix.ljust(LENGTH, "/")
    assert (eroot / "usr/lib/binary").read_bytes() == f"a\0{padded}/lib\0b".encode()
    assert os.readlink(eroot / "usr/bin/link") == f"{eprefix}/usr/bin/script"
    assert (eroot / f"var/lib{eprefix}").is_dir()
    told = (eroot / "var/lib/told/log").read_text().splitlines()
    saved, first = f"{eprefix}/saved", f"{eprefix}/first"
    assert told == [f"{saved} {first}", saved, "plain", first, f"function {saved}"]
    assert not (prefix.staging_dir / f"root{POOL}").exists()
    pages = list((eroot / "usr/share/man/man1").iterdir())
    assert [page.name for page in pages] == ["one.1.bz2"]
    assert f"\n{eprefix}/etc\n" in bz2.decompress(pages[0].read_bytes()).decode()


def check_audit(machine: Machine, prefix: InUse) -> None:
    """The audit finds no path of the pool, and finds one that is planted."""

    def findings() -> list[tuple[str, str]]:
        shown = machine.fp("verify", "--json", "--staging", prefix.name).stdout
        found = json.loads(shown)["findings"]
        return [(f["code"], f["path"]) for f in found if f["code"].endswith("build-path")]

    assert findings() == []
    planted = prefix.staging / "usr/bin/planted"
    planted.write_text(f"#!{prefix.eprefix}/bin/sh\ncat {POOL}/etc/motd\n")
    assert findings() == [("text-build-path", f"{prefix.eprefix}/usr/bin/planted")]
    planted.unlink()


def test_plain_emerge_moves_a_package(machine: Machine, overlay: Overlay, pool: InUse) -> None:
    prefix = consumer(machine, overlay, pool, "plain", "/opt/plain")
    result = prefix.plain("staging", "emerge", "--usepkgonly", "--oneshot", "test-move/one")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "Adjusting Prefix" not in result.stdout
    check_moved(prefix)


def test_emerge_moves_a_package_and_its_metadata(
    machine: Machine, overlay: Overlay, pool: InUse
) -> None:
    prefix = consumer(machine, overlay, pool, "moved", "/opt/moved")
    prefix.install("--stage", "--usepkgonly", "test-move/one")
    check_moved(prefix)
    vdb = prefix.staging / "var/db/pkg/test-move/one-1"
    assert (vdb / "EPREFIX").read_text() == f"{prefix.eprefix}\n"
    assert (vdb / "FLATCAR_PREFIX_MOVED_FROM").read_text() == f"{POOL}\n"
    for file in vdb.iterdir():
        content = bz2.decompress(file.read_bytes()) if file.suffix == ".bz2" else file.read_bytes()
        assert POOL.encode() not in content or file.name == "FLATCAR_PREFIX_MOVED_FROM", file
    check_audit(machine, prefix)
    checked = machine.run(prefix.wrapper("equery"), "--staging", "check", "test-move/one")
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_a_package_that_cannot_be_moved_is_refused(
    machine: Machine, overlay: Overlay, pool: InUse
) -> None:
    reason = f"{POOL}/usr/lib/data.gz: has the EPREFIX in gzip data"
    vdb = pool.staging / "var/db/pkg/test-move"
    assert (vdb / "fixed-1/FLATCAR_PREFIX_FIXED").read_text() == f"{reason}\n"
    assert not (vdb / "one-1/FLATCAR_PREFIX_FIXED").exists()
    index = (pool.staging_dir / "pkgs/Packages").read_text()
    assert f"FLATCAR_PREFIX_FIXED: {reason}\n" in index

    prefix = consumer(machine, overlay, pool, "longer", POOL + "xy")
    for name, token in (("fixed", "fixed-eprefix"), ("one", f"eprefix-{LENGTH}")):
        plain = prefix.plain("staging", "emerge", "--usepkgonly", f"test-move/{name}")
        assert plain.returncode == 1
        said = plain.stdout + plain.stderr
        assert "have been masked" in said and token in said
        assert "Emerging" not in said

    # A user can accept them, and a binary package of another origin does not say so.
    accept = prefix.config("staging") / "package.properties/zz-user"
    accept.write_text(f"*/* fixed-eprefix eprefix-{LENGTH}\n")
    for name, message in (
        ("fixed", f"it works only at {POOL}: {reason}"),
        (
            "one",
            f"has {LENGTH + 2} bytes, and it was built for {POOL}, which has room for {LENGTH}",
        ),
    ):
        plain = prefix.plain("staging", "emerge", "--usepkgonly", f"test-move/{name}")
        assert plain.returncode == 1
        assert message in plain.stdout + plain.stderr
        assert f"--usepkg-exclude=test-move/{name}" in plain.stdout + plain.stderr
    assert prefix.installed("staging") == set()
