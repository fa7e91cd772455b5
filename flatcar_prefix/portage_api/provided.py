# SPDX-License-Identifier: BSD-3-Clause
"""Dependencies that are satisfied only because package.provided names the package.

Portage counts such a package as installed, see portage(5), and prints nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping
from typing import Any


def only_provided(
    metadata: Mapping[str, str], provided: Container[str], is_there: Callable[[Any], bool]
) -> tuple[Any, ...]:
    """Return the atoms of a package's RDEPEND that nothing but package.provided satisfies.

    ``metadata`` has RDEPEND, USE and EAPI. ``provided`` has the names, ``category/name``.
    ``is_there`` returns whether an installed or planned package has the name of an atom. The
    evaluation follows PMS: one alternative of ``||`` is enough. A RDEPEND that Portage rejects
    has none.
    """
    from portage.dep import Atom, use_reduce
    from portage.exception import InvalidDependString

    try:
        tree = use_reduce(
            metadata["RDEPEND"],
            uselist=metadata["USE"].split(),
            eapi=metadata["EAPI"],
            token_class=Atom,
            opconvert=True,
        )
    except InvalidDependString:
        return ()
    return tuple(dict.fromkeys(_lacking(tree, provided, is_there)))


def _lacking(tree: Any, provided: Container[str], is_there: Callable[[Any], bool]) -> Iterator[Any]:
    """Yield the atoms of a list of dependencies, whose first word may be ``||``."""
    if tree and tree[0] == "||":
        if not any(_is_satisfied(each, is_there) for each in tree[1:]):
            groups = (tuple(_lacking([each], provided, is_there)) for each in tree[1:])
            yield from next(filter(None, groups), ())
        return
    for each in tree:
        if isinstance(each, list):
            yield from _lacking(each, provided, is_there)
        elif not each.blocker and each.cp in provided and not is_there(each):
            yield each


def _is_satisfied(each: Any, is_there: Callable[[Any], bool]) -> bool:
    """Return whether an alternative of ``||`` is there."""
    if not isinstance(each, list):
        return bool(each.blocker) or is_there(each)
    if each and each[0] == "||":
        return any(_is_satisfied(one, is_there) for one in each[1:])
    return all(_is_satisfied(one, is_there) for one in each)
