# SPDX-License-Identifier: BSD-3-Clause
"""Replace one EPREFIX by another in bytes."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

from flatcar_prefix.errors import PrefixError
from flatcar_prefix.relocate.eprefix import is_pool_eprefix

_LONGER_NAME = re.compile(rb"[A-Za-z0-9_-]|\.[A-Za-z0-9]")
_LOOK_AHEAD = 2


@dataclass(frozen=True)
class Move:
    """The replacement of the EPREFIX ``old`` by ``new``, which is not longer.

    In text, the length of the text changes. In other files, slashes after ``new`` fill the
    length of ``old``: this is the same path, and all offsets and lengths stay valid.
    """

    old: bytes
    new: bytes

    @staticmethod
    def of(old: str, new: str) -> Move:
        """Return the move between two EPREFIXes; raise :class:`PrefixError` if it is impossible."""
        for path in (old, new):
            if not path.startswith("/") or path != os.path.normpath(path) or path == "/":
                raise PrefixError(
                    f"cannot move a package from EPREFIX {old!r} to {new!r}: {path!r} is not a"
                    " normal absolute path",
                    hint="Build the package from source.",
                )
        raw = Move(os.fsencode(old), os.fsencode(new))
        if len(raw.new) > len(raw.old):
            raise PrefixError(
                f"cannot move a package to EPREFIX {new}: it has {len(raw.new)} bytes, and the"
                f" package was built for {old}, which has room for {len(raw.old)}",
                hint="Build the package from source, or choose a shorter EPREFIX.",
            )
        return raw

    @cached_property
    def padded(self) -> bytes:
        """``new`` with slashes up to the length of ``old``."""
        return self.new.ljust(len(self.old), b"/")

    @cached_property
    def any_context(self) -> bool:
        """Whether each occurrence of ``old`` is this EPREFIX, also as a part of a longer name."""
        return is_pool_eprefix(self.old)

    @cached_property
    def margin(self) -> int:
        """The bytes that decide whether an occurrence starts at an offset."""
        return len(self.old) + _LOOK_AHEAD

    def occurrences(self, data: bytes, *, any_context: bool = False) -> Iterator[int]:
        """Yield the offsets of ``old`` in ``data``.

        The path of another directory, such as ``old-2``, is no occurrence. ``any_context`` is
        for data in which any byte can follow a string.
        """
        everything = any_context or self.any_context
        at = data.find(self.old)
        while at >= 0:
            end = at + len(self.old)
            if everything or not _LONGER_NAME.match(data, end):
                yield at
            at = data.find(self.old, end)

    def replaced(self, data: bytes, *, padded: bool = False, any_context: bool = False) -> bytes:
        """Return ``data`` with each occurrence of ``old`` replaced."""
        new = self.padded if padded else self.new
        parts: list[bytes] = []
        done = 0
        for at in self.occurrences(data, any_context=any_context):
            parts += (data[done:at], new)
            done = at + len(self.old)
        return b"".join((*parts, data[done:])) if parts else data

    def stream(
        self, chunks: Iterator[bytes], *, padded: bool, any_context: bool = False
    ) -> Iterator[bytes]:
        """Yield the replaced content of a file whose content is ``chunks``."""
        new = self.padded if padded else self.new
        kept = b""
        for chunk in chunks:
            data = kept + chunk
            limit, done = len(data) - self.margin, 0
            for at in self.occurrences(data, any_context=any_context):
                if at >= limit:  # the next chunk decides
                    break
                yield data[done:at]
                yield new
                done = at + len(self.old)
            cut = max(done, limit, 0)
            yield data[done:cut]
            kept = data[cut:]
        yield self.replaced(kept, padded=padded, any_context=any_context)
