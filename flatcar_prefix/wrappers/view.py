# SPDX-License-Identifier: BSD-3-Clause
"""The view of a prefix: a private mount namespace with the prefix mounted at its EPREFIX.

A tool in the view sees an ordinary, native prefix. The view changes nothing outside, and
ends with the last process of its namespace. The required mounts depend on the state of the
machine when a tool starts, so a script makes them: ``<staging>/view/enter``, which this
module generates.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from flatcar_prefix.portage_api import session as portage_api
from flatcar_prefix.prefix.model import Prefix, Root
from flatcar_prefix.system.files import write_atomic
from flatcar_prefix.system.places import data_dir
from flatcar_prefix.system.python import interpreter

TEMPLATE = "enter.sh.in"


def directory(prefix: Prefix) -> Path:
    """Return the directory with the files that a prefix needs for its views."""
    return prefix.staging_dir / "view"


def enter_script(prefix: Prefix) -> Path:
    """Return the path of the script that enters a view."""
    return directory(prefix) / "enter"


def environment(root: Root) -> dict[str, str]:
    """Return the variables of a tool in a view.

    No other variable of ``root.environment()`` may be set, as on a Gentoo machine.
    """
    return {"PORTAGE_OVERRIDE_EPREFIX": root.prefix.eprefix}


def unshare_words(*, ordinary: bool) -> list[str]:
    """Return the command that creates the namespace, as root or as an ordinary user.

    An ordinary user keeps their user ID in it, and has the capabilities to mount until the
    script drops them.
    """
    user = ["--user", "--map-current-user", "--keep-caps"] if ordinary else []
    return ["unshare", *user, "--mount", "--propagation", "private", "--"]


def command(root: Root, argv: Sequence[str]) -> list[str]:
    """Return the command line that runs ``argv`` in the view of ``root``, as this user.

    It executes ``argv`` with the same process ID. The caller sets the environment: see
    :func:`environment`.
    """
    ordinary = os.geteuid() != 0
    who = "user" if ordinary else "root"
    script = os.fspath(enter_script(root.prefix))
    return [*unshare_words(ordinary=ordinary), "/bin/sh", script, root.kind, who, *argv]


def enter_text(prefix: Prefix, globals_path: str) -> str:
    """Return the script that sets up a view in its mount namespace, without the mark."""
    text = (data_dir() / "wrappers" / TEMPLATE).read_text(encoding="utf-8")
    values = {
        "ID": prefix.id,
        "EPREFIX": shlex.quote(prefix.eprefix),
        "VIEW": shlex.quote(os.fspath(directory(prefix))),
        "GLOBALS": shlex.quote(globals_path),
        "STAGING_EROOT": shlex.quote(os.fspath(prefix.staging.eroot)),
        "FINAL_EROOT": shlex.quote(os.fspath(prefix.final.eroot)),
        "PYTHON": shlex.quote(interpreter()),
        "FAILED": shlex.quote(f" * the view of the prefix {prefix.id} cannot be mounted"),
    }
    for key, value in values.items():
        text = text.replace(f"@{key}@", value)
    return text


def write_places(prefix: Prefix, globals_path: str) -> None:
    """Create the directories that a view adds to those of the machine and the prefix."""
    here = directory(prefix)
    (here / "places" / prefix.eprefix.lstrip("/")).mkdir(parents=True, exist_ok=True)
    for name in ("root", "instead", "instead-globals"):
        (here / name).mkdir(exist_ok=True)
    config = here / "globals" / globals_path
    config.mkdir(parents=True, exist_ok=True)
    for name, target in global_config().items():
        link = config / name
        if not link.is_symlink() or Path(os.readlink(link)) != target:
            link.unlink(missing_ok=True)
            link.symlink_to(target)
    if not (config / "repos.conf").exists():
        write_atomic(config / "repos.conf", "# Only the prefix's own repositories.\n")


def settings_file(name: str) -> Path:
    """Return the path of ``etc/<name>`` of this machine's Portage."""
    beside = Path(sys.prefix) / "etc" / name
    return beside if beside.exists() else Path("/etc") / name


def portage_python(prefix: Prefix) -> str:
    """Return the script that etc-update runs portageq with.

    It prints the location of etc-update's settings if the prefix has no settings of its own.
    """
    settings = settings_file("etc-update.conf").parent.parent
    own = shlex.quote(f"{prefix.eprefix}/etc/etc-update.conf")
    return (
        "#!/bin/sh\n# @MARK@\n# etc-update runs portageq with this script.\nset -eu\ncode=0\n"
        f'{shlex.quote(interpreter())} "$@" || code=$?\n'
        f"[ -e {own} ] || echo {shlex.quote(f'PORTAGE_CONFIGROOT={settings}/')}\n"
        'exit "${code}"\n'
    )


def global_config() -> dict[str, Path]:
    """Return the paths of make.globals and sets of this Portage, if it has them."""
    base = Path(portage_api.import_portage().const.PORTAGE_BASE_PATH)
    below = portage_api.global_config_path()
    for place in (Path(sys.prefix) / below, Path("/") / below, base / "cnf"):
        if (place / "make.globals").exists():
            return {n: place / n for n in ("make.globals", "sets") if (place / n).exists()}
    return {}
