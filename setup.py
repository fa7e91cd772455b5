# SPDX-License-Identifier: BSD-3-Clause
"""The part of the build that needs code: the data directories. The rest is in pyproject.toml."""

import shutil
from pathlib import Path

from setuptools import setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).parent
DATA = ("repos", "wrappers", "eclass-helpers", "completion")


class BuildWithData(build_py):
    """Copy the data directories beside the code that reads them.

    As packages they would lose every directory with a dot in its name.
    """

    def run(self) -> None:
        super().run()
        ignored = shutil.ignore_patterns("__pycache__", "md5-cache")
        for name in DATA:
            target = Path(self.build_lib, "flatcar_prefix", "_data", name)
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(HERE / name, target, symlinks=True, ignore=ignored)


setup(cmdclass={"build_py": BuildWithData})
