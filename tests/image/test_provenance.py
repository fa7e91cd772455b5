# SPDX-License-Identifier: BSD-3-Clause
"""Provenance of an image and of its packages, checked with in-toto's own messages."""

from __future__ import annotations

import hashlib
import json
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.json_format import ParseDict
from in_toto_attestation.predicates.provenance.v1.provenance_pb2 import Provenance
from in_toto_attestation.v1.statement import Statement
from in_toto_attestation.v1.statement_pb2 import Statement as StatementMessage
from test_sbom import SOURCE, URL, with_libc, with_sources

from flatcar_prefix.errors import UsageError
from flatcar_prefix.image.build import sysext
from flatcar_prefix.prefix.model import Prefix

BUILDER = "https://ci.example.org/prefixes"


def checked(statement: Any) -> Any:
    """Return the predicate of a valid statement. Unknown fields are errors."""
    message = ParseDict(statement, StatementMessage())
    Statement([*message.subject], message.predicate_type, dict(statement["predicate"])).validate()
    assert statement["predicateType"] == "https://slsa.dev/provenance/v1"
    predicate = statement["predicate"]
    ParseDict(predicate, Provenance())
    assert predicate["runDetails"]["builder"]["id"] == BUILDER
    return predicate


def made(prefix: Prefix, directory: Path, **more: Any) -> Any:
    sysext(prefix, directory / "test.tar", format="tar", verify=False, provenance=BUILDER, **more)
    return json.loads((directory / "test.provenance.json").read_text())


def test_the_statement_of_an_image_names_its_inputs(own_prefix: Prefix, tmp_path: Path) -> None:
    statement = made(with_sources(with_libc(own_prefix)), tmp_path, exclude=("etc",))
    definition = checked(statement)["buildDefinition"]
    image = (tmp_path / "test.tar").read_bytes()
    assert statement["subject"] == [
        {"name": "test.tar", "digest": {"sha256": hashlib.sha256(image).hexdigest()}}
    ]
    external = definition["externalParameters"]
    assert external["packages"] == ["=app-misc/hello-1.2-r3", "=sys-libs/glibc-2.36"]
    assert external["options"] == {"format": "tar", "os_id": "_any", "exclude": ["etc"]}
    inputs = {each["name"]: each for each in definition["resolvedDependencies"]}
    assert inputs["hello-1.2.tar.gz"] == {
        "name": "hello-1.2.tar.gz",
        "uri": URL,
        "digest": {"sha512": hashlib.sha512(SOURCE).hexdigest()},
    }
    ebuild = own_prefix.final.eroot / "var/db/pkg/app-misc/hello-1.2-r3/hello-1.2-r3.ebuild"
    assert inputs["gentoo/app-misc/hello/hello-1.2-r3.ebuild"]["digest"] == {
        "sha256": hashlib.sha256(ebuild.read_bytes()).hexdigest()
    }
    assert "gentoo" not in inputs
    assert "test.provenance.json" in (tmp_path / "SHA256SUMS").read_text()


def test_each_package_has_a_statement_about_its_files_in_the_image(
    own_prefix: Prefix, tmp_path: Path
) -> None:
    entry = own_prefix.final.eroot / "var/db/pkg/app-misc/hello-1.2-r3"
    (entry / "CFLAGS").write_text("-O2 -g\n")
    made(with_libc(own_prefix), tmp_path)
    place = f"{own_prefix.eprefix.strip('/')}/usr/share/SLSA"
    with tarfile.open(tmp_path / "test.tar") as archive:
        names = {name for name in archive.getnames() if name.startswith(f"{place}/")}
        assert names == {f"{place}/{each}" for each in
                         ("app-misc_hello-1.2-r3.json", "sys-libs_glibc-2.36.json")}  # fmt: skip
        file = archive.extractfile(f"{place}/app-misc_hello-1.2-r3.json")
        assert file is not None
        statement = json.load(file)
    predicate = checked(statement)
    digests = {each["name"]: each["digest"]["sha512"] for each in statement["subject"]}
    script = "usr/bin/hello-script"
    assert digests[f"{own_prefix.eprefix.strip('/')}/{script}"] == (
        hashlib.sha512((own_prefix.final.eroot / script).read_bytes()).hexdigest()
    )
    # A file that is left out is no subject.
    assert not any(name.endswith("hello.h") for name in digests)
    internal = predicate["buildDefinition"]["internalParameters"]
    assert internal["variables"]["CFLAGS"] == "-O2 -g"


def test_a_repository_in_git_is_named_by_its_commit_without_a_password(
    own_prefix: Prefix, tmp_path: Path
) -> None:
    repo = own_prefix.repositories[0].location

    def git(*words: str) -> str:
        who = ("-c", "user.name=x", "-c", "user.email=x@example.org")
        return subprocess.check_output(["git", "-C", repo, *who, *words], text=True).strip()

    git("init", "-q")
    git("add", ".")
    git("commit", "-q", "-m", "x")
    git("remote", "add", "origin", "https://me:secret@example.org:8443/overlay.git")
    commit = git("rev-parse", "HEAD")

    def of_repository() -> Any:
        definition = checked(made(own_prefix, tmp_path))["buildDefinition"]
        return next(d for d in definition["resolvedDependencies"] if d["name"] == "gentoo")

    assert of_repository() == {
        "name": "gentoo",
        "uri": "git+https://example.org:8443/overlay.git",
        "digest": {"gitCommit": commit},
    }
    (repo / "profiles/arch.list").write_text("amd64\n")
    assert of_repository()["annotations"] == {"modified": True}


def test_the_same_final_gives_the_same_provenance(own_prefix: Prefix, tmp_path: Path) -> None:
    first = made(own_prefix, tmp_path)
    assert made(own_prefix, tmp_path) == first
    sysext(own_prefix, tmp_path / "test.tar", format="tar", verify=False)
    assert not (tmp_path / "test.provenance.json").exists()


@pytest.mark.parametrize("builder", ["me", "http://a b", "https:", "://x"])
def test_a_builder_without_a_uri_is_refused(
    own_prefix: Prefix, tmp_path: Path, builder: str
) -> None:
    with pytest.raises(UsageError, match="is not a URI"):
        sysext(own_prefix, tmp_path / "x.tar", format="tar", verify=False, provenance=builder)


def test_a_directory_has_no_provenance(own_prefix: Prefix, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="describes a file"):
        sysext(own_prefix, tmp_path / "x", format="directory", provenance=BUILDER, verify=False)
