# SPDX-License-Identifier: BSD-3-Clause
"""What an audit can find, how bad each is, and what to do about it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

ERROR, WARNING, NOTE = "error", "warning", "note"
LEVELS = (ERROR, WARNING, NOTE)


@dataclass(frozen=True)
class Code:
    """A kind of finding. The name of a code never changes its meaning."""

    name: str
    level: str
    meaning: str
    hint: str


def _codes(*codes: Code) -> Mapping[str, Code]:
    return MappingProxyType({code.name: code for code in codes})


CODES = _codes(
    Code(
        "elf-broken",
        ERROR,
        "an ELF file that contradicts itself or is cut off",
        "Build the package again; if it stays, keep the file out of the image.",
    ),
    Code(
        "elf-machine",
        ERROR,
        "a program or library for another architecture than the board's",
        "Make the package compile with $CC of the board, not with the build machine's.",
    ),
    Code(
        "elf-interpreter",
        ERROR,
        "a program that asks for a loader outside the prefix",
        "Link with -Wl,--dynamic-linker=<EPREFIX>/<loader>: honour LDFLAGS.",
    ),
    Code(
        "elf-interpreter-missing",
        ERROR,
        "a program whose loader is not in the prefix",
        "Install the C library (virtual/libc) in this root.",
    ),
    Code(
        "elf-interpreter-other",
        WARNING,
        "a program with a loader of the prefix, yet not the board's",
        "Link with -Wl,--dynamic-linker=<EPREFIX>/<loader>, or waive it with the reason.",
    ),
    Code(
        "elf-interpreter-library",
        WARNING,
        "a library that can be run as a program, by a loader outside the prefix",
        "Use a C library built for the prefix (--bootstrap source).",
    ),
    Code(
        "elf-needed",
        ERROR,
        "a library that the loader will not find in the prefix",
        "Install the package that has it, or link with a RUNPATH inside the prefix.",
    ),
    Code(
        "elf-needed-luck",
        WARNING,
        "a library found only when the program that loads it has it already",
        "Link it with a RUNPATH inside the prefix, or waive it if only that program loads it.",
    ),
    Code(
        "elf-version",
        ERROR,
        "a symbol version that the library found does not have",
        "Rebuild the package against the libraries of this prefix.",
    ),
    Code(
        "elf-version-none",
        WARNING,
        "a symbol version asked of a library that has none",
        "Rebuild the package against the libraries of this prefix.",
    ),
    Code(
        "elf-rpath",
        ERROR,
        "an RPATH or RUNPATH outside the prefix, or relative to the current directory",
        "Give -rpath a directory of the prefix or $ORIGIN; drop the package's own -rpath.",
    ),
    Code(
        "elf-rpath-build",
        ERROR,
        "an RPATH or RUNPATH that names a directory of the build machine",
        "Have the package relink on installation, or drop its -rpath.",
    ),
    Code(
        "elf-textrel",
        ERROR,
        "text relocations: code that is written to when it is loaded",
        "Compile with -fPIC; fix assembly that is not position independent.",
    ),
    Code(
        "elf-execstack",
        ERROR,
        "an executable stack",
        "Mark assembly with .section .note.GNU-stack, or link with -Wl,-z,noexecstack.",
    ),
    Code(
        "loader-directories",
        ERROR,
        "the loader itself searches libraries, or its cache, outside the prefix",
        "Use a C library configured for the prefix (--bootstrap source).",
    ),
    Code(
        "loader-preload",
        WARNING,
        "the loader preloads what a file outside the prefix says",
        "Have the C library read <EPREFIX>/etc/ld.so.preload (preload_file in elf/rtld.c).",
    ),
    Code(
        "loader-cache",
        ERROR,
        "an ld.so.cache that is broken or names libraries outside the prefix",
        "Make it again with the prefix's own ldconfig, or remove it.",
    ),
    Code(
        "setuid",
        WARNING,
        "a program that runs with another user's or group's rights",
        "Drop the bit, or waive it with the reason.",
    ),
    Code(
        "capability",
        WARNING,
        "a program that runs with capabilities of its own",
        "Drop them (setcap -r; fcaps in the ebuild), or waive it with the reason.",
    ),
    Code(
        "private-file",
        WARNING,
        "a file that only its owner and group can read",
        "Give it mode 0644 or 0755 (fperms), or waive it with the reason.",
    ),
    Code(
        "private-directory",
        ERROR,
        "a directory that only its owner and group can enter, with programs in it",
        "Give it mode 0755: set up and install with umask 022.",
    ),
    Code(
        "special-file",
        WARNING,
        "a device, FIFO or socket",
        "Leave it out of the package: it is made at run time.",
    ),
    Code(
        "unreadable",
        ERROR,
        "a file that cannot be read, so that nothing is known of it",
        "Run the audit as a user who may read it.",
    ),
    Code(
        "script-interpreter",
        ERROR,
        "a script in a directory of PATH whose interpreter is outside the prefix",
        "Put <EPREFIX> before the interpreter's path in the ebuild.",
    ),
    Code(
        "script-interpreter-aside",
        WARNING,
        "an executable script, not in PATH, whose interpreter is outside the prefix",
        "Put <EPREFIX> before the interpreter's path, or drop the executable bit.",
    ),
    Code(
        "script-env",
        ERROR,
        "a script that looks for its interpreter in the caller's PATH",
        "Name the interpreter by its path in the prefix.",
    ),
    Code(
        "script-interpreter-missing",
        ERROR,
        "a script whose interpreter is not in the prefix",
        "Install the interpreter's package, or leave the script out.",
    ),
    Code(
        "link-outside",
        ERROR,
        "an absolute link to a place outside the prefix",
        "Make it relative (dosym -r), or put <EPREFIX> before its target.",
    ),
    Code(
        "link-escapes",
        ERROR,
        "a relative link that leads out of the prefix",
        "Make it point into the prefix.",
    ),
    Code(
        "link-dangling",
        ERROR,
        "a link to nothing",
        "Install what it points to, or remove it in the ebuild.",
    ),
    Code("link-loop", ERROR, "links that lead round in a circle", "Remove one of them."),
    Code(
        "link-build-path",
        ERROR,
        "a link to a directory of the build machine",
        "Make it relative (dosym -r), without ${D}, ${ROOT} or ${SYSROOT}.",
    ),
    Code(
        "text-build-path",
        ERROR,
        "a text file that names a directory of the build machine",
        "Remove the path in the ebuild, or keep it from getting there in configure.",
    ),
    Code(
        "binary-build-path",
        WARNING,
        "a binary file that names a directory of the build machine",
        "Compile with -ffile-prefix-map, strip, or give configure the path on the target.",
    ),
    Code(
        "unowned",
        ERROR,
        "a file that no installed package owns",
        "Remove it, or let a package install it.",
    ),
    Code(
        "vdb-missing",
        ERROR,
        "a file of an installed package that is not there",
        "Install the package again.",
    ),
    Code(
        "vdb-changed",
        ERROR,
        "a file that differs from what its package installed",
        "Install the package again.",
    ),
    Code(
        "vdb-config-changed",
        NOTE,
        "a configuration file that differs from what its package installed",
        "Nothing, if you meant it: Portage protects it.",
    ),
    Code(
        "portability-kernel",
        WARNING,
        "a program or library that refuses kernels which are in use",
        "Build the C library with --enable-kernel of an older version.",
    ),
    Code(
        "portability-cpu",
        WARNING,
        "a program or library that refuses processors which are in use",
        "Drop -march=x86-64-v2 and above from CFLAGS.",
    ),
    Code(
        "outside-prefix",
        ERROR,
        "a file of the root that lies outside the prefix",
        "Have the package install below <EPREFIX>.",
    ),
    Code(
        "outside-usr-opt",
        WARNING,
        "a prefix outside /usr and /opt, which a system extension cannot carry",
        "Set the prefix up below /usr or /opt, or ship it as a tar file.",
    ),
)


@dataclass(frozen=True)
class Finding:
    """One fault of one file."""

    code: str
    path: str
    """The file as it will be on the target machine."""
    message: str
    level: str = ""
    """``error``, ``warning`` or ``note``; the code's own when not given."""
    package: str | None = None
    """The cpv that owns the file."""
    hint: str = ""
    subject: str = field(default="", compare=False)
    """Findings of one code, path and subject are one: a library missing in ten programs."""

    def __post_init__(self) -> None:
        code = CODES[self.code]
        object.__setattr__(self, "level", self.level or code.level)
        object.__setattr__(self, "hint", self.hint or code.hint)

    @property
    def key(self) -> tuple[str, str, str]:
        return (self.path, self.code, self.subject)


@dataclass
class Statistics:
    """What was looked at."""

    files: int = 0
    bytes: int = 0
    elf: int = 0
    scripts: int = 0
    links: int = 0
    text: int = 0
    not_shipped: int = 0
    """Files known to stay behind: the VDB, caches, Portage's configuration."""
    packages: int = 0
    kernel: str = ""
    """The lowest kernel that everything runs on, e.g. ``3.2.0``."""
    cpu: str = ""
    """The lowest level of the processor that everything runs on, e.g. ``x86-64-v2``."""

    def add(self, other: Statistics) -> None:
        """Add what a part of the audit counted."""
        for name in ("files", "bytes", "elf", "scripts", "links", "text", "not_shipped"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.kernel = max(self.kernel, other.kernel, key=version_key)
        self.cpu = max(self.cpu, other.cpu)


def version_key(version: str) -> tuple[int, ...]:
    """Return what dotted numbers are compared by."""
    return tuple(int(part) for part in version.split(".") if part.isdigit())


@dataclass(frozen=True)
class Report:
    """What an audit found."""

    root: str
    eprefix: str
    board: str
    findings: tuple[Finding, ...]
    """Sorted by path, waived ones left out."""
    waived: tuple[tuple[Finding, str], ...]
    """Each with the reason given for it."""
    statistics: Statistics
    seconds: float = 0.0
    libc: str = "source"
    """The C library: ``source`` for one built for the prefix, ``import`` for that of the
    toolchain, ``none`` where there is no loader."""
    owners: bool = False
    """Whether Portage was asked who owns the files, and what it installed."""

    @property
    def counts(self) -> dict[str, int]:
        """How many findings of each level, all levels present, and how many waived."""
        found = Counter(finding.level for finding in self.findings)
        return {**{level: found[level] for level in LEVELS}, "waived": len(self.waived)}

    @property
    def ok(self) -> bool:
        return not self.counts[ERROR]

    @property
    def exit_code(self) -> int:
        return 0 if self.ok else 1


def strictly(finding: Finding) -> Finding:
    """Return the finding with a warning made an error."""
    return replace(finding, level=ERROR) if finding.level == WARNING else finding
