# SPDX-License-Identifier: BSD-3-Clause
"""The results of calls of equery."""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import NamedTuple


class Answer(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def lines(self) -> list[str]:
        return self.out.splitlines()


class Terminal(io.StringIO):
    """A stream that says it is a terminal, of 80 columns."""

    def isatty(self) -> bool:
        return True


Equery = Callable[..., Answer]
