# SPDX-License-Identifier: BSD-3-Clause
"""Files of a build host that is not Gentoo, where eclasses look for them.

Each file has the path that Gentoo's package uses. If Portage built such a package for the build
host, its file is kept.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

from flatcar_prefix.config import machine_packages
from flatcar_prefix.system.files import replace_link, write_atomic
from flatcar_prefix.system.places import data_dir

OWN = "eclass-helpers/build-host"
"""The directory of this program's replacements of Gentoo's helpers."""


def write(host: Path, python: str) -> None:
    """Write the files below the build host's prefix; ``python`` is its Python, ``3.N``."""
    for name, text in texts(python).items():
        path = host / name
        path.parent.mkdir(parents=True, exist_ok=True)
        write_atomic(path, text)
    for name, target in links(python).items():
        path = host / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.is_symlink() or not path.exists():
            replace_link(path, target)
    for name in ("config.guess", "config.sub"):
        # Left by another version of this program or of the machine.
        path = host / "usr/share/gnuconfig" / name
        if path.is_symlink() and not path.exists():
            path.unlink()


def texts(python: str) -> Mapping[str, str]:
    """Return the text of each written file, by its path."""
    home = os.path.dirname(machine_packages.python_path() or "/usr/bin/python3")
    return {
        # Makes usr/bin/python3.N a virtual environment, so that the machine's Python finds the
        # modules of packages for the build host; see the documentation of venv.
        "usr/pyvenv.cfg": f"home = {home}\ninclude-system-site-packages = true\n",
    }


def links(python: str) -> Mapping[str, Path]:
    """Return the target of each link, by its path."""
    found = dict(_python_links(python))
    own = data_dir() / OWN
    found["usr/bin/eltpatch"] = own / "eltpatch"
    found["usr/lib/python-exec/python-exec2"] = own / "python-exec2"
    found["lib/gentoo/functions.sh"] = own / "functions.sh"
    if (directory := machine_packages.gnuconfig_dir()) is not None:
        for name in ("config.guess", "config.sub"):
            found[f"usr/share/gnuconfig/{name}"] = directory / name
    for tool in machine_packages.OWN_TOOLS:
        path = machine_packages.find_program(tool)
        if path and not path.startswith(("/usr/bin/", "/bin/")):
            found[f"usr/bin/{tool}"] = Path(path)
    return found


def _python_links(python: str) -> Iterator[tuple[str, Path]]:
    path = machine_packages.python_path()
    if path is None:
        return
    yield f"usr/bin/python{python}", Path(os.path.realpath(path))
    yield "usr/bin/python3", Path(f"python{python}")
    scripts = f"usr/lib/python-exec/python{python}"
    for name in ("python", "python3"):
        yield f"{scripts}/{name}", Path("../../../bin") / f"python{python}"
