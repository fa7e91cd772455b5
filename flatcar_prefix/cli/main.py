# SPDX-License-Identifier: BSD-3-Clause
"""``setup_prefix`` and ``flatcar-prefix``: arguments in, messages out."""

from __future__ import annotations

import argparse
import json
import shlex
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

from flatcar_prefix import __version__
from flatcar_prefix.boards import BOARDS, DEFAULT_BOARD, board
from flatcar_prefix.errors import PrefixError, UsageError, of_system
from flatcar_prefix.lifecycle import stages, uninstall
from flatcar_prefix.lifecycle.configure import jobs
from flatcar_prefix.lifecycle.create import setup
from flatcar_prefix.lifecycle.update import update
from flatcar_prefix.prefix import registry
from flatcar_prefix.prefix.model import KINDS, Prefix
from flatcar_prefix.system import messages, stdio, sudo
from flatcar_prefix.system.messages import Talkative
from flatcar_prefix.toolchain import find as toolchains

Handler = Callable[[argparse.Namespace], int]


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line and what to do in another, like everything here."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(message, hint=f"See {self.prog} --help.")

    def _parse_optional(self, arg_string: str) -> Any:
        """Look an option up with underscores in its name as dashes.

        Nothing else can tell this program's options from those of a program to run.
        """
        name, equals, value = arg_string.partition("=")
        if name.startswith("--"):
            arg_string = name.replace("_", "-") + equals + value
        return super()._parse_optional(arg_string)


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``flatcar-prefix`` with ``argv`` (default: the process's) and return the exit code."""
    words = sys.argv[1:] if argv is None else argv
    return _guarded(lambda: _run(flatcar_prefix_parser(_verb_of(words)), words))


def _verb_of(argv: Sequence[str]) -> str | None:
    return next((word for word in argv if not word.startswith("-")), None)


def setup_prefix(argv: Sequence[str] | None = None) -> int:
    """Run ``setup_prefix``, the shell version's command, and return the exit code."""
    return _guarded(lambda: _run(setup_parser(Parser(prog="setup_prefix")), argv))


def _guarded(work: Callable[[], int]) -> int:
    stdio.complete()
    messages.flush_each_line()
    try:
        return _finished(work)
    except PrefixError as error:
        return messages.report(error)
    except KeyboardInterrupt:
        print(file=sys.stderr)
        return 130
    except BrokenPipeError:
        return 141
    except OSError as error:
        return messages.report(of_system(error))


def _finished(work: Callable[[], int]) -> int:
    """Return the exit code of ``work`` once all that it printed is written."""
    try:
        return work()
    finally:
        stdio.flush()


def _run(parser: argparse.ArgumentParser, argv: Sequence[str] | None) -> int:
    words = list(sys.argv[1:] if argv is None else argv)
    args = parser.parse_args(words)
    handler: Handler = args.handler
    if handler in _CHANGING or getattr(args, "changing", _nothing)(args):
        verb = ["setup"] if parser.prog == "setup_prefix" else []
        sudo.become_root([*verb, *words])
    return handler(args)


def flatcar_prefix_parser(verb: str | None) -> argparse.ArgumentParser:
    """Return the parser of ``flatcar-prefix``; the arguments of ``verb`` are complete."""
    parser = Parser(
        prog="flatcar-prefix",
        description="Prefix builds: portable software for Flatcar, made with Portage.",
        allow_abbrev=False,
    )
    parser.add_argument("--version", action="version", version=f"flatcar-prefix {__version__}")
    verbs = parser.add_subparsers(metavar="<verb>", required=True, parser_class=Parser)
    setup_parser(_verb(verbs, "setup", "set up a prefix (the same as setup_prefix)"))
    _list_parser(_verb(verbs, "list", "list the prefixes of this machine"))
    _show_parser(_verb(verbs, "show", "show all about one prefix"))
    _uninstall_parser(_verb(verbs, "uninstall", "remove a prefix"))
    for name, (help_text, module) in _MODULE_VERBS.items():
        parser_of_verb = _verb(verbs, name, help_text)
        if name == verb:
            _module_parser(parser_of_verb, module)
    _verify_parser(_verb(verbs, "verify", "audit a prefix: is it self-contained?"), verb)
    _update_parser(_verb(verbs, "update", "bring a prefix up to date, stage after stage"))
    _overlays_parser(_verb(verbs, "overlays", "list, add or remove further overlays"))
    _regen_parser(_verb(verbs, "regen", "warm Portage's cache of ebuild metadata"))
    _doctor_parser(_verb(verbs, "doctor", "say what this machine has and lacks"))
    return parser


_MODULE_VERBS = {
    "wrappers": ("write, list or check the wrappers of a prefix", "flatcar_prefix.cli.wrappers"),
    "run": ("run a program where nothing but the prefix exists", "flatcar_prefix.sandbox.command"),
    "sysext": ("make a system extension image of a prefix", "flatcar_prefix.cli.sysext"),
}
"""Verbs that are a module's: its ``add_arguments`` and ``run_cli``, loaded when asked for. Its
``is_changing`` says which arguments write to a prefix, where any do."""


def _verb(verbs: Any, name: str, help_text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = verbs.add_parser(
        name, help=help_text, description=help_text.capitalize() + ".", allow_abbrev=False
    )
    return parser


def _module_parser(parser: argparse.ArgumentParser, module: str) -> None:
    loaded = import_module(module)
    parser.add_argument("name", metavar="<name>", help="the prefix, or its staging directory")
    parser.add_argument("--board", help="which of several boards")
    loaded.add_arguments(parser)

    def handler(args: argparse.Namespace) -> int:
        return int(loaded.run_cli(registry.load(args.name, board=args.board), args))

    parser.set_defaults(handler=handler, changing=getattr(loaded, "is_changing", _nothing))


def _verify_parser(parser: argparse.ArgumentParser, verb: str | None) -> None:
    if verb != "verify":
        return
    from flatcar_prefix.cli import verify

    parser.add_argument("name", metavar="<name>", nargs="?", help="the prefix")
    parser.add_argument("--board", help="which of several boards")
    parser.add_argument("--staging", action="store_true", help="staging in place of final")
    verify.add_arguments(parser)

    def handler(args: argparse.Namespace) -> int:
        if args.staging and args.directory:
            raise UsageError(
                "--staging is no part of --directory",
                hint="Give one of them: a root of the prefix, or a directory in its place.",
            )
        prefix = registry.load(args.name, board=args.board) if args.name else None
        return verify.run(
            prefix.root("staging" if args.staging else "final") if prefix else None,
            args.directory,
            args.eprefix,
            prefix.board if prefix else board(args.board or DEFAULT_BOARD),
            json=args.json,
            strict=args.strict,
            forbid=args.forbid,
            libc=args.libc,
            stdout=sys.stdout,
            stderr=sys.stderr,
        )

    parser.set_defaults(handler=handler)


def setup_parser(parser: argparse.ArgumentParser) -> argparse.ArgumentParser:
    """Give ``parser`` the flags of ``setup_prefix``; return it."""
    parser.description = "Create a prefix, its configuration roots, its staging root, its wrappers."
    parser.allow_abbrev = False
    add = parser.add_argument
    add("name", metavar="<name>", nargs="?", help="the prefix's name; wrappers carry it")
    add("eprefix", metavar="<eprefix>", nargs="?", help="where it lives, e.g. /usr/local/my-stuff")
    add("--board", help=f"{' or '.join(BOARDS)} (default: {DEFAULT_BOARD})")
    add("--staging-dir", help="default: /build/prefix-<board>/<name>")
    add("--final-dir", help="default: <scripts>/__prefix__/<board>/<name>")
    _boolean(parser, "force", "remove an old prefix of that name entirely, and make it anew")
    _boolean(parser, "uninstall", "remove the prefix, its wrappers and every trace")
    add("--custom-ebuild-overlays", default="", metavar="DIR,...", help="highest priority last")
    add("--scripts-dir", help="the scripts checkout whose repositories are used")
    add("--wrapper-dir", help="default: /usr/local/bin")
    add("--profile", metavar="[REPO:]PATH", help="in place of the board's first existing one")
    add("--toolchain", help=f"{', '.join(toolchains.KINDS)} (default: the best one present)")
    add("--bootstrap", default="source", help="source (default), import or none: the C library")
    _stage_arguments(parser)
    _boolean(parser, "with-gcc", "put a compiler of its own into staging, where the tree has one")
    add("--version", action="version", version=f"flatcar-prefix {__version__}")
    parser.set_defaults(handler=_setup)
    return parser


def _stage_arguments(parser: argparse.ArgumentParser) -> None:
    names = ", ".join(stage.name for stage in stages.STAGES)
    parser.add_argument("--from", dest="first_stage", metavar="STAGE", help=f"one of {names}")
    parser.add_argument("--until", dest="last_stage", metavar="STAGE", help="the last to be done")


def _boolean(parser: argparse.ArgumentParser, name: str, help_text: str) -> None:
    parser.add_argument(f"--{name}", action="store_true", default=False, help=help_text)
    parser.add_argument(
        f"--no{name}", dest=name, action="store_false", default=False, help=argparse.SUPPRESS
    )


def _setup(args: argparse.Namespace) -> int:
    if not args.name:
        raise UsageError("the prefix's name is missing", hint="setup_prefix <name> <prefix path>")
    if args.uninstall:
        return _uninstall_found(args)
    if not args.eprefix:
        raise UsageError(
            "the prefix's path is missing",
            hint=f"setup_prefix {args.name} <prefix path>, e.g. /usr/local/{args.name}",
        )
    with Talkative() as say:
        prefix = setup(
            args.name,
            args.eprefix,
            board=args.board or DEFAULT_BOARD,
            staging_dir=args.staging_dir,
            final_dir=args.final_dir,
            force=args.force,
            custom_ebuild_overlays=[o for o in args.custom_ebuild_overlays.split(",") if o],
            scripts_dir=args.scripts_dir,
            wrapper_dir=args.wrapper_dir,
            profile=args.profile,
            toolchain=args.toolchain,
            bootstrap=args.bootstrap,
            with_gcc=args.with_gcc,
            first_stage=args.first_stage,
            last_stage=args.last_stage,
            say=say,
        )
    return _tell_state(prefix)


def _tell_state(prefix: Prefix) -> int:
    if not prefix.complete:
        left = ", ".join(stage.name for stage in stages.pending(prefix))
        messages.info(f"the prefix {prefix.id} is not complete; left to do: {left}")
        return 0
    emerge = prefix.wrapper("emerge")
    messages.info(f"the prefix {prefix.id} is ready; {emerge.path} installs packages into it")
    return 0


def _uninstall_parser(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="<name>")
    parser.add_argument("--board")
    parser.set_defaults(handler=_uninstall)


def _uninstall(args: argparse.Namespace) -> int:
    with Talkative() as say:
        uninstall.uninstall(args.name, board=args.board, say=say)
    return 0


def _uninstall_found(args: argparse.Namespace) -> int:
    """Remove what ``setup_prefix`` would set up; what is given besides must be the prefix's."""
    with Talkative() as say:
        uninstall.uninstall(
            args.name,
            board=args.board or (None if args.staging_dir else DEFAULT_BOARD),
            eprefix=args.eprefix,
            staging_dir=args.staging_dir,
            say=say,
        )
    return 0


def _list_parser(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="as JSON")
    parser.set_defaults(handler=_list)


def _list(args: argparse.Namespace) -> int:
    prefixes = registry.list_prefixes()
    if args.json:
        print(json.dumps([summary(p) for p in prefixes], indent=2))
        return 0
    if not prefixes:
        messages.info("there is no prefix on this machine; setup_prefix makes one")
    for prefix in prefixes:
        print(f"{prefix.id:30} {prefix.eprefix:30} {prefix.bootstrap:7} {_state(prefix)}")
    return 0


def _state(prefix: Prefix) -> str:
    return "ready" if prefix.complete else "not set up completely"


def summary(prefix: Prefix) -> dict[str, Any]:
    """Return what ``list`` and ``show`` say of a prefix, ready for JSON."""
    return {
        "name": prefix.name,
        "board": prefix.board.name,
        "id": prefix.id,
        "eprefix": prefix.eprefix,
        "state": "complete" if prefix.complete else "incomplete",
        "bootstrap": prefix.bootstrap,
        "stages": list(prefix.stages_done),
        "chost": prefix.board.chost,
        "loader": f"{prefix.eprefix}/{prefix.board.loader}",
        "profile": prefix.profile,
        "toolchain": {
            "kind": prefix.toolchain.kind,
            "cc": prefix.toolchain.cc,
            "version": prefix.toolchain.version,
            "libc": prefix.toolchain.libc_version,
            "sysroot": prefix.toolchain.sysroot,
        },
        "repositories": {r.name: str(r.location) for r in prefix.repositories},
        "staging": {"directory": str(prefix.staging_dir), "root": str(prefix.staging.path)},
        "final": {"directory": str(prefix.final_dir), "root": str(prefix.final.path)},
        "distdir": str(prefix.distdir),
        "wrapper_dir": str(prefix.wrapper_dir),
        "written_by": prefix.written_by,
    }


def _show_parser(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="<name>")
    parser.add_argument("--board")
    parser.add_argument("--json", action="store_true", help="as JSON")
    parser.add_argument(
        "--env", metavar="ROOT", help=f"print what points Portage at a root: {' or '.join(KINDS)}"
    )
    parser.set_defaults(handler=_show)


def _show(args: argparse.Namespace) -> int:
    prefix = registry.load(args.name, board=args.board)
    if args.env:
        for name, value in prefix.root(args.env).environment().items():
            print(f"{name}={shlex.quote(value)}")
    elif args.json:
        print(json.dumps(summary(prefix), indent=2))
    else:
        print(shown(prefix), end="")
    return 0


def shown(prefix: Prefix) -> str:
    """Return what ``show`` prints for people."""
    said = summary(prefix)
    libc = {
        "source": "built from source",
        "import": f"the toolchain's own, imported (glibc {prefix.toolchain.libc_version})",
        "none": "none yet (--bootstrap=none)",
    }[prefix.bootstrap]
    rows = {
        "prefix": f"{prefix.id}, {_state(prefix)}",
        "EPREFIX": prefix.eprefix,
        "CHOST": prefix.board.chost,
        "C library": libc,
        "toolchain": f"{prefix.toolchain.kind}: {prefix.toolchain.version}",
        "profile": prefix.profile,
        "staging": said["staging"]["root"],
        "final": said["final"]["root"],
        "DISTDIR": said["distdir"],
        "wrappers": said["wrapper_dir"],
        "stages": " ".join(prefix.stages_done) or "none done",
    }
    text = "".join(f"{name + ':':12}{value}\n" for name, value in rows.items())
    return text + "".join(f"{'repository:':12}{r.name} {r.location}\n" for r in prefix.repositories)


def _update_parser(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="<name>")
    parser.add_argument("--board", help="which of several boards")
    _stage_arguments(parser)
    parser.set_defaults(handler=_update)


def _update(args: argparse.Namespace) -> int:
    prefix = registry.load(args.name, board=args.board)
    with Talkative() as say:
        prefix = update(prefix, first=args.first_stage, until=args.last_stage, say=say)
    return _tell_state(prefix)


def _overlays_parser(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="<name>")
    parser.add_argument("action", choices=("list", "add", "remove"), nargs="?", default="list")
    parser.add_argument("overlay", nargs="*", help="directories; to remove, names will do")
    parser.add_argument("--board", help="which of several boards")
    parser.set_defaults(handler=_overlays, changing=lambda args: args.action != "list")


def _overlays(args: argparse.Namespace) -> int:
    from flatcar_prefix.lifecycle import overlays

    prefix = registry.load(args.name, board=args.board)
    if args.action != "list":
        if not args.overlay:
            raise UsageError(f"nothing to {args.action}", hint="Name one or more overlays.")
        change = overlays.add if args.action == "add" else overlays.remove
        with Talkative() as say:
            prefix = change(prefix, args.overlay, say=say)
    for overlay in overlays.custom(prefix):
        print(f"{overlay.name} {overlay.location} {overlay.priority}")
    return 0


def _regen_parser(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="<name>", nargs="?", help="default: all prefixes")
    parser.add_argument("--board", help="which of several boards")
    parser.add_argument("--jobs", type=int, help="how many at once (default: this machine's cores)")
    parser.set_defaults(handler=_regen)


def _regen(args: argparse.Namespace) -> int:
    from flatcar_prefix.repositories import metadata_cache

    with Talkative() as say:
        known = _prefixes_to_warm(args)
        outcome = metadata_cache.warm_all(known, jobs=args.jobs or jobs(), say=say)
    messages.info(f"the metadata of {outcome.ebuilds} ebuilds are cached")
    for cpv in outcome.failed:
        messages.warning(f"{cpv} cannot be sourced")
    return 1 if outcome.failed else 0


def _prefixes_to_warm(args: argparse.Namespace) -> list[Prefix]:
    if args.name:
        return [registry.load(args.name, board=args.board)]
    known = [p for p in registry.list_prefixes() if args.board in (None, p.board.name)]
    if not known:
        raise PrefixError("there is no prefix", hint="Make one first: setup_prefix <name> <path>.")
    return known


def _doctor_parser(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="as JSON")
    parser.add_argument("--scripts-dir", type=Path)
    parser.set_defaults(handler=_doctor)


def _doctor(args: argparse.Namespace) -> int:
    from flatcar_prefix.cli import doctor

    checks = doctor.examine(scripts_dir=args.scripts_dir)
    print(doctor.as_json(checks) if args.json else doctor.as_text(checks), end="")
    return 0 if all(check.ok or not check.needed for check in checks) else 1


_CHANGING: tuple[Handler, ...] = (_setup, _uninstall, _update, _regen)
"""What writes to a prefix whatever its arguments are, and so needs root in the SDK container."""


def _nothing(_args: argparse.Namespace) -> bool:
    return False
