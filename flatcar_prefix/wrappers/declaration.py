# SPDX-License-Identifier: BSD-3-Clause
"""Reading declarations: what a small file in ``wrappers/`` says of a tool."""

from __future__ import annotations

import configparser
import os
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from flatcar_prefix import launch
from flatcar_prefix.errors import PrefixError
from flatcar_prefix.system.places import data_dir, user_config_dir

SUFFIX = ".conf"
ENTRIES = ("cross", "view", "module")
ROOTS = ("staging", "final", "both")
KEYS = (
    "description", "package", "root", "entry", "needs-root", "without-root", "command",
    "native-command", "arguments", "module", "stand-in", "probe", "like",
)  # fmt: skip
PLACEHOLDERS = (
    "name", "id", "board", "arch", "chost", "libdir", "eprefix", "staging_dir", "final_dir",
    "tools", "kind", "root", "eroot", "logdir",
)  # fmt: skip

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")
_PACKAGE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9+_.-]*/[A-Za-z0-9_][A-Za-z0-9+_-]*")
_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_OPTION = re.compile(r"-[A-Za-z0-9?]|--[A-Za-z0-9][A-Za-z0-9-]*")
_PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")


@dataclass(frozen=True)
class Tool:
    """What a declaration says. Texts may hold :data:`PLACEHOLDERS`, as ``{eprefix}``."""

    name: str
    path: Path
    """The declaration."""
    description: str
    package: str
    """Where the command is from, to be named when it is not installed."""
    root: str
    """The root it works on unless told otherwise; ``both`` leaves that to the module."""
    entry: str
    """How it enters the prefix: ``cross`` or ``view``; ``module`` is ``cross`` by Python."""
    commands: tuple[str, ...]
    """What it is called, best first; for a module, what that in turn calls, if anything."""
    native_commands: tuple[str, ...] = ()
    """What it is called besides where the board's architecture is this machine's."""
    arguments: tuple[str, ...] = ()
    """What comes before the caller's own arguments."""
    needs_root: bool = False
    without_root: tuple[str, ...] = ()
    """Options with which it needs no root all the same."""
    module: str = ""
    """Python of this program's that is the tool."""
    stand_in: str = ""
    """Python of this program's that answers where there is no working command."""
    probe: tuple[str, ...] = ()
    """Arguments with which the command shows whether it works with this Portage."""
    environment: Mapping[str, str] = field(default_factory=dict)


class DeclarationError(PrefixError):
    """A declaration that cannot be used: says which file, which key, and why."""

    def __init__(self, path: Path, key: str, reason: str) -> None:
        place = f"{path}: {key}: " if key else f"{path}: "
        super().__init__(place + reason, hint="Correct the declaration; see docs/adding-a-tool.md.")


def directories(*, etc: Path = Path("/etc")) -> list[Path]:
    """Return where declarations are, those that win last."""
    return [
        data_dir() / "wrappers",
        etc / "flatcar-prefix/wrappers.d",
        user_config_dir() / "wrappers.d",
    ]


def tools(places: Iterable[Path] | None = None) -> dict[str, Tool]:
    """Return all declared tools by name; :class:`DeclarationError` for the first bad one."""
    paths: dict[str, Path] = {}
    for directory in directories() if places is None else places:
        for path in sorted(directory.glob(f"*{SUFFIX}")):
            paths[path.stem] = path
    texts = {name: sections(path) for name, path in paths.items()}
    return {name: read(name, texts, paths) for name in sorted(paths)}


def sections(path: Path) -> configparser.ConfigParser:
    """Return the parsed declaration, its sections and keys checked."""
    parser = configparser.ConfigParser(
        interpolation=None, default_section="", delimiters=("=",), comment_prefixes=("#",)
    )
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    try:
        parser.read_string(path.read_text(encoding="utf-8"), source=os.fspath(path))
    except (configparser.Error, UnicodeDecodeError, OSError) as error:
        raise DeclarationError(path, "", _one_line(error)) from error
    for section in parser.sections():
        if section not in ("tool", "environment"):
            raise DeclarationError(path, f"[{section}]", "there are only [tool] and [environment]")
    if "tool" not in parser:
        raise DeclarationError(path, "[tool]", "the section is missing")
    for key in parser["tool"]:
        if key not in KEYS:
            raise DeclarationError(path, key, f"no such key; there are {', '.join(KEYS)}")
    if not _NAME.fullmatch(path.stem) or "-prefix-" in path.stem:
        raise DeclarationError(path, "", "the file's name cannot be the name of a tool")
    return parser


def _one_line(error: Exception) -> str:
    return " ".join(str(error).replace("\n", " ").split())


def read(
    name: str, texts: Mapping[str, configparser.ConfigParser], paths: Mapping[str, Path]
) -> Tool:
    """Return the tool that the declaration of ``name`` declares, all of it checked."""
    path = paths[name]
    tool, environment = _merged(name, texts, path)
    for key in ("description", "package", "root", "entry"):
        if not tool.get(key):
            raise DeclarationError(path, key, "is missing")
    if "\n" in tool["description"]:
        raise DeclarationError(path, "description", "must be one line")
    if not _PACKAGE.fullmatch(tool["package"]):
        raise DeclarationError(path, "package", f"{tool['package']!r} is no category/package")
    _one_of(path, tool, "root", ROOTS)
    _one_of(path, tool, "entry", ENTRIES)
    _check_modules(path, tool)
    for variable, value in environment.items():
        if not _VARIABLE.fullmatch(variable):
            raise DeclarationError(path, variable, "cannot be the name of a variable")
        _check_placeholders(path, variable, (value,))
    default = "" if "module" in tool else name
    commands = _words(path, tool, "command", default)
    return Tool(
        name=name,
        path=path,
        description=tool["description"],
        package=tool["package"],
        root=tool["root"],
        entry=tool["entry"],
        commands=commands,
        native_commands=_words(path, tool, "native-command"),
        arguments=_words(path, tool, "arguments"),
        needs_root=_boolean(path, tool, "needs-root"),
        without_root=_options(path, tool, "without-root"),
        module=tool.get("module", ""),
        stand_in=tool.get("stand-in", ""),
        probe=_words(path, tool, "probe"),
        environment=environment,
    )


def _merged(
    name: str, texts: Mapping[str, configparser.ConfigParser], path: Path
) -> tuple[dict[str, str], dict[str, str]]:
    """Return both sections, with what is taken over from the tool it is ``like``."""
    tool: dict[str, str] = {}
    environment: dict[str, str] = {}
    seen: list[str] = []
    model: str | None = name
    while model is not None:
        if model in seen:
            raise DeclarationError(path, "like", f"goes round: {' -> '.join([*seen, model])}")
        if model not in texts:
            raise DeclarationError(path, "like", f"no tool {model!r} is declared")
        theirs = texts[model]
        own_only = ("like", "command", "native-command") if seen else ("like",)
        tool = {k: v for k, v in theirs["tool"].items() if k not in own_only} | tool
        if "environment" in theirs:
            environment = dict(theirs["environment"]) | environment
        seen.append(model)
        model = theirs["tool"].get("like")
    return tool, environment


def _one_of(path: Path, tool: Mapping[str, str], key: str, choices: Sequence[str]) -> None:
    if tool[key] not in choices:
        raise DeclarationError(path, key, f"{tool[key]!r} is none of {', '.join(choices)}")


def _check_modules(path: Path, tool: Mapping[str, str]) -> None:
    if tool["entry"] == "module" and "module" not in tool:
        raise DeclarationError(path, "module", "is missing for entry = module")
    if tool["root"] == "both" and tool["entry"] != "module":
        raise DeclarationError(path, "root", "both is for entry = module only")
    if "stand-in" in tool and "module" in tool:
        raise DeclarationError(path, "stand-in", "is not for a tool that is a module itself")
    if "probe" in tool and "stand-in" not in tool:
        raise DeclarationError(path, "probe", "is for a tool that has a stand-in")
    for key in ("module", "stand-in"):
        if key in tool and not _MODULE.fullmatch(launch.module_of(tool[key])):
            raise DeclarationError(path, key, f"{tool[key]!r} is not the name of a Python module")


def _words(path: Path, tool: Mapping[str, str], key: str, default: str = "") -> tuple[str, ...]:
    try:
        words = tuple(shlex.split(tool.get(key, default)))
    except ValueError as error:
        raise DeclarationError(path, key, _one_line(error)) from error
    if key.endswith("command") and key in tool and not (words and all(words)):
        raise DeclarationError(path, key, "is empty")
    if any("\0" in word for word in words):
        raise DeclarationError(path, key, "holds a NUL")
    _check_placeholders(path, key, words)
    return words


def _options(path: Path, tool: Mapping[str, str], key: str) -> tuple[str, ...]:
    words = _words(path, tool, key)
    for word in words:
        if not _OPTION.fullmatch(word):
            raise DeclarationError(path, key, f"{word!r} is no option such as -p or --pretend")
    if words and tool.get("needs-root") != "yes":
        raise DeclarationError(path, key, "is for a tool with needs-root = yes")
    return words


def _boolean(path: Path, tool: Mapping[str, str], key: str) -> bool:
    text = tool.get(key, "no")
    if text not in ("yes", "no"):
        raise DeclarationError(path, key, f"{text!r} is neither yes nor no")
    return text == "yes"


def _check_placeholders(path: Path, key: str, texts: Iterable[str]) -> None:
    for text in texts:
        for name in _PLACEHOLDER.findall(text):
            if name not in PLACEHOLDERS:
                raise DeclarationError(
                    path, key, f"{{{name}}} stands for nothing; there are {', '.join(PLACEHOLDERS)}"
                )


def filled(text: str, values: Mapping[str, str]) -> str:
    """Return ``text`` with its placeholders filled in."""
    return _PLACEHOLDER.sub(lambda match: values[match[1]], text)
