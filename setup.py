# SPDX-License-Identifier: BSD-3-Clause
"""Install the data directories and generate the manual pages; pyproject.toml has the rest."""

import shutil
import subprocess
import sys
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).parent
DATA = ("repos", "wrappers", "eclass-helpers", "completion", "docs")


class BuildWithData(build_py):
    """Copy the data directories next to the code that reads them, and write the manual pages.

    setuptools would omit directories with a dot in their name from packages.
    """

    def run(self) -> None:
        super().run()
        ignored = shutil.ignore_patterns("__pycache__", "md5-cache")
        for name in DATA:
            target = Path(self.build_lib, "flatcar_prefix", "_data", name)
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(HERE / name, target, symlinks=True, ignore=ignored)


def manual_pages() -> list[tuple[str, list[str]]]:
    """Write the manual pages and return where they are installed, as data_files.

    A separate interpreter keeps the program's modules out of the build.
    """
    target = Path("build", "man")
    command = [sys.executable, HERE / "man/generate.py", target]
    written = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.split()
    sections = sorted({path[-1] for path in written})
    return [(f"share/man/man{s}", [p for p in written if p.endswith(s)]) for s in sections]


# An editable installation has no data files.
building = any(word.startswith(("bdist", "build", "install")) for word in sys.argv)
setup(
    cmdclass={"build_py": BuildWithData},
    data_files=manual_pages() if building else [],
)
