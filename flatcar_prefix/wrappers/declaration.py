# SPDX-License-Identifier: BSD-3-Clause
"""Read declarations: the files in ``wrappers/`` that each describe one tool."""

from __future__ import annotations

import configparser
import os
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path

from flatcar_prefix import launch
from flatcar_prefix.errors import PrefixError
from flatcar_prefix.system.files import only_root_writes
from flatcar_prefix.system.places import data_dir, documentation, user_config_dir

SUFFIX = ".conf"
ENTRIES = ("cross", "view", "module")
ROOTS = ("staging", "final", "both")
KEYS = (
    "description", "package", "root", "entry", "needs-root", "without-root", "command",
    "native-command", "compiled", "arguments", "module", "stand-in", "probe", "like",
)  # fmt: skip
PLACEHOLDERS = (
    "name", "id", "board", "arch", "chost", "libdir", "eprefix", "staging_dir", "final_dir",
    "tools", "kind", "root", "eroot", "logdir",
)  # fmt: skip

_FORMER = " of "
"""Divides the key of an overridden declaration; no tool has a space in its name."""

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]*")
_PACKAGE = re.compile(r"[A-Za-z0-9_][A-Za-z0-9+_.-]*/[A-Za-z0-9_][A-Za-z0-9+_-]*")
_MODULE = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*")
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\??")
_OPTION = re.compile(r"-[A-Za-z0-9?]|--[A-Za-z0-9][A-Za-z0-9-]*")
_PLACEHOLDER = re.compile(r"\{([a-z_]+)\}")


@dataclass(frozen=True)
class Tool:
    """A declared tool. Its texts may contain :data:`PLACEHOLDERS`, such as ``{eprefix}``."""

    name: str
    path: Path
    """The declaration."""
    description: str
    package: str
    """The package that installs the command, named when the command is missing."""
    root: str
    """The default root; ``both`` leaves the choice to the module."""
    entry: str
    """How the tool enters the prefix: ``cross``, ``view``, or ``module`` (``cross``, in Python)."""
    commands: tuple[str, ...]
    """Names of the command, best first; for a module, of the command that it runs, if any."""
    native_commands: tuple[str, ...] = ()
    """Further names, for boards of this machine's architecture."""
    compiled: bool = False
    """Whether no command is a script, whose interpreter may be missing."""
    arguments: tuple[str, ...] = ()
    """Arguments to insert before the caller's own."""
    needs_root: bool = False
    without_root: tuple[str, ...] = ()
    """Options with which the tool does not need root."""
    module: str = ""
    """The module of flatcar-prefix that is the tool."""
    stand_in: str = ""
    """The module of flatcar-prefix that runs if no command works."""
    probe: tuple[str, ...] = ()
    """Arguments that test whether the command works with this Portage."""
    environment: Mapping[str, str] = field(default_factory=dict)
    """A name that ends in ``?`` is a default: the caller's variable takes precedence."""


class DeclarationError(PrefixError):
    """An invalid declaration: the message names the file, the key and the reason."""

    def __init__(self, path: Path, key: str, reason: str) -> None:
        place = f"{path}: {key}: " if key else f"{path}: "
        page = documentation("adding-a-tool.md")
        super().__init__(place + reason, hint=f"Correct the declaration; see {page}.")


def directories(*, etc: Path = Path("/etc")) -> list[Path]:
    """Return the directories of declarations; later ones take precedence."""
    return [
        data_dir() / "wrappers",
        etc / "flatcar-prefix/wrappers.d",
        user_config_dir() / "wrappers.d",
    ]


def refused() -> list[Path]:
    """Return the declarations that are ignored, because root must not follow them.

    A declaration names programs for root to run. Root follows those that only root can
    write; for any other user, the list is empty.
    """
    found = (path for place in directories() for path in sorted(place.glob(f"*{SUFFIX}")))
    return [path for path in found if _is_refused(path)]


def _is_refused(path: Path) -> bool:
    # Root already runs this program, so its own declarations are trusted.
    own = path.parent == data_dir() / "wrappers"
    return os.geteuid() == 0 and not own and not only_root_writes(path)


def tools(places: Iterable[Path] | None = None) -> dict[str, Tool]:
    """Return all declared tools by name.

    :class:`DeclarationError` for the first invalid declaration.
    """
    paths: dict[str, Path] = {}
    texts: dict[str, configparser.ConfigParser] = {}
    for directory in directories() if places is None else places:
        for path in sorted(directory.glob(f"*{SUFFIX}")):
            if places is not None or not _is_refused(path):
                _add(path, paths, texts)
    return {name: read(name, texts, paths) for name in sorted(paths)}


def _add(path: Path, paths: dict[str, Path], texts: dict[str, configparser.ConfigParser]) -> None:
    """Add a declaration in place of an earlier one with this name.

    With ``like = <its own name>``, it inherits from the earlier one, which gets another key.
    """
    name, text = path.stem, sections(path)
    if text["tool"].get("like") == name and name in texts:
        former = f"{name}{_FORMER}{paths[name].parent}"
        texts[former] = texts[name]
        text["tool"]["like"] = former
    paths[name], texts[name] = path, text


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
            raise DeclarationError(
                path, f"[{section}]", "unknown section; valid are [tool] and [environment]"
            )
    if "tool" not in parser:
        raise DeclarationError(path, "[tool]", "the section is missing")
    for key in parser["tool"]:
        if key not in KEYS:
            raise DeclarationError(path, key, f"unknown key; valid are {', '.join(KEYS)}")
    if not _NAME.fullmatch(path.stem) or "-prefix-" in path.stem:
        raise DeclarationError(path, "", "the file name is not a valid tool name")
    return parser


def _one_line(error: Exception) -> str:
    return " ".join(str(error).replace("\n", " ").split())


def read(
    name: str, texts: Mapping[str, configparser.ConfigParser], paths: Mapping[str, Path]
) -> Tool:
    """Return the tool ``name``, with all of its declaration checked."""
    path = paths[name]
    tool, environment = _merged(name, texts, path)
    for key in ("description", "package", "root", "entry"):
        if not tool.get(key):
            raise DeclarationError(path, key, "is missing")
    if "\n" in tool["description"]:
        raise DeclarationError(path, "description", "must be one line")
    if not _PACKAGE.fullmatch(tool["package"]):
        raise DeclarationError(path, "package", f"{tool['package']!r} is not a category/package")
    _one_of(path, tool, "root", ROOTS)
    _one_of(path, tool, "entry", ENTRIES)
    _check_modules(path, tool)
    for variable, value in environment.items():
        if not _VARIABLE.fullmatch(variable):
            raise DeclarationError(path, variable, "is not a valid variable name")
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
        compiled=_boolean(path, tool, "compiled"),
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
    """Return both sections, including the keys inherited by ``like``."""
    tool: dict[str, str] = {}
    environment: dict[str, str] = {}
    seen: list[str] = []
    model: str | None = name
    while model is not None:
        if model in seen:
            raise DeclarationError(path, "like", f"forms a cycle: {' -> '.join([*seen, model])}")
        if model not in texts:
            raise DeclarationError(path, "like", f"no tool {model!r} is declared")
        theirs = texts[model]
        another = seen and not model.startswith(f"{name}{_FORMER}")
        own_only = ("like", "command", "native-command") if another else ("like",)
        tool = {k: v for k, v in theirs["tool"].items() if k not in own_only} | tool
        if "environment" in theirs:
            environment = dict(theirs["environment"]) | environment
        seen.append(model)
        model = theirs["tool"].get("like")
    return tool, environment


def _one_of(path: Path, tool: Mapping[str, str], key: str, choices: Sequence[str]) -> None:
    if tool[key] not in choices:
        raise DeclarationError(path, key, f"{tool[key]!r} is not one of {', '.join(choices)}")


def _check_modules(path: Path, tool: Mapping[str, str]) -> None:
    if tool["entry"] == "module" and "module" not in tool:
        raise DeclarationError(path, "module", "is missing for entry = module")
    if tool["root"] == "both" and tool["entry"] != "module":
        raise DeclarationError(path, "root", "both requires entry = module")
    if "stand-in" in tool and "module" in tool:
        raise DeclarationError(path, "stand-in", "cannot be combined with module")
    if "probe" in tool and "stand-in" not in tool:
        raise DeclarationError(path, "probe", "requires stand-in")
    for key in ("module", "stand-in"):
        if key in tool and not _MODULE.fullmatch(launch.module_of(tool[key])):
            raise DeclarationError(path, key, f"{tool[key]!r} is not the name of a Python module")
        if key in tool and not _is_module(launch.module_of(tool[key])):
            raise DeclarationError(
                path,
                key,
                f"no module {tool[key]!r} is installed; flatcar-prefix has"
                f" {', '.join(launch.MODULES)}",
            )


def _is_module(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except (ImportError, ValueError):
        return False


def _words(path: Path, tool: Mapping[str, str], key: str, default: str = "") -> tuple[str, ...]:
    try:
        words = tuple(shlex.split(tool.get(key, default)))
    except ValueError as error:
        raise DeclarationError(path, key, _one_line(error)) from error
    if key.endswith("command") and key in tool and not (words and all(words)):
        raise DeclarationError(path, key, "is empty")
    if any("\0" in word for word in words):
        raise DeclarationError(path, key, "contains a NUL")
    _check_placeholders(path, key, words)
    return words


def _options(path: Path, tool: Mapping[str, str], key: str) -> tuple[str, ...]:
    words = _words(path, tool, key)
    for word in words:
        if not _OPTION.fullmatch(word):
            raise DeclarationError(path, key, f"{word!r} is not an option such as -p or --pretend")
    if words and tool.get("needs-root") != "yes":
        raise DeclarationError(path, key, "requires needs-root = yes")
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
                    path,
                    key,
                    f"{{{name}}} is not a placeholder; valid are {', '.join(PLACEHOLDERS)}",
                )


def filled(text: str, values: Mapping[str, str]) -> str:
    """Return ``text`` with its placeholders replaced."""
    return _PLACEHOLDER.sub(lambda match: values[match[1]], text)
