# SPDX-License-Identifier: BSD-3-Clause
"""The recipe that ``flatcar-prefix build --template`` writes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType

from flatcar_prefix.recipe.schema import KINDS, SOFTWARE, TABLES, TOP, Key, Table

_HEAD = """\
# A recipe for `flatcar-prefix build`: one file from nothing to an image.
# Lines that begin with a single # and a key are examples; remove the # to use them.
# The page docs/your-own-software.md of flatcar-prefix describes all keys.
"""

_SET = ("name", "eprefix", "packages")
"""Keys that the template sets; the unchanged template can be built."""


_EXAMPLES: Mapping[tuple[str, str], str] = MappingProxyType(
    {
        ("pypi", "name"): '"httpie"',
        ("pypi", "depends"): '["app-misc/ca-certificates"]',
        ("binary", "name"): '"tool"',
        ("binary", "source"): '"https://example.org/tool-1.0-linux-amd64.tar.gz"',
        ("binary", "programs"): '["*/tool"]',
        ("source", "name"): '"answer"',
        ("source", "source"): '"https://example.org/answer-1.0.tar.gz"',
        ("source", "programs"): '["answer"]',
    }
)
"""Examples of a key for one kind of software, if the schema's example is for another kind."""


def template() -> str:
    """Return a commented recipe that is valid without changes."""
    return _HEAD + "".join(f"\n{part}" for table in TABLES for part in _table(table))


def _table(table: Table) -> Iterator[str]:
    if table is SOFTWARE:
        for kind in KINDS:
            keys = [key for key in table.keys if kind in key.kinds]
            yield _text(table, keys, kind)
    else:
        yield _text(table, table.keys)


def _text(table: Table, keys: Iterable[Key], kind: str = "") -> str:
    lines = [f"# {table.meaning}{f' Kind {kind}:' if kind else ''}"]
    if table is not TOP:
        lines.append(f"#[[{table.name}]]" if table.many else f"[{table.name}]")
    for key in keys:
        example = (
            f'"{kind}"' if key.name == "kind" else _EXAMPLES.get((kind, key.name), key.example)
        )
        mark = "" if key.name in _SET and table is TOP else "#"
        lines.append(f"{mark}{key.name} = {example}  # {_comment(key)}".rstrip(" #"))
    return "\n".join(lines) + "\n"


def _comment(key: Key) -> str:
    choices = ", ".join(key.choices) if key.name != "kind" else ""
    return "; ".join(filter(None, (key.meaning, choices)))
