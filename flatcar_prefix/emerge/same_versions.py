# SPDX-License-Identifier: BSD-3-Clause
"""Check that final's plan has the versions that staging has.

Portage plans final from the existing binary packages. If one is missing, or is of a version
that staging has replaced, the roots would differ without a message.
"""

from __future__ import annotations

from collections.abc import Iterator

from flatcar_prefix.emerge.one_root import OneRoot
from flatcar_prefix.errors import PrefixError
from flatcar_prefix.portage_api.depgraph import Plan


def check(staging: OneRoot, final: OneRoot, plan: Plan) -> None:
    """Raise :class:`PrefixError` if ``plan``, final's, has another version than staging."""
    for found, wanted in differences(staging, plan):
        raise PrefixError(
            f"final would install {found}, but staging has {wanted}",
            hint=_what_to_do(final, found, wanted),
        )


def differences(staging: OneRoot, plan: Plan) -> Iterator[tuple[str, str]]:
    """Yield final's planned package and staging's package of each slot where they differ.

    A package that final already has counts only if the call requests it.
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
        return f"Build a binary package of {wanted}: {wrapper} --stage --oneshot ={wanted}"
    if (vercmp(cpv_getversion(found), cpv_getversion(wanted)) or 0) > 0:
        return f"Mask ={found} in {prefix.staging.config_dir}/package.mask, for both roots."
    return (
        f"Check the settings for final alone in {final.root.config_dir}, or give --install as the"
        " first argument to skip this check."
    )
