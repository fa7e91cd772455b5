# SPDX-License-Identifier: BSD-3-Clause
"""``sysext --link``: links in /usr/bin of the target."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

import flatcar_prefix as fp
from flatcar_prefix.image.path_links import entries
from flatcar_prefix.image.selection import select
from flatcar_prefix.prefix.model import Prefix


def test_a_link_is_in_the_image_and_verified(own_prefix: Prefix, tmp_path: Path) -> None:
    program = next(
        path for path in (own_prefix.final.eroot / "usr/bin").iterdir() if path.is_file()
    ).name
    image = fp.sysext(
        own_prefix, tmp_path / "x.raw", links=(program, f"{program}:other-name"), verify=False
    )
    said = subprocess.run(
        ["unsquashfs", "-lls", image], capture_output=True, text=True, check=True
    ).stdout
    for name in (program, "other-name"):
        assert f"/usr/bin/{name} -> {own_prefix.eprefix}/usr/bin/{program}" in said


@pytest.mark.parametrize(
    ("link", "error", "hint"),
    [("ls", "would hide the target's own ls", ":my-ls"), ("{}:sh", "own sh", "another name"),
     ("nothing", "does not contain the program nothing", "by its path"), ("{}:a/b", "not valid", "PROGRAM"),
     (":x", "not valid", "PROGRAM"), ("{}", "twice", "another name")],
)  # fmt: skip
def test_a_link_that_cannot_be_is_refused(
    own_prefix: Prefix, link: str, error: str, hint: str
) -> None:
    program = next(
        path for path in (own_prefix.final.eroot / "usr/bin").iterdir() if path.is_file()
    ).name
    selection = select(own_prefix.final.path, own_prefix.eprefix)
    links = [program, program] if error == "twice" else [link.format(program)]
    with pytest.raises(fp.PrefixError, match=error) as caught:
        entries(selection, own_prefix.eprefix, links)
    assert hint in caught.value.hint
