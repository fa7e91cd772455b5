# SPDX-License-Identifier: BSD-3-Clause
"""The text of a wrapper: a POSIX shell script with everything written in."""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

from flatcar_prefix.prefix.model import Prefix, Root
from flatcar_prefix.system.places import data_dir
from flatcar_prefix.system.python import interpreter, launch
from flatcar_prefix.version import __version__
from flatcar_prefix.wrappers import view
from flatcar_prefix.wrappers.declaration import Tool, filled
from flatcar_prefix.wrappers.variables import ASTRAY, MEANT

TEMPLATE = "wrapper.sh.in"


MARK = "flatcar-prefix wrapper"


UNREACHED = (
    "Run it as root, let others pass the Python's directories (chmod o+x), or install this program"
    " with another Python, such as /usr/bin/python3."
)
"""What to do where ordinary users cannot reach this program's Python."""


_CHOOSE = """\
root=@ROOT@
case ${1-} in
--staging | --final) root=${1#--} ;;
*) ;;
esac"""


_WHO = """\
while read -r key _ uid _; do
	[ "${key}" != Uid: ] || break
done </proc/self/status"""


_NO_UNSHARE = """\
if ! command -v unshare >/dev/null; then
	echo ' * unshare not found; it is required to enter the prefix' >&2
	echo ' * Install util-linux, or see that PATH has it.' >&2
	exit 1
fi"""


_NO_NAMESPACES = """\
for setting in user/max_user_namespaces kernel/unprivileged_userns_clone; do
	setting=/proc/sys/${setting}
	if [ -r "${setting}" ] && read -r number <"${setting}" && [ "${number}" = 0 ]; then
		echo " * this machine does not let users enter the prefix: ${setting} is 0" >&2
		echo ' * Run it as root, or have root allow user namespaces there (sysctl).' >&2
		exit 1
	fi
done"""


def template() -> str:
    """Return what all wrappers are made of."""
    return (data_dir() / "wrappers" / TEMPLATE).read_text(encoding="utf-8")


def text(prefix: Prefix, tool: Tool, template: str, *, works: str = "") -> str:
    """Return the wrapper of ``tool`` for ``prefix``, made from ``template``.

    ``works`` is where a command is that has a stand-in and was seen to work.
    """
    return mark(_fill(template, _values(prefix, tool, works)), prefix)


def _fill(template: str, values: Mapping[str, str]) -> str:
    filled_in = re.sub(r"@([A-Z_]+)@", lambda m: values.get(m[1], m[0]), template)
    return re.sub(r"\n{3,}", "\n\n", filled_in)


def mark(content: str, prefix: Prefix) -> str:
    """Return the script with the line that says whose it is, of which version and content."""
    staging = shlex.quote(os.fspath(prefix.staging_dir))
    line = f"{MARK} {__version__} {checksum(content.replace('@MARK@', ''))}: {staging}"
    return content.replace("@MARK@", line)


def checksum(content: str) -> str:
    """Return what the mark says of a script's content, the mark itself left out."""
    return hashlib.sha256(content.encode("utf-8", "surrogateescape")).hexdigest()[:32]


def unmarked(content: str) -> str:
    """Return what :func:`checksum` was made of."""
    head, _, rest = content.partition("\n")
    line, _, body = rest.partition("\n")
    return f"{head}\n{line.partition(MARK)[0]}\n{body}"


def _values(prefix: Prefix, tool: Tool, works: str) -> dict[str, str]:
    staging = os.fspath(prefix.staging_dir)
    gone = f" * the prefix {prefix.id} is not in {staging} any more"
    both = tool.root == "both"
    return {
        "SUMMARY": f"{tool.name} for the prefix {prefix.id} at {prefix.eprefix}",
        "CHOOSE": "" if both else _CHOOSE.replace("@ROOT@", tool.root),
        "RECORD": shlex.quote(os.fspath(prefix.record_file)),
        "GONE": shlex.quote(gone),
        "FIND": _find(prefix, tool, works),
        "HELP": help_text(prefix, tool),
        "MISSING": _missing(tool),
        "UID": _WHO if tool.needs_root or tool.entry == "view" else "",
        "SUDO": _sudo(prefix, tool),
        "REACH": _reach(tool),
        "SHIFT": "" if both else "case ${1-} in\n--staging | --final) shift ;;\n*) ;;\nesac",
        "UNSET": " \\\n\t".join(ASTRAY),
        "ENTER": _enter(prefix, tool),
    }


def help_text(prefix: Prefix, tool: Tool) -> str:
    """Return what ``--prefix-help`` says, but for which program answers."""
    default = {"both": "staging, then final"}.get(tool.root, tool.root)
    words = "--staging or --final" + (", --stage or --install" if tool.root == "both" else "")
    return "\n".join(
        (
            f"{tool.name} for the prefix {prefix.id}: {tool.description}",
            f"  prefix:    {prefix.eprefix}",
            f"  staging:   {prefix.staging.path}",
            f"  final:     {prefix.final.path}",
            f"  works on:  {default}; {words} as first argument chooses",
            f"  from:      {tool.package}",
        )
    )


def python_bin() -> str:
    """Return the directory beside this program's Python, where pip puts Portage's tools."""
    return os.path.dirname(interpreter())


def candidates(prefix: Prefix, tool: Tool) -> list[str]:
    """Return what the command may be, best first: absolute paths, and names for PATH."""
    found: list[str] = []
    native = prefix.board.is_native
    for command in tool.commands + (tool.native_commands if native else ()):
        name = filled(command, placeholders(prefix.root(_kind(tool))))
        found += [name] if "/" in name else [os.path.join(python_bin(), name), name]
    return found


def _kind(tool: Tool) -> str:
    return "staging" if tool.root == "both" else tool.root


def _find(prefix: Prefix, tool: Tool, works: str) -> str:
    """Return the shell code that sets ``tool``, empty for nothing, and ``answers``."""
    if tool.module and not tool.commands:
        return f"answers={shlex.quote(own(tool.module))}"
    tries = candidates(prefix, tool)
    if tool.probe:
        tries = [works] if works else []
    instead = own(tool.stand_in) if tool.stand_in else f"nothing here; see {tool.package}"
    if not tries:
        return f"tool=\nanswers={shlex.quote(instead)}"
    lines = []
    for number, path in enumerate(tries):
        quoted = shlex.quote(path)
        test = f"[ -x {quoted} ]" if "/" in path else f"command -v {quoted} >/dev/null"
        lines.append(f"{'elif' if number else 'if'} {test}; then\n\ttool={quoted}")
    by = f"{own(tool.module)}, by " if tool.module else ""
    answers = f'answers="{by}${{tool}}"\n[ -n "${{tool}}" ] || answers={shlex.quote(instead)}'
    return "\n".join([*lines, "else", "\ttool=", "fi", answers])


def _missing(tool: Tool) -> str:
    """Return the shell code that leaves with 127 where there is no such tool."""
    if tool.stand_in or (tool.module and not tool.commands):
        return ""
    said = f" * {tool.name} is not installed here; it is in {tool.package}"
    # Where this program's Python cannot be reached, its directory is no witness.
    gone = f'[ -z "${{tool}}" ] && [ -x {shlex.quote(interpreter())} ]'
    return f"if {gone}; then\n\techo {shlex.quote(said)} >&2\n\texit 127\nfi"


def _reach(tool: Tool) -> str:
    """Return the shell code that says so where a tool is Python which the caller cannot reach."""
    python = interpreter()
    said = f" * {python}, by which {tool.name} runs, cannot be reached by this user"
    code = (
        f"if ! [ -x {shlex.quote(python)} ]; then\n\techo {shlex.quote(said)} >&2\n"
        f"\techo {shlex.quote(f' * {UNREACHED}')} >&2\n\texit 126\nfi"
    )
    if tool.module:
        return code
    beside = f"'' | {shlex.quote(python_bin())}/*"
    return f"case ${{tool}} in\n{beside})\n{_indented(code)}\n\t;;\n*) ;;\nesac"


def own(module: str) -> str:
    """Return how a module of this program's is called where one says who answers."""
    return f"{module} of flatcar-prefix {__version__}"


def _sudo(prefix: Prefix, tool: Tool) -> str:
    """Return the shell code that becomes root where the prefix is not the caller's own."""
    if not tool.needs_root:
        return ""
    needed = shlex.quote(f" * {tool.name} needs root here, and there is no sudo")
    become_root = (
        "if ! command -v sudo >/dev/null; then\n"
        f"\techo {needed} >&2\n\techo ' * Run it as root.' >&2\n\texit 1\nfi\n"
        "self=${0}\n"
        "case ${self} in\n*/*) ;;\n*) self=./${self} ;;\nesac\n"
        f'exec sudo --preserve-env={",".join(MEANT)} -- "${{self}}" "$@"'
    )
    if tool.without_root:
        asks = _asks_only(tool.without_root)
        become_root = f'{asks}\nif [ -z "${{asks}}" ]; then\n{_indented(become_root)}\nfi'
    return (
        "# The prefix of an ordinary user's own needs no other one.\n"
        f'if [ "${{uid}}" != 0 ] && ! [ -w {shlex.quote(os.fspath(prefix.staging_dir))} ]; then\n'
        f"{_indented(become_root)}\nfi"
    )


def _asks_only(options: Iterable[str]) -> str:
    """Return the shell code that sets ``asks`` where one of the options was given.

    A short one may be among others, as in ``-pv``.
    """
    long = " | ".join(option for option in options if option.startswith("--"))
    letters = "".join(option[1] for option in options if not option.startswith("--"))
    arms = ["--) break ;;"]
    arms += [f"{long}) asks=yes ;;"] if long else []
    arms += ["--*) ;;"]
    arms += [f"-*[{letters}]*) asks=yes ;;"] if letters else []
    arms += ["*) ;;"]
    body = "\n".join(f"\t{arm}" for arm in arms)
    return f"asks=\nfor word do\n\tcase ${{word}} in\n{body}\n\tesac\ndone"


def placeholders(root: Root) -> dict[str, str]:
    """Return what each placeholder of a declaration stands for."""
    prefix = root.prefix
    return {
        "name": prefix.name,
        "id": prefix.id,
        "board": prefix.board.name,
        "arch": prefix.board.arch,
        "chost": prefix.board.chost,
        "libdir": prefix.board.libdir,
        "eprefix": prefix.eprefix,
        "staging_dir": os.fspath(prefix.staging_dir),
        "final_dir": os.fspath(prefix.final_dir),
        "tools": os.fspath(prefix.tools_dir),
        "kind": root.kind,
        "root": os.fspath(root.path),
        "eroot": os.fspath(root.eroot),
        "logdir": os.fspath(root.logdir),
    }


def _enter(prefix: Prefix, tool: Tool) -> str:
    """Return the shell code that sets the environment and becomes the tool."""
    if tool.module:
        return _entered(prefix, tool, tool.entry, launch(tool.module))
    real = _entered(prefix, tool, tool.entry, ["${tool}"])
    if not tool.stand_in:
        return real
    indented = "\n".join(f"\t{line}" if line else "" for line in real.split("\n"))
    other = _entered(prefix, tool, "cross", launch(tool.stand_in))
    return f'if [ -n "${{tool}}" ]; then\n{indented}\nfi\n{other}'


def _entered(prefix: Prefix, tool: Tool, entry: str, command: list[str]) -> str:
    words = " ".join('"${tool}"' if word == "${tool}" else shlex.quote(word) for word in command)
    arms = [_arm(tool, root, entry) for root in (prefix.staging, prefix.final)]
    if arms[0] == arms[1]:
        settings = arms[0]
    else:
        body = "\n".join(
            f"{pattern})\n{_indented(arm)}\n\t;;"
            for pattern, arm in zip(("staging", "*"), arms, strict=True)
        )
        settings = f"case ${{root}} in\n{body}\nesac"
    lines = [line for line in (settings, _path(prefix, entry)) if line]
    return "\n".join([*lines, _exec(prefix, entry, words)])


def _indented(code: str) -> str:
    return "\n".join(f"\t{line}" for line in code.split("\n"))


def _arm(tool: Tool, root: Root, entry: str) -> str:
    """Return the code that points at one root and puts the tool's own arguments first."""
    values = placeholders(root)
    variables = environment(root, entry) if tool.root != "both" else {}
    extra = {k: filled(v, values) for k, v in tool.environment.items()}
    lines = [f"{key}={shlex.quote(value)}" for key, value in (variables | extra).items()]
    if names := " ".join(variables | extra):
        lines.append(f"export {names}")
    if tool.arguments:
        words = shlex.join(filled(word, values) for word in tool.arguments)
        lines.append(f'set -- {words} "$@"')
    return "\n".join(lines)


def environment(root: Root, entry: str) -> dict[str, str]:
    """Return the variables that a tool is given that enters ``root`` so."""
    return view.environment(root) if entry == "view" else root.environment()


def _path(prefix: Prefix, entry: str) -> str:
    """Return the code by which a tool finds those of the same Portage, and a build's tools."""
    places: list[str] = [] if entry == "view" else [os.fspath(prefix.tools_dir)]
    if python_bin() not in [*os.defpath.split(os.pathsep), "/usr/bin"]:
        places.append(python_bin())
    if not places:
        return ""
    return f"PATH={shlex.quote(os.pathsep.join(places))}:${{PATH-{os.defpath}}}\nexport PATH"


def _exec(prefix: Prefix, entry: str, words: str) -> str:
    if entry != "view":
        return f'exec {words} "$@"'
    enter = shlex.join(["/bin/sh", os.fspath(view.enter_script(prefix))])
    as_root = shlex.join(view.unshare_words(ordinary=False))
    as_user = shlex.join(view.unshare_words(ordinary=True))
    return (
        f"{_NO_UNSHARE}\n"
        'if [ "${uid}" = 0 ]; then\n'
        f'\texec {as_root} {enter} "${{root}}" root {words} "$@"\n'
        "fi\n"
        f"{_NO_NAMESPACES}\n"
        f'exec {as_user} {enter} "${{root}}" user {words} "$@"'
    )


def found(prefix: Prefix, tool: Tool, *, path: str | None = None) -> Path | None:
    """Return where the tool's command is on this machine, ``None`` for nowhere."""
    search = os.environ.get("PATH", os.defpath) if path is None else path
    for candidate in candidates(prefix, tool):
        if at := shutil.which(candidate, path=search):
            return Path(at)
    return None
