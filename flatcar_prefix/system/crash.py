# SPDX-License-Identifier: BSD-3-Clause
"""Write an unexpected exception to a file, and name the file."""

from __future__ import annotations

import os
import shlex
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

from flatcar_prefix.errors import PrefixError
from flatcar_prefix.version import __version__


def written(error: BaseException, *, program: str, directory: Path | None = None) -> PrefixError:
    """Write the traceback of ``error`` to a file; return the error to report, with its path.

    The file goes to ``directory``, or to the logs of this program's state directory, or to
    the directory for temporary files: the first that is writable.
    """
    last = traceback.format_exception_only(type(error), error)[-1].strip()
    what = f"{program}: unexpected error: {last.splitlines()[0] if last else type(error).__name__}"
    path = _write(_text(error, program), program, directory)
    if path is None:
        return PrefixError(
            what, hint="Make the directory for temporary files writable, to get a report."
        )
    return PrefixError(what, hint=f"This is a defect of flatcar-prefix. Report it with {path}.")


def _write(text: str, program: str, directory: Path | None) -> Path | None:
    for place in _places(directory):
        try:
            place.mkdir(mode=0o755, parents=True, exist_ok=True)
            name = f"crash-{program}-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-"
            # Only the user can read it, because the command line may contain a secret.
            number, path = tempfile.mkstemp(prefix=name, suffix=".log", dir=place)
            with os.fdopen(number, "w", encoding="utf-8", errors="backslashreplace") as file:
                file.write(text)
            return Path(path)
        except OSError:
            continue
    return None


def _places(directory: Path | None) -> Iterator[Path]:
    from flatcar_prefix.system.places import detect_sdk

    if directory is not None and directory.is_dir():
        yield directory
    yield detect_sdk().state_dir / "logs"
    yield Path(tempfile.gettempdir())


def _text(error: BaseException, program: str) -> str:
    system = os.uname()
    lines = [
        f"program:        {program}",
        f"command:        {shlex.join(sys.orig_argv)}",
        f"flatcar-prefix: {__version__}",
        f"portage:        {_portage_version()}",
        f"python:         {sys.version.split()[0]} ({sys.executable})",
        f"system:         {system.sysname} {system.release} {system.machine}; {_distribution()}",
        f"user:           {os.geteuid()}",
    ]
    return "\n".join(lines) + "\n\n" + "".join(traceback.format_exception(error))


def _portage_version() -> str:
    from importlib import metadata

    loaded = sys.modules.get("portage")
    if loaded is not None:
        return str(getattr(loaded, "VERSION", "unknown"))
    try:
        return metadata.version("portage")
    except metadata.PackageNotFoundError:
        return "not installed"


def _distribution() -> str:
    import platform

    try:
        return platform.freedesktop_os_release().get("PRETTY_NAME", "")
    except OSError:
        return ""
