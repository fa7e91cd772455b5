# SPDX-License-Identifier: BSD-3-Clause
"""The text of a wrapper: a POSIX shell script, made from a template and its values.

Each way of entering a prefix has a template, ``wrappers/<entry>.sh.in``. A value is a quoted
string or a list of quoted words, never program text.
"""

from __future__ import annotations

import hashlib
import os
import re
import shlex
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from flatcar_prefix import environ
from flatcar_prefix.prefix.model import Prefix, Root
from flatcar_prefix.system.places import data_dir
from flatcar_prefix.system.programs import SYSTEM_PATH
from flatcar_prefix.system.python import interpreter, launch
from flatcar_prefix.system.variables import ASTRAY, MEANT
from flatcar_prefix.version import __version__
from flatcar_prefix.wrappers import view
from flatcar_prefix.wrappers.declaration import ENTRIES, Tool, filled

MARK = "flatcar-prefix wrapper"


UNREACHED = (
    "Run it as root, make the directories of that Python searchable (chmod o+x), or install"
    " flatcar-prefix with another Python, such as /usr/bin/python3."
)
"""The hint for users who cannot reach the Python of flatcar-prefix."""


_SECTION = re.compile(r"#\[if (not )?([A-Z_]+)\]")


def templates() -> dict[str, str]:
    """Return the template of each way of entering a prefix."""
    directory = data_dir() / "wrappers"
    return {e: (directory / f"{e}.sh.in").read_text(encoding="utf-8") for e in ENTRIES}


def text(
    prefix: Prefix,
    tool: Tool,
    templates: Mapping[str, str],
    *,
    works: str = "",
    passed_over: str = "",
) -> str:
    """Return the wrapper of ``tool`` for ``prefix``, made from one of ``templates``.

    ``works`` is the path of a command that has a probe and passed it. ``passed_over`` names a
    command that failed its probe, and why.
    """
    if tool.probe and not works:
        tool = replace(tool, entry="module", module=tool.stand_in, commands=(), native_commands=())
    entry = "module" if tool.module and tool.entry != "view" else tool.entry
    values = _values(prefix, tool, entry, works)
    if passed_over:
        values["HELP"] += f"\n  not used:  {passed_over}"
    return mark(_fill(templates[entry], values), prefix)


def _fill(template: str, values: Mapping[str, str]) -> str:
    """Return the template with its values, less the sections that need an empty value.

    The lines between ``#[if NAME]`` and ``#[end]`` need a value of that name that is not
    empty, those between ``#[if not NAME]`` and ``#[end]`` an empty one. Sections nest.
    """
    kept: list[bool] = []
    lines = []
    for line in template.splitlines(keepends=True):
        if match := _SECTION.fullmatch(line.rstrip("\n")):
            kept.append(bool(values[match[2]]) is not bool(match[1]))
        elif line == "#[end]\n":
            kept.pop()
        elif all(kept):
            lines.append(line)
    return re.sub(r"@([A-Z_]+)@", lambda m: values.get(m[1], m[0]), "".join(lines))


def mark(content: str, prefix: Prefix) -> str:
    """Return the script with its mark line: version, checksum and staging directory."""
    staging = shlex.quote(os.fspath(prefix.staging_dir))
    line = f"{MARK} {__version__} {checksum(content.replace('@MARK@', ''))}: {staging}"
    return content.replace("@MARK@", line)


def checksum(content: str) -> str:
    """Return the checksum of a script's content without its mark."""
    return hashlib.sha256(content.encode("utf-8", "surrogateescape")).hexdigest()[:32]


def unmarked(content: str) -> str:
    """Return the content that :func:`checksum` was computed from."""
    head, _, rest = content.partition("\n")
    line, _, body = rest.partition("\n")
    return f"{head}\n{line.partition(MARK)[0]}\n{body}"


def _values(prefix: Prefix, tool: Tool, entry: str, works: str) -> dict[str, str]:
    """Return the values of the templates; an empty one leaves its section out."""
    staging = os.fspath(prefix.staging_dir)
    commands = [works] if tool.probe and works else candidates(prefix, tool)
    nothing = f"nothing here; see {tool.package}"
    missing = f" * {tool.name} is not installed here; it is in {tool.package}"
    long = [option for option in tool.without_root if option.startswith("--")]
    short = [option[1] for option in tool.without_root if not option.startswith("--")]
    unreachable = f" * this user cannot reach {interpreter()}, which {tool.name} requires"
    values = {
        "SUMMARY": f"{tool.name} for the prefix {prefix.id} at {prefix.eprefix}",
        "ROOT": tool.root,
        "CHOOSES_ROOT": "" if tool.root == "both" else "yes",
        "RECORD": shlex.quote(os.fspath(prefix.record_file)),
        "GONE": shlex.quote(f" * the prefix {prefix.id} was not found in {staging}"),
        "GONE_HINT": shlex.quote(
            f" * Remove what is left: flatcar-prefix uninstall {prefix.id}; or, if you moved it:"
            " flatcar-prefix wrappers <its new directory>"
        ),
        "NAMESPACE_HINT": shlex.quote(
            " * In a container, add the capability SYS_ADMIN (docker run --cap-add SYS_ADMIN), or"
            " run the command on the machine itself."
        ),
        "LAUNCHER": shlex.quote(launch()[-1]),
        "ORPHANED": shlex.quote(" * the program that wrote this wrapper is gone:"),
        "BRING_OVER": shlex.quote(
            " * Install flatcar-prefix, then bring the prefix over to it:"
            f" flatcar-prefix wrappers {prefix.id}"
        ),
        "CLOSED": shlex.quote(f" * the prefix {prefix.id} cannot be reached"),
        "SYSTEM_PATH": SYSTEM_PATH,
        "STAGING_DIR": shlex.quote(staging),
        "HELP": help_text(prefix, tool),
        "COMMANDS": shlex.join(commands),
        "COMPILED": "yes" if tool.compiled else "",
        "MODULE": shlex.join(launch(tool.module)) if tool.module else "",
        "MODULE_NAME": shlex.quote(own(tool.module)),
        "STAND_IN": shlex.join(launch(tool.stand_in)) if tool.stand_in else "",
        "INSTEAD": shlex.quote(own(tool.stand_in) if tool.stand_in else nothing),
        "MISSING": shlex.quote(missing) if commands and not tool.stand_in else "",
        "NEEDS_ROOT": "yes" if tool.needs_root else "",
        "WITHOUT_ROOT": "yes" if tool.without_root else "",
        "LONG_OPTIONS": " | ".join(long),
        "SHORT_OPTIONS": "".join(short),
        "NO_SUDO": shlex.quote(f" * {tool.name} needs root here, and sudo was not found"),
        "PRESERVED": ",".join(MEANT),
        "PYTHON": shlex.quote(interpreter()),
        "PYTHON_BIN": shlex.quote(python_bin()),
        "UNREACHABLE": shlex.quote(unreachable),
        "REACH_HINT": shlex.quote(f" * {UNREACHED}"),
        "CLEARED": " \\\n\t".join(ASTRAY),
        "PATH": _path(prefix, entry),
        "CROSS_PATH": _path(prefix, "cross"),
        "DEFAULT_PATH": os.defpath,
        "UNSHARE_AS_ROOT": shlex.join(view.unshare_words(ordinary=False)),
        "UNSHARE_AS_USER": shlex.join(view.unshare_words(ordinary=True)),
        "ENTER": shlex.quote(os.fspath(view.enter_script(prefix))),
    }
    for root in (prefix.staging, prefix.final):
        known = placeholders(root)
        kind = root.kind.upper()
        values[f"{kind}_ARGUMENTS"] = shlex.join(filled(word, known) for word in tool.arguments)
        values[f"{kind}_ENVIRONMENT"] = _assignments(tool, root, entry)
        values[f"{kind}_CROSS_ENVIRONMENT"] = _assignments(tool, root, "cross")
    return values


def _assignments(tool: Tool, root: Root, entry: str) -> str:
    """Return the tool's variables for ``root``, each as a word of the shell's ``export``."""
    variables = environment(root, entry) if tool.root != "both" else {}
    variables |= {key: filled(text, placeholders(root)) for key, text in tool.environment.items()}
    return " \\\n\t\t".join(assignment(key, value) for key, value in variables.items())


def assignment(key: str, value: str) -> str:
    """Return a word of ``export``; with ``NAME?``, the caller's variable takes precedence."""
    if not key.endswith("?"):
        return f"{key}={shlex.quote(value)}"
    escaped = re.sub(r'([\\"$`])', r"\\\1", value)
    return f'{key[:-1]}="${{{key[:-1]}:-{escaped}}}"'


def _path(prefix: Prefix, entry: str) -> str:
    """Return the directories to put before PATH: build tools, and tools of the same Portage."""
    places: list[str] = [] if entry == "view" else [os.fspath(prefix.tools_dir)]
    if python_bin() not in [*os.defpath.split(os.pathsep), "/usr/bin"]:
        places.append(python_bin())
    return shlex.quote(os.pathsep.join(places)) if places else ""


def help_text(prefix: Prefix, tool: Tool) -> str:
    """Return the output of ``--prefix-help`` up to the line of the program that answers."""
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
    """Return the directory of this program's Python, where pip installs Portage's tools."""
    return os.path.dirname(interpreter())


def candidates(prefix: Prefix, tool: Tool) -> list[str]:
    """Return the candidates for the command, best first: absolute paths, and names for PATH."""
    found: list[str] = []
    native = prefix.board.is_native
    for command in tool.commands + (tool.native_commands if native else ()):
        name = filled(command, placeholders(prefix.root(_kind(tool))))
        found += [name] if "/" in name else [os.path.join(python_bin(), name), name]
    return found


def _kind(tool: Tool) -> str:
    return "staging" if tool.root == "both" else tool.root


def own(module: str) -> str:
    """Return the description of a module of flatcar-prefix that answers for a tool."""
    return f"{module} of flatcar-prefix {__version__}"


def placeholders(root: Root) -> dict[str, str]:
    """Return the values of the placeholders of a declaration."""
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


def environment(root: Root, entry: str) -> dict[str, str]:
    """Return the variables of a tool that enters ``root`` by ``entry``."""
    return view.environment(root) if entry == "view" else root.environment()


def found(prefix: Prefix, tool: Tool, *, path: str | None = None) -> Path | None:
    """Return the path of the tool's command on this machine, ``None`` if it is missing."""
    search = environ.search_path() if path is None else path
    for candidate in candidates(prefix, tool):
        if at := shutil.which(candidate, path=search):
            return Path(at)
    return None
