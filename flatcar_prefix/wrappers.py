# SPDX-License-Identifier: BSD-3-Clause
"""Declarations in ``wrappers/`` become scripts in the wrapper directory."""

from __future__ import annotations

import configparser
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from flatcar_prefix import __version__, process, sdk
from flatcar_prefix.errors import PrefixError
from flatcar_prefix.prefix import Prefix

TEMPLATE = "wrapper.sh.in"
MARK = "flatcar-prefix wrapper"
UNSET = "EROOT ESYSROOT BROOT PORTDIR PORTDIR_OVERLAY PORTAGE_REPOSITORIES"


@dataclass(frozen=True)
class Tool:
    """What a declaration says of a tool."""

    name: str
    description: str
    package: str
    root: str
    entry: str
    needs_root: bool
    command: str
    module: str = ""


@dataclass(frozen=True)
class Wrapper:
    """A wrapper of one prefix."""

    prefix: Prefix
    tool: Tool

    @property
    def path(self) -> Path:
        return self.prefix.wrapper_dir / f"{self.tool.name}-prefix-{self.prefix.id}"

    @property
    def short_path(self) -> Path:
        return self.prefix.wrapper_dir / f"{self.tool.name}-prefix-{self.prefix.name}"

    def run(
        self, *args: str, check: bool = False, capture: bool = True
    ) -> subprocess.CompletedProcess[str]:
        """Run the wrapper with ``args`` and return what became of it."""
        return process.run([self.path, *args], check=check, capture=capture)


def tools() -> dict[str, Tool]:
    """Return all declared tools by name."""
    directory = sdk.data_dir() / "wrappers"
    return {path.stem: read_tool(path) for path in sorted(directory.glob("*.conf"))}


def read_tool(path: Path) -> Tool:
    """Return the tool that a declaration declares."""
    parser = configparser.ConfigParser(interpolation=None)
    parser.read_string(path.read_text(encoding="utf-8"), source=os.fspath(path))
    section = parser["tool"]
    return Tool(
        name=path.stem,
        description=section["description"],
        package=section["package"],
        root=section["root"],
        entry=section["entry"],
        needs_root=section.getboolean("needs-root", False),
        command=section.get("command", path.stem),
        module=section.get("module", ""),
    )


def find_wrapper(prefix: Prefix, tool: str) -> Wrapper:
    """Return the wrapper of ``tool``; :class:`PrefixError` when nothing declares it."""
    try:
        return Wrapper(prefix, tools()[tool])
    except KeyError:
        raise PrefixError(
            f"no wrapper is declared for {tool!r}", hint=f"There are: {', '.join(tools())}."
        ) from None


def wrappers(prefix: Prefix) -> list[Wrapper]:
    """Return what wrappers the prefix is to have."""
    return [Wrapper(prefix, tool) for tool in tools().values()]


def generate(prefix: Prefix) -> list[Path]:
    """Write all wrappers of ``prefix``, each atomically; return their paths."""
    prefix.wrapper_dir.mkdir(parents=True, exist_ok=True)
    written = []
    for wrapper in wrappers(prefix):
        _write(wrapper.path, text(wrapper))
        written.append(wrapper.path)
        if _owner(wrapper.short_path) in (None, os.fspath(prefix.staging_dir)):
            temporary = wrapper.short_path.with_name(f".{wrapper.short_path.name}.new")
            temporary.unlink(missing_ok=True)
            temporary.symlink_to(wrapper.path.name)
            temporary.replace(wrapper.short_path)
            written.append(wrapper.short_path)
    return written


def text(wrapper: Wrapper) -> str:
    """Return the text of a wrapper."""
    prefix, tool = wrapper.prefix, wrapper.tool
    template = (sdk.data_dir() / "wrappers" / TEMPLATE).read_text(encoding="utf-8")
    override = prefix.staging.environment().get("PORTAGE_OVERRIDE_EPREFIX")
    values = {
        "HEADER": f"{MARK} {__version__}: {shlex.quote(os.fspath(prefix.staging_dir))}",
        "ROOT": "staging" if tool.root == "staging" else "final",
        "HELP": f"{tool.name} for the prefix {prefix.id} at {prefix.eprefix}\n"
        f"{tool.description}\n  staging: {prefix.staging.path}\n  final: {prefix.final.path}",
        "STAGING": shlex.quote(os.fspath(prefix.staging.path)),
        "FINAL": shlex.quote(os.fspath(prefix.final.path)),
        "EPREFIX": shlex.quote(prefix.eprefix),
        "EXPORTS": f"PORTAGE_OVERRIDE_EPREFIX={shlex.quote(override)}" if override else "",
        "UNSET": UNSET,
        "SUDO": "",
        "EXEC": _exec(wrapper),
    }
    for key, value in values.items():
        template = template.replace(f"@{key}@", value)
    return template


def _exec(wrapper: Wrapper) -> str:
    if wrapper.tool.entry == "module":
        argv = sdk.launch(wrapper.tool.module, os.fspath(wrapper.prefix.staging_dir))
        return f'exec {shlex.join(argv)} "$@"'
    return f'exec {shlex.quote(find_command(wrapper.tool.command))} "$@"'


def find_command(command: str) -> str:
    """Return where a tool is: beside this program's Python first, then in PATH."""
    beside = os.path.join(os.path.dirname(sys.executable), command)
    return beside if os.access(beside, os.X_OK) else shutil.which(command) or command


def _write(path: Path, content: str) -> None:
    temporary = path.with_name(f".{path.name}.new")
    temporary.write_text(content, encoding="utf-8")
    temporary.chmod(0o755)
    temporary.replace(path)


def _owner(path: Path) -> str | None:
    """Return the staging directory of the prefix whose wrapper this is, None for nobody's."""
    try:
        with path.open(encoding="utf-8", errors="replace") as stream:
            lines = [stream.readline() for _ in range(2)]
    except FileNotFoundError:
        return None
    mark, _, staging = lines[1].partition(": ")
    return shlex.split(staging)[0] if MARK in mark else ""


def missing(prefix: Prefix) -> list[Path]:
    """Return the wrappers that the prefix should have and has not."""
    return [w.path for w in wrappers(prefix) if not w.path.exists()]


def remove(prefix: Prefix) -> Iterator[Path]:
    """Remove all wrappers of ``prefix``, yielding the path of each."""
    staging = os.fspath(prefix.staging_dir)
    if not prefix.wrapper_dir.is_dir():
        return
    for path in sorted(prefix.wrapper_dir.glob(f"*-prefix-{prefix.name}*")):
        if _owner(path) == staging:
            path.unlink()
            yield path
