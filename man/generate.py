# SPDX-License-Identifier: BSD-3-Clause
"""Write the manual pages: ``generate.py DIRECTORY``. The build runs it, see setup.py.

The parsers of the commands give the options; the files beside this one give the rest.
"""

from __future__ import annotations

import argparse
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

from argparse_manpage.manpage import Manpage

HERE = Path(__file__).parent
sys.path.insert(0, str(HERE.parent))

from flatcar_prefix.cli.main import flatcar_prefix_parser, setup_prefix_parser  # noqa: E402
from flatcar_prefix.version import __version__  # noqa: E402

PARSERS = {
    "setup_prefix": (setup_prefix_parser, "set up a prefix for portable software"),
    "flatcar-prefix": (flatcar_prefix_parser, "inspect, check, ship and remove prefixes"),
}


def pages(target: Path) -> Iterator[Path]:
    """Write the manual pages into ``target`` and yield their paths."""
    target.mkdir(parents=True, exist_ok=True)
    for name, (parser, description) in PARSERS.items():
        path = target / f"{name}.1"
        path.write_text(_page(name, parser(), description), encoding="utf-8")
        yield path
    for written in sorted(HERE.glob("*.7")):
        yield Path(shutil.copyfile(written, target / written.name))


def _page(name: str, parser: argparse.ArgumentParser, description: str) -> str:
    data = {
        "project_name": "flatcar-prefix",
        "version": __version__,
        "manual_title": "flatcar-prefix",
        "description": description,
    }
    page = Manpage(parser, data, format="single-commands-section")
    page.parse_include(HERE / f"{name}.inc")
    page.parse_include(HERE / "common.inc")
    return str(page)


if __name__ == "__main__":
    for written in pages(Path(sys.argv[1])):
        print(written)
