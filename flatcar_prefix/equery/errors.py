# SPDX-License-Identifier: BSD-3-Clause
"""What ends a query early."""

from __future__ import annotations

from collections.abc import Iterable

from flatcar_prefix.errors import PrefixError


class QueryError(PrefixError):
    """A question without an answer. An empty message means: say nothing, only exit.

    `serious` ones are not the question's fault; where they come from may be of interest.
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
    """No package is what was asked for."""

    def __init__(self, query: str, *, installed: bool = False) -> None:
        kind = "installed packages" if installed else "packages"
        super().__init__(f"No {kind} matching '{query}'")


class InvalidAtom(QueryError):
    """What was asked for cannot name a package."""

    def __init__(self, atom: object) -> None:
        super().__init__(f"Invalid atom: '{atom}'")


class Ambiguous(QueryError):
    """A name without a category that several categories have."""

    def __init__(self, choices: Iterable[object]) -> None:
        # Portage lists them in another order every time.
        self.choices = sorted(str(choice) for choice in choices)
        listed = "\n".join(f"  {choice}" for choice in self.choices)
        super().__init__(f"Ambiguous package name. Choose from:\n{listed}")


class BadOption(QueryError):
    """The command line is wrong: the message, the query's help, exit 2."""

    def __init__(self, what: str) -> None:
        super().__init__(what, exit_code=2)
