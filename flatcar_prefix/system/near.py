# SPDX-License-Identifier: BSD-3-Clause
"""Suggest the word that a user probably meant."""

from __future__ import annotations

from collections.abc import Iterable


def suggestion(word: str, known: Iterable[str]) -> str:
    """Return ``Did you mean X? `` for the known word nearest to ``word``, or an empty string."""
    import difflib  # Wrappers do not need it.

    found = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"Did you mean {found[0]}? " if found else ""
