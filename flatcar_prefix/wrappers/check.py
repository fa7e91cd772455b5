# SPDX-License-Identifier: BSD-3-Clause
"""Compare the wrapper files of a prefix with the wrappers that it should have."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from flatcar_prefix.boards import BOARDS
from flatcar_prefix.prefix.model import Prefix, Wrapper
from flatcar_prefix.wrappers.declaration import Tool
from flatcar_prefix.wrappers.marks import is_alive, may_replace, own_files, read_mark
from flatcar_prefix.wrappers.wanted import DeclaredWrapper, texts, wrappers

IN_THE_WAY = "in-the-way"


@dataclass(frozen=True)
class Finding:
    """A faulty file. States: ``missing changed outdated left-over in-the-way``."""

    path: Path
    state: str
    reason: str


def compare_short(wrapper: DeclaredWrapper) -> Finding | None:
    """Return the fault of a short name. It may belong to another board or be a full name."""
    path = wrapper.short_path
    if not os.path.lexists(path):
        return Finding(path, "missing", "does not exist")
    if path.is_symlink():
        return _compare_link(wrapper, os.readlink(path))
    mark = read_mark(path)
    if mark is None:
        return Finding(path, IN_THE_WAY, "was not created by flatcar-prefix")
    if mark.staging_dir == wrapper.prefix.staging_dir:
        return Finding(path, "changed", "is not a link")
    if not is_alive(mark.staging_dir):
        return Finding(path, "missing", "belongs to a prefix that no longer exists")
    return None


def _compare_link(wrapper: Wrapper, target: str) -> Finding | None:
    path, prefix = wrapper.short_path, wrapper.prefix
    full = path.parent / target
    mark = read_mark(full)
    if target in {f"{path.name}-{board}" for board in BOARDS}:
        if full == wrapper.path or (mark and is_alive(mark.staging_dir)):
            return None
        return Finding(path, "missing", f"points to {target}, whose prefix no longer exists")
    another_of_ours = mark is not None and mark.staging_dir == prefix.staging_dir
    once_ours = full.parent == path.parent and target.endswith(f"-prefix-{prefix.id}")
    if another_of_ours or (once_ours and not full.exists()):
        return Finding(path, "changed", f"points to {target}")
    return Finding(path, IN_THE_WAY, f"points to {target}, which was not created by flatcar-prefix")


def taken(prefix: Prefix) -> list[Path]:
    """Return the short names in use by files that flatcar-prefix did not create."""
    findings = (compare_short(wrapper) for wrapper in wrappers(prefix))
    return [found.path for found in findings if found and found.state == IN_THE_WAY]


def missing(prefix: Prefix) -> list[Path]:
    """Return the wrappers of the prefix that do not exist, under either name."""
    paths = (path for w in wrappers(prefix) for path in (w.path, w.short_path))
    return [path for path in paths if not os.path.lexists(path)]


def left_over(prefix: Prefix, wanted: Iterable[DeclaredWrapper]) -> list[Path]:
    """Return the wrappers of this prefix that no declaration defines."""
    keep = {path for wrapper in wanted for path in (wrapper.path, wrapper.short_path)}
    return [path for path in own_files(prefix) if path not in keep]


def check(prefix: Prefix, tools: Mapping[str, Tool] | None = None) -> list[Finding]:
    """Return the faults of the wrappers of ``prefix``; change nothing."""
    wanted = wrappers(prefix, tools)
    findings = [
        finding
        for path, text in texts(prefix, wanted).items()
        if (finding := _compare(path, text, prefix))
    ]
    findings += [finding for w in wanted if (finding := compare_short(w))]
    why = "has no declaration"
    findings += [Finding(path, "left-over", why) for path in left_over(prefix, wanted)]
    return sorted(findings, key=lambda finding: finding.path)


def _compare(path: Path, text: str, prefix: Prefix) -> Finding | None:
    if not os.path.lexists(path):
        return Finding(path, "missing", "does not exist")
    if not may_replace(path, prefix):
        return Finding(path, IN_THE_WAY, "was not created by flatcar-prefix")
    mark = None if path.is_symlink() else read_mark(path)
    if mark is None or mark.staging_dir != prefix.staging_dir:
        return Finding(path, "missing", "belongs to another prefix")
    if not mark.unchanged:
        return Finding(path, "changed", "was changed by hand")
    if not os.access(path, os.X_OK):
        return Finding(path, "changed", "is not executable")
    if mark.content != text:
        reason = f"was written by version {mark.version}, or for another machine"
        return Finding(path, "outdated", reason)
    return None
