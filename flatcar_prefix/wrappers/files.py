# SPDX-License-Identifier: BSD-3-Clause
"""Write and remove the wrapper files of a prefix; keep all other files."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from flatcar_prefix.boards import BOARDS
from flatcar_prefix.errors import PrefixError
from flatcar_prefix.portage_api import session as portage_api
from flatcar_prefix.prefix.model import Prefix
from flatcar_prefix.system.files import (
    replace_link,
    sweep_temporaries,
    usual_modes,
    write_atomic,
)
from flatcar_prefix.wrappers import view
from flatcar_prefix.wrappers.check import IN_THE_WAY, compare_short, left_over
from flatcar_prefix.wrappers.declaration import Tool
from flatcar_prefix.wrappers.marks import is_alive, may_replace, own_files, read_mark
from flatcar_prefix.wrappers.wanted import DeclaredWrapper, texts, wrappers


@usual_modes()
def generate(prefix: Prefix, tools: Mapping[str, Tool] | None = None) -> list[Path]:
    """Write all wrappers of ``prefix``, each atomically; return the changed paths.

    Remove left-over wrappers of this prefix. :class:`PrefixError` if a file that was not
    created by flatcar-prefix has the name of a wrapper. This file does not change, and all other
    wrappers are written.
    """
    wanted = wrappers(prefix, tools)
    view.write_places(prefix, portage_api.global_config_path())
    prefix.wrapper_dir.mkdir(parents=True, exist_ok=True)
    for ending in (f"-prefix-{prefix.id}", f"-prefix-{prefix.name}"):
        sweep_temporaries(prefix.wrapper_dir, ending=ending)
    changed, blocked = [], []
    for path, text in texts(prefix, wanted).items():
        if not may_replace(path, prefix):
            blocked.append(path)
        elif not _is_same(path, text):
            write_atomic(path, text, mode=0o755)
            changed.append(path)
    changed += [w.short_path for w in wanted if _link_short(w)]
    for path in left_over(prefix, wanted):
        path.unlink(missing_ok=True)
        changed.append(path)
    if blocked:
        raise _blocked(blocked)
    return changed


def refuse_blocked(prefix: Prefix, *, instead_of: Iterable[Prefix] = ()) -> None:
    """Raise :class:`PrefixError` if :func:`generate` could not write all of ``prefix``.

    Change nothing. ``instead_of`` are prefixes to be removed first, with their wrappers.
    """
    _refuse_unwritable(prefix.wrapper_dir)
    gone = {old.staging_dir for old in instead_of}
    paths = [w.path for w in wrappers(prefix)]
    if blocked := [path for path in paths if not may_replace(path, prefix, gone)]:
        raise _blocked(blocked)


def _blocked(paths: Iterable[Path]) -> PrefixError:
    return PrefixError(
        f"{', '.join(map(os.fspath, paths))}: exists and was not created by flatcar-prefix",
        hint="Move it away, or set up the prefix with another --wrapper-dir.",
    )


def _refuse_unwritable(directory: Path) -> None:
    there = next(path for path in (directory, *directory.parents) if os.path.lexists(path))
    if not there.is_dir():
        why = f"{there} is not a directory"
    elif not os.access(there, os.W_OK | os.X_OK):
        why = f"{there} is not writable"
    else:
        return
    raise PrefixError(
        f"cannot create wrappers in {directory}: {why}",
        hint="Correct this, or choose another directory with --wrapper-dir.",
    )


def _is_same(path: Path, text: str) -> bool:
    try:
        same = path.read_text(encoding="utf-8", errors="surrogateescape") == text
        return same and not path.is_symlink() and os.access(path, os.X_OK)
    except OSError:
        return False


def _link_short(wrapper: DeclaredWrapper) -> bool:
    """Create the short name unless it is in use; return whether anything changed."""
    finding = compare_short(wrapper)
    if finding is None or finding.state == IN_THE_WAY:
        return False
    replace_link(wrapper.short_path, wrapper.path.name)
    return True


def remove(prefix: Prefix) -> Iterator[Path]:
    """Remove all wrappers of ``prefix``, yielding the path of each.

    A short name that becomes free is linked to another board's prefix of the same name, if
    there is one.
    """
    for path in own_files(prefix):
        path.unlink(missing_ok=True)
        yield path
        _hand_on(path, prefix)


def _hand_on(short: Path, prefix: Prefix) -> None:
    for board in BOARDS:
        other = read_mark(full := short.with_name(f"{short.name}-{board}"))
        if other and other.staging_dir != prefix.staging_dir and is_alive(other.staging_dir):
            replace_link(short, full.name)
            return
