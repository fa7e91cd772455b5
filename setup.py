# SPDX-License-Identifier: BSD-3-Clause
"""How flatcar-prefix is installed: with its declarations, helpers and repositories."""

import os
import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).parent
DATA = ("repos", "wrappers", "eclass-helpers", "completion")


def version() -> str:
    text = (HERE / "flatcar_prefix/__init__.py").read_text(encoding="utf-8")
    match = re.search(r'^__version__ = "(.+)"$', text, re.MULTILINE)
    assert match is not None
    return match[1]


def data_packages() -> tuple[list[str], dict[str, str]]:
    """Return a package for each directory of data, and where it comes from.

    They become ``flatcar_prefix/_data/<directory>``, beside the code that reads them.
    """
    names, places = [], {}
    for top in DATA:
        for directory, subdirectories, _files in os.walk(HERE / top):
            subdirectories[:] = [d for d in subdirectories if d not in ("__pycache__", "md5-cache")]
            relative = Path(directory).relative_to(HERE)
            name = ".".join(("flatcar_prefix", "_data", *relative.parts))
            names.append(name)
            places[name] = os.fspath(relative)
    return names, places


DATA_PACKAGES, DATA_PLACES = data_packages()

setup(
    name="flatcar-prefix",
    version=version(),
    description="Portable software for Flatcar Container Linux: prefix builds with Portage",
    long_description=(HERE / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="BSD-3-Clause",
    python_requires=">=3.10",
    packages=[*find_packages(include=["flatcar_prefix", "flatcar_prefix.*"]), *DATA_PACKAGES],
    package_dir=DATA_PLACES,
    package_data={name: ["*", ".*"] for name in DATA_PACKAGES} | {"flatcar_prefix": ["py.typed"]},
    install_requires=["portage>=3.0.63", "lxml>=4.9", "packaging>=21", "pyelftools>=0.29"],
    extras_require={
        "test": [
            "pytest>=7", "pytest-timeout", "hypothesis>=6",
            "ruff", "mypy", "lxml-stubs",
            # Later ones know EAPI 9, for which they want a newer bash than Debian 12 has.
            "pkgcheck<0.10.37", "pkgcore<0.12.32",
        ],
    },
    entry_points={
        "console_scripts": [
            "setup_prefix = flatcar_prefix.cli:setup_prefix",
            "flatcar-prefix = flatcar_prefix.cli:main",
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
