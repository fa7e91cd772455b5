# SPDX-License-Identifier: BSD-3-Clause
"""A prefix, its two roots, and the record by which a prefix describes itself."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flatcar_prefix import __version__
from flatcar_prefix.boards import Board, board
from flatcar_prefix.errors import PrefixError, UsageError
from flatcar_prefix.portage_api import session as portage_api
from flatcar_prefix.prefix import environment as hostrepos, names as fhs

if TYPE_CHECKING:
    from flatcar_prefix.wrappers.files import Wrapper

RECORD_NAME = "flatcar-prefix.json"
RECORD_FORMAT = 1

KINDS = ("staging", "final")

_NAME = re.compile(r"[A-Za-z0-9_+][A-Za-z0-9._+-]{0,63}")

# Nothing that anything on the way takes for something else: ``,`` divides the words of -Wl,
# ``%`` is a placeholder in repos.conf, ``=`` ends a name, ``@`` and ``~`` are for sed and sh.
_EPREFIX = re.compile(r"(/[A-Za-z0-9._+-]+)+")


def check_name(name: str) -> str:
    """Return ``name`` when it can name a prefix, else raise :class:`UsageError`."""
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"{name!r} cannot be the name of a prefix",
            hint="Use 1 to 64 of A-Z a-z 0-9 . _ + -, not beginning with a dot or a dash.",
        )
    return name


def check_eprefix(eprefix: str, *, directories: Iterable[Path] = ()) -> str:
    """Return ``eprefix`` without trailing slashes when a prefix can live there.

    ``directories`` are those on the build machine that it must not lie inside of.
    :class:`UsageError` otherwise.
    """
    path = re.sub(r"(?<=.)/+$", "", eprefix)
    hint = "Give an absolute directory such as /usr/local/my-stuff or /opt/my-stuff."
    if not path.startswith("/"):
        raise UsageError(f"the prefix path {eprefix!r} is not absolute", hint=hint)
    if not _EPREFIX.fullmatch(path) or {".", ".."} & set(path.split("/")):
        raise UsageError(
            f"the prefix path {eprefix!r} has a part that cannot be in one",
            hint=hint + " Its parts have A-Z a-z 0-9 . _ + - and are not '..'.",
        )
    if path.count("/") < 2:
        raise UsageError(f"{path} is a top-level directory of every system", hint=hint)
    for directory in directories:
        if Path(path) == directory or directory in Path(path).parents:
            raise UsageError(
                f"the prefix path {path} lies inside {directory}, which is of the build machine",
                hint=hint,
            )
    if objection := fhs.objection(path):
        raise UsageError(f"{objection}; a prefix cannot be there", hint=hint)
    return path


@dataclass(frozen=True)
class Toolchain:
    """Who compiles for the board; see :mod:`flatcar_prefix.toolchain.find` for how it is found."""

    kind: str
    """``host``, ``sdk`` or ``board``."""
    cc: str
    """The raw C compiler, without the prefix's sysroot."""
    cxx: str
    binutils_prefix: str
    """What ``ar``, ``ld``, ... are preceded by, e.g. ``x86_64-linux-gnu-``."""
    sysroot: str
    """The toolchain's own sysroot; empty when it is the compiler's default one."""
    version: str
    """First line of what the compiler says of its version."""
    libc_version: str = ""
    multilib: str = "lib"
    """The directory of libraries that the compiler itself would look in, ``lib`` or ``lib64``."""
    cbuild: str = "x86_64-pc-linux-gnu"
    clang: bool = False
    clang_cc: str = ""
    clang_cxx: str = ""
    clang_target: str = ""
    cflags: str = "-O2 -pipe"


@dataclass(frozen=True)
class Repository:
    """An ebuild repository as it goes into repos.conf."""

    name: str
    location: Path
    masters: tuple[str, ...] = ()
    priority: int | None = None
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True)
class Prefix:
    """A name, an EPREFIX and a board; everything else is derived or in the record."""

    name: str
    eprefix: str
    board: Board
    staging_dir: Path
    final_dir: Path
    repositories: tuple[Repository, ...]
    """In ascending priority; the main repository is the one named :attr:`main_repo`."""
    main_repo: str
    distdir: Path
    depcachedir: Path
    toolchain: Toolchain
    profile: str
    """``repo:path`` of the profile, or ``composed`` for one made of two."""
    bootstrap: str = "source"
    """Where the C library comes from: ``source``, ``import`` or ``none``."""
    native_host: bool = False
    """Whether the build host is Gentoo, such as the SDK, and speaks for itself."""
    username: str = "root"
    groupname: str = "root"
    wrapper_dir: Path = Path("/usr/local/bin")
    stages_done: tuple[str, ...] = ()
    complete: bool = False
    created: float = 0.0
    """When it was set up first, in seconds since the epoch."""
    written_by: str = __version__
    scripts_dir: str = ""
    """The checkout whose repositories are used; they are looked for again by an update."""
    with_gcc: bool = False
    """Whether staging has a compiler of its own."""

    @property
    def id(self) -> str:
        """What wrappers and messages call it: ``<name>-<board>``."""
        return f"{self.name}-{self.board.name}"

    @property
    def record_file(self) -> Path:
        return self.staging_dir / RECORD_NAME

    @property
    def host_dir(self) -> Path:
        """The build host's configuration root, where the build host is not Gentoo."""
        return self.staging_dir / "host"

    @property
    def tools_dir(self) -> Path:
        """Tools that builds find first in PATH, and that a user's PATH never holds."""
        return self.staging_dir / "tools" / "bin"

    @property
    def staging(self) -> Root:
        return Root(self, "staging", self.staging_dir)

    @property
    def final(self) -> Root:
        return Root(self, "final", self.final_dir)

    def root(self, kind: str) -> Root:
        """Return the root of that kind, ``staging`` or ``final``."""
        if kind not in KINDS:
            raise UsageError(f"there is no root {kind!r}", hint="Choose staging or final.")
        return self.staging if kind == "staging" else self.final

    @property
    def main_location(self) -> Path:
        return next(r.location for r in self.repositories if r.name == self.main_repo)

    def wrapper(self, tool: str) -> Wrapper:
        """Return the wrapper of ``tool`` for this prefix, to be run from Python."""
        from flatcar_prefix.wrappers.files import find_wrapper

        return find_wrapper(self, tool)


@dataclass(frozen=True)
class Root:
    """One of a prefix's two roots: ordinary directories on the build machine."""

    prefix: Prefix
    kind: str
    directory: Path
    """Holds ``root``, ``logs`` and ``tmp``, and ``pkgs`` in staging."""

    @property
    def path(self) -> Path:
        """ROOT."""
        return self.directory / "root"

    @property
    def eroot(self) -> Path:
        """EROOT, which is ROOT and EPREFIX together."""
        return self.below(self.prefix.eprefix)

    @property
    def config_dir(self) -> Path:
        return self.eroot / "etc" / "portage"

    @property
    def pkgdir(self) -> Path:
        """PKGDIR: staging's, for both roots."""
        return self.prefix.staging_dir / "pkgs"

    @property
    def logdir(self) -> Path:
        return self.directory / "logs"

    @property
    def tmpdir(self) -> Path:
        return self.directory / "tmp"

    def below(self, target_path: str | Path) -> Path:
        """Return where a path of the target machine lies on this one."""
        return self.path / os.fspath(target_path).lstrip("/")

    def environment(self) -> dict[str, str]:
        """Return the variables that point Portage at this root, and nothing else.

        ``PORTAGE_OVERRIDE_EPREFIX`` is the build host's own configuration root, on a
        machine that is not Gentoo. For ``PORTAGE_REPOSITORIES`` on one that is, see
        :mod:`flatcar_prefix.prefix.environment`.
        """
        variables = {
            "ROOT": os.fspath(self.path),
            "SYSROOT": os.fspath(self.path),
            "EPREFIX": self.prefix.eprefix,
            "PORTAGE_CONFIGROOT": os.fspath(self.eroot),
        }
        if not self.prefix.native_host:
            variables["PORTAGE_OVERRIDE_EPREFIX"] = os.fspath(self.prefix.host_dir)
        return variables | hostrepos.variables(self.prefix)

    @cached_property
    def trees(self) -> Any:
        """Portage's databases for this root (``portage.create_trees``), loaded once."""
        return portage_api.load_trees(self)

    @property
    def settings(self) -> Any:
        """The ``portage.config`` of this root, locked."""
        return self.trees["vartree"].settings

    @property
    def vardb(self) -> Any:
        """The installed packages, a ``portage.dbapi.vartree.vardbapi``."""
        return self.trees["vartree"].dbapi

    @property
    def portdb(self) -> Any:
        """The ebuilds, a ``portage.dbapi.porttree.portdbapi``."""
        return self.trees["porttree"].dbapi

    @property
    def bintree(self) -> Any:
        """The binary packages, a ``portage.dbapi.bintree.binarytree``, populated."""
        bintree = self.trees["bintree"]
        if not bintree.populated:
            bintree.populate()
        return bintree


def to_record(prefix: Prefix) -> str:
    """Return the text of the record, JSON with sorted keys."""
    data = asdict(replace(prefix, board=prefix.board.name))  # type: ignore[arg-type]
    data["format"] = RECORD_FORMAT
    return json.dumps(data, indent=2, sort_keys=True, default=os.fspath) + "\n"


def from_record(text: str) -> Prefix:
    """Return the prefix that a record describes; :class:`PrefixError` for a broken one."""
    hint = "Remove the directories of the prefix, and set it up again."
    try:
        data = json.loads(text)
        if data.pop("format") > RECORD_FORMAT:
            raise PrefixError(
                f"this prefix was made by a newer program, {data.get('written_by')}",
                hint="Use that version, or make the prefix anew with --force.",
            )
        data["board"] = board(data["board"])
        data["toolchain"] = Toolchain(**data["toolchain"])
        data["repositories"] = tuple(_repository(r) for r in data["repositories"])
        for key in ("staging_dir", "final_dir", "distdir", "depcachedir", "wrapper_dir"):
            data[key] = Path(data[key])
        data["stages_done"] = tuple(data["stages_done"])
        known = {f.name for f in fields(Prefix)}
        return Prefix(**{key: value for key, value in data.items() if key in known})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise PrefixError(f"the record of the prefix is broken: {error}", hint=hint) from error


def _repository(data: dict[str, Any]) -> Repository:
    data["location"] = Path(data["location"])
    data["masters"] = tuple(data["masters"])
    data["aliases"] = tuple(data["aliases"])
    return Repository(**data)


def read(staging_dir: Path) -> Prefix:
    """Return the prefix whose record is in ``staging_dir``.

    By whatever path that is reached, the prefix is told by the path it was made with,
    by which its wrappers know it, too. One that was moved is where it is now.
    ``FileNotFoundError`` without a record; :class:`PrefixError` for the copy of a
    prefix, which would speak for the original's final root and wrappers.
    """
    prefix = from_record((staging_dir / RECORD_NAME).read_text(encoding="utf-8"))
    if prefix.staging_dir == staging_dir or is_same(prefix.staging_dir, staging_dir):
        return prefix
    if prefix.record_file.exists():
        raise PrefixError(
            f"{staging_dir} is a copy of the prefix {prefix.id} in {prefix.staging_dir}",
            hint="Name the original; a copy is nobody's, and can be removed by rm -r.",
        )
    return replace(prefix, staging_dir=staging_dir)


def is_same(one: Path, other: Path) -> bool:
    """Return whether both are there and are one directory."""
    try:
        return one.samefile(other)
    except OSError:
        return False


def write(prefix: Prefix) -> Prefix:
    """Write the record, atomically, and return the prefix."""
    portage_api.write_atomic(prefix.record_file, to_record(prefix))
    return prefix
