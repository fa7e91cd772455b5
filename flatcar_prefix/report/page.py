# SPDX-License-Identifier: BSD-3-Clause
"""The page of a report: HTML with inline SVG, without scripts and without a network."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape
from zlib import crc32

from flatcar_prefix.audit.reporters import printable
from flatcar_prefix.image.summary import spelled
from flatcar_prefix.report.charts import layers, treemap, without_gaps
from flatcar_prefix.report.data import Data, Package, why
from flatcar_prefix.version import __version__

HUES = 8
"""Colours of categories."""

ROW, COLUMN, NODE = 26, 250, 190
"""Distances in the graph of dependencies, and the width of a node, in pixels."""

NUMBERS = ("Size", "Share", "Files", "Packages")
"""Heads of columns with numbers."""

NUMBER = ' class="number"'

CSS = """
:root { color-scheme: light dark; --text: #1b1f24; --back: #ffffff; --soft: #57606a;
  --line: #d0d7de; --panel: #f6f8fa; --bar: #3b73c4; --edge: #8c959f;
  --error: #b3261e; --warning: #8a5300; --note: #57606a;
  --c0: #cfe3fb; --c1: #d5efd6; --c2: #fbe3c5; --c3: #ead9f7; --c4: #f9d6d9; --c5: #cdeef0;
  --c6: #eeeabf; --c7: #dfe3e8; }
@media (prefers-color-scheme: dark) { :root { --text: #e6edf3; --back: #0d1117; --soft: #c0c9d2;
  --line: #3d444d; --panel: #161b22; --bar: #6ea8fe; --edge: #6e7681;
  --error: #ff8a80; --warning: #f0b35a; --note: #9aa4af;
  --c0: #1d3b5f; --c1: #1f4a2c; --c2: #5a3c12; --c3: #452a5e; --c4: #5c2429; --c5: #124a4e;
  --c6: #4a4712; --c7: #343b44; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1rem; max-width: 76rem; font: 15px/1.5 system-ui, sans-serif;
  color: var(--text); background: var(--back); }
h1 { font-size: 1.5rem; margin: 0 0 .25rem; } h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; }
p { margin: .25rem 0; } .soft { color: var(--soft); }
.wide { overflow-x: auto; border: 1px solid var(--line); border-radius: 6px; }
table { border-collapse: collapse; width: 100%; font-size: .9rem; }
th, td { text-align: left; padding: .3rem .6rem; border-top: 1px solid var(--line);
  vertical-align: top; }
th { border-top: 0; background: var(--panel); white-space: nowrap; }
#packages, #audit { min-width: 48rem; } #licences { min-width: 30rem; }
th.number, td.number { text-align: right; white-space: nowrap; font-variant-numeric: tabular-nums; }
code { font-family: ui-monospace, monospace; font-size: .85em; overflow-wrap: anywhere; }
svg { display: block; } svg text { font: 12px system-ui, sans-serif; fill: var(--text); }
svg .soft { fill: var(--soft); } .cell rect { stroke: var(--back); stroke-width: 2; }
.edge { fill: none; stroke: var(--edge); } .node rect { stroke: var(--line); }
.bar { fill: var(--bar); } .axis { stroke: var(--line); }
.error { color: var(--error); } .warning { color: var(--warning); } .note { color: var(--note); }
"""


def page(data: Data) -> str:
    """Return the page: UTF-8 HTML that refers to nothing outside itself."""
    title = f"{data.name}: report"
    sections = [
        _head(data), _treemap(data), _table(data), _graph(data), _licences(data),
        _findings(data), _left_out(data), _timeline(data),
    ]  # fmt: skip
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta http-equiv="Content-Security-Policy"'
        " content=\"default-src 'none'; style-src 'unsafe-inline'\">\n"
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{_text(title)}</title>\n<style>{CSS}</style>\n</head>\n<body>\n"
        + "\n".join(section for section in sections if section)
        + f'\n<p class="soft">Written by flatcar-prefix {__version__}.</p>\n</body>\n</html>\n'
    )


def _text(text: str) -> str:
    return escape(printable(text))


def _hue(package: str) -> str:
    """Return the colour of a package, which is that of its category."""
    return f"var(--c{crc32(package.partition('/')[0].encode()) % HUES})"


def _head(data: Data) -> str:
    errors = sum(finding.level == "error" for finding in data.findings)
    verdict = "self-contained" if not errors else f"not self-contained: {_count(errors, 'error')}"
    needs = ", ".join(
        filter(None, (f"Linux {data.kernel} or newer" if data.kernel else "", data.cpu))
    )
    return (
        f"<h1>{_text(data.name)}</h1>\n<p>{_text(data.eprefix)} for {_text(data.board)}:"
        f" {_count(len(data.packages), 'package')}, {spelled(data.size)} in the image,"
        f" {verdict}{f'; needs {_text(needs)}' if needs else ''}.</p>"
    )


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'s' if number != 1 else ''}"


def _treemap(data: Data) -> str:
    """Return the treemap with sizes in percent, so that text keeps its size on narrow screens."""
    shown = [package for package in data.packages if package.size]
    if not shown:
        return ""
    cells = []
    for cell in treemap([package.size for package in shown]):
        package = shown[cell.index]
        label = f"{package.name} {spelled(package.size)}"
        text = ""
        if cell.width > 0.04 and cell.height > 0.05:
            name = _text(package.name.partition("/")[2])
            text = f'<text x="6" y="17">{name}</text>'
            if cell.height > 0.1:
                text += f'<text class="soft" x="6" y="33">{spelled(package.size)}</text>'
        cells.append(
            f'<svg class="cell" x="{cell.x:.4%}" y="{cell.y:.4%}" width="{cell.width:.4%}"'
            f' height="{cell.height:.4%}"><title>{_text(label)}</title><rect width="100%"'
            f' height="100%" fill="{_hue(package.name)}"/>{text}</svg>'
        )
    return (
        '<h2>Size by package</h2>\n<svg id="treemap" role="img" width="100%" height="380"'
        f' aria-label="Sizes of {_count(len(shown), "package")}">\n' + "\n".join(cells) + "\n</svg>"
    )


def _rows(head: Iterable[str], rows: Iterable[Iterable[str]], name: str) -> str:
    cells = "".join(f"<th{NUMBER * (word in NUMBERS)}>{word}</th>" for word in head)
    body = "\n".join(f"<tr>{''.join(row)}</tr>" for row in rows)
    return f'<div class="wide"><table id="{name}">\n<tr>{cells}</tr>\n{body}\n</table></div>'


def _cell(text: str) -> str:
    return f"<td>{_text(text)}</td>"


def _number(text: str) -> str:
    return f'<td class="number">{_text(text)}</td>'


def _table(data: Data) -> str:
    needed = _needed_by(data.packages)

    def row(package: Package) -> Iterator[str]:
        share = f"{100 * package.size / data.size:.1f} %" if data.size else ""
        yield f'<td title="{_text(package.description)}">{_text(package.name)}</td>'
        yield _cell(package.version)
        yield _number(spelled(package.size))
        yield _number(share)
        yield _number(str(package.files))
        yield _cell(", ".join(needed.get(package.name, ())) or "(requested)")
        yield f'<td><code title="{package.checksum}">{package.checksum[:16]}</code></td>'

    ordered = sorted(data.packages, key=lambda package: (-package.size, package.name))
    head = ("Package", "Version", "Size", "Share", "Files", "Needed by", "SHA-256")
    return "<h2>Packages</h2>\n" + _rows(head, map(row, ordered), "packages")


def _needed_by(packages: Iterable[Package]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for package in packages:
        for name in package.needs:
            found.setdefault(name, []).append(package.name)
    return found


def _graph(data: Data) -> str:
    """Return the graph of dependencies, from left to right."""
    needs = {package.name: package.needs for package in data.packages}
    if not any(needs.values()):
        return ""
    places: dict[str, tuple[int, int]] = {}
    columns = layers(needs)
    for x, column in enumerate(columns):
        for y, name in enumerate(column):
            places[name] = (10 + x * COLUMN, 10 + y * ROW)
    width = 20 + (len(columns) - 1) * COLUMN + NODE
    height = 20 + max(len(column) for column in columns) * ROW
    edges = [
        _edge(places[name], places[other])
        for name, others in needs.items()
        for other in others
        if other in places
    ]
    nodes = [_node(name, *place) for name, place in places.items()]
    return (
        '<h2>Dependencies</h2>\n<p class="soft">A line connects a package to one that it needs'
        f' at run time.</p>\n<div class="wide"><svg id="graph" role="img" width="{width}"'
        f' height="{height}" aria-label="Dependencies">\n' + "\n".join([*edges, *nodes])
        + "\n</svg></div>"
    )  # fmt: skip


def _edge(start: tuple[int, int], end: tuple[int, int]) -> str:
    x1, y1, x2, y2 = start[0] + NODE, start[1] + 11, end[0], end[1] + 11
    bend = max(30, abs(x2 - x1) // 2)
    return f'<path class="edge" d="M{x1} {y1}C{x1 + bend} {y1} {x2 - bend} {y2} {x2} {y2}"/>'


def _node(name: str, x: int, y: int) -> str:
    short = name if len(name) <= 27 else f"{name[:26]}…"
    return (
        f'<svg class="node" x="{x}" y="{y}" width="{NODE}" height="22"><title>{_text(name)}</title>'
        f'<rect width="100%" height="100%" rx="4" fill="{_hue(name)}"/>'
        f'<text x="6" y="15">{_text(short)}</text></svg>'
    )


def _licences(data: Data) -> str:
    by_licence: dict[str, list[Package]] = {}
    for package in data.packages:
        if package.size:
            by_licence.setdefault(package.spdx or package.licence, []).append(package)
    rows = [
        [_cell(licence), _number(str(len(some))), _cell(", ".join(one.name for one in some))]
        for licence, some in sorted(by_licence.items())
    ]
    return "<h2>Licences</h2>\n" + _rows(("SPDX", "Packages", ""), rows, "licences") if rows else ""


def _findings(data: Data) -> str:
    if not data.findings:
        return "<h2>Audit</h2>\n<p>The audit has no findings.</p>"
    grouped: dict[tuple[str, str, str], list[str]] = {}
    for one in data.findings:
        grouped.setdefault((one.level, one.code, one.hint), []).append(f"{one.path}: {one.message}")
    order = ("error", "warning", "note")
    rows = []
    for (level, code, hint), paths in sorted(grouped.items(), key=lambda i: order.index(i[0][0])):
        shown = "<br>".join(f"<code>{_text(path)}</code>" for path in paths[:5])
        more = f"<br>and {len(paths) - 5} more" if len(paths) > 5 else ""
        rows.append([f'<td class="{level}">{level}</td>', _cell(code),
                     f"<td>{shown}{more}</td>", _cell(hint)])  # fmt: skip
    return "<h2>Audit</h2>\n" + _rows(("Level", "Finding", "Where", "What to do"), rows, "audit")


def _left_out(data: Data) -> str:
    rows = [
        [_cell(rule), _number(spelled(tally.size)), _number(str(tally.files)), _cell(why(rule))]
        for rule, tally in sorted(data.left_out.items(), key=lambda item: -item[1].size)
        if tally.files
    ]
    if not rows:
        return ""
    return "<h2>Not in the image</h2>\n" + _rows(("Rule", "Size", "Files", "Why"), rows, "left-out")


def _timeline(data: Data) -> str:
    """Return the builds as bars over time, without idle times."""
    if not data.builds:
        return ""
    places = without_gaps([(build.start, build.end) for build in data.builds])
    total = max(places.values()) or 1
    bars = []
    for row, build in enumerate(data.builds):
        y, x = row * 22, places[build.start]
        seconds = build.end - build.start
        # The bars share the right 60 % of the width.
        bars.append(
            f'<svg x="0" y="{y}" width="39%" height="22"><text x="4" y="15">{_text(build.cpv)}'
            f"</text></svg>"
            f'<rect class="bar" x="{40 + 52 * x / total:.3f}%" y="{y + 5}"'
            f' width="{max(0.2, 52 * seconds / total):.3f}%" height="12" rx="2"><title>'
            f"{_text(build.cpv)}: {_duration(seconds)}</title></rect>"
            f'<text class="soft" x="100%" dx="-4" y="{y + 15}" text-anchor="end">'
            f"{_duration(seconds)}</text>"
        )
    return (
        '<h2>Builds</h2>\n<p class="soft">The last build of each package in staging,'
        f' from emerge.log; together {_duration(total)}.</p>\n<div class="wide"><svg id="timeline"'
        f' role="img" width="100%" height="{len(bars) * 22 + 4}" style="min-width: 34rem"'
        ' aria-label="Builds over time">\n' + "\n".join(bars) + "\n</svg></div>"
    )


def _duration(seconds: int) -> str:
    minutes, rest = divmod(seconds, 60)
    return f"{minutes} min {rest:02} s" if minutes else f"{rest} s"
