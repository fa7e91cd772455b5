# SPDX-License-Identifier: BSD-3-Clause
"""The codes of findings with their levels and hints, and the report of an audit."""

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
        "an ELF file that is inconsistent or truncated",
        "Rebuild the package; if the finding remains, remove the file in the ebuild.",
    ),
    Code(
        "elf-machine",
        ERROR,
        "a program or library for another architecture than the board's",
        "Make the package compile with $CC, not with the build machine's compiler.",
    ),
    Code(
        "elf-interpreter",
        ERROR,
        "a program that requests a loader outside the prefix",
        "Make the package use LDFLAGS, which sets -Wl,--dynamic-linker=<EPREFIX>/<loader>.",
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
        "a program with a loader inside the prefix that is not the board's loader",
        "Link with -Wl,--dynamic-linker=<EPREFIX>/<loader>, or waive it with a reason.",
    ),
    Code(
        "elf-interpreter-library",
        WARNING,
        "a library that can run as a program, with a loader outside the prefix",
        "Use a C library built for the prefix (--bootstrap source).",
    ),
    Code(
        "elf-needed",
        ERROR,
        "a needed library that the loader does not find in the prefix",
        "Install the package that provides it, or link with a RUNPATH inside the prefix.",
    ),
    Code(
        "elf-needed-luck",
        WARNING,
        "a needed library that the loader finds only if the program has already loaded it",
        "Link with a RUNPATH inside the prefix, or waive it if only such programs load the file.",
    ),
    Code(
        "elf-symbol",
        ERROR,
        "a needed symbol that no loaded library defines",
        "Rebuild the package against the libraries of this prefix, and link with all of them.",
    ),
    Code(
        "elf-outside",
        ERROR,
        "an auxiliary filter or audit library outside the prefix",
        "Link without -f, --auxiliary, --audit and --depaudit, or name a library of the prefix.",
    ),
    Code(
        "elf-abi",
        ERROR,
        "an ELF file for another operating system or ABI version",
        "Rebuild the package with the prefix's toolchain.",
    ),
    Code(
        "not-executable",
        ERROR,
        "a loader, program or script without its executable bit",
        "Set mode 0755 (fperms 0755), or install the file outside bin and sbin.",
    ),
    Code(
        "elf-version",
        ERROR,
        "a needed symbol version that the library does not define",
        "Rebuild the package against the libraries of this prefix.",
    ),
    Code(
        "elf-version-none",
        WARNING,
        "a needed symbol version of a library without symbol versions",
        "Rebuild the package against the libraries of this prefix.",
    ),
    Code(
        "elf-rpath",
        ERROR,
        "an RPATH or RUNPATH outside the prefix, or relative to the current directory",
        "Set -rpath to a directory of the prefix or to $ORIGIN, or remove the package's -rpath.",
    ),
    Code(
        "elf-rpath-build",
        ERROR,
        "an RPATH or RUNPATH that names a directory of the build machine",
        "Make the package relink on installation, or remove its -rpath.",
    ),
    Code(
        "elf-textrel",
        ERROR,
        "text relocations: the loader must write to the code",
        "Compile with -fPIC, and make assembly code position independent.",
    ),
    Code(
        "elf-execstack",
        ERROR,
        "an executable stack",
        "Add .section .note.GNU-stack to assembly files, or link with -Wl,-z,noexecstack.",
    ),
    Code(
        "loader-directories",
        ERROR,
        "a loader that searches for libraries or for its cache outside the prefix",
        "Use a C library configured for the prefix (--bootstrap source).",
    ),
    Code(
        "loader-preload",
        WARNING,
        "a loader that reads its list of preloaded libraries from outside the prefix",
        "Make the C library read <EPREFIX>/etc/ld.so.preload (preload_file in elf/rtld.c).",
    ),
    Code(
        "loader-library-path",
        WARNING,
        "programs whose libraries the caller's LD_LIBRARY_PATH can replace, because it precedes"
        " RUNPATH and the loader's directories",
        "Install this program's sys-libs/glibc, or rebuild the packages: LDFLAGS sets DT_RPATH.",
    ),
    Code(
        "loader-preload-list",
        ERROR,
        "an ld.so.preload that names a library outside the prefix, or one that cannot load",
        "Remove the entry from <EPREFIX>/etc/ld.so.preload.",
    ),
    Code(
        "loader-cache",
        ERROR,
        "an ld.so.cache that is broken or names libraries outside the prefix",
        "Recreate it with the prefix's own ldconfig, or remove it.",
    ),
    Code(
        "setuid",
        WARNING,
        "a program that runs with another user's or group's rights",
        "Remove the bit, or waive it with a reason.",
    ),
    Code(
        "world-writable",
        ERROR,
        "a file or directory that any user of the target can change",
        "Remove the bit (fperms o-w), or set the sticky bit of a directory for all users.",
    ),
    Code(
        "capability",
        WARNING,
        "a program with file capabilities",
        "Remove them (setcap -r; fcaps in the ebuild), or waive it with a reason.",
    ),
    Code(
        "private-file",
        WARNING,
        "a file that only its owner and group can read",
        "Set mode 0644 or 0755 (fperms), or waive it with a reason.",
    ),
    Code(
        "private-directory",
        ERROR,
        "a directory with programs that only its owner and group can enter",
        "Set mode 0755; run set-up and emerge with umask 022.",
    ),
    Code(
        "special-file",
        WARNING,
        "a device, FIFO or socket",
        "Remove it in the ebuild, and create it at run time.",
    ),
    Code(
        "unreadable",
        ERROR,
        "a file that cannot be read and is not checked",
        "Run the audit as a user who can read it.",
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
        "Put <EPREFIX> before the interpreter's path, or remove the executable bit.",
    ),
    Code(
        "script-system-shell",
        WARNING,
        "a script that runs the target's own /bin/sh, which every system has",
        "Install app-shells/dash into the prefix and rebuild the package to use its own shell.",
    ),
    Code(
        "script-env",
        ERROR,
        "a script that uses env to find its interpreter in the caller's PATH",
        "Start the script with the interpreter's path in the prefix.",
    ),
    Code(
        "script-none",
        WARNING,
        "an executable text that the kernel cannot run, because it does not start with #!",
        "Add a first line with the interpreter, or remove the byte order mark before it.",
    ),
    Code(
        "script-interpreter-missing",
        ERROR,
        "a script whose interpreter inside the prefix is missing or cannot run",
        "Install the interpreter's package, or remove the script in the ebuild.",
    ),
    Code(
        "python-module",
        ERROR,
        "a module that a Python program imports at its start and no file provides",
        "Install the package that has the module, and add it to RDEPEND.",
    ),
    Code(
        "link-outside",
        ERROR,
        "an absolute link to a path outside the prefix",
        "Make it relative (dosym -r), or put <EPREFIX> before its target.",
    ),
    Code(
        "link-escapes",
        ERROR,
        "a link that leads out of the prefix with .. or through another link",
        "Make the link point to a path inside the prefix.",
    ),
    Code(
        "link-dangling",
        ERROR,
        "a link to a path that does not exist",
        "Install the target's package, or remove the link in the ebuild.",
    ),
    Code(
        "link-loop", ERROR, "a link that leads into a loop of links", "Remove a link of the loop."
    ),
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
        "Remove the path in the ebuild, or give configure the path on the target.",
    ),
    Code(
        "binary-build-path",
        WARNING,
        "a binary file that names a directory of the build machine",
        "Compile with -ffile-prefix-map, strip, or give configure the path on the target.",
    ),
    Code(
        "name-build-path",
        WARNING,
        "a file whose path or extended attribute contains a directory of the build machine",
        "Install without ${D} or ${ROOT} in the destination, and remove the attribute.",
    ),
    Code(
        "host-path",
        ERROR,
        "a data file that makes programs load files from outside the prefix",
        "Put <EPREFIX> before the path, or make it relative.",
    ),
    Code(
        "unowned",
        ERROR,
        "a file that no installed package owns",
        "Remove it, or install it with a package.",
    ),
    Code(
        "vdb-missing",
        ERROR,
        "a file of an installed package that does not exist",
        "Reinstall the package.",
    ),
    Code(
        "vdb-changed",
        ERROR,
        "a file that changed after its package was installed",
        "Reinstall the package.",
    ),
    Code(
        "vdb-config-changed",
        NOTE,
        "a configuration file that changed after its package was installed",
        "Ignore it if the change is intended; Portage protects the file.",
    ),
    Code(
        "depend-provided",
        NOTE,
        "a dependency that package.provided names but that is not installed",
        "If the package needs it, add its ebuild in an overlay and install it.",
    ),
    Code(
        "portability-kernel",
        WARNING,
        "a program or library that requires a newer kernel than the oldest one in use",
        "Build the C library with an older version in --enable-kernel.",
    ),
    Code(
        "portability-cpu",
        WARNING,
        "a program or library that requires a newer processor than the board's oldest",
        "Remove -march and flags such as -mavx2 from CFLAGS.",
    ),
    Code(
        "outside-prefix",
        ERROR,
        "a file of the root that is outside the prefix",
        "Make the package install below <EPREFIX>.",
    ),
    Code(
        "outside-usr-opt",
        WARNING,
        "a prefix outside /usr and /opt, which a system extension cannot carry",
        "Set up the prefix below /usr or /opt, or ship it as a tar file.",
    ),
)


@dataclass(frozen=True)
class Finding:
    """One fault of one file."""

    code: str
    path: str
    """The path of the file on the target machine."""
    message: str
    level: str = ""
    """``error``, ``warning`` or ``note``; by default, the level of the code."""
    package: str | None = None
    """The cpv that owns the file."""
    hint: str = ""
    subject: str = field(default="", compare=False)
    """The audit merges findings with the same code, path and subject.

    For example, it reports a library with a missing dependency once, not once per program.
    """

    def __post_init__(self) -> None:
        code = CODES[self.code]
        object.__setattr__(self, "level", self.level or code.level)
        object.__setattr__(self, "hint", self.hint or code.hint)

    @property
    def key(self) -> tuple[str, str, str]:
        return (self.path, self.code, self.subject)


@dataclass
class Statistics:
    """The numbers of examined files, and the requirements of these files."""

    files: int = 0
    bytes: int = 0
    elf: int = 0
    scripts: int = 0
    links: int = 0
    text: int = 0
    not_shipped: int = 0
    """The number of files that are not shipped: the VDB, caches, Portage's configuration."""
    packages: int = 0
    kernel: str = ""
    """The oldest kernel that all files support, e.g. ``3.2.0``."""
    cpu: str = ""
    """The lowest processor level that all files support, e.g. ``x86-64-v2``."""

    def add(self, other: Statistics) -> None:
        """Add the statistics of a part of the audit."""
        for name in ("files", "bytes", "elf", "scripts", "links", "text", "not_shipped"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.kernel = max(self.kernel, other.kernel, key=version_key)
        self.cpu = max(self.cpu, other.cpu)


def version_key(version: str) -> tuple[int, ...]:
    """Return the sort key of a version of dotted numbers."""
    return tuple(int(part) for part in version.split(".") if part.isdigit())


@dataclass(frozen=True)
class Report:
    """The result of an audit."""

    root: str
    eprefix: str
    board: str
    findings: tuple[Finding, ...]
    """The findings sorted by path, without the waived ones."""
    waived: tuple[tuple[Finding, str], ...]
    """The waived findings, each with the reason of its waiver."""
    statistics: Statistics
    seconds: float = 0.0
    """The duration of the audit in seconds."""
    libc: str = "source"
    """The C library: ``source`` if it is built for the prefix, ``import`` if it comes from
    the toolchain, ``none`` if the prefix has no loader."""
    owners: bool = False
    """Whether the audit checked owners and digests with the VDB."""

    @property
    def counts(self) -> dict[str, int]:
        """The number of findings by level, for all levels, and of waived findings."""
        found = Counter(finding.level for finding in self.findings)
        return {**{level: found[level] for level in LEVELS}, "waived": len(self.waived)}

    @property
    def ok(self) -> bool:
        return not self.counts[ERROR]

    @property
    def exit_code(self) -> int:
        return 0 if self.ok else 1


def strictly(finding: Finding) -> Finding:
    """Return the finding; a warning becomes an error."""
    return replace(finding, level=ERROR) if finding.level == WARNING else finding
