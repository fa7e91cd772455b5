# SPDX-License-Identifier: BSD-3-Clause
"""How flatcar-prefix is installed: with its declarations, helpers and repositories."""

import re
import shutil
from pathlib import Path

from setuptools import find_packages, setup
from setuptools.command.build_py import build_py

HERE = Path(__file__).parent
DATA = ("repos", "wrappers", "eclass-helpers", "completion")


def version() -> str:
    text = (HERE / "flatcar_prefix/__init__.py").read_text(encoding="utf-8")
    match = re.search(r'^__version__ = "(.+)"$', text, re.MULTILINE)
    assert match is not None
    return match[1]


class BuildWithData(build_py):
    """Puts the directories of data beside the code that reads them, as they are.

    As packages they would lose every directory with a dot in its name, profiles' first.
    """

    def run(self) -> None:
        super().run()
        ignored = shutil.ignore_patterns("__pycache__", "md5-cache")
        for name in DATA:
            target = Path(self.build_lib, "flatcar_prefix", "_data", name)
            shutil.rmtree(target, ignore_errors=True)
            shutil.copytree(HERE / name, target, symlinks=True, ignore=ignored)


setup(
    name="flatcar-prefix",
    version=version(),
    description="Portable software for Flatcar Container Linux: prefix builds with Portage",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="BSD-3-Clause",
    python_requires=">=3.10",
    packages=find_packages(include=["flatcar_prefix", "flatcar_prefix.*"]),
    package_data={"flatcar_prefix": ["py.typed"]},
    cmdclass={"build_py": BuildWithData},
    install_requires=["portage>=3.0.63", "lxml>=4.9", "packaging>=21"],
    extras_require={
        "test": [
            "pytest>=7",
            "pytest-timeout",
            "pytest-xdist>=3",
            "hypothesis>=6",
            "pyelftools>=0.29",  # the audit's own reader of ELF files is held against it
            "ruff",
            "mypy",
            "lxml-stubs",
            # Later ones know EAPI 9, for which they want a newer bash than Debian 12 has.
            "pkgcheck<0.10.37",
            "pkgcore<0.12.32",
        ],
    },
    entry_points={
        "console_scripts": [
            "setup_prefix = flatcar_prefix.cli.main:setup_prefix",
            "flatcar-prefix = flatcar_prefix.cli.main:main",
        ]
    },
    classifiers=[
        "License :: OSI Approved :: BSD License",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3",
        "Topic :: System :: Software Distribution",
    ],
    zip_safe=False,
)
