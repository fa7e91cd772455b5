# SPDX-License-Identifier: BSD-3-Clause
"""Find source distributions and wheels in the Python package index.

``mirror://pypi`` is a directory of redirections, which an index need not have. The simple
repository API (PEP 503 and 691) lists all files of a project, so it is the second place.
"""

from __future__ import annotations

import os
import re
import urllib.request
from collections.abc import Iterator, Mapping
from html.parser import HTMLParser
from urllib.parse import unquote, urljoin, urlsplit

from flatcar_prefix.errors import PrefixError

_SITE = "pypi"

_LARGEST_PAGE = 32 << 20


def project(uri: str) -> tuple[str, str] | None:
    """Return the normalized project and the file of a URI of ``mirror://pypi``, else ``None``.

    The directory below ``packages`` is ``source`` or, for a wheel, its tag of Python.
    """
    path = unquote(urlsplit(uri).path)
    found = re.search(r"/packages/[A-Za-z0-9_.]+/[^/]/([A-Za-z0-9._-]+)/([^/]+)$", path)
    return (re.sub(r"[-_.]+", "-", found[1]).lower(), found[2]) if found else None


def indexes(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return the indexes that pip's variables name, else the public one."""
    names = [environ.get("PIP_INDEX_URL") or f"https://{_SITE}.org/simple"]
    names += environ.get("PIP_EXTRA_INDEX_URL", "").split()
    return tuple(dict.fromkeys(name.rstrip("/") for name in names))


def links(index: str, name: str, file: str, timeout: float) -> Iterator[str]:
    """Yield the URIs of a file of a project.

    Raise :class:`PrefixError` if the index does not answer.
    """
    page = f"{index}/{name}/"
    request = urllib.request.Request(
        page, headers={"Accept": "text/html", "User-Agent": "flatcar-prefix"}
    )
    try:
        with urllib.request.urlopen(request, timeout=timeout) as answer:
            text = answer.read(_LARGEST_PAGE).decode("utf-8", "replace")
    except (OSError, ValueError) as error:
        raise PrefixError(
            f"{page}: {error}", hint="Check the index of PIP_INDEX_URL and the network."
        ) from error
    parser = _Links()
    parser.feed(text)
    for link in parser.found:
        uri = urljoin(page, link).partition("#")[0]
        if os.path.basename(unquote(urlsplit(uri).path)) == file:
            yield uri


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self.found += [value for name, value in attrs if name == "href" and value]
