# SPDX-License-Identifier: BSD-3-Clause
"""Build prefixes and images from a recipe, one board after the other."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from flatcar_prefix import environ
from flatcar_prefix.emerge.death import cause, text_of
from flatcar_prefix.emerge.ebuilds import unknown
from flatcar_prefix.emerge.following import build_options, follow
from flatcar_prefix.errors import BuildError, PrefixError
from flatcar_prefix.image.build import sysext
from flatcar_prefix.image.formats.table import FORMATS
from flatcar_prefix.lifecycle import binhosts, overlays
from flatcar_prefix.lifecycle.create import setup
from flatcar_prefix.prefix import registry
from flatcar_prefix.prefix.model import Prefix
from flatcar_prefix.recipe import overlay
from flatcar_prefix.recipe.kinds import binary, pypi, script, source
from flatcar_prefix.recipe.kinds.common import CATEGORY, Place
from flatcar_prefix.recipe.model import Recipe, load, prefix_error
from flatcar_prefix.recipe.overlay import Package
from flatcar_prefix.system import process
from flatcar_prefix.system.files import write_atomic
from flatcar_prefix.system.progress import NO_PROGRESS, Progress, as_progress
from flatcar_prefix.system.python import launch
from flatcar_prefix.toolchain import find as toolchains

STATE = "recipe.json"
"""The file in the staging directory that lists the packages which the last build installed."""

LOG = "recipe.log"
"""The file among the logs of staging with the output of the last emerge."""

LISTS = ("use", "accept_keywords", "license", "mask", "unmask")
"""The package.* lists of Portage that a recipe can add to."""


@dataclass(frozen=True)
class Built:
    """The prefix and the image of one board."""

    prefix: Prefix
    image: Path | None
    tests: int = 0
    kept: tuple[str, ...] = field(default=())
    """Ebuilds of the overlay that the user maintains by hand."""


def build(
    recipe: Recipe | Path | str,
    *,
    force: bool = False,
    update_lock: bool = False,
    epoch: int | None = None,
    say: Progress | Callable[[str], object] = NO_PROGRESS,
) -> list[Built]:
    """Make the prefixes and images that a recipe describes; return one result for each board.

    The build does not change a prefix or package that matches the recipe. ``force`` recreates
    the prefixes; ``update_lock`` resolves the requirements of PyPI again; ``epoch`` is the images'
    SOURCE_DATE_EPOCH in seconds. Raise :class:`RecipeError` for a
    mistake in the recipe and :class:`BuildError` for a package or a test that fails.
    """
    wanted = recipe if isinstance(recipe, Recipe) else load(Path(recipe))
    return [
        _build(
            wanted, board, force=force, update_lock=update_lock, epoch=epoch, say=as_progress(say)
        )
        for board in wanted.boards
    ]


def _build(
    recipe: Recipe,
    board: str,
    *,
    force: bool,
    update_lock: bool,
    epoch: int | None,
    say: Progress,
) -> Built:
    prefix = _prefix(recipe, board, force=force, say=say)
    _write_lists(recipe, prefix)
    prefix, kept = _with_overlays(recipe, prefix, update_lock=update_lock, say=say)
    words = _words(recipe)
    _check_packages(recipe, prefix)
    _install(prefix, words, say)
    _forget(prefix, words, say)
    for test in recipe.tests:
        say(f"{prefix.id}: test: {recipe.source.document['tests'][test.index]['run']}")
        _test(recipe, prefix, test.index)
    image = _image(recipe, prefix, epoch, say) if recipe.image is not None else None
    return Built(prefix, image, len(recipe.tests), kept)


def _prefix(recipe: Recipe, board: str, *, force: bool, say: Progress) -> Prefix:
    """Return the prefix, set up or found; raise :class:`RecipeError` if it is another one."""
    there = [p for p in registry.list_prefixes() if (p.name, p.board.name) == (recipe.name, board)]
    if there and there[0].complete and not force:
        _check_same(recipe, there[0])
        return there[0]
    return setup(
        recipe.name,
        recipe.eprefix,
        board=board,
        force=force,
        custom_ebuild_overlays=recipe.overlays,
        say=say,
        **recipe.setup_options(),
    )


def _check_same(recipe: Recipe, prefix: Prefix) -> None:
    document = recipe.source.document
    bootstrap = document.get("bootstrap", "source")
    toolchain = document.get("toolchain")
    was = toolchains.spelled(prefix.toolchain)
    binhost = recipe.setup_options().get("binhost")
    now = ", ".join(one.uri for one in prefix.binhosts) or binhosts.NONE
    differs = {
        "binhost": (now, binhost is not None and not binhosts.are_those_of(prefix, binhost)),
        "eprefix": (prefix.eprefix, recipe.eprefix != prefix.eprefix),
        "bootstrap": (prefix.bootstrap, bootstrap != prefix.bootstrap),
        "toolchain": (was, toolchain is not None and not toolchains.is_as(was, toolchain)),
        "with-gcc": (
            str(prefix.with_gcc).lower(),
            document.get("with-gcc", False) != prefix.with_gcc,
        ),
        "locales": (
            ", ".join(prefix.locales) or "none",
            tuple(document.get("locales", ())) != prefix.locales,
        ),
    }
    for key, (is_now, other) in differs.items():
        if other:
            raise recipe.source.error(
                (key,),
                f"the prefix {prefix.id} exists with another value: {is_now}",
                hint=f"Correct the recipe, or add --force to recreate {prefix.id}.",
            )


def _write_lists(recipe: Recipe, prefix: Prefix) -> None:
    """Write the recipe's part of package.use and the like into staging, for both roots."""
    for name in LISTS:
        lines = list(recipe.portage.get(f"package-{name.replace('_', '-')}", ()))
        if name == "use" and recipe.portage.get("use"):
            lines.insert(0, f"*/* {' '.join(recipe.portage['use'])}")
        if name == "license" and recipe.software:
            # The recipe names this software, so its licences are accepted.
            lines.insert(0, f"*/*::{overlay_name(prefix)} *")
        file = prefix.staging.config_dir / f"package.{name}" / "recipe"
        if lines:
            file.parent.mkdir(exist_ok=True)
            text = f"# From {recipe.file.absolute()}; the next build writes this file again.\n"
            write_atomic(file, text + "".join(f"{line}\n" for line in lines))
        else:
            file.unlink(missing_ok=True)


def overlay_dir(prefix: Prefix) -> Path:
    """Return the directory of the overlay that a build writes for a prefix."""
    return prefix.staging_dir / "recipe-overlay"


def overlay_name(prefix: Prefix) -> str:
    """Return the name of that overlay (PMS, Repository Names)."""
    return f"recipe-{''.join(c if c.isalnum() or c in '_-' else '-' for c in prefix.name)}"


def _with_overlays(
    recipe: Recipe, prefix: Prefix, *, update_lock: bool, say: Progress
) -> tuple[Prefix, tuple[str, ...]]:
    """Write the overlay and give the prefix exactly the recipe's overlays."""
    own = overlay_dir(prefix)
    now = {r.location.resolve() for r in overlays.custom(prefix)}
    others = list(recipe.overlays)
    if gone := now - {*others, own.resolve()}:
        prefix = overlays.remove(prefix, sorted(map(os.fspath, gone)), say=say)
    missing = [path for path in others if path not in now]
    if missing:
        prefix = overlays.add(prefix, missing, say=say)
    if not recipe.software:
        if own.resolve() in now:
            prefix = overlays.remove(prefix, [os.fspath(own)], say=say)
        return prefix, ()
    kept = _write_overlay(recipe, prefix, update_lock=update_lock, say=say)
    if own.resolve() not in now:
        prefix = overlays.add(prefix, [own], say=say)
    return registry.load_from(prefix.staging_dir), tuple(kept)


def _write_overlay(
    recipe: Recipe, prefix: Prefix, *, update_lock: bool, say: Progress
) -> Sequence[str]:
    own = {r.location for r in overlays.custom(prefix)}
    masters = [r.name for r in prefix.repositories if r.location not in own]
    place = Place(prefix, say)
    packages = list(_packages(recipe, place, update_lock=update_lock))
    known = {path.name for r in prefix.repositories if r.location not in own
             for path in r.location.glob("licenses/*")}  # fmt: skip
    return overlay.write(
        overlay_dir(prefix),
        packages,
        name=overlay_name(prefix),
        masters=_masters(prefix, masters),
        known_licences=known,
    )


def _masters(prefix: Prefix, names: Sequence[str]) -> list[str]:
    """Return the masters: the toolchain's repository has the eclass of wheels."""
    return [name for name in names if name in ("prefix-toolchain", prefix.main_repo)]


def _packages(recipe: Recipe, place: Place, *, update_lock: bool) -> Iterator[Package]:
    modules = {"binary": binary, "script": script, "source": source}
    for software in recipe.software:
        if software.kind in modules:
            yield modules[software.kind].package(software, place)
    from_pypi = [software for software in recipe.software if software.kind == "pypi"]
    yield from pypi.packages(from_pypi, place, anew=update_lock)


def _words(recipe: Recipe) -> tuple[str, ...]:
    return (*recipe.packages, *(f"{CATEGORY}/{software.name}" for software in recipe.software))


def _check_packages(recipe: Recipe, prefix: Prefix) -> None:
    """Raise :class:`RecipeError` for a package that no repository has."""
    lists = [(("packages",), recipe.packages)]
    lists += [
        (("software", each.index, key), each.words(key))  # type: ignore[misc]
        for each in recipe.software
        for key in ("depends", "build-depends")
    ]
    for path, words in lists:
        for word in words:
            if problem := unknown(prefix.staging.portdb, prefix, word):
                raise recipe.source.error(path, problem.what, hint=problem.hint)


def _install(prefix: Prefix, words: Sequence[str], say: Progress) -> None:
    if not words:
        return
    say(f"{prefix.id}: installing {' '.join(words)}")
    options = ("--update", "--deep", "--changed-use", *build_options(say))
    _emerge(prefix, *options, *words, say=say)


def _emerge(prefix: Prefix, *words: str, say: Progress) -> None:
    """Run the wrapper of emerge; raise :class:`BuildError` if it fails.

    Its output is that of the build, or goes to a log if ``say`` replaces it.
    """
    wrapper = prefix.wrapper("emerge")
    # A build is not interactive, so emerge need not wait before a removal.
    env = {**environ.variables(), "CLEAN_DELAY": "0"}
    if say.replaces_emerge:
        _emerge_into_log(prefix, [os.fspath(wrapper.path), *words], env, say)
        return
    done = process.run([wrapper.path, *words], check=False, env=env)
    code = process.exit_code(done.returncode)
    if code:
        raise BuildError(
            f"{wrapper.path.name} failed with exit code {code}",
            hint="Correct the error above, then run the same command again.",
            exit_code=code,
        )


def _emerge_into_log(
    prefix: Prefix, argv: Sequence[str], env: Mapping[str, str], say: Progress
) -> None:
    log, started = prefix.staging.logdir / LOG, time.time()
    with log.open("w", encoding="utf-8") as stream:
        code = follow(prefix, argv, log=log, stream=stream, label=prefix.id, say=say, env=env)
    if code:
        why = cause(log, prefix.staging.tmpdir, started)
        if not why.package:  # emerge explains at length why it cannot begin
            for line in text_of(log).splitlines():
                say.output(line)
        raise BuildError(
            f"emerge failed: {why}",
            hint="Correct the error in the log, then run the same command again.",
            exit_code=code,
            **why.details(),
        )


def _forget(prefix: Prefix, words: Sequence[str], say: Progress) -> None:
    """Remove packages that the recipe no longer names from final; record the named packages."""
    file = prefix.staging_dir / STATE
    before: Mapping[str, list[str]] = {}
    if file.exists():
        before = json.loads(file.read_text(encoding="utf-8"))
    ebuilds = overlay_dir(prefix).glob("*/*/*.ebuild")
    now = {
        "packages": list(words),
        "overlay": sorted({f"{path.parts[-3]}/{path.parts[-2]}" for path in ebuilds}),
    }
    gone = [word for word in before.get("packages", ()) if word not in now["packages"]]
    if gone:
        say(f"{prefix.id}: removing {' '.join(gone)}")
        _emerge(prefix, "--staging", "--deselect", *gone, say=say)
        _emerge(prefix, "--deselect", *gone, say=say)
    # Remove a PyPI distribution if no other distribution needs it any longer.
    if gone or set(before.get("overlay", ())) - set(now["overlay"]):
        _emerge(prefix, "--depclean", say=say)
    write_atomic(file, json.dumps(now) + "\n")


def _test(recipe: Recipe, prefix: Prefix, index: int) -> None:
    """Run a command of ``[[tests]]`` in the sandbox, which contains only the prefix."""
    test = recipe.tests[index]
    done = process.run(
        launch("flatcar-prefix", "run", os.fspath(prefix.staging_dir), "--", *test.words),
        check=False,
        capture=True,
        input="",
    )
    code, said = process.exit_code(done.returncode), done.stdout + done.stderr
    shown = " | ".join(said.strip().splitlines()[-3:]) or "nothing"
    if code != test.exit_code:
        raise recipe.source.error(
            ("tests", index, "run"), f"ended with exit code {code}; it printed: {shown}",
            hint=f"Try it: flatcar-prefix run {prefix.id} -- {' '.join(test.words)}",
        )  # fmt: skip
    if test.output not in said:
        raise recipe.source.error(
            ("tests", index, "output"),
            f"{test.output!r} is not in the output; the output is: {shown}",
            hint=f"Try it: flatcar-prefix run {prefix.id} -- {' '.join(test.words)}",
        )


def _image(recipe: Recipe, prefix: Prefix, epoch: int | None, say: Progress) -> Path:
    options = recipe.image_options(epoch=epoch)
    output = recipe.image_file(prefix.board.name, FORMATS[options.format].suffix)
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        return sysext(
            prefix,
            output,
            options=options,
            progress=lambda step: say(f"{prefix.id}: image: {step}"),
            warn=say.warn,
        )
    except PrefixError as error:
        raise prefix_error(recipe, ("image",), error) from error
