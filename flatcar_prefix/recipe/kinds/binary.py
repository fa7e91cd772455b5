# SPDX-License-Identifier: BSD-3-Clause
"""``kind = "binary"``: a prebuilt program, alone or in a tarball."""

from __future__ import annotations

import shlex
from fnmatch import fnmatchcase

from flatcar_prefix.errors import PrefixError
from flatcar_prefix.recipe.distfiles import Distfile, bring
from flatcar_prefix.recipe.kinds.common import CATEGORY, Place, head, nofetch
from flatcar_prefix.recipe.kinds.source import members
from flatcar_prefix.recipe.model import Software
from flatcar_prefix.recipe.overlay import Package

_OWN_LOADER = """
# @FUNCTION: own_loader
# @USAGE: <file>...
# @DESCRIPTION:
# Lets programs use the prefix's loader and libraries. A static program has no loader.
own_loader() {
	local file path=${EPREFIX}/usr/@LIBDIR@:${EPREFIX}/@LIBDIR@:${EPREFIX}/usr/lib:${EPREFIX}/lib
	for file; do
		[[ $(scanelf -qBF '%i#F' "${file}") ]] || continue
		type -P patchelf >/dev/null ||
			die "${file##*/} is dynamic: install patchelf on this machine, or use a static build"
		patchelf --set-interpreter "${EPREFIX}/@LOADER@" --force-rpath \\
			--set-rpath "${path}" "${file}" || die
	done
}
"""


def package(software: Software, place: Place) -> Package:
    """Return the package of a prebuilt program."""
    file = bring(software, place.board, place.prefix.distdir, place.say)
    programs = software.words("programs")
    if file.is_archive and not programs:
        raise software.error(
            "programs",
            "is missing, and the source is a tarball",
            hint='Name the programs in it, such as: programs = ["*/bin/hello"]',
        )
    if not file.is_archive and (programs or "whole" in software.values):
        raise software.error(
            "programs" if programs else "whole",
            "the source is not a tarball",
            hint="Remove the key; the file itself is installed.",
        )
    if file.is_archive:
        _check_programs(software, file)
    board = place.prefix.board
    own_loader = _OWN_LOADER.replace("@LOADER@", board.loader).replace("@LIBDIR@", board.libdir)
    ebuild = (
        head(
            software,
            distfiles=[file],
            origin=f"SHA-256 {file.sha256}",
            restrict=("strip", "mirror"),
            rdepend=("virtual/libc", *software.words("depends"))
            if place.prefix.bootstrap != "none"
            else software.words("depends"),
            more='QA_PREBUILT="*"\n',
        )
        + nofetch([file])
        + own_loader
        + _install(software, file)
    )
    return Package(CATEGORY, software.name, software.version, ebuild, (file,))


def _check_programs(software: Software, file: Distfile) -> None:
    """Raise :class:`RecipeError` for a pattern that matches no path in the tarball."""
    try:
        names = members(file.path)
    except PrefixError as error:
        raise software.error("source", str(error), hint=error.hint) from error
    for pattern in software.words("programs"):
        if not any(_fits(name, pattern) for name in names):
            some = ", ".join([name for name in names if not name.endswith("/")][:5])
            raise software.error(
                "programs",
                f"no path in the tarball matches {pattern!r}",
                hint=f"Give paths from its top; it begins with: {some}.",
            )


def _fits(name: str, pattern: str) -> bool:
    """Return whether a path matches a pattern, in which * does not match a slash."""
    parts, patterns = name.split("/"), pattern.split("/")
    return len(parts) == len(patterns) and all(map(fnmatchcase, parts, patterns))


def _install(software: Software, file: Distfile) -> str:
    if not file.is_archive:
        return (
            f'\nsrc_install() {{\n\tnewbin "${{DISTDIR}}/{file.path.name}" {software.name}\n'
            f'\town_loader "${{ED}}/usr/bin/{software.name}"\n}}\n'
        )
    patterns = " ".join(_pattern(word) for word in software.words("programs"))
    if software.values.get("whole"):
        return f"""
src_install() {{
	local place=/usr/lib/{software.name} program
	dodir "${{place}}"
	# Copy the contents only: the directory itself has a mode that only lets Portage enter.
	find . -mindepth 1 -maxdepth 1 -exec cp -a -t "${{ED}}${{place}}" {{}} + || die
	for program in {patterns}; do
		[[ -f ${{program}} ]] || die "the tarball has no ${{program}}"
		fperms 0755 "${{place}}/${{program}}"
		own_loader "${{ED}}${{place}}/${{program}}"
		dosym -r "${{place}}/${{program}}" "/usr/bin/${{program##*/}}"
	done
}}
"""
    return f"""
src_install() {{
	local program
	for program in {patterns}; do
		[[ -f ${{program}} ]] || die "the tarball has no ${{program}}"
		dobin "${{program}}"
		own_loader "${{ED}}/usr/bin/${{program##*/}}"
	done
}}
"""


def _pattern(word: str) -> str:
    """Return a pattern for the shell: * and ? are wildcards, all other text is literal."""
    return "".join(c if c in "*?" else shlex.quote(c) if not c.isalnum() else c for c in word)
