# SPDX-License-Identifier: BSD-3-Clause
"""Import Portage, check its version, and load the databases of a root.

Portage reads ``PORTAGE_OVERRIDE_EPREFIX`` at import. The functions below therefore import
it late.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from flatcar_prefix import environ
from flatcar_prefix.errors import PrefixError
from flatcar_prefix.portage_api import eapis, index_keys

OLDEST = "3.0.63"


NEWEST_KNOWN = "3.0.83"


def import_portage(*, owner: bool = True, users: tuple[str, str] | None = None) -> Any:
    """Return the ``portage`` module.

    ``owner`` is True if the caller owns the prefix; ``users`` are the user and the group that
    its builds run as, by default those of this machine. Raise :class:`PrefixError` if Portage is
    not installed, or is older than :data:`OLDEST`.
    """
    try:
        import portage
    except ImportError as error:
        raise PrefixError(
            f"Portage cannot be imported ({error})",
            hint=f"Install it for this Python: pip install 'portage>={OLDEST}'.",
        ) from error
    check_version(str(portage.VERSION))
    _initialise_users(portage, owner=owner, names=users)
    eapis.use_own_bash(portage)
    eapis.leave_out_unreadable(portage)
    return portage


class _Users(dict[str, str]):
    """The part of a ``portage.config`` that names the user to whom Portage drops privileges."""

    features: frozenset[str] = frozenset()


def _initialise_users(portage: Any, *, owner: bool, names: tuple[str, str] | None) -> None:
    """Set Portage's build user before Portage looks it up.

    Portage would look it up at the first lock or written file. It would load the machine's
    own configuration, which may not exist or may belong to another root, and print errors.
    ``unprivileged`` makes ``portage.data`` grant the owner of a prefix all rights in it.
    Other users must not change its directories.
    """
    from flatcar_prefix.system.users import is_own_user, portage_user

    user, group = names or portage_user()
    users = _Users(PORTAGE_USERNAME=user, PORTAGE_GRPNAME=group)
    if os.geteuid() != 0 and owner and is_own_user(user):
        users.features = frozenset({"unprivileged"})
    portage.data._init(users)


def check_version(version: str) -> None:
    """Raise :class:`PrefixError` for a Portage that is older than :data:`OLDEST`.

    A version that cannot be compared, such as a development tree's, counts as new.
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


def places() -> tuple[str, ...]:
    """Return the directories of Portage that its programs read, besides their modules."""
    from portage import const

    defaults = f"{const.EPREFIX}{const.GLOBAL_CONFIG_PATH}/make.globals"
    return (const.PORTAGE_BIN_PATH, os.path.dirname(os.path.realpath(defaults)))


def version() -> str:
    """Return the version of the imported Portage."""
    return str(import_portage().VERSION)


def newer_than_known(version: str) -> bool:
    """Return whether ``version`` of Portage is newer than :data:`NEWEST_KNOWN`."""
    from packaging.version import InvalidVersion, Version

    try:
        return Version(version) > Version(NEWEST_KNOWN)
    except InvalidVersion:
        return False


@contextmanager
def build_host(eprefix: str | None) -> Iterator[None]:
    """Within, Portage's build host is the configuration root ``eprefix``.

    ``PORTAGE_OVERRIDE_EPREFIX`` has this effect for a whole process, at import. This function
    also works after the import, and for a process with several prefixes. ``None`` changes
    nothing.
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

    The result is one entry of ``portage.create_trees``. ``variables`` is the result of
    ``Root.environment()``. ``env`` replaces the environment; by default, the caller's
    variables have no effect.
    """
    portage = import_portage()
    index_keys.install()
    named = {k: v for k, v in variables.items() if k == "PORTAGE_REPOSITORIES"}
    with build_host(variables.get("PORTAGE_OVERRIDE_EPREFIX")):
        trees = portage.create_trees(
            config_root=variables["PORTAGE_CONFIGROOT"],
            target_root=variables["ROOT"],
            sysroot=variables["SYSROOT"],
            eprefix=variables["EPREFIX"],
            env={"PATH": _search_path(variables), **named, **(env or {})},
        )
        target = trees[trees._target_eroot]
        # Build these now: at first use, Portage may have another build host.
        for name in ("vartree", "porttree", "bintree"):
            target[name]
        return target


def _search_path(variables: Mapping[str, str]) -> str:
    """Return PATH for programs that Portage starts, with the bash that is to read ebuilds."""
    host = variables.get("PORTAGE_OVERRIDE_EPREFIX")
    if not host or eapis.own_bash() is None:
        return os.defpath
    return os.pathsep.join((os.path.join(host, "usr/bin"), os.defpath))


def global_config_path() -> str:
    """Return the directory of make.globals below Portage's prefix; the installer chooses it."""
    return str(import_portage().const.GLOBAL_CONFIG_PATH).lstrip("/")


def point_at(variables: Mapping[str, str]) -> None:
    """Point Portage in this process and its children at the root of ``Root.environment()``."""
    environ.publish(variables)


def initialise(variables: Mapping[str, str], *, owner: bool, users: tuple[str, str]) -> None:
    """Import Portage for a process that runs emerge for this prefix.

    Call this first, because Portage reads the build host's prefix at import.
    """
    point_at(variables)
    # Calculate dependencies in this process, so that the roots' plans can be compared.
    environ.publish({"PORTAGE_FORK_DEP_CALC": "0"})
    portage = import_portage(owner=owner, users=users)
    # Without this, an access to portage.settings would load a root again.
    portage._disable_legacy_globals()
    portage._internal_warnings = True
    portage.util.initialize_logger()


def run_exit_functions() -> None:
    """Run the functions that Portage registered for the end of the process."""
    import portage.process

    portage.process.run_exitfuncs()


def setting(sysroot: Path, name: str) -> str | None:
    """Return a variable of the configuration below ``sysroot``, or None if it is not set.

    ``sysroot`` is a complete root, such as a board's. This is ``portageq envvar`` for it, with
    the repositories of the root's own repos.conf.
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
