# SPDX-License-Identifier: BSD-3-Clause
"""SELinux labels in an image, from a file_contexts file."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import shipping_prefix

from flatcar_prefix.errors import UsageError
from flatcar_prefix.image.beside import _options
from flatcar_prefix.image.build import sysext
from flatcar_prefix.image.options import Options
from flatcar_prefix.prefix.model import Prefix

CONTEXTS = """\
# A comment.
  # Another one.
/.*\tsystem_u:object_r:default_t:s0
/usr(/.*)?  system_u:object_r:usr_t:s0
/usr/local/shipped/usr/bin/.*  --  system_u:object_r:bin_t:s0
"""
PROGRAM = f"{shipping_prefix.EPREFIX}/usr/bin/hello"


@pytest.fixture
def contexts(tmp_path: Path) -> str:
    file = tmp_path / "file_contexts"
    file.write_text(CONTEXTS)
    return os.fspath(file)


@contextmanager
def mounted(image: Path, place: Path) -> Iterator[Path]:
    place.mkdir()
    subprocess.run(["mount", "-o", "ro,loop", image, place], check=True)
    try:
        yield place
    finally:
        subprocess.run(["umount", place], check=True)


@pytest.mark.needs_root
def test_files_have_the_labels_of_the_policy(
    shipped: Prefix, tmp_path: Path, contexts: str
) -> None:
    image = sysext(
        shipped, tmp_path / "hello.raw", verify=False, format="erofs", selinux=contexts
    )  # fmt: skip

    def label(place: Path, path: str) -> str:
        return os.getxattr(f"{place}{path}", "security.selinux").rstrip(b"\0").decode()

    with mounted(image, tmp_path / "mounted") as place:
        assert label(place, PROGRAM) == "system_u:object_r:bin_t:s0"
        assert label(place, "/usr/local/shipped") == "system_u:object_r:usr_t:s0"
    source = shipped.final.path / PROGRAM.lstrip("/")
    assert "security.selinux" not in os.listxattr(source), "the prefix itself has no labels"
    again = tmp_path / "again"
    again.mkdir()
    other = sysext(
        shipped, again / "hello.raw", verify=False, format="erofs", selinux=contexts
    )  # fmt: skip
    assert other.read_bytes() == image.read_bytes()


def test_other_labels_give_another_file_system_uuid(
    own_prefix: Prefix, tmp_path: Path, contexts: str
) -> None:
    def content(labels: str) -> str:
        sysext(
            own_prefix, tmp_path / "hello.raw", verify=False, format="erofs", selinux=labels
        )  # fmt: skip
        manifest = json.loads((tmp_path / "hello.manifest.json").read_text())
        return str(manifest["image"]["content"])

    others = tmp_path / "others"
    others.write_text(CONTEXTS.replace("usr_t", "lib_t"))
    assert len({content(""), content(contexts), content(str(others))}) == 3


def test_provenance_names_the_labels_by_their_digest(contexts: str) -> None:
    found = _options(Options(format="erofs", selinux=contexts))
    digest = hashlib.sha256(CONTEXTS.encode()).hexdigest()
    assert found["selinux"] == f"sha256:{digest}"


def test_other_formats_cannot_have_labels(
    own_prefix: Prefix, tmp_path: Path, contexts: str
) -> None:
    with pytest.raises(UsageError, match="squashfs cannot have SELinux labels"):
        sysext(own_prefix, tmp_path / "hello.raw", verify=False, selinux=contexts)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "cannot be read"),
        ("", "it has no rule"),
        ("# only a comment\n", "it has no rule"),
        ("/usr\n", "it has the line '/usr'"),
        ("usr label\n", "it has the line 'usr label'"),
    ],
)
def test_a_file_that_is_not_one_of_contexts_is_refused(
    own_prefix: Prefix, tmp_path: Path, text: str | None, said: str
) -> None:
    file = tmp_path / "contexts"
    if text is not None:
        file.write_text(text)
    with pytest.raises(UsageError, match=said):
        sysext(
            own_prefix, tmp_path / "hello.raw", verify=False, format="erofs", selinux=str(file)
        )  # fmt: skip
    assert not (tmp_path / "hello.raw").exists()
