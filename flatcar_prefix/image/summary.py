# SPDX-License-Identifier: BSD-3-Clause
"""The table at the end of ``flatcar-prefix sysext``: the files in the image, and the others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from flatcar_prefix.audit.reporters import printable

SHOWN = 15
"""Packages that the table names separately; the others share one line."""


def summary(manifest: Mapping[str, Any]) -> str:
    """Return the table for a manifest: sizes by package, the largest first.

    Sizes are those of the files; the image is smaller if its format compresses. Packages
    without files, such as virtuals, are not shown.
    """
    packages = [package for package in manifest["packages"] if package["size"]]
    packages.sort(key=lambda p: (-p["size"], p["name"]))
    total = manifest["image"]["unpacked_size"]
    rows = [_row(f"{p['name']}-{p['version']}", p["size"], total) for p in packages[:SHOWN]]
    if rest := packages[SHOWN:]:
        rows.append(_row(f"{len(rest)} more packages", sum(p["size"] for p in rest), total))
    other = total - sum(p["size"] for p in packages)
    if other > 0:
        rows.append(_row("files of no package", other, total))
    rows.append(_row("together", total, total))
    return "".join(f"{line}\n" for line in [*rows, *_left_out(manifest), *_ratio(manifest)])


def _row(name: str, size: int, total: int) -> str:
    share = f"{100 * size / total:5.1f} %" if total else ""
    return f"    {printable(name):<44} {spelled(size):>10} {share:>8}".rstrip()


def spelled(size: int) -> str:
    """Return a size in MB or kB (10**6 or 10**3 bytes)."""
    return f"{size / 1e6:.1f} MB" if size >= 99_950 else f"{size / 1e3:.1f} kB"


def _left_out(manifest: Mapping[str, Any]) -> Iterator[str]:
    counted = {n: rule for n, rule in manifest["left_out"].items() if rule.get("size")}
    for name, rule in sorted(counted.items(), key=lambda item: -item[1]["size"]):
        files = f"{rule['files']} file{'s' if rule['files'] != 1 else ''}"
        yield f"    left out: {name:<34} {spelled(rule['size']):>10}  {files}; {rule['why']}"


def _ratio(manifest: Mapping[str, Any]) -> Iterator[str]:
    size, total = manifest["image"].get("size"), manifest["image"]["unpacked_size"]
    if size and total:
        yield f"    the image has {100 * size / total:.0f} % of the size of its files"
