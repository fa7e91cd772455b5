# SPDX-License-Identifier: BSD-3-Clause
"""A prefix, its two roots, and its wrappers."""

from __future__ import annotations

import os
import shlex
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flatcar_prefix.boards import Board
from flatcar_prefix.errors import PrefixError, UsageError
from flatcar_prefix.portage_api import session as portage_api
from flatcar_prefix.prefix import program
from flatcar_prefix.prefix.environment import repository_variables
from flatcar_prefix.prefix.repository import Repository
from flatcar_prefix.version import __version__

if TYPE_CHECKING:
    import subprocess

RECORD_NAME = "flatcar-prefix.json"

KINDS = ("staging", "final")


@dataclass(frozen=True)
class Toolchain:
    """The compiler for a board; :mod:`flatcar_prefix.toolchain.find` finds it."""

    kind: str
    """``host``, ``sdk`` or ``board``."""
    cc: str
    """The raw C compiler, without the prefix's sysroot."""
    cxx: str
    binutils_prefix: str
    """The prefix of the names of ``ar``, ``ld``, ..., e.g. ``x86_64-linux-gnu-``."""
    sysroot: str
    """The toolchain's own sysroot; empty if it is the compiler's default sysroot."""
    version: str
    """First line of the compiler's ``--version`` output."""
    libc_version: str = ""
    multilib: str = "lib"
    """The compiler's default library directory, ``lib`` or ``lib64``."""
    cbuild: str = "x86_64-pc-linux-gnu"
    clang: bool = False
    clang_cc: str = ""
    clang_cxx: str = ""
    clang_target: str = ""
    cflags: str = "-O2 -pipe"


@dataclass(frozen=True)
class Binhost:
    """A place with binary packages: the ``pkgs`` directory of a pool, as Portage reaches it."""

    name: str
    """Its section in binrepos.conf."""
    uri: str
    """``sync-uri``, see portage(5)."""
    pool: str = ""
    """The identity of the pool, if it is on this machine."""
    keys: tuple[str, ...] = ()
    """The fingerprints of the keys that were given for its packages."""


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
    """``repo:path`` of the profile, or ``composed`` for a profile with two parents."""
    bootstrap: str = "source"
    """The origin of the C library: ``source``, ``import`` or ``none``."""
    own_libc: bool = False
    """Whether this program's own glibc, baselayout and kernel headers replace the checkout's,
    whose files could not be fetched."""
    native_host: bool = False
    """Whether the build host is Gentoo, such as the SDK, and uses its own configuration."""
    username: str = "root"
    groupname: str = "root"
    wrapper_dir: Path = Path("/usr/local/bin")
    stages_done: tuple[str, ...] = ()
    complete: bool = False
    created: float = 0.0
    """The time of the first set-up, in seconds since the epoch."""
    written_by: str = __version__
    scripts_dir: str = ""
    """The checkout that provides the repositories; an update searches it again."""
    with_gcc: bool = False
    """Whether staging contains a compiler."""
    locales: tuple[str, ...] = ()
    """The locales that the C library has besides C.UTF-8."""
    confined: bool = True
    """Whether builds are confined, see :mod:`flatcar_prefix.sandbox.confinement`."""
    identity: str = ""
    """The random number in its markers, see :mod:`flatcar_prefix.prefix.markers`. It is empty
    for a prefix of version 0.1.0 that no later version has changed."""
    kept: tuple[str, ...] = ()
    """The kinds of roots whose directory existed before set-up and stays after removal."""
    binhosts: tuple[Binhost, ...] = ()
    """The places from which staging takes binary packages, the most preferred first."""
    verify_binhosts: bool = True
    """Whether each package of :attr:`binhosts` must have a valid signature."""
    pool: bool = False
    """Whether it is a pool: a prefix whose binary packages other prefixes take."""
    signing_key: str = ""
    """The fingerprint of the key that signs its binary packages; empty if they are unsigned."""
    signing_home: str = ""
    """The GnuPG home directory with this key; empty for :attr:`own_signing_home`."""
    removing: bool = False
    """Whether its removal has begun; it can only be removed then."""

    def __repr__(self) -> str:
        return f"<Prefix {self.id} at {self.eprefix}>"

    @property
    def id(self) -> str:
        """The name in wrappers and messages: ``<name>-<board>``."""
        return f"{self.name}-{self.board.name}"

    @property
    def record_file(self) -> Path:
        return self.staging_dir / RECORD_NAME

    @property
    def host_dir(self) -> Path:
        """The build host's configuration root on a machine that is not Gentoo."""
        return self.staging_dir / "host"

    @property
    def tools_dir(self) -> Path:
        """Tools that come first in the PATH of builds and never appear in a user's PATH."""
        return self.staging_dir / "tools" / "bin"

    @property
    def keyring_dir(self) -> Path:
        """The GnuPG home directory with the public keys of the binary packages to install."""
        return self.staging_dir / "keyring"

    @property
    def own_signing_home(self) -> Path:
        """The GnuPG home directory of a signing key that this program made."""
        return self.staging_dir / "signing"

    @cached_property
    def staging(self) -> Root:
        """The root in which packages are built; the same object at each access."""
        return Root(self, "staging", self.staging_dir)

    @cached_property
    def final(self) -> Root:
        """The root that is shipped; the same object at each access."""
        return Root(self, "final", self.final_dir)

    def root(self, kind: str) -> Root:
        """Return the ``staging`` or the ``final`` root."""
        if kind not in KINDS:
            raise UsageError(f"unknown root {kind!r}", hint=f"Choose one of: {', '.join(KINDS)}.")
        return self.staging if kind == "staging" else self.final

    @property
    def is_current(self) -> bool:
        """Whether this installation of the program wrote the configuration, for these paths."""
        return program.is_current(self._written(), self.staging_dir)

    def refuse_orphaned(self) -> None:
        """Raise :class:`PrefixError` if the configuration names a program that is gone."""
        if missing := program.gone(self._written(), self.staging_dir):
            raise PrefixError(
                f"the configuration of {self.id} names {missing}, which no longer exists",
                hint=f"Bring the prefix over to this program: flatcar-prefix wrappers"
                f" {self.spelled}",
            )

    def _written(self) -> program.Written | None:
        return program.written_in(self.staging.config_dir / "make.conf")

    @property
    def spelled(self) -> str:
        """The word that names this prefix in a command: its ID, or its directory after a move."""
        written = self._written()
        moved = written and written.staging_dir not in (None, self.staging_dir)
        return shlex.quote(os.fspath(self.staging_dir)) if moved else self.id

    def wrapper(self, tool: str) -> Wrapper:
        """Return the wrapper of ``tool``, for use from Python.

        Raise :class:`PrefixError` if the prefix does not have this wrapper.
        """
        wrapper = Wrapper(self, tool)
        if not wrapper.path.exists():
            raise PrefixError(
                f"{wrapper.path} does not exist",
                hint=f"Write the missing wrappers: flatcar-prefix wrappers {self.id}; --list prints"
                " the tools.",
            )
        return wrapper


@dataclass(frozen=True)
class Wrapper:
    """The wrapper of one tool for one prefix."""

    prefix: Prefix
    name: str
    """The name of the tool."""

    @property
    def path(self) -> Path:
        return self.prefix.wrapper_dir / f"{self.name}-prefix-{self.prefix.id}"

    @property
    def short_path(self) -> Path:
        """The name without the board; it runs the wrapper of the board that was set up first."""
        return self.prefix.wrapper_dir / f"{self.name}-prefix-{self.prefix.name}"

    def run(
        self, *args: str, check: bool = False, capture: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run the wrapper with ``args`` and return the finished process."""
        # Imported here: emerge's wrapper loads this module and does not start processes.
        from flatcar_prefix.system import process

        return process.run([self.path, *args], check=check, capture=capture)


@dataclass(frozen=True)
class Root:
    """One of a prefix's two roots: ordinary directories on the build machine."""

    prefix: Prefix
    kind: str
    directory: Path
    """Holds ``root``, ``logs`` and ``tmp``, and ``pkgs`` in staging."""

    def __repr__(self) -> str:
        return f"<Root {self.kind} of {self.prefix.id}: {self.path}>"

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
        """Return the location of a target path on this machine."""
        return self.path / os.fspath(target_path).lstrip("/")

    def environment(self) -> dict[str, str]:
        """Return the variables that point Portage at this root, and nothing else.

        On a machine that is not Gentoo, ``PORTAGE_OVERRIDE_EPREFIX`` names the build host's
        configuration root. On Gentoo, :mod:`flatcar_prefix.prefix.environment` describes
        ``PORTAGE_REPOSITORIES``.
        """
        variables = {
            "ROOT": os.fspath(self.path),
            "SYSROOT": os.fspath(self.path),
            "EPREFIX": self.prefix.eprefix,
            "PORTAGE_CONFIGROOT": os.fspath(self.eroot),
        }
        if not self.prefix.native_host:
            variables["PORTAGE_OVERRIDE_EPREFIX"] = os.fspath(self.prefix.host_dir)
            return variables
        return variables | repository_variables(self.prefix.repositories, self.prefix.main_repo)

    @cached_property
    def trees(self) -> Any:
        """Portage's databases for this root (``portage.create_trees``), loaded once.

        Raise :class:`PrefixError` if the configuration names a program that is gone.
        """
        self.prefix.refuse_orphaned()
        return portage_api.load_trees(self.environment())

    @property
    def settings(self) -> Any:
        """The ``portage.config`` of this root, locked."""
        return self.trees["vartree"].settings

    @property
    def vardb(self) -> Any:
        """The installed packages, a ``portage.dbapi.vartree.vardbapi``."""
        return self.trees["vartree"].dbapi

    def contents(self, cpv: str) -> list[Path]:
        """Return the paths on this machine of an installed package's files.

        The VDB file CONTENTS lists them; ``portage.dbapi.vartree.dblink`` reads it.
        """
        from portage.dbapi.vartree import dblink
        from portage.versions import catsplit

        category, pf = catsplit(cpv)
        tree = self.trees["vartree"]
        link = dblink(category, pf, settings=tree.settings, treetype="vartree", vartree=tree)
        return [Path(path) for path in link.getcontents()]

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
