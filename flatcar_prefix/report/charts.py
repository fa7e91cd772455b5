# SPDX-License-Identifier: BSD-3-Clause
"""Layouts: a treemap, a graph in layers, and a time axis without idle times. Pure functions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Cell:
    """A rectangle of a treemap; all values are fractions of the whole."""

    index: int
    x: float
    y: float
    width: float
    height: float


def treemap(sizes: Sequence[float], aspect: float = 2.0) -> list[Cell]:
    """Return a cell for each positive size, its area in proportion ("squarified treemaps").

    ``aspect`` is the width of the whole divided by its height.
    """
    total = sum(size for size in sizes if size > 0)
    order = sorted((i for i, size in enumerate(sizes) if size > 0), key=lambda i: -sizes[i])
    areas = [(i, sizes[i] / total * aspect) for i in order]
    cells: list[Cell] = []
    x, y, width, height = 0.0, 0.0, aspect, 1.0
    while areas:
        side = min(width, height)
        count = 1
        while count < len(areas) and _worst(areas[: count + 1], side) <= _worst(
            areas[:count], side
        ):
            count += 1
        row, areas = areas[:count], areas[count:]
        depth = sum(area for _, area in row) / side
        offset = 0.0
        for index, area in row:
            length = area / depth
            if width >= height:
                cells.append(Cell(index, x / aspect, y + offset, depth / aspect, length))
            else:
                cells.append(Cell(index, (x + offset) / aspect, y, length / aspect, depth))
            offset += length
        if width >= height:
            x, width = x + depth, width - depth
        else:
            y, height = y + depth, height - depth
    return cells


def _worst(row: Sequence[tuple[int, float]], side: float) -> float:
    """Return the largest ratio of the sides of a row's cells."""
    total = sum(area for _, area in row)
    largest, smallest = row[0][1], row[-1][1]
    return max(side**2 * largest / total**2, total**2 / (side**2 * smallest))


def layers(needs: Mapping[str, Sequence[str]]) -> list[list[str]]:
    """Return the names in columns: a package is to the left of its dependencies.

    The packages of a dependency cycle share a column.
    """
    depth: dict[str, int] = {}

    def measure(name: str, path: tuple[str, ...]) -> int:
        if name in depth:
            return depth[name]
        below = [measure(other, (*path, name)) for other in needs.get(name, ())
                 if other not in path and other != name and other in needs]  # fmt: skip
        result = 1 + max(below, default=-1)
        if not set(needs.get(name, ())) & set(path):
            depth[name] = result
        return result

    heights = {name: measure(name, ()) for name in needs}
    top = max(heights.values(), default=0)
    columns: list[list[str]] = [[] for _ in range(top + 1)]
    for name in sorted(needs):
        columns[top - heights[name]].append(name)
    return [column for column in columns if column]


def without_gaps(spans: Sequence[tuple[int, int]], *, longest: int = 2) -> dict[int, int]:
    """Return the position of each start and end on an axis without idle times.

    Idle times of more than ``longest`` seconds are shortened to that length.
    """
    places: dict[int, int] = {}
    busy_until: int | None = None
    shift = 0
    for start, end in sorted(spans):
        if busy_until is None:
            shift = start
        elif start > busy_until + longest:
            shift += start - busy_until - longest
        places[start] = start - shift
        busy_until = max(end, busy_until or end)
        places.setdefault(end, end - shift)
        places[end] = end - shift
    return places
