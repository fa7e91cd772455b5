# SPDX-License-Identifier: BSD-3-Clause
"""A parser for metadata.xml files from untrusted repositories.

The parser does not load DTDs, expand entities or fetch files. The size of the file and of its
content is limited, because the metadata of a package is only a few kilobytes.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from flatcar_prefix.equery.output import Screen

MAX_BYTES = 1 << 20
_SPACE = re.compile(r"\s+")


class MetadataError(Exception):
    """The file is unusable; the message is the reason in one line."""


class Maintainer(NamedTuple):
    email: str = ""
    name: str = ""
    description: str = ""
    restrict: str = ""


class Flag(NamedTuple):
    name: str
    description: str
    restrict: str = ""


class Upstream(NamedTuple):
    maintainers: tuple[Maintainer, ...] = ()
    changelogs: tuple[str, ...] = ()
    docs: tuple[tuple[str, str], ...] = ()
    bugs_to: tuple[str, ...] = ()
    remote_ids: tuple[tuple[str, str], ...] = ()


class Metadata(NamedTuple):
    """The content of a metadata.xml, in the order of the file."""

    maintainers: tuple[Maintainer, ...] = ()
    descriptions: tuple[str, ...] = ()
    flags: tuple[Flag, ...] = ()
    upstreams: tuple[Upstream, ...] = ()


def load(path: str, screen: Screen) -> Metadata:
    """Return the file's metadata; for an unusable file, print a warning and return no metadata.

    Raise FileNotFoundError for a missing file.
    """
    try:
        return parse(_read(path))
    except MetadataError as error:
        screen.warn(f"{path}: {error}")
        return Metadata()


def _read(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise
    except OSError as error:
        raise MetadataError(f"cannot be read: {error.strerror}") from error
    if len(data) > MAX_BYTES:
        raise MetadataError(f"larger than {MAX_BYTES} bytes, not read")
    return data


def parse(data: bytes) -> Metadata:
    """Return the metadata in the text of a metadata.xml; raise `MetadataError` if it is invalid."""
    from lxml import etree

    parser = etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        dtd_validation=False,
        attribute_defaults=False,
        huge_tree=False,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        root = etree.fromstring(data, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise MetadataError(f"not well-formed: {_one_line(error)}") from None
    if root.tag != "pkgmetadata":
        raise MetadataError(f"not a package's metadata: <{root.tag}>")
    return Metadata(
        tuple(_maintainer(node) for node in root.findall("maintainer")),
        tuple(node.text for node in root.findall("longdescription") if node.text),
        tuple(_flag(node) for node in root.iter("flag")),
        tuple(_upstream(node) for node in root.findall("upstream")),
    )


def _one_line(error: Exception) -> str:
    return _SPACE.sub(" ", str(error)).strip() or "empty"


def _maintainer(node: Any) -> Maintainer:
    email, name, description = (
        node.findtext(tag) or "" for tag in ("email", "name", "description")
    )
    return Maintainer(email, name, description, node.get("restrict") or "")


def _flag(node: Any) -> Flag:
    # Include one level of markup, <pkg> and <cat>. An entity has no text.
    text = node.text or ""
    for child in node:
        inner = child.text or "" if isinstance(child.tag, str) else ""
        text += inner + (child.tail or "")
    return Flag(node.get("name") or "", _SPACE.sub(" ", text), node.get("restrict") or "")


def _upstream(node: Any) -> Upstream:
    def texts(tag: str) -> tuple[str, ...]:
        return tuple(child.text for child in node.findall(tag) if child.text)

    def with_attribute(tag: str, name: str) -> tuple[tuple[str, str], ...]:
        found = (child for child in node.findall(tag) if child.text)
        return tuple((child.text, child.get(name) or "") for child in found)

    return Upstream(
        tuple(_maintainer(child) for child in node.findall("maintainer")),
        texts("changelog"),
        with_attribute("doc", "lang"),
        texts("bugs-to"),
        with_attribute("remote-id", "type"),
    )
