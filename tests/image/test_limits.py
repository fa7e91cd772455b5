# SPDX-License-Identifier: BSD-3-Clause
"""Files that a format cannot hold are named before the tool runs; the others are shipped."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest
import shipping_prefix

from flatcar_prefix.errors import PrefixError
from flatcar_prefix.image.build import sysext
from flatcar_prefix.prefix.model import Prefix

FORMATS = ("squashfs", "erofs", "ext4", "btrfs", "tar", "directory")
SUFFIXES = {"tar": ".tar", "directory": ""}
LATE = (1 << 32) + 5


@pytest.fixture
def prefix(tmp_path: Path) -> Prefix:
    return shipping_prefix.make(tmp_path / "prefix", compiled=False)


def put(prefix: Prefix, name: str, *, link: str = "", time: int | None = None) -> Path:
    path = prefix.final.eroot / "usr/share" / name
    path.parent.mkdir(parents=True, exist_ok=True)
    if link:
        path.symlink_to(link)
    else:
        path.write_text("x")
    if time is not None:
        os.utime(path, (time, time))
    return path


def image(prefix: Prefix, form: str, tmp_path: Path, **options: object) -> Path:
    output = tmp_path / f"image{SUFFIXES.get(form, '.raw')}"
    return sysext(prefix, output, format=form, verify=False, **options)


REFUSED = [
    ("erofs", {"name": "n" * 255}, r"the name of /\S*/n{255} \(255 bytes\)"),
    ("btrfs", {"name": "link", "link": "l" * 4000}, r"symlink /\S*/link \(4000 bytes\)"),
    *(
        (form, {"name": "late", "time": LATE}, r"the time of /\S*/late, which is after 2106")
        for form in ("squashfs", "erofs", "ext4", "btrfs")
    ),
]


@pytest.mark.parametrize(("form", "file", "reason"), REFUSED)
def test_a_file_that_does_not_fit_is_named(
    prefix: Prefix, tmp_path: Path, form: str, file: dict[str, object], reason: str
) -> None:
    put(prefix, **file)
    with pytest.raises(PrefixError, match=reason) as error:
        image(prefix, form, tmp_path)
    assert "--exclude" in error.value.hint
    assert os.listdir(tmp_path) == ["prefix"]


@pytest.mark.parametrize("form", FORMATS)
def test_what_just_fits_is_shipped(prefix: Prefix, tmp_path: Path, form: str) -> None:
    put(prefix, "n" * (254 if form == "erofs" else 255))
    put(prefix, "link", link="l" * (3948 if form == "btrfs" else 4095))
    put(prefix, "latest", time=LATE - 6)
    assert image(prefix, form, tmp_path).exists()


@pytest.mark.parametrize("form", ["squashfs", "erofs", "ext4"])
def test_a_late_time_is_shipped_with_an_epoch(prefix: Prefix, tmp_path: Path, form: str) -> None:
    put(prefix, "late", time=LATE)
    assert image(prefix, form, tmp_path, epoch=1_700_000_000).exists()


def test_a_time_before_1970_becomes_1970(prefix: Prefix, tmp_path: Path) -> None:
    put(prefix, "early", time=-10)
    made = image(prefix, "squashfs", tmp_path)
    shown = subprocess.run(
        ["unsquashfs", "-UTC", "-lls", made], capture_output=True, text=True, check=True
    ).stdout
    (line,) = [line for line in shown.splitlines() if line.endswith("/early")]
    assert "1970-01-01 00:00" in line
