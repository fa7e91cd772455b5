# SPDX-License-Identifier: BSD-3-Clause
"""``kind = "script"``: one file that an interpreter runs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePosixPath
from types import MappingProxyType

from flatcar_prefix.recipe.distfiles import bring
from flatcar_prefix.recipe.kinds.common import CATEGORY, Place, head
from flatcar_prefix.recipe.model import Software
from flatcar_prefix.recipe.overlay import Package
from flatcar_prefix.system.places import documentation

INTERPRETERS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "sh": ("app-shells/dash", "app-alternatives/sh", "app-shells/bash"),
        "dash": ("app-shells/dash",),
        "bash": ("app-shells/bash",),
        "python": ("dev-lang/python",),
        "python3": ("dev-lang/python",),
        "perl": ("dev-lang/perl",),
        "tclsh": ("dev-lang/tcl",),
        "ruby": ("dev-lang/ruby",),
        "awk": ("app-alternatives/awk", "sys-apps/gawk"),
        "node": ("net-libs/nodejs",),
    }
)
"""The packages that have each interpreter, the smallest first."""


def package(software: Software, place: Place) -> Package:
    """Return the package of a script, which needs its interpreter to run."""
    file = bring(software, place.board, place.prefix.distdir, place.say)
    content = file.path.read_bytes()
    depends = [*software.words("depends"), *_interpreter(software, place, content)]
    # Also in DEPEND: the bashrc of the prefix changes the #! line to an installed interpreter.
    ebuild = (
        head(software, origin=f"SHA-256 {file.sha256}", depend=depends, rdepend=depends)
        + f'\nsrc_install() {{\n\tnewbin "${{FILESDIR}}/{software.name}" {software.name}\n}}\n'
    )
    return Package(
        CATEGORY, software.name, software.version, ebuild, files={software.name: content}
    )


def _interpreter(software: Software, place: Place, content: bytes) -> tuple[str, ...]:
    """Return the package of the interpreter that the first line names."""
    first = content.partition(b"\n")[0].decode("utf-8", "replace")
    if not first.startswith("#!") or not first[2:].split():
        raise software.error(
            "source",
            "the script has no #! line",
            hint="Begin the script with one, such as #!/bin/sh",
        )
    words = first[2:].split()
    named = [word for word in words[1:] if not word.startswith("-")]
    is_env = PurePosixPath(words[0]).name == "env" and named
    program = PurePosixPath(named[0] if is_env else words[0]).name
    # The package of python also provides python3.11.
    candidates = INTERPRETERS.get(program) or INTERPRETERS.get(program.rstrip(".0123456789"), ())
    for candidate in candidates:
        if place.has(candidate):
            return (candidate,)
    if software.words("depends"):
        return ()  # One of them provides it; otherwise the audit reports the script.
    repositories = ", ".join(r.name for r in place.prefix.repositories)
    raise software.error(
        "source",
        f"no repository has a package with {program}, which runs the script"
        f" (looked into: {repositories})",
        hint="Name a package that has it in depends, or add an overlay that has one"
        f" ({documentation('your-own-software.md')}).",
    )
