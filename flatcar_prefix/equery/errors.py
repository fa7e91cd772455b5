# SPDX-License-Identifier: BSD-3-Clause
"""The errors that end a query."""

from __future__ import annotations

from collections.abc import Iterable

from flatcar_prefix.errors import PrefixError


class QueryError(PrefixError):
    """A query failed. With an empty message, equery exits silently.

    A `serious` error is not caused by the query's arguments, so equery mentions `--debug`.
    """

    def __init__(
        self,
        what: str,
        *,
        hint: str = "See `equery --help`.",
        exit_code: int = 1,
        serious: bool = False,
    ) -> None:
        super().__init__(what, hint=hint)
        self.exit_code = exit_code
        self.serious = serious


class NoMatches(QueryError):
    """No package matches the query."""

    def __init__(self, query: str, *, installed: bool = False) -> None:
        kind = "installed packages" if installed else "packages"
        super().__init__(f"No {kind} matching '{query}'")


class InvalidAtom(QueryError):
    """The query is not a valid atom."""

    def __init__(self, atom: object) -> None:
        super().__init__(f"Invalid atom: '{atom}'")


class Ambiguous(QueryError):
    """The query is a name without a category that exists in several categories."""

    def __init__(self, choices: Iterable[object]) -> None:
        # Portage's order differs from run to run.
        self.choices = sorted(str(choice) for choice in choices)
        listed = "\n".join(f"  {choice}" for choice in self.choices)
        super().__init__(f"Ambiguous package name. Choose from:\n{listed}")


class BadOption(QueryError):
    """The command line is invalid: equery prints the message and the help, and exits with 2."""

    def __init__(self, what: str) -> None:
        super().__init__(what, exit_code=2)
