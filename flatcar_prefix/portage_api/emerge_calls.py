# SPDX-License-Identifier: BSD-3-Clause
"""The steps of ``_emerge.main.emerge_main``, one function each.

Portage has one public call for emerge, which needs one process per root. Staging and final
share a process, so this program needs the single steps. All names are the same in Portage
3.0.63 to 3.0.83.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from flatcar_prefix.portage_api import index_keys


def parse_options(words: Sequence[str], *, silent: bool = False) -> tuple[Any, Any, Any]:
    """Return the action, the options and the arguments of an emerge command line."""
    from _emerge.main import parse_opts

    action, opts, files = parse_opts(list(words), silent=silent)
    return action, opts, files


def run_early(words: Sequence[str]) -> int:
    """Run a command line for which emerge loads no root; return the exit code."""
    from _emerge.main import emerge_main

    return int(emerge_main(list(words)) or 0)


def load_config(action: str | None, opts: Any, files: Any) -> Any:
    """Load all roots and return the ``_emerge.actions._emerge_config``.

    The caches of all ebuild databases are closed at the end of the process, not after a
    run: a later run asks the same databases.
    """
    import portage
    from _emerge.actions import load_emerge_config

    # Set by emerge_main; no public call sets it. While it is true, profiles may be missing.
    portage._sync_mode = action == "sync"
    index_keys.install_in_emerge()
    config = load_emerge_config(action=action, args=files, opts=opts)
    portage.process.atexit_register(_close_caches, config.trees)
    for of_root in config.trees.values():
        _read_without_index(of_root["vartree"].settings)
    return config


def _read_without_index(settings: Any) -> None:
    """Make Portage read the binary packages themselves if their index is lost or outdated.

    With FEATURES=pkgdir-index-trusted, a default, Portage takes a PKGDIR without an index for
    an empty one, and plans packages that the index names and that do not exist. Without it,
    Portage reads the packages and writes the index again.
    """
    pkgdir = Path(settings["PKGDIR"])
    if "pkgdir-index-trusted" not in settings.features:
        return
    if not (pkgdir / "Packages").exists() or index_keys.is_outdated(pkgdir):
        settings.unlock()
        settings.features.discard("pkgdir-index-trusted")
        settings.lock()


def _close_caches(trees: Any) -> None:
    for of_root in trees.values():
        if "porttree" not in of_root.lazy_items:
            of_root["porttree"].dbapi.close_caches()


def run_action(config: Any) -> int:
    """Run the action of ``config`` and return the exit code of emerge."""
    import portage
    from _emerge.actions import run_action as run
    from portage.package.ebuild._ipc.QueryCommand import QueryCommand

    # has_version in ebuilds asks this database; loading another root replaces it.
    QueryCommand._db = config.trees
    portage.output.havecolor = 0
    os.umask(0o22)
    return int(run(config) or 0)


def log_end(*, titles: bool) -> None:
    """Write the line to emerge.log that ends a run."""
    from _emerge.emergelog import emergelog

    emergelog(titles, " *** terminating.")


def failed_packages(scheduler: Any) -> tuple[Any, ...]:
    """Return the failed packages of a run, as ``_emerge`` objects.

    The scheduler has no public list of all failed packages.
    """
    return tuple(scheduler._failed_pkgs_all)


def cache_keys(bindb: Any) -> Any:
    """Return the metadata keys that a binary package database caches.

    No public attribute has them.
    """
    return bindb._aux_cache_keys


def ask(question: str, opts: Any) -> bool:
    """Ask a yes-or-no question as ``emerge --ask`` does; return whether the answer is yes."""
    from _emerge.UserQuery import UserQuery

    return bool(UserQuery(opts).query(question, "--ask-enter-invalid" in opts) != "No")
