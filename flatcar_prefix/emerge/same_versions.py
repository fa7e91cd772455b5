# SPDX-License-Identifier: BSD-3-Clause
"""Whether final is about to get what staging has.

Final decides by itself, from the binary packages there are. One that is gone, or one of a
version that staging has no more, would make the roots differ without a word.
"""

from __future__ import annotations

from collections.abc import Iterator

from flatcar_prefix.emerge.one_root import OneRoot
from flatcar_prefix.errors import PrefixError
from flatcar_prefix.portage_api.depgraph import Plan


def check(staging: OneRoot, final: OneRoot, plan: Plan) -> None:
    """Raise :class:`PrefixError` when ``plan``, final's, has another version than staging."""
    for found, wanted in differences(staging, plan):
        raise PrefixError(
            f"final would have {found}, and staging has {wanted}",
            hint=_what_to_do(final, found, wanted),
        )


def differences(staging: OneRoot, plan: Plan) -> Iterator[tuple[str, str]]:
    """Yield what final would have, each with what staging has in its slot.

    Of what final has already, that is what the call asks for.
    """
    built = staging.plan.merges if staging.plan is not None else {}
    for package in plan.packages:
        if package.only_dependencies or not (package.merges or package.asked):
            continue
        there = staging.vardb.match(package.slot_atom)
        wanted = built.get(package.slot_atom) or "".join(map(str, there[:1]))
        if wanted and wanted != package.cpv:
            yield package.cpv, wanted


def _what_to_do(final: OneRoot, found: str, wanted: str) -> str:
    from portage.versions import cpv_getversion, vercmp

    prefix = final.root.prefix
    if not final.bintree.dbapi.match(f"={wanted}"):
        wrapper = prefix.wrapper("emerge").path.name
        return f"Make a binary package of it: {wrapper} --stage --oneshot ={wanted}"
    if (vercmp(cpv_getversion(found), cpv_getversion(wanted)) or 0) > 0:
        return f"Mask ={found} in {prefix.staging.config_dir}/package.mask, for both roots."
    return (
        f"See what {final.root.config_dir} has for final alone; with --install as first argument,"
        " nobody compares."
    )
