# SPDX-License-Identifier: BSD-3-Clause
"""The conversion of Gentoo's licence expressions to SPDX expressions."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

from flatcar_prefix.portage_api import session as portage_api

SPDX: Mapping[str, str] = MappingProxyType(
    {
        "0BSD": "0BSD",
        "AGPL-3": "AGPL-3.0-only",
        "AGPL-3+": "AGPL-3.0-or-later",
        "Apache-2.0": "Apache-2.0",
        "Apache-2.0-with-LLVM-exceptions": "Apache-2.0 WITH LLVM-exception",
        "Artistic": "Artistic-1.0-Perl",
        "Artistic-2": "Artistic-2.0",
        "BSD": "BSD-3-Clause",
        "BSD-1": "BSD-1-Clause",
        "BSD-2": "BSD-2-Clause",
        "BSD-4": "BSD-4-Clause",
        "Boost-1.0": "BSL-1.0",
        "BZIP2": "bzip2-1.0.6",
        "CC-BY-SA-4.0": "CC-BY-SA-4.0",
        "CC0-1.0": "CC0-1.0",
        "FDL-1.1": "GFDL-1.1-only",
        "FDL-1.2": "GFDL-1.2-only",
        "FDL-1.3": "GFDL-1.3-only",
        "FDL-1.3+": "GFDL-1.3-or-later",
        "GPL-1": "GPL-1.0-only",
        "GPL-1+": "GPL-1.0-or-later",
        "GPL-2": "GPL-2.0-only",
        "GPL-2+": "GPL-2.0-or-later",
        "GPL-3": "GPL-3.0-only",
        "GPL-3+": "GPL-3.0-or-later",
        "HPND": "HPND",
        "ISC": "ISC",
        "LGPL-2": "LGPL-2.0-only",
        "LGPL-2+": "LGPL-2.0-or-later",
        "LGPL-2.1": "LGPL-2.1-only",
        "LGPL-2.1+": "LGPL-2.1-or-later",
        "LGPL-3": "LGPL-3.0-only",
        "LGPL-3+": "LGPL-3.0-or-later",
        "MIT": "MIT",
        "MPL-1.1": "MPL-1.1",
        "MPL-2.0": "MPL-2.0",
        "PSF-2": "PSF-2.0",
        "PSF-2.4": "PSF-2.0",
        "Unlicense": "Unlicense",
        "ZLIB": "Zlib",
        "ZPL": "ZPL-2.1",
        "curl": "curl",
        "libpng": "Libpng",
        "libtiff": "libtiff",
        "openssl": "OpenSSL",
        "vim": "Vim",
    }
)
"""Licences with the same text in SPDX. Each other licence becomes a LicenseRef."""

EXCEPTIONS: Mapping[str, str] = MappingProxyType(
    {
        "GCC-exception-3.1": "GCC-exception-3.1",
        "gcc-runtime-library-exception-3.1": "GCC-exception-3.1",
    }
)
"""Exceptions: SPDX joins them to a licence with WITH; Gentoo lists them next to it."""

EXCEPTED = ("GPL-3+", "GPL-3")
"""The licences to which the exceptions apply."""

NOTHING = "NOASSERTION"


def spdx(licence: str, *, use: Sequence[str] = ()) -> str:
    """Return the SPDX expression of a LICENSE; :data:`NOTHING` if it is empty or invalid.

    ``use`` has the enabled USE flags. ``portage.dep.use_reduce`` evaluates the conditionals.
    """
    portage_api.import_portage()
    from portage.dep import use_reduce
    from portage.exception import InvalidDependString

    try:
        words = use_reduce(licence, uselist=list(use), opconvert=True)
    except InvalidDependString:
        return NOTHING
    return _expression(words) or NOTHING


def _expression(words: Sequence[Any]) -> str:
    """Return the expression of a result of ``use_reduce``; ``||`` starts a list of choices."""
    while len(words) == 1 and not isinstance(words[0], str):
        words = words[0]
    operator = "OR" if words and words[0] == "||" else "AND"
    parts: list[str] = []
    for word in _with_exceptions(words[1:] if operator == "OR" else words, operator):
        part = _part(word, operator)
        if part and part not in parts:
            parts.append(part)
    return f" {operator} ".join(parts)


def _with_exceptions(words: Sequence[Any], operator: str) -> Iterator[Any]:
    """Yield the words, with each exception joined to its licence as ``A WITH B``.

    In a choice (OR), the exception becomes a separate alternative.
    """
    strings = [word for word in words if isinstance(word, str)]
    bases = [word for word in EXCEPTED if word in strings]
    exceptions = [word for word in strings if word in EXCEPTIONS]
    for word in words:
        if bases and word in exceptions:
            if operator == "OR":
                yield f"{SPDX[bases[0]]} WITH {EXCEPTIONS[word]}"
        elif exceptions and word in bases and operator == "AND":
            yield f"{SPDX[word]} WITH {EXCEPTIONS[exceptions[0]]}"
        else:
            yield word


def _part(word: Any, operator: str) -> str:
    if isinstance(word, str) and " WITH " in word:
        return word
    if isinstance(word, str):
        return SPDX.get(word) or reference(word)
    text = _expression(word)
    other = "AND" if operator == "OR" else "OR"
    return f"({text})" if f" {other} " in text else text


def reference(name: str) -> str:
    """Return the SPDX reference of a licence without an SPDX identifier."""
    return "LicenseRef-" + re.sub(r"[^A-Za-z0-9.-]", "-", name.replace("+", "-or-later"))


def references(expression: str) -> list[str]:
    """Return the references in an expression, sorted and without duplicates."""
    return sorted(set(re.findall(r"LicenseRef-[A-Za-z0-9.-]+", expression)))


def texts(licence: str, repositories: Iterable[Path]) -> dict[str, str]:
    """Return the texts of a LICENSE's licences without an SPDX identifier, by reference.

    Each text comes from the first of ``repositories`` that has it. A licence without a text
    in any of them is left out.
    """
    names = {word for word in licence.split() if re.fullmatch(r"[A-Za-z0-9_][\w+.-]*", word)}
    found: dict[str, str] = {}
    for name in sorted(names - SPDX.keys()):
        for repository in repositories:
            file = repository / "licenses" / name
            if file.is_file():
                found[reference(name)] = file.read_text(encoding="utf-8", errors="replace")
                break
    return found
