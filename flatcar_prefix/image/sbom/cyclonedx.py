# SPDX-License-Identifier: BSD-3-Clause
"""A bill of materials in CycloneDX 1.5."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from flatcar_prefix.image import spdx_licences
from flatcar_prefix.image.bundled import Project
from flatcar_prefix.image.components import Component, purl
from flatcar_prefix.image.sbom.document import Bill, digests, printed
from flatcar_prefix.image.selection import Entry
from flatcar_prefix.version import __version__

_ALGORITHMS = {"sha256": "SHA-256", "sha512": "SHA-512", "blake2b": "BLAKE2b-512"}


def document(bill: Bill) -> dict[str, Any]:
    """Return the document, without licence texts. Files are parts of their component."""
    whole: dict[str, Any] = {"type": "file", "bom-ref": "image", "name": bill.image["file"]}
    if "sha256" in bill.image:
        whole["hashes"] = _hashes({"sha256": bill.image["sha256"]})
    found = [_component(component) for component in bill.components]
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.5.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{bill.identity}",
        "version": 1,
        "metadata": {
            "timestamp": bill.created,
            "tools": {
                "components": [
                    {"type": "application", "name": "flatcar-prefix", "version": __version__}
                ]
            },
            "component": whole,
        },
        "components": [*found, *(_file(entry) for entry in bill.unowned)],
        "dependencies": [{"ref": "image", "dependsOn": [each["bom-ref"] for each in found]}],
    }


def _hashes(values: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"alg": _ALGORITHMS[name], "content": value} for name, value in sorted(values.items())]


def _component(component: Component) -> dict[str, Any]:
    package, upstream = component.package, component.upstream
    reference = f"{package.cpv}:{package.slot}"
    found: dict[str, Any] = {
        "type": "library",
        "bom-ref": reference,
        "supplier": {"name": upstream.supplier},
        "name": upstream.name,
        "version": upstream.version,
        "description": package.description,
        "purl": upstream.purl,
        "properties": [
            {"name": "flatcar-prefix:ebuild", "value": f"{package.cpv}::{package.repository}"}
        ],
        "externalReferences": list(_references(component)),
        "components": [
            *(_part(part, reference, upstream.supplier) for part in component.parts),
            *(_file(entry) for entry in component.entries),
        ],
    }
    if component.cpe:
        found["cpe"] = component.cpe
    if package.spdx != spdx_licences.NOTHING:
        found["licenses"] = [{"expression": package.spdx}]
    return found


def _references(component: Component) -> Iterator[dict[str, Any]]:
    if component.package.homepage:
        yield {"type": "website", "url": component.package.homepage}
    for source in component.sources:
        url = source.url or next(iter(source.urls), "")
        if url:
            yield {
                "type": "distribution",
                "url": url,
                "comment": source.name,
                "hashes": _hashes(source.digests),
            }


def _part(part: Project, owner: str, supplier: str) -> dict[str, Any]:
    return {
        "type": "library",
        "bom-ref": f"{owner}/{part.name}@{part.version}",
        "supplier": {"name": supplier},
        "name": part.name,
        "version": part.version,
        "description": part.summary,
        "purl": purl("pypi", part.name, part.version),
    }


def _file(entry: Entry) -> dict[str, Any]:
    return {
        "type": "file",
        "name": printed(f"/{entry.path}"),
        "hashes": _hashes(digests(entry, ("sha256",))),
    }
