# SPDX-License-Identifier: BSD-3-Clause
"""Bills of materials: the facts that a scanner uses, and the official validators."""

from __future__ import annotations

import hashlib
import json
import os
import zipfile
from pathlib import Path
from typing import Any

import pytest
import shipping_prefix
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from packageurl import PackageURL
from spdx_tools.spdx.parser.parse_anything import parse_file
from spdx_tools.spdx.validation.document_validator import validate_full_spdx_document

from flatcar_prefix.image import components as found, spdx_licences
from flatcar_prefix.image.build import sysext
from flatcar_prefix.image.components import Component, Upstream, components
from flatcar_prefix.image.manifest import Package, contents
from flatcar_prefix.image.sbom import spdx
from flatcar_prefix.image.sbom.document import Bill
from flatcar_prefix.image.selection import select
from flatcar_prefix.prefix.model import Prefix

SOURCE = b"the source of hello"
URL = "https://example.org/hello-1.2.tar.gz"
LIBC = b"\x7fELF GNU C Library (Debian GLIBC 2.36-9+deb12u10) stable release version 2.36.\n"


def write(path: Path, text: str | bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())


def with_sources(prefix: Prefix) -> Prefix:
    """Add the ebuild of hello with a source and a CPE to the repository of ``prefix``."""
    repository = prefix.repositories[0].location
    place = repository / "app-misc/hello"
    uris = f"{URL} mirror://gnu/hello/more.tar.xz -> hello-more.tar.xz"
    ebuild = f'EAPI=8\nSLOT=0\nDESCRIPTION="x"\nSRC_URI="{uris}"\n'
    write(place / "hello-1.2-r3.ebuild", ebuild)
    # With Portage's cache of metadata, nothing sources the ebuild.
    md5 = hashlib.md5(ebuild.encode()).hexdigest()
    write(
        repository / "metadata/md5-cache/app-misc/hello-1.2-r3",
        f"DEFINED_PHASES=-\nDESCRIPTION=x\nEAPI=8\nSLOT=0\nSRC_URI={uris}\n_md5_={md5}\n",
    )
    write(
        place / "metadata.xml",
        '<?xml version="1.0"?><pkgmetadata><upstream><remote-id type="cpe">'
        "cpe:/a:gnu:hello_world</remote-id></upstream></pkgmetadata>",
    )
    sha512 = hashlib.sha512(SOURCE).hexdigest()
    write(place / "Manifest", f"DIST hello-1.2.tar.gz {len(SOURCE)} SHA512 {sha512}\n")
    mirrors = prefix.repositories[0].location / "profiles/thirdpartymirrors"
    write(mirrors, "gnu https://mirror.example.org/gnu/\n")
    return prefix


def with_libc(prefix: Prefix, text: bytes = LIBC) -> Prefix:
    """Add a C library to the files of glibc."""
    write(prefix.final.eroot / "lib64/libc.so.6", text)
    os.utime(prefix.final.eroot / "lib64/libc.so.6", (shipping_prefix.OLD,) * 2)
    entry = prefix.final.eroot / "var/db/pkg/sys-libs/glibc-2.36"
    write(entry / "CONTENTS", f"obj {prefix.eprefix}/lib64/libc.so.6 0 1\n")
    return prefix


def with_python_packages(prefix: Prefix) -> Prefix:
    """Add two projects of PyPI to the files of hello: one installed, and one as a wheel."""
    lib = prefix.final.eroot / "usr/lib/python3.11"
    write(
        lib / "site-packages/Zope.Event-5.0.dist-info/METADATA", "Name: Zope.Event\nVersion: 5.0\n"
    )
    wheel = lib / "ensurepip/_bundled/pip-23.0.1-py3-none-any.whl"
    wheel.parent.mkdir(parents=True)
    with zipfile.ZipFile(wheel, "w") as file:
        file.writestr("x", "x")
    contents_file = prefix.final.eroot / "var/db/pkg/app-misc/hello-1.2-r3/CONTENTS"
    with contents_file.open("a") as file_list:
        for path in (lib / "site-packages/Zope.Event-5.0.dist-info/METADATA", wheel):
            file_list.write(f"obj {prefix.eprefix}/{path.relative_to(prefix.final.eroot)} 0 1\n")
    return prefix


def made(prefix: Prefix, directory: Path, kind: str) -> tuple[Path, Any]:
    sysext(prefix, directory / "test.tar", format="tar", verify=False, sbom=kind)
    path = directory / f"test.{ {'spdx': 'spdx', 'cyclonedx': 'cdx'}[kind] }.json"
    return path, json.loads(path.read_text(encoding="utf-8"))


def rename(prefix: Prefix, old: str, new: str) -> Path:
    """Give an installed package another name, and return its directory in the VDB."""
    vdb = prefix.final.eroot / "var/db/pkg"
    entry = vdb / new
    entry.parent.mkdir(exist_ok=True)
    (vdb / old).rename(entry)
    category, pf = new.split("/")
    write(entry / "CATEGORY", f"{category}\n")
    write(entry / "PF", f"{pf}\n")
    return entry


def by_name(prefix: Prefix) -> dict[str, Component]:
    selection = select(prefix.final.path, prefix.eprefix)
    packages = contents(prefix.final, selection).packages
    return {each.upstream.name: each for each in components(prefix.final, selection, packages)}


def test_spdx_is_valid_and_has_sources_and_checksums(own_prefix: Prefix, tmp_path: Path) -> None:
    path, bill = made(with_python_packages(with_sources(with_libc(own_prefix))), tmp_path, "spdx")
    assert validate_full_spdx_document(parse_file(str(path))) == []
    packages = {package["name"]: package for package in bill["packages"]}
    assert set(packages) == {"test", "hello", "glibc", "pip", "zope-event"}
    hello = packages["hello"]
    assert hello["versionInfo"] == "1.2"
    assert hello["downloadLocation"] == URL
    assert hello["checksums"] == [
        {"algorithm": "SHA512", "checksumValue": hashlib.sha512(SOURCE).hexdigest()}
    ]
    assert "https://mirror.example.org/gnu/hello/more.tar.xz" in hello["sourceInfo"]
    assert hello["supplier"] == "Organization: ebuild repository gentoo"
    assert {each["referenceLocator"] for each in hello["externalRefs"]} == {
        "pkg:generic/hello@1.2",
        "cpe:2.3:a:gnu:hello_world:1.2:*:*:*:*:*:*:*",
    }
    files = {file["fileName"]: file for file in bill["files"]}
    script = own_prefix.final.eroot / "usr/bin/hello-script"
    sums = {
        each["algorithm"]: each["checksumValue"]
        for each in files[f".{own_prefix.eprefix}/usr/bin/hello-script"]["checksums"]
    }
    assert sums["SHA256"] == hashlib.sha256(script.read_bytes()).hexdigest()
    assert "packageVerificationCode" in hello
    # Links are not files, and the release file belongs to no package.
    assert f".{own_prefix.eprefix}/usr/bin/hi" not in files
    assert "./usr/lib/extension-release.d/extension-release.test" in files


def test_the_parts_of_an_spdx_document_are_related(own_prefix: Prefix, tmp_path: Path) -> None:
    _, bill = made(with_libc(own_prefix), tmp_path, "spdx")
    elements = {each["SPDXID"] for each in bill["packages"] + bill["files"]}
    assert len(elements) == len(bill["packages"]) + len(bill["files"])
    related = {each["relatedSpdxElement"] for each in bill["relationships"]}
    assert related == elements
    assert bill["creationInfo"]["created"] == "2020-09-13T12:26:40Z"
    declared = {package["name"]: package["licenseDeclared"] for package in bill["packages"]}
    assert declared["glibc"] == "LGPL-2.1-or-later AND GPL-2.0-or-later AND BSD-3-Clause"


def test_cyclonedx_is_valid_and_has_what_a_scanner_reads(
    own_prefix: Prefix, tmp_path: Path
) -> None:
    path, bill = made(
        with_python_packages(with_sources(with_libc(own_prefix))), tmp_path, "cyclonedx"
    )
    assert JsonStrictValidator(SchemaVersion.V1_5).validate_str(path.read_text()) is None
    hello = next(each for each in bill["components"] if each["name"] == "hello")
    assert (hello["version"], hello["purl"]) == ("1.2", "pkg:generic/hello@1.2")
    assert hello["cpe"] == "cpe:2.3:a:gnu:hello_world:1.2:*:*:*:*:*:*:*"
    assert hello["supplier"] == {"name": "ebuild repository gentoo"}
    assert hello["licenses"] == [{"expression": "GPL-3.0-only OR MIT"}]
    sources = [each for each in hello["externalReferences"] if each["type"] == "distribution"]
    assert [each["url"] for each in sources] == [
        URL,
        "https://mirror.example.org/gnu/hello/more.tar.xz",
    ]
    assert sources[0]["hashes"] == [
        {"alg": "SHA-512", "content": hashlib.sha512(SOURCE).hexdigest()}
    ]
    inner = {each.get("purl") for each in hello["components"]}
    assert {"pkg:pypi/pip@23.0.1", "pkg:pypi/zope-event@5.0"} <= inner
    files = {each["name"] for each in hello["components"] if each["type"] == "file"}
    assert f"{own_prefix.eprefix}/usr/bin/hello-script" in files
    references = {each["bom-ref"] for each in bill["components"] if "bom-ref" in each}
    assert set(bill["dependencies"][0]["dependsOn"]) == references


def test_files_of_the_toolchain_have_the_versions_of_glibc_and_gcc(own_prefix: Prefix) -> None:
    rename(with_libc(own_prefix), "sys-libs/glibc-2.36", "prefix/imported-libc-1-r1")
    libc = own_prefix.final.eroot / "lib64/libc.so.6"
    assert by_name(own_prefix)["glibc"].upstream == Upstream(
        "glibc", "2.36", "pkg:deb/debian/glibc@2.36-9%2Bdeb12u10?arch=source", "Debian"
    )
    assert by_name(own_prefix)["glibc"].cpe == "cpe:2.3:a:gnu:glibc:2.36:*:*:*:*:*:*:*"
    write(libc, b"GNU C Library (crosstool-NG 1.25) stable release version 2.29.\n")
    assert by_name(own_prefix)["glibc"].upstream.purl == "pkg:generic/glibc@2.29"
    write(libc, b"no version")
    assert by_name(own_prefix)["glibc"].cpe == ""


@pytest.mark.parametrize(
    ("said", "upstream"),
    [
        (
            "x86_64-linux-gnu-gcc (Debian 12.2.0-14+deb12u1) 12.2.0",
            Upstream(
                "gcc", "12.2.0", "pkg:deb/debian/gcc-12@12.2.0-14%2Bdeb12u1?arch=source", "Debian"
            ),
        ),
        (
            "x86_64-cros-linux-gnu-gcc (Gentoo Hardened 14.3.1 p7) 14.3.1 20250801",
            Upstream("gcc", "14.3.1", "pkg:generic/gcc@14.3.1", "Gentoo Hardened 14.3.1 p7"),
        ),
        ("Debian clang version 14.0.6", Upstream("gcc", "", "pkg:generic/gcc", "unknown")),
    ],
)
def test_the_runtime_of_gcc_has_the_version_of_the_compiler(
    own_prefix: Prefix, said: str, upstream: Upstream
) -> None:
    rename(own_prefix, "app-misc/hello-1.2-r3", "prefix/gcc-runtime-1")
    object.__setattr__(own_prefix.toolchain, "version", said)
    assert by_name(own_prefix)["gcc"].upstream == upstream


def test_virtuals_and_meta_packages_are_no_components(own_prefix: Prefix) -> None:
    shipping_prefix._package(own_prefix, "virtual/libc-1", "", [])
    assert set(by_name(with_libc(own_prefix))) == {"hello", "glibc"}


def test_a_package_of_a_project_of_pypi_is_this_project(own_prefix: Prefix) -> None:
    prefix = with_python_packages(own_prefix)
    rename(prefix, "app-misc/hello-1.2-r3", "dev-python/zope-event-5.0")
    package = by_name(prefix)["zope-event"]
    assert package.upstream.purl == "pkg:pypi/zope-event@5.0"
    assert [part.name for part in package.parts] == ["pip"]


def test_a_package_whose_ebuild_is_gone_has_no_sources(own_prefix: Prefix) -> None:
    hello = by_name(own_prefix)["hello"]
    assert hello.sources == ()
    assert hello.cpe == "cpe:2.3:a:*:hello:1.2:*:*:*:*:*:*:*"


@pytest.mark.parametrize(
    ("kind", "name", "version"),
    [
        ("generic", "gtk+", "3.24"),
        ("pypi", "zope-event", "5.0"),
        ("deb", "debian/gcc-12", "1:12.2.0-14+deb12u1"),
    ],
)
def test_a_package_url_is_in_its_canonical_form(kind: str, name: str, version: str) -> None:
    text = found.purl(kind, name, version)
    parsed = PackageURL.from_string(text)
    assert parsed.to_string() == text
    assert (parsed.name, parsed.version) == (name.rpartition("/")[2], version)


def test_packages_whose_identifiers_would_be_the_same_are_all_listed() -> None:
    names = ["a-b/c+", "a-b/c_", "a-b/c--1", "a/b-c+"]

    def component(name: str) -> Component:
        package = Package(name, "1", "0", "gentoo", "MIT", spdx_licences.spdx("MIT"), "", "")
        return Component(Upstream(name, "1", "pkg:generic/x@1", "x"), package, "")

    bill = Bill({"name": "x", "file": "x", "content": "y"}, [*map(component, names)])
    packages = spdx.document(bill)["packages"]
    assert [package["name"] for package in packages] == ["x", *names]
    assert len({package["SPDXID"] for package in packages}) == len(packages)
