# SPDX-License-Identifier: BSD-3-Clause
"""The table that sysext ends with."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from flatcar_prefix.image.summary import SHOWN, spelled, summary
from flatcar_prefix.prefix.model import Prefix


def manifest(sizes: dict[str, int], **image: Any) -> dict[str, Any]:
    return {
        "packages": [{"name": n, "version": "1", "size": size} for n, size in sizes.items()],
        "image": {"unpacked_size": sum(sizes.values()), **image},
        "left_out": {
            "docs": {"why": "manuals", "files": 2, "size": 5000},
            "devel": {"why": "headers", "files": 1, "size": 7_000_000},
            "cache": {"why": "caches"},
        },
    }


def test_packages_come_in_order_of_size_and_add_up() -> None:
    text = summary(
        manifest({"a/small": 1_000_000, "a/big": 3_000_000, "v/none": 0}, size=1_000_000)
    )
    lines = [line.split() for line in text.splitlines()]
    assert lines[0] == ["a/big-1", "3.0", "MB", "75.0", "%"]
    assert lines[1] == ["a/small-1", "1.0", "MB", "25.0", "%"]
    assert lines[2] == ["together", "4.0", "MB", "100.0", "%"]
    assert lines[3][:6] == ["left", "out:", "devel", "7.0", "MB", "1"]
    assert lines[4][2:5] == ["docs", "5.0", "kB"]
    assert "the image has 25 % of the size of its files" in text
    assert "cache" not in text


def test_the_many_small_packages_are_one_line() -> None:
    text = summary(manifest({f"a/p{n:02}": 10**6 * (n + 1) for n in range(60)}))
    assert f"{60 - SHOWN} more packages" in text
    assert len(text.splitlines()) == SHOWN + 4


def test_files_of_no_package_are_counted() -> None:
    document = manifest({"a/b": 50_000})
    document["image"]["unpacked_size"] = 80_000
    assert ["files", "of", "no", "package", "30.0", "kB", "37.5", "%"] in [
        line.split() for line in summary(document).splitlines()
    ]


def test_a_size_has_the_digits_that_matter() -> None:
    assert [spelled(n) for n in (0, 66, 99_949, 99_950, 12_345_678)] == [
        "0.0 kB", "0.1 kB", "99.9 kB", "0.1 MB", "12.3 MB",
    ]  # fmt: skip


def test_the_command_ends_with_the_table(own_prefix: Prefix, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "flatcar_prefix", "sysext", os.fspath(own_prefix.staging_dir),
         "-o", tmp_path / "x.raw", "--no-verify"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    document = json.loads((tmp_path / "x.manifest.json").read_text())
    assert done.stdout.splitlines()[0].startswith(f">>> {tmp_path}/x.raw")
    assert done.stdout.endswith(summary(document))
    assert "app-misc/hello-1.2-r3" in done.stdout
