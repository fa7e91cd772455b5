# SPDX-License-Identifier: BSD-3-Clause
"""The name of an image, its release file, its manifest, and its atomic creation."""

from __future__ import annotations

import argparse
import fcntl
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import textwrap
import time
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
import shipping_prefix
from hypothesis import given, strategies as st

import flatcar_prefix
from flatcar_prefix.audit.findings import Finding
from flatcar_prefix.cli.sysext import add_options, make_image, options, source_date_epoch
from flatcar_prefix.errors import PrefixError, UsageError
from flatcar_prefix.image import (
    build,
    manifest,
    sha256sums,
    sha256sums as sums,
    spdx_licences,
)
from flatcar_prefix.image.build import sysext
from flatcar_prefix.image.extension_release import Release, check
from flatcar_prefix.image.formats.table import FORMATS
from flatcar_prefix.image.options import Options, check_directory, hiding
from flatcar_prefix.image.sbom.spdx import NO_TEXT
from flatcar_prefix.image.selection import select
from flatcar_prefix.image.sysupdate import transfer
from flatcar_prefix.prefix.model import Prefix

HERE = Path(__file__).parent


def parse(*words: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    add_options(parser)
    return parser.parse_args(words)


def quick(prefix: Prefix, output: Path, **more: Any) -> Path:
    """Make a tar, the fastest format."""
    return sysext(prefix, output, format="tar", **{"verify": False, **more})


def document(directory: Path, name: str = "test.manifest.json") -> Any:
    return json.loads((directory / name).read_text(encoding="utf-8"))


# --- names and the release file


def test_the_release_file_has_the_name_of_the_image(own_prefix: Prefix, tmp_path: Path) -> None:
    image = sysext(own_prefix, tmp_path / "python-3.raw", format="ext4", verify=False)
    path = "/usr/lib/extension-release.d/extension-release.python-3"
    result = subprocess.run(
        ["/usr/sbin/debugfs", "-R", f"cat {path}", image], capture_output=True, text=True
    )
    assert result.stdout == "ID=_any\nARCHITECTURE=x86-64\nSYSEXT_ID=python-3\n"


def test_the_release_file_says_what_was_asked_for(own_prefix: Prefix, tmp_path: Path) -> None:
    wanted = options(parse("--os", "flatcar", "--sysext-level", "1.0", "--reload-manager"), {})
    quick(own_prefix, tmp_path / "test.tar", options=replace(wanted, verify=False))
    assert document(tmp_path)["release"] == {
        "ID": "flatcar",
        "SYSEXT_LEVEL": "1.0",
        "ARCHITECTURE": "x86-64",
        "EXTENSION_RELOAD_MANAGER": "1",
        "SYSEXT_ID": "test",
    }


def test_without_an_output_the_image_has_the_name_of_the_prefix(
    own_prefix: Prefix, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert quick(own_prefix, None) == tmp_path / "shipped.tar"  # type: ignore[arg-type]


def test_a_directory_as_output_gets_an_image_named_as_the_prefix(
    own_prefix: Prefix, tmp_path: Path
) -> None:
    assert quick(own_prefix, tmp_path) == tmp_path / "shipped.tar"


@pytest.mark.parametrize("name", ["python.img", "python", ".raw", "a b.raw", "-x.raw"])
def test_a_name_that_systemd_would_not_find_is_refused(
    own_prefix: Prefix, tmp_path: Path, name: str
) -> None:
    with pytest.raises(UsageError):
        sysext(own_prefix, tmp_path / name, verify=False)


@pytest.mark.parametrize(
    "wrong",
    [
        {"os_id": "Flat Car"},
        {"os_id": ""},
        {"sysext_level": "1.0"},
        {"version_id": "12"},
        {"os_id": "debian", "version_id": "1\n2"},
        {"format": "zip"},
        {"sbom": "csv"},
        {"keep": ("nonsense",)},
        {"sysupdate": "ftp://example.org"},
        {"format": "squashfs", "image_version": "1-2"},
        {"sysupdate": "https://example.org/"},
        {"level": 12},
        {"format": "squashfs", "level": 0},
        {"format": "squashfs", "level": 23},
        {"format": "erofs", "level": 13},
        {"format": "erofs", "level": -1},
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_done(
    own_prefix: Prefix, tmp_path: Path, wrong: dict[str, Any]
) -> None:
    form = wrong.get("format", "tar")
    name = "test.raw" if form in ("squashfs", "erofs") else "test.tar"
    with pytest.raises(UsageError) as error:
        sysext(own_prefix, tmp_path / name, **{"verify": False, "format": "tar", **wrong})
    assert error.value.hint
    assert os.listdir(tmp_path) == ["own"]


def test_an_eprefix_that_no_system_merges_is_refused(tmp_path: Path) -> None:
    prefix = shipping_prefix.make(tmp_path, eprefix="/srv/stuff", compiled=False)
    with pytest.raises(UsageError, match="which has only /usr and /opt") as error:
        quick(prefix, tmp_path / "test.tar")
    assert "/opt/srv/stuff" in error.value.hint


def test_opt_is_merged_too(tmp_path: Path) -> None:
    prefix = shipping_prefix.make(tmp_path, eprefix="/opt/stuff", compiled=False)
    quick(prefix, tmp_path / "test.tar")
    assert document(tmp_path)["packages"][0]["files"][0].startswith("/opt/stuff/")


@given(
    os_id=st.sampled_from(["_any", "flatcar", "debian"]),
    level=st.sampled_from(["", "1.0"]),
    version=st.sampled_from(["", "12"]),
    reload_manager=st.booleans(),
)
def test_the_release_file_reads_back_as_it_was_meant(
    os_id: str, level: str, version: str, reload_manager: bool
) -> None:
    release = Release("x", "arm64", os_id, level, version, reload_manager)
    fields = dict(line.split("=") for line in release.text().splitlines())
    assert fields == release.fields()
    assert all(fields.values())
    if os_id == "_any" and (level or version):
        with pytest.raises(UsageError):
            check(release)
    else:
        assert check(release) is release


# --- manifest and bill of materials


def test_the_manifest_says_which_package_each_file_is_of(
    own_prefix: Prefix, tmp_path: Path
) -> None:
    (own_prefix.final.eroot / "usr/bin/stray").write_text("x")
    image = quick(own_prefix, tmp_path / "test.tar")
    found = document(tmp_path)
    package = found["packages"][0]
    assert (package["name"], package["version"]) == ("app-misc/hello", "1.2-r3")
    assert package["licence"] == "|| ( GPL-3 MIT )"
    assert package["spdx"] == "GPL-3.0-only OR MIT"
    assert f"{shipping_prefix.EPREFIX}/usr/bin/hi" in package["files"]
    root = own_prefix.final.path
    assert package["size"] == sum((root / p.lstrip("/")).lstat().st_size for p in package["files"])
    assert found["unowned"] == [f"{shipping_prefix.EPREFIX}/usr/bin/stray"]
    assert found["added"] == ["/usr/lib/extension-release.d/extension-release.test"]
    assert found["image"]["sha256"] == hashlib.sha256(image.read_bytes()).hexdigest()
    assert found["image"]["size"] == image.stat().st_size


def test_a_package_reached_through_a_linked_directory_is_in_the_manifest(
    own_prefix: Prefix, tmp_path: Path
) -> None:
    """lib64 is a link to usr/lib64, and packages use both paths, as with a merged /usr."""
    eroot = own_prefix.final.eroot
    (eroot / "lib64").symlink_to("usr/lib64")
    (eroot / "usr/lib64/libz.so.1").write_text("z")
    (eroot / "usr/lib64/libz.so").symlink_to("libz.so.1")
    entry = eroot / "var/db/pkg/sys-libs/glibc-2.36"
    lib64 = f"{own_prefix.eprefix}/lib64"
    (entry / "CONTENTS").write_text(
        f"dir {lib64}\nobj {lib64}/libz.so.1 0 1\nsym {lib64}/libz.so -> libz.so.1 1\n"
    )
    quick(own_prefix, tmp_path / "test.tar", sbom="spdx")
    glibc = document(tmp_path)["packages"][1]
    assert glibc["name"] == "sys-libs/glibc"
    start = f"{own_prefix.eprefix}/usr/lib64"
    assert glibc["files"] == [f"{start}/libz.so", f"{start}/libz.so.1"]
    assert document(tmp_path)["unowned"] == [lib64]
    bill = document(tmp_path, "test.spdx.json")
    assert "glibc" in {package["name"] for package in bill["packages"]}


def test_a_package_of_which_nothing_is_shipped_is_named(own_prefix: Prefix, tmp_path: Path) -> None:
    quick(own_prefix, tmp_path / "test.tar", exclude=("usr", "etc", "bin"))
    found = document(tmp_path)
    assert found["packages_left_out"] == ["app-misc/hello-1.2-r3"]
    assert [package["name"] for package in found["packages"]] == ["sys-libs/glibc"]


def test_no_verify_is_in_the_manifest(own_prefix: Prefix, tmp_path: Path) -> None:
    quick(own_prefix, tmp_path / "test.tar", verify=False)
    assert document(tmp_path)["verify"] == {"run": False}


@dataclass
class Report:
    """A replacement of the audit, which has separate tests."""

    counts: dict[str, int]
    findings: tuple[Finding, ...] = ()

    @property
    def ok(self) -> bool:
        return not self.counts["error"]


def audit_finding(monkeypatch: pytest.MonkeyPatch, **counts: int) -> None:
    verify = import_module("flatcar_prefix.audit.api")
    found = (Finding("unowned", "/x/y", "does not belong to any package"),) * counts.get("error", 0)
    report = Report({"error": 0, "warning": 0, **counts}, found)
    monkeypatch.setattr(verify, "verify", lambda root, shipped: report)


def test_an_error_of_the_audit_stops_it(
    own_prefix: Prefix, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    audit_finding(monkeypatch, error=2)
    with pytest.raises(PrefixError, match="2 errors: /x/y does not belong to any") as error:
        quick(own_prefix, tmp_path / "test.tar", verify=True)
    assert "flatcar-prefix verify shipped" in error.value.hint
    assert os.listdir(tmp_path) == ["own"]


def test_an_image_whose_program_cannot_start_is_not_made(shipped: Prefix, tmp_path: Path) -> None:
    exclude = ("usr/lib64/libgreeting*",)
    with pytest.raises(PrefixError, match=r"would not be self-contained.*libgreeting") as error:
        quick(shipped, tmp_path / "test.tar", verify=True, exclude=exclude)
    assert "--exclude" in error.value.hint
    assert os.listdir(tmp_path) == []


def test_warnings_of_the_audit_are_in_the_manifest(
    own_prefix: Prefix, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    audit_finding(monkeypatch, warning=3)
    quick(own_prefix, tmp_path / "test.tar", verify=True)
    assert document(tmp_path)["verify"] == {"run": True, "findings": {"error": 0, "warning": 3}}


def test_a_licence_without_a_name_in_spdx_comes_with_its_text(
    own_prefix: Prefix, tmp_path: Path
) -> None:
    (own_prefix.final.eroot / "var/db/pkg/app-misc/hello-1.2-r3/LICENSE").write_text(
        "|| ( my-own+ other ) x? ( MIT )\n"
    )
    texts = own_prefix.repositories[0].location / "licenses"
    texts.mkdir()
    (texts / "my-own+").write_bytes(b"Do what you like, \xe9.\n")
    quick(own_prefix, tmp_path / "test.tar", sbom="spdx")
    found = {
        info["licenseId"]: info["extractedText"]
        for info in document(tmp_path, "test.spdx.json")["hasExtractedLicensingInfos"]
    }
    assert found == {
        "LicenseRef-my-own-or-later": "Do what you like, \ufffd.\n",
        "LicenseRef-other": NO_TEXT,
    }


@pytest.mark.parametrize(
    ("licence", "expression"),
    [
        ("MIT", "MIT"),
        ("MIT BSD", "MIT AND BSD-3-Clause"),
        ("|| ( MIT GPL-2+ )", "MIT OR GPL-2.0-or-later"),
        ("ZLIB || ( MIT BSD-2 )", "Zlib AND (MIT OR BSD-2-Clause)"),
        ("|| ( MIT ( BSD ZLIB ) )", "MIT OR (BSD-3-Clause AND Zlib)"),
        ("GPL-3+ GCC-exception-3.1", "GPL-3.0-or-later WITH GCC-exception-3.1"),
        ("MIT GPL-3+ GCC-exception-3.1", "MIT AND GPL-3.0-or-later WITH GCC-exception-3.1"),
        (
            "GPL-3+ LGPL-3+ || ( GPL-3+ gcc-runtime-library-exception-3.1 )",
            "GPL-3.0-or-later AND LGPL-3.0-or-later"
            " AND (GPL-3.0-or-later OR GPL-3.0-or-later WITH GCC-exception-3.1)",
        ),
        ("gcc-runtime-library-exception-3.1", "LicenseRef-gcc-runtime-library-exception-3.1"),
        ("foo? ( MIT ) BSD", "BSD-3-Clause"),
        ("", "NOASSERTION"),
        ("|| ( MIT", "NOASSERTION"),
    ],
)
def test_a_licence_in_the_words_of_spdx(licence: str, expression: str) -> None:
    assert spdx_licences.spdx(licence) == expression


# --- SHA256SUMS and sysupdate


def test_sha256sums_is_what_sha256sum_checks_and_keeps_other_images(
    own_prefix: Prefix, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    quick(own_prefix, out / "one.tar")
    quick(own_prefix, out / "two.tar")
    quick(own_prefix, out / "one.tar", exclude=("etc",))
    subprocess.run(["sha256sum", "--check", "--strict", "SHA256SUMS"], cwd=out, check=True)
    names = {line.split("  ")[1] for line in (out / "SHA256SUMS").read_text().splitlines()}
    assert names == {"one.tar", "two.tar", "one.manifest.json", "two.manifest.json"}


D = "0123456789abcdef" * 4
OTHERS = [
    f"{D}  two blanks",
    f"{D} *binary",
    f"SHA256 (tagged (1)) = {D}",
    f"\\{D}  back\\\\slash",
    "# a remark",
    "",
    "-----BEGIN PGP SIGNED MESSAGE-----",
    f"{D}  ends in a return\r",
    "no digest  image.tar",
]
OURS = [f"{D}  image.tar", f"{D} *image.tar", f"SHA256 (image.tar) = {D}", f"{D} *./image.tar"]


@given(
    others=st.lists(st.sampled_from(OTHERS), max_size=6),
    ours=st.lists(st.sampled_from(OURS), max_size=3),
    at=st.integers(0, 6),
)
def test_lines_of_others_stay_as_they_are_and_a_file_has_one(
    others: list[str], ours: list[str], at: int
) -> None:
    lines = [*others[:at], *ours, *others[at:]]
    new = {"image.tar": "f" * 64, "image.manifest.json": "e" * 64}
    found = sha256sums.merged("".join(f"{line}\n" for line in lines), new).split("\n")[:-1]
    assert [line for line in found if line[:9] not in ("f" * 9, "e" * 9)] == others
    assert (
        found.count("f" * 64 + "  image.tar")
        == found.count("e" * 64 + "  image.manifest.json")
        == 1
    )
    assert len(found) == len(others) + 2
    assert sha256sums.merged("\n".join(found), new) == "".join(f"{line}\n" for line in found)


def test_sums_are_written_before_anything_is_renamed(
    own_prefix: Prefix, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    quick(own_prefix, tmp_path / "test.tar")
    before = {name: (tmp_path / name).read_bytes() for name in files(tmp_path)}

    def fail(*_: object, **__: object) -> str:
        raise OSError("disk full")

    monkeypatch.setattr(sums, "merged", fail)
    with pytest.raises(PrefixError, match="disk full"):
        quick(own_prefix, tmp_path / "test.tar", exclude=("etc",))
    assert {name: (tmp_path / name).read_bytes() for name in files(tmp_path)} == before


def test_a_directory_in_the_place_of_a_file_is_found_before_anything_is_renamed(
    own_prefix: Prefix, tmp_path: Path
) -> None:
    (tmp_path / "SHA256SUMS").mkdir()
    with pytest.raises(PrefixError):
        quick(own_prefix, tmp_path / "test.tar")
    (tmp_path / "SHA256SUMS").rmdir()
    (tmp_path / "test.manifest.json").mkdir()
    with pytest.raises(PrefixError):
        quick(own_prefix, tmp_path / "test.tar")
    assert files(tmp_path) == {"test.manifest.json"}


def test_sysupdate_writes_a_transfer_and_the_image_by_the_name_it_matches(
    own_prefix: Prefix, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    out.mkdir()
    url = "https://example.org/images"
    image = sysext(
        own_prefix,
        out / "test.raw",
        format="ext4",
        verify=False,
        sysupdate=url,
        image_version="1.2",
    )
    assert (out / "test-1.2-x86-64.raw").read_bytes() == image.read_bytes()
    assert "test-1.2-x86-64.raw" in (out / "SHA256SUMS").read_text()
    for suffix in (".manifest.json", ".raw"):
        assert (out / f"test-1.2-x86-64{suffix}").samefile(out / f"test{suffix}")
    # systemd 257 reads only the second name.
    text = (out / "test.conf").read_text()
    assert (out / "test.transfer").read_text() == text
    assert "Path=https://example.org/images/\n" in text
    assert text.count("MatchPattern=test-@v-x86-64.raw\n") == 2
    assert "CurrentSymlink=/etc/extensions/test.raw\n" in text


def test_the_release_file_has_the_version_of_the_image(own_prefix: Prefix, tmp_path: Path) -> None:
    quick(own_prefix, tmp_path / "test.tar", image_version="1.2~rc1")
    release = document(tmp_path)["release"]
    assert (release["SYSEXT_ID"], release["SYSEXT_VERSION_ID"]) == ("test", "1.2~rc1")
    text = Release("test", "arm64", image_version="1.2~rc1").text()
    assert text.endswith('SYSEXT_ID=test\nSYSEXT_VERSION_ID="1.2~rc1"\n')


def test_the_release_file_has_a_title_and_a_home_page(own_prefix: Prefix, tmp_path: Path) -> None:
    wanted = options(parse("--title", 'My "$stuff"', "--home-url", "https://example.org/?a"), {})
    quick(own_prefix, tmp_path / "test.tar", options=replace(wanted, verify=False))
    assert document(tmp_path)["release"]["SYSEXT_NAME"] == 'My "$stuff"'
    text = Release("x", "arm64", title='My "$stuff"', home_url="https://example.org/?a").text()
    shown = subprocess.check_output(
        ["sh", "-c", 'eval "$1"; echo "$SYSEXT_NAME $SYSEXT_HOME_URL"', "sh", text], text=True
    )
    assert shown == 'My "$stuff" https://example.org/?a\n'


@pytest.mark.parametrize("wrong", [{"title": "a\nID=b"}, {"home_url": "example.org"}])
def test_a_title_or_home_page_that_is_none_is_refused(
    own_prefix: Prefix, tmp_path: Path, wrong: dict[str, str]
) -> None:
    with pytest.raises(UsageError):
        quick(own_prefix, tmp_path / "test.tar", **wrong)


@pytest.mark.parametrize(
    ("eprefix", "os_id", "warned"),
    [
        ("/usr/local/x", "_any", True),
        ("/usr/local/x", "flatcar", False),
        ("/opt/x", "flatcar", True),
        ("/usr/lib/x", "_any", False),
    ],
)
def test_an_image_that_hides_files_of_the_target_is_said(
    eprefix: str, os_id: str, warned: bool
) -> None:
    assert any("hides" in text for text in hiding(eprefix, os_id)) is warned


def test_two_names_of_an_image_are_not_written_where_systemd_merges_both(tmp_path: Path) -> None:
    link = tmp_path / "images"
    link.symlink_to("/run/extensions")
    with pytest.raises(UsageError, match="systemd-sysext merges all images in"):
        check_directory(link, Options(sysupdate="https://example.org/"))
    check_directory(link, Options())
    check_directory(tmp_path, Options(sysupdate="https://example.org/"))


def test_a_bill_of_an_older_image_does_not_stay_beside_the_new_one(
    own_prefix: Prefix, tmp_path: Path
) -> None:
    quick(own_prefix, tmp_path / "other.tar", sbom="spdx")
    quick(own_prefix, tmp_path / "test.tar", sbom="spdx")
    quick(own_prefix, tmp_path / "test.tar", sbom="cyclonedx")
    assert not (tmp_path / "test.spdx.json").exists()
    assert "test.spdx.json" not in (tmp_path / "SHA256SUMS").read_text()
    quick(own_prefix, tmp_path / "test.tar")
    assert "test.cdx.json" not in (tmp_path / "SHA256SUMS").read_text()
    assert not (tmp_path / "test.cdx.json").exists()
    assert (tmp_path / "other.spdx.json").exists()
    assert "other.spdx.json" in (tmp_path / "SHA256SUMS").read_text()


@pytest.mark.parametrize(
    ("wanted", "warned"),
    [
        ({"os_id": "flatcar"}, True),
        ({"os_id": "flatcar", "sysext_level": "1.0"}, False),
        ({"os_id": "debian", "version_id": "12"}, False),
        ({}, False),
    ],
)
def test_an_image_that_flatcar_ignores_is_said(
    own_prefix: Prefix, tmp_path: Path, wanted: dict[str, Any], warned: bool
) -> None:
    said: list[str] = []
    quick(own_prefix, tmp_path / "test.tar", warn=said.append, **wanted)
    assert any("ignores the image" in text for text in said) is warned


def test_systemd_takes_no_temporary_directory_for_an_extension(
    own_prefix: Prefix, tmp_path: Path
) -> None:
    """systemd-sysext ignores names that start with ".#", and no other hidden names."""
    seen: set[str] = set()
    quick(
        own_prefix,
        tmp_path / "test.tar",
        progress=lambda _: seen.update(os.listdir(tmp_path)),
    )
    temporary = seen - {"own"}
    assert temporary
    assert all(name.startswith(".#") for name in temporary)


def test_a_transfer_writes_only_where_no_merged_image_closes_the_directory() -> None:
    lines = transfer("x", "https://example.org/", "arm64").splitlines()
    places = [line.partition("=")[2] for line in lines if line.startswith(("Path=/", "CurrentS"))]
    assert places == ["/var/lib/extensions.d/x", "/etc/extensions/x.raw"]
    # In one directory on the search path, all versions would be merged.
    assert not places[0].startswith(
        ("/var/lib/extensions/", "/etc/extensions/", "/run/extensions/")
    )


def test_a_transfer_has_every_section_once() -> None:
    lines = transfer("x", "https://example.org/", "arm64").splitlines()
    assert [line for line in lines if line.startswith("[")] == [
        "[Transfer]",
        "[Source]",
        "[Target]",
    ]


def test_an_image_without_a_version_gets_one_that_grows(own_prefix: Prefix, tmp_path: Path) -> None:
    for epoch in (1_700_000_000, 1_700_000_001):
        sysext(
            own_prefix,
            tmp_path / "test.raw",
            format="ext4",
            verify=False,
            sysupdate="https://example.org",
            epoch=epoch,
        )
    found = sorted(path.name for path in tmp_path.glob("test-*.raw"))
    assert found == ["test-20231114221320-x86-64.raw", "test-20231114221321-x86-64.raw"]


# --- atomic creation


def files(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()} - {"own"}


def test_when_a_tool_fails_nothing_is_left_and_the_old_image_stays(
    own_prefix: Prefix, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = sysext(own_prefix, tmp_path / "test.raw", format="ext4", verify=False)
    before = {name: (tmp_path / name).read_bytes() for name in files(tmp_path)}
    (own_prefix.final.eroot / "usr/bin/more").write_text("more")
    programs = tmp_path / "own/programs"
    programs.mkdir()
    (programs / "resize2fs").write_text("#!/bin/sh\necho no space >&2\nexit 1\n")
    (programs / "resize2fs").chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    with pytest.raises(PrefixError, match="resize2fs failed with exit code 1: no space"):
        sysext(own_prefix, image, format="ext4", verify=False)
    assert {name: (tmp_path / name).read_bytes() for name in files(tmp_path)} == before


def test_a_manifest_that_cannot_be_made_leaves_no_image(
    own_prefix: Prefix, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*args: object, **options: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(manifest, "manifest", fail)
    with pytest.raises(PrefixError, match=r"test\.tar cannot be made: disk full"):
        quick(own_prefix, tmp_path / "test.tar")
    assert files(tmp_path) == set()


@pytest.mark.needs_root
@pytest.mark.parametrize("form", FORMATS)
def test_a_full_disk_is_told_in_one_line_with_the_reason(
    own_prefix: Prefix, tmp_path: Path, form: str
) -> None:
    (own_prefix.final.eroot / "usr/share/big").write_bytes(os.urandom(4 << 20))
    script = """
        mount -t tmpfs -o size=256k tmpfs "$1"
        cd "$1"
        "$2" -m flatcar_prefix sysext --no-verify --format "$3" -o "$4" "$5" || code=$?
        test -z "$(ls -A)"
        exit "$code"
    """
    full = tmp_path / "full"
    full.mkdir()
    name = "test" + FORMATS[form].suffix
    own_prefix.final.tmpdir.rmdir()
    words = ["unshare", "-m", "sh", "-euc", script, "sh"]
    result = subprocess.run(
        [*words, full, sys.executable, form, name, own_prefix.staging_dir],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": str(HERE.parents[1])},
    )
    assert result.returncode == 1, result.stderr
    *_, what, hint = result.stderr.splitlines()
    assert re.search(r"[Nn]o space|write error|ENOSPC|disk full|not allocate|[Ff]ailed", what), what
    assert what.startswith(" * ")
    assert hint.startswith(" * ")


def test_a_place_that_takes_no_files_is_named(own_prefix: Prefix) -> None:
    with pytest.raises(PrefixError, match=r"^/proc/test.tar cannot be made: ") as error:
        quick(own_prefix, Path("/proc/test.tar"))
    assert "\n" not in str(error.value) + error.value.hint


SLOW = textwrap.dedent(
    """
    import sys, time
    from pathlib import Path
    from flatcar_prefix.image.build import sysext
    from flatcar_prefix.image.formats import tar
    from flatcar_prefix.prefix import record

    def slow(entry, out, copy=tar.copy):
        print("copying", flush=True)
        time.sleep(30)

    tar.copy = slow
    sysext(record.read(Path(sys.argv[1])), sys.argv[2], format="tar", verify=False)
    """
)


def at_work(prefix: Prefix, image: Path) -> subprocess.Popen[str]:
    child = subprocess.Popen(
        [sys.executable, "-c", SLOW, prefix.staging_dir, image],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=HERE.parents[1],
    )
    assert child.stdout is not None
    assert child.stdout.readline() == "copying\n"
    return child


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_a_signal_leaves_nothing_behind_and_ends_the_process(
    own_prefix: Prefix, tmp_path: Path, number: signal.Signals
) -> None:
    child = at_work(own_prefix, tmp_path / "test.tar")
    assert files(tmp_path)
    child.send_signal(number)
    assert child.wait(10) == -number
    assert files(tmp_path) == set()


def test_what_a_killed_process_left_is_removed_by_the_next_and_of_a_living_one_is_not(
    own_prefix: Prefix, tmp_path: Path
) -> None:
    killed = at_work(own_prefix, tmp_path / "test.tar")
    (left,) = files(tmp_path)
    # Two images of one prefix wait for each other.
    other = shipping_prefix.make(tmp_path / "own/other", compiled=False)
    living = at_work(other, tmp_path / "test.tar")
    at = files(tmp_path) - {left}
    killed.kill()
    killed.wait()
    quick(own_prefix, tmp_path / "test.tar")
    assert {name for name in files(tmp_path) if name.startswith(".")} == at
    living.terminate()
    living.wait(10)


MKFS = """#!/bin/sh
echo at work
exec sleep 30
"""


def is_locked(directory: Path) -> bool:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(descriptor)
    return False


@pytest.mark.parametrize("form", ["erofs", "tar"])
def test_a_tree_of_hard_links_that_a_killed_process_left_is_removed_by_the_next(
    own_prefix: Prefix, tmp_path: Path, form: str
) -> None:
    (tmp_path / "mkfs.erofs").write_text(MKFS)
    (tmp_path / "mkfs.erofs").chmod(0o755)
    words = ["sysext", "--no-verify", "--format", "erofs", "-o", tmp_path / "test.raw"]
    child = subprocess.Popen(
        [sys.executable, "-m", "flatcar_prefix", *words, own_prefix.staging_dir],
        env={**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"},
        cwd=HERE.parents[1],
    )
    left = own_prefix.final.tmpdir
    deadline = time.monotonic() + 30
    while not any(left.glob(".sysext-*/usr/lib")) and time.monotonic() < deadline:
        time.sleep(0.05)
    child.kill()
    child.wait()
    assert list(left.iterdir())
    while any(is_locked(path) for path in left.iterdir()) and time.monotonic() < deadline:
        time.sleep(0.05)  # a program that it was about to start can end or begin first
    (tmp_path / "mkfs.erofs").unlink()
    name = "next" + FORMATS[form].suffix
    sysext(own_prefix, tmp_path / name, format=form, verify=False)
    assert not list(left.iterdir())


def test_a_directory_that_is_there_already_is_not_touched(
    own_prefix: Prefix, tmp_path: Path
) -> None:
    (tmp_path / "test").mkdir()
    with pytest.raises(PrefixError, match="already exists"):
        sysext(own_prefix, tmp_path / "test", format="directory", verify=False)


def test_a_file_that_changes_meanwhile_is_an_error(
    own_prefix: Prefix, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    grown = own_prefix.final.eroot / "etc/hello.conf"
    choose = build.choose

    def grow(*args: Any) -> Any:
        result = choose(*args)
        grown.write_text("longer than it was\n")
        return result

    monkeypatch.setattr(build, "choose", grow)
    with pytest.raises(PrefixError, match="changed during reading"):
        quick(own_prefix, tmp_path / "test.tar")
    assert files(tmp_path) == set()


@pytest.mark.needs_root
def test_a_file_that_may_not_be_read_is_named(own_prefix: Prefix, tmp_path: Path) -> None:
    secret = own_prefix.final.eroot / "etc/secret"
    secret.write_text("x")
    secret.chmod(0)
    for path in [tmp_path, *tmp_path.parents[:3]]:
        path.chmod(0o755)
    pid = os.fork()
    if not pid:
        code = 1
        try:
            os.setresuid(65534, 65534, 65534)
            select(own_prefix.final.path, own_prefix.eprefix)
        except PrefixError as error:
            code = 7 if "etc/secret cannot be read" in str(error) else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 7


# --- the command


@pytest.mark.parametrize("text", ["yesterday", "-5", "1.5", "99999999999", "²"])
def test_a_source_date_epoch_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        source_date_epoch({"SOURCE_DATE_EPOCH": text})


def test_the_command_honours_source_date_epoch_and_prints_where_the_image_is(
    own_prefix: Prefix,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1650000000")
    image = tmp_path / "test.tar"
    args = parse("-o", os.fspath(image), "--format", "tar", "--no-verify", "--exclude", "etc")
    assert make_image(own_prefix, args) == 0
    assert os.fspath(image) in capsys.readouterr().out
    found = document(tmp_path)
    assert found["image"]["epoch"] == 1650000000
    assert found["options"] == {"keep": [], "exclude": ["etc"]}


def test_without_arguments_the_image_is_squashfs_for_any_system_and_verified() -> None:
    assert options(parse(), {}) == Options()


def test_importing_the_package_takes_no_portage_and_little_time() -> None:
    code = "import sys, flatcar_prefix.image.build; print('portage' in sys.modules)"
    started = time.monotonic()
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=HERE.parents[1]
    )
    assert result.stdout == "False\n"
    assert time.monotonic() - started < 5


def test_the_function_of_the_contract_works_before_and_after_the_package_is_imported(
    own_prefix: Prefix, tmp_path: Path
) -> None:
    for number in range(2):
        made = flatcar_prefix.sysext(
            own_prefix, tmp_path / f"{number}.tar", format="tar", verify=False
        )
        assert made.is_file()
