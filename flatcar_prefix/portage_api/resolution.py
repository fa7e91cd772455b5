# SPDX-License-Identifier: BSD-3-Clause
"""Resolve packages one by one in a loaded root, without a call of emerge for each.

Portage has no public call that resolves. All names are the same in Portage 3.0.63 to 3.0.83.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Resolution:
    """The result for one command line."""

    success: bool
    text: str
    """Portage's output, without colours; empty after a success without messages."""
    merges: tuple[tuple[str, str], ...] = ()
    """EROOT and ``category/name-version`` of each package to merge."""


def prepare(config: Any) -> None:
    """Make the adjustments that emerge makes to a loaded configuration before it resolves."""
    import portage
    from _emerge.actions import adjust_configs

    portage.output.havecolor = 0
    adjust_configs(config.opts, config.trees)


def resolve(config: Any, atoms: Sequence[str]) -> Resolution:
    """Return the plan of ``emerge <atoms>``, with the options of ``config``.

    ``config`` is what :func:`flatcar_prefix.portage_api.emerge_calls.load_config` returns.
    """
    from _emerge.create_depgraph_params import create_depgraph_params
    from _emerge.depgraph import backtrack_depgraph

    settings, trees, _ = config
    said = io.StringIO()
    with redirect_stdout(said), redirect_stderr(said):
        success, graph, _ = backtrack_depgraph(
            settings, trees, config.opts, create_depgraph_params(config.opts, config.action),
            config.action, list(atoms), None,
        )  # fmt: skip
        if graph.need_config_change() or not success:
            graph.display_problems()
    merges = tuple(_merges(graph)) if success else ()
    return Resolution(bool(success), said.getvalue().strip(), merges)


def _merges(graph: Any) -> Iterator[tuple[str, str]]:
    for node in graph.altlist():
        if getattr(node, "operation", None) == "merge":
            yield str(node.root), str(node.cpv)
