# SPDX-License-Identifier: BSD-3-Clause
"""Links inside a root, compared with the kernel's own walk (openat2, RESOLVE_IN_ROOT)."""

from __future__ import annotations

import ctypes
import errno
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings, strategies as st

from flatcar_prefix.links import LOOP, MAX_LINKS, End, Unreachable, follow

OPENAT2 = 437
RESOLVE_IN_ROOT = 0x10
NAMES = ("a", "b", "c", "d")


class OpenHow(ctypes.Structure):
    _fields_ = [(name, ctypes.c_uint64) for name in ("flags", "mode", "resolve")]


def kernel(root: Path, path: str) -> str | int:
    """Return the path in ``root`` that the kernel reaches, or the errno."""
    libc = ctypes.CDLL(None, use_errno=True)
    how = OpenHow(flags=os.O_PATH | os.O_CLOEXEC, resolve=RESOLVE_IN_ROOT)
    top = os.open(root, os.O_PATH | os.O_DIRECTORY)
    try:
        fd = libc.syscall(OPENAT2, top, os.fsencode(path), ctypes.byref(how), ctypes.sizeof(how))
        if fd < 0:
            return ctypes.get_errno()
        try:
            return os.readlink(f"/proc/self/fd/{fd}")[len(os.fspath(root)) :] or "/"
        finally:
            os.close(fd)
    finally:
        os.close(top)


def ours(root: Path, path: str) -> End:
    def look(here: str) -> str | None:
        local = f"{root}{here}"
        if not os.path.lexists(local):
            raise Unreachable("missing")
        return os.readlink(local) if os.path.islink(local) else None

    return follow(path, look)


parts = st.sampled_from((*NAMES, ".", ".."))
paths = st.builds(
    lambda top, words: top + "/".join(words),
    st.sampled_from(("", "/")),
    st.lists(parts, min_size=1, max_size=5),
)
trees = st.dictionaries(
    st.lists(st.sampled_from(NAMES), min_size=1, max_size=3).map("/".join),
    st.one_of(st.none(), paths),
    max_size=8,
)


@settings(deadline=None)
@given(trees, paths)
def test_the_walk_ends_where_the_kernels_does(tree: dict[str, str | None], path: str) -> None:
    with tempfile.TemporaryDirectory() as directory:
        root = Path(os.path.realpath(directory))
        for name, target in sorted(tree.items()):
            place = root / name
            if any(parent.is_symlink() for parent in place.parents) or os.path.lexists(place):
                continue
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(target) if target else place.mkdir()
        end, real = ours(root, path), kernel(root, path)
        if isinstance(real, str):
            assert end == End(real)
        else:
            assert end.failure == {errno.ENOENT: "missing", errno.ELOOP: LOOP}[real]


def test_more_links_than_the_kernel_follows_are_a_loop(tmp_path: Path) -> None:
    (tmp_path / "0").mkdir()
    for number in range(1, MAX_LINKS + 2):
        (tmp_path / str(number)).symlink_to(str(number - 1))
    assert ours(tmp_path, f"/{MAX_LINKS}") == End("/0")
    assert kernel(tmp_path, f"/{MAX_LINKS}") == "/0"
    assert ours(tmp_path, f"/{MAX_LINKS + 1}").failure == LOOP
    assert kernel(tmp_path, f"/{MAX_LINKS + 1}") == errno.ELOOP


@pytest.mark.parametrize("path", ["/a/x/y", "a/x/y"])
def test_the_end_names_what_was_not_walked(tmp_path: Path, path: str) -> None:
    (tmp_path / "a").mkdir()
    assert ours(tmp_path, path) == End("/a/x", "missing", "y")
