# SPDX-License-Identifier: BSD-3-Clause
"""``flatcar-prefix build``: make the prefixes and images that a recipe describes."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from flatcar_prefix import environ
from flatcar_prefix.cli.parser import progress_of, volume_arguments
from flatcar_prefix.cli.sysext import source_date_epoch
from flatcar_prefix.errors import PrefixError, UsageError
from flatcar_prefix.image import manifest
from flatcar_prefix.image.formats.table import FORMATS
from flatcar_prefix.image.summary import summary
from flatcar_prefix.recipe import build, model
from flatcar_prefix.recipe.template import template
from flatcar_prefix.system import messages
from flatcar_prefix.system.json_output import to_json

HELP = "make the prefixes and images that a recipe describes"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments of the verb."""
    parser.add_argument("recipe", metavar="RECIPE.toml", nargs="?", type=Path, help="the recipe")
    parser.add_argument(
        "--template", action="store_true", help="write a commented recipe to the file, or print it"
    )
    parser.add_argument("--check", action="store_true", help="only check the recipe")
    parser.add_argument("--force", action="store_true", help="recreate the prefixes")
    parser.add_argument("--json", action="store_true", help="print the results as JSON")
    volume_arguments(parser, builds=True)
    parser.add_argument(
        "--update-lock", action="store_true", help="resolve the requirements of PyPI again"
    )


def changes(args: argparse.Namespace) -> bool:
    """Return whether the verb writes to a prefix."""
    return not (args.template or args.check)


def run(args: argparse.Namespace) -> int:
    """Build the recipe, check it, or write a template."""
    if args.template:
        return _template(args.recipe)
    if args.recipe is None:
        raise UsageError(
            "the recipe is missing",
            hint="Name a recipe, or write one: flatcar-prefix build --template RECIPE.toml",
        )
    recipe = model.load(args.recipe)
    if args.check:
        messages.info(f"{args.recipe} is valid")
        return 0
    with progress_of(args) as say:
        results = build.build(
            recipe,
            force=args.force,
            update_lock=args.update_lock,
            epoch=source_date_epoch(environ.variables()),
            say=say,
        )
    if args.json:
        print(to_json([_result(one) for one in results]), end="")
        return 0
    for result in results:
        for ebuild in result.kept:
            messages.warning(f"{ebuild} was edited by hand; it is kept")
        tested = f", {result.tests} test{'s' if result.tests != 1 else ''} passed"
        messages.info(
            f"{result.prefix.id} is as {args.recipe} describes{tested if result.tests else ''}"
        )
        if result.image is not None:
            print(f">>> {result.image}")
            suffix = FORMATS[recipe.image_options().format].suffix
            sys.stdout.write(summary(manifest.read(result.image, suffix)))
    return 0


def _result(built: build.Built) -> dict[str, object]:
    return {
        "prefix": built.prefix.id,
        "board": built.prefix.board.name,
        "image": built.image,
        "tests": built.tests,
        "kept": list(built.kept),
    }


def _template(file: Path | None) -> int:
    if file is None:
        sys.stdout.write(template())
        return 0
    try:
        with file.open("x", encoding="utf-8") as out:
            out.write(template())
    except FileExistsError as error:
        raise PrefixError(
            f"{file} exists already", hint="Give the name of a new file, or remove it first."
        ) from error
    messages.info(f"wrote {file}; edit it, then run: flatcar-prefix build {file}")
    return 0
