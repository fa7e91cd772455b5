# SPDX-License-Identifier: BSD-3-Clause
"""The wrappers that a prefix should have, and their texts."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from flatcar_prefix import environ
from flatcar_prefix.portage_api import session as portage_api
from flatcar_prefix.prefix.model import Prefix, Wrapper
from flatcar_prefix.system import process
from flatcar_prefix.system.variables import ASTRAY
from flatcar_prefix.wrappers import script, view
from flatcar_prefix.wrappers.declaration import Tool, filled, tools as declared_tools


@dataclass(frozen=True)
class DeclaredWrapper(Wrapper):
    """A wrapper with the tool that it runs."""

    tool: Tool


def wrappers(prefix: Prefix, tools: Mapping[str, Tool] | None = None) -> list[DeclaredWrapper]:
    """Return the wrappers that the prefix should have."""
    declared = declared_tools() if tools is None else tools
    return [DeclaredWrapper(prefix, tool.name, tool) for tool in declared.values()]


def texts(prefix: Prefix, wanted: Iterable[DeclaredWrapper]) -> dict[Path, str]:
    """Return the text of each wrapper and of each script of the view, by path."""
    enter = view.enter_text(prefix, portage_api.global_config_path())
    templates = script.templates()
    out = {
        view.enter_script(prefix): script.mark(enter, prefix),
        view.directory(prefix) / "portage-python": script.mark(view.portage_python(prefix), prefix),
    }
    for wrapper in wanted:
        probe = probed(prefix, wrapper.tool)
        out[wrapper.path] = script.text(
            prefix, wrapper.tool, templates, works=probe.path, passed_over=probe.passed_over
        )
    return out


@dataclass(frozen=True)
class Probed:
    """The result of a probe. Both texts are empty if the command is not installed."""

    path: str = ""
    """The path of a command that works with this Portage."""
    passed_over: str = ""
    """A command that does not work, and why."""


def probed(prefix: Prefix, tool: Tool) -> Probed:
    """Run the probe of a tool that has a stand-in."""
    if not tool.stand_in or not tool.probe:
        return Probed()
    at = script.found(prefix, tool)
    if at is None:
        return Probed()
    root = prefix.root("staging" if tool.root == "both" else tool.root)
    values = script.placeholders(root)
    env = environ.variables(without=ASTRAY)
    env |= script.environment(root, tool.entry)
    argv = [os.fspath(at), *(filled(word, values) for word in tool.probe)]
    if tool.entry == "view":
        argv = view.command(root, argv)
    result = process.run(argv, env=env, check=False, capture=True, input="")
    why = _fault(result.returncode, result.stdout, result.stderr)
    return Probed(passed_over=f"{at}: {why}") if why else Probed(path=os.fspath(at))


def _fault(code: int, out: str, err: str) -> str:
    """Return why a command cannot run; empty if it can.

    A query without results may exit with 3.
    """
    traceback = next((text for text in (err, out) if "Traceback" in text), "")
    if 0 <= code < 126 and not traceback:
        return ""
    lines = (traceback or err).strip().splitlines()
    # Without addresses, which change from run to run: a wrapper contains the text.
    return re.sub(r" at 0x\w+", "", lines[-1].strip())[:200] if lines else f"exit code {code}"
