# SPDX-License-Identifier: BSD-3-Clause
"""Where this program meets Portage: loading, writing, and what differs between versions.

Portage reads the environment when it is imported (``PORTAGE_OVERRIDE_EPREFIX``), so it
is imported late, by the functions below.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flatcar_prefix.errors import PrefixError

OLDEST = "3.0.63"


NEWEST_KNOWN = "3.0.83"


def import_portage(*, owner: bool = True) -> Any:
    """Return the ``portage`` module, of a version that is known to work.

    ``owner`` says whether the prefix that this is about is the caller's own.
    :class:`PrefixError` when there is none, or when it is older than :data:`OLDEST`.
    """
    try:
        import portage
    except ImportError as error:
        raise PrefixError(
            f"Portage cannot be imported ({error})",
            hint=f"Install it for this Python: pip install 'portage>={OLDEST}'.",
        ) from error
    check_version(str(portage.VERSION))
    _initialise_users(portage, owner=owner)
    return portage


class _Users(dict[str, str]):
    """As much of a ``portage.config`` as says which user Portage drops privileges to."""

    features: frozenset[str] = frozenset()


def _initialise_users(portage: Any, *, owner: bool) -> None:
    """Tell Portage the users before it asks.

    A prefix's owner may do everything in it, as ``portage.data`` has it; others may not,
    and have to leave its directories alone.

    The first lock or the first file it writes would make it load the machine's own
    configuration, which there is none of, or another's, and complain.
    """
    from flatcar_prefix.system.users import is_own_user, portage_user

    user, group = portage_user()
    users = _Users(PORTAGE_USERNAME=user, PORTAGE_GRPNAME=group)
    if os.geteuid() != 0 and owner and is_own_user(user):
        users.features = frozenset({"unprivileged"})
    portage.data._init(users)


def check_version(version: str) -> None:
    """Raise :class:`PrefixError` for a Portage that is older than :data:`OLDEST`.

    A version that cannot be compared, as a development tree's, is taken to be new.
    """
    from packaging.version import InvalidVersion, Version

    try:
        too_old = Version(version) < Version(OLDEST)
    except InvalidVersion:
        return
    if too_old:
        raise PrefixError(
            f"Portage {version} is too old",
            hint=f"Install {OLDEST} or newer: pip install 'portage>={OLDEST}'.",
        )


def version() -> str:
    """Return the version of the Portage that is used."""
    return str(import_portage().VERSION)


def newer_than_known(version: str) -> bool:
    """Return whether this Portage was released after this program was last tried with it."""
    from packaging.version import InvalidVersion, Version

    try:
        return Version(version) > Version(NEWEST_KNOWN)
    except InvalidVersion:
        return False


@contextmanager
def build_host(eprefix: str | None) -> Iterator[None]:
    """Within, Portage's build host is the configuration root ``eprefix``.

    The same that ``PORTAGE_OVERRIDE_EPREFIX`` does for a process as a whole, for
    programs that have imported Portage already and for those with several prefixes.
    ``None`` leaves everything as it is.
    """
    portage = import_portage()
    if eprefix is None or eprefix == portage.const.EPREFIX:
        yield
        return
    before = portage.const.EPREFIX
    portage.const.EPREFIX = eprefix
    try:
        yield
    finally:
        portage.const.EPREFIX = before


def load_trees(variables: Mapping[str, str], *, env: Mapping[str, str] | None = None) -> Any:
    """Return the databases of the root that ``variables`` point at.

    They are one entry of what ``portage.create_trees`` returns; ``variables`` are what
    ``Root.environment()`` returns.

    ``env`` stands in for the environment; by default none of the caller's variables
    shapes what is loaded.
    """
    portage = import_portage()
    named = {k: v for k, v in variables.items() if k == "PORTAGE_REPOSITORIES"}
    with build_host(variables.get("PORTAGE_OVERRIDE_EPREFIX")):
        trees = portage.create_trees(
            config_root=variables["PORTAGE_CONFIGROOT"],
            target_root=variables["ROOT"],
            sysroot=variables["SYSROOT"],
            eprefix=variables["EPREFIX"],
            env={"PATH": os.defpath, **named, **(env or {})},
        )
        target = trees[trees._target_eroot]
        # Built on first use otherwise, when the build host may be another again.
        for name in ("vartree", "porttree", "bintree"):
            target[name]
        return target


def global_config_path() -> str:
    """Return where, below its prefix, Portage keeps make.globals: it depends on its installer."""
    return str(import_portage().const.GLOBAL_CONFIG_PATH).lstrip("/")


def point_at(variables: Mapping[str, str]) -> None:
    """Point Portage, in this process and its children, at a root: ``Root.environment()``."""
    os.environ.update(variables)


def initialise(variables: Mapping[str, str], *, owner: bool) -> None:
    """Import Portage for a process that is about to be an emerge of this prefix.

    The build host's prefix is read when Portage is imported, so this comes first.
    """
    point_at(variables)
    # Plans are made in this process, where one root's can be compared with the other's.
    os.environ["PORTAGE_FORK_DEP_CALC"] = "0"
    portage = import_portage(owner=owner)
    # Nobody reads portage.settings here, which would load a root once more.
    portage._disable_legacy_globals()
    portage._internal_warnings = True
    portage.util.initialize_logger()


def run_exit_functions() -> None:
    """Do what Portage has left for the end of the process."""
    import portage.process

    portage.process.run_exitfuncs()


def setting(sysroot: Path, name: str) -> str | None:
    """Return a variable of the configuration below ``sysroot``, None when it has none.

    As ``portageq envvar`` does for a root of its own, such as a board's. Of repositories
    it knows those that the root's own repos.conf names.
    """
    portage = import_portage()
    from portage.exception import PortageException

    where = os.fspath(sysroot)
    env = {"PATH": os.defpath, "PORTAGE_REPOSITORIES": _repos_conf_text(sysroot)}
    try:
        config = portage.config(config_root=where, target_root=where, eprefix="", env=env)
    except (PortageException, OSError):
        return None
    value = config.get(name)
    return None if value is None else str(value)


def _repos_conf_text(root: Path) -> str:
    """Return the text of a root's repos.conf, a file or a directory; see portage(5)."""
    place = root / "etc/portage/repos.conf"
    files = sorted(place.glob("[!.]*")) if place.is_dir() else [place]
    return (
        "".join(
            f.read_text(encoding="utf-8") + "\n" for f in files if f.is_file() and f.suffix != "~"
        )
        or "[DEFAULT]\n"
    )
