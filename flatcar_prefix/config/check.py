# SPDX-License-Identifier: BSD-3-Clause
"""Load a root through Portage and compare it with the written configuration."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flatcar_prefix.config import make_conf
from flatcar_prefix.config.root import composed_directories, system_packages, users_packages
from flatcar_prefix.errors import MismatchError, PrefixError
from flatcar_prefix.portage_api import session as portage_api
from flatcar_prefix.prefix.model import Prefix, Root
from flatcar_prefix.prefix.repository import Repository
from flatcar_prefix.repositories.profiles import COMPOSED, profile_location
from flatcar_prefix.toolchain.flags import ldflags


@dataclass(frozen=True)
class Expected:
    """A value that Portage must read from a root after its configuration is written."""

    name: str
    wanted: object
    found: object


def check_config(root: Root) -> None:
    """Load ``root`` through Portage; raise :class:`MismatchError` if a value differs."""
    with redirect_stderr(io.StringIO()) as complaints:
        settings = _load(root)
        wrong = [e for e in expectations(root, settings) if e.wanted != e.found]
    if wrong:
        first = wrong[0]
        more = f" (and {len(wrong) - 1} more)" if wrong[1:] else ""
        raise MismatchError(
            f"{root.kind}: Portage reads {first.name} as {first.found!r}, not as"
            f" {first.wanted!r}{more}{_first_words(complaints.getvalue())}",
            hint=_where_to_look(root),
        )
    sys.stderr.write(complaints.getvalue())


def _where_to_look(root: Root) -> str:
    """Return the hint for a difference: name the files that can cause it.

    A make.conf.user without settings cannot cause one, and a failed set-up removes it.
    """
    prefix = root.prefix
    if changed := [file for file in make_conf.user_files(root) if _has_settings(file)]:
        return f"Check {' and '.join(map(os.fspath, changed))} and the profile {prefix.profile}."
    if prefix.profile == COMPOSED:
        where = " and ".join(map(os.fspath, composed_directories(prefix)))
    else:
        where = os.fspath(profile_location(prefix.repositories, prefix.profile))
    return f"Choose another profile with --profile, or correct {where} and its parents."


def _has_settings(file: Path) -> bool:
    """Return whether a line of ``file`` is neither empty nor a comment."""
    lines = file.read_text(encoding="utf-8", errors="replace").splitlines()
    return any(line.strip() and not line.lstrip().startswith("#") for line in lines)


def _first_words(complaints: str) -> str:
    """Return the first lines of Portage's error output, or an empty string."""
    said = [line.lstrip("! ") for line in complaints.splitlines() if line.startswith("!!!")]
    return f"; Portage reports: {' '.join(said[:2])}" if said else ""


def _load(root: Root) -> Any:
    portage = portage_api.import_portage()
    from portage.exception import PortageException

    try:
        # Not root.settings, which may have been loaded before this configuration was written.
        return portage_api.load_trees(root.environment())["vartree"].settings
    except RecursionError as error:
        raise PrefixError(
            f"the profile {root.prefix.profile} has a loop in its parents",
            hint="Correct the parent files, or choose another profile with --profile.",
        ) from error
    except (PortageException, OSError) as error:
        raise PrefixError(
            f"Portage cannot load the {root.kind} root: {type(error).__name__}: {error}",
            hint=_culprit(root, str(error))
            or f"Correct the profile {root.prefix.profile} or"
            f" choose another with --profile (Portage {portage.VERSION}).",
        ) from error


def _culprit(root: Root, complaint: str) -> str:
    """Return the hint that names the user's file that Portage complains of, or an empty string."""
    files = [file for file in make_conf.user_files(root) if os.fspath(file) in complaint]
    return f"Correct {files[0]}, then run the same command again." if files else ""


def expectations(root: Root, settings: Any) -> Iterator[Expected]:
    """Yield each value that Portage must read as written."""
    prefix = root.prefix
    wanted = {
        "EPREFIX": prefix.eprefix,
        "EROOT": f"{root.eroot}/",
        "ROOT": f"{root.path}/",
        "SYSROOT": f"{root.path}/",
        "PORTAGE_CONFIGROOT": f"{root.eroot}/",
        "ARCH": prefix.board.arch,
        "CHOST": prefix.board.chost,
        "CBUILD": prefix.toolchain.cbuild,
        "DISTDIR": os.fspath(prefix.distdir),
        "PKGDIR": os.fspath(root.pkgdir),
        "PORT_LOGDIR": os.fspath(root.logdir),
        "PORTAGE_TMPDIR": os.fspath(root.tmpdir),
        "LDFLAGS": ldflags(prefix),
    }
    for name, value in wanted.items():
        yield Expected(name, value, settings.get(name))
    keywords = frozenset(settings.get("ACCEPT_KEYWORDS", "").split())
    stable = {word for word in prefix.board.keywords if not word.startswith("-")}
    dropped = {word[1:] for word in prefix.board.keywords if word.startswith("-")}
    yield Expected("ACCEPT_KEYWORDS", stable, (keywords & (stable | dropped)))
    yield from _expected_system(root, settings)
    yield from _expected_profile(root, settings)
    yield from _expected_repositories(prefix, settings)


def _expected_system(root: Root, settings: Any) -> Iterator[Expected]:
    wanted = {f"*{key}" for key in system_packages(root)}
    found = {str(atom) for atom in settings.packages}
    more = found - set(users_packages(root)) if root.kind == "final" else set()
    yield Expected("@system", wanted, wanted & found | more)


def _expected_profile(root: Root, settings: Any) -> Iterator[Expected]:
    prefix = root.prefix
    if prefix.profile == COMPOSED:
        wanted = [*composed_directories(prefix), root.config_dir / "composed-profile"]
    else:
        wanted = [profile_location(prefix.repositories, prefix.profile)]
    found = {os.path.realpath(path) for path in settings.profiles}
    yield Expected("profile", os.path.realpath(wanted[-1]), os.path.realpath(settings.profile_path))
    parents = {os.path.realpath(path) for path in wanted}
    yield Expected("the profile's parents", parents, parents & found)


def _expected_repositories(prefix: Prefix, settings: Any) -> Iterator[Expected]:
    loaded = [settings.repositories[name] for name in settings.repositories.prepos_order]
    wanted = tuple(r.name for r in prefix.repositories)
    # The user's file in repos.conf may have more.
    yield Expected("repositories", set(wanted), set(wanted) & {r.name for r in loaded})
    yield Expected("main-repo", prefix.main_repo, settings.repositories.mainRepo().name)
    by_name = {r.name: r for r in loaded}
    for repository in prefix.repositories:
        if (found := by_name.get(repository.name)) is not None:
            yield from _expected_repository(repository, found, prefix)


def _expected_repository(wanted: Repository, found: Any, prefix: Prefix) -> Iterator[Expected]:
    name = wanted.name
    location = os.path.realpath(wanted.location)
    yield Expected(f"{name}'s location", location, os.path.realpath(found.location))
    masters = tuple(r.name for r in found.masters)
    aliases = {a: r.name for r in prefix.repositories for a in (r.name, *r.aliases)}
    yield Expected(f"{name}'s masters", tuple(aliases.get(m, m) for m in wanted.masters), masters)
    if wanted.priority is not None:
        yield Expected(f"{name}'s priority", wanted.priority, found.priority)
