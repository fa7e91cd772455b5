# SPDX-License-Identifier: BSD-3-Clause
"""The manifest as a bill of materials: SPDX 2.3 or CycloneDX 1.5, both as JSON."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timezone
from itertools import count
from pathlib import Path
from types import MappingProxyType
from typing import Any

from flatcar_prefix.image import spdx_licences
from flatcar_prefix.image.manifest import Package
from flatcar_prefix.version import __version__

_NAMESPACE = uuid.UUID("0a5a8d4e-4f0b-4a43-8f3c-5ad7c6c1c4b2")


NO_TEXT = "See the file of this name in the licenses directory of the ebuild repository."


def spdx(
    image: Mapping[str, Any],
    packages: Sequence[Package],
    *,
    epoch: int,
    repositories: Sequence[Path] = (),
) -> dict[str, Any]:
    """Return the SPDX document of an image; ``repositories`` have the texts of licences."""
    whole = "SPDXRef-image"
    own = _spdx_ids(packages)
    texts: dict[str, str] = {}
    for package in packages:
        texts = spdx_licences.texts(package.licence, repositories) | texts
    references = sorted({r for p in packages for r in spdx_licences.references(p.spdx)})
    return {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": image["file"],
        "documentNamespace": f"https://spdx.org/spdxdocs/{image['name']}-{_identity(image)}",
        "creationInfo": {
            "created": _time(epoch),
            "creators": [f"Tool: flatcar-prefix-{__version__}"],
        },
        "packages": [
            {
                "SPDXID": whole,
                "name": image["name"],
                "packageFileName": image["file"],
                "downloadLocation": spdx_licences.NOTHING,
                "filesAnalyzed": False,
                "primaryPackagePurpose": "ARCHIVE",
                "licenseConcluded": spdx_licences.NOTHING,
                "licenseDeclared": spdx_licences.NOTHING,
                "copyrightText": spdx_licences.NOTHING,
                **_spdx_checksums(image),
            },
            *(_spdx_package(name, package) for name, package in own.items()),
        ],
        "hasExtractedLicensingInfos": [
            {
                "licenseId": reference,
                "name": reference.removeprefix("LicenseRef-"),
                "extractedText": texts.get(reference, NO_TEXT),
            }
            for reference in references
        ],
        "relationships": [
            _relation("SPDXRef-DOCUMENT", "DESCRIBES", whole),
            *(_relation(whole, "CONTAINS", name) for name in own),
        ],
    }


def _spdx_checksums(image: Mapping[str, Any]) -> dict[str, Any]:
    if "sha256" not in image:
        return {}
    return {"checksums": [{"algorithm": "SHA256", "checksumValue": image["sha256"]}]}


def _spdx_package(name: str, package: Package) -> dict[str, Any]:
    return {
        "SPDXID": name,
        "name": package.name,
        "versionInfo": package.version,
        "downloadLocation": spdx_licences.NOTHING,
        "filesAnalyzed": False,
        "licenseConcluded": spdx_licences.NOTHING,
        "licenseDeclared": package.spdx,
        "copyrightText": spdx_licences.NOTHING,
        "summary": package.description,
        **({"homepage": package.homepage} if package.homepage else {}),
        "externalRefs": [
            {
                "referenceCategory": "PACKAGE-MANAGER",
                "referenceType": "purl",
                "referenceLocator": package.purl,
            }
        ],
    }


def _spdx_ids(packages: Sequence[Package]) -> dict[str, Package]:
    """Return the packages by identifiers, numbered where SPDX's alphabet makes them the same."""
    found: dict[str, Package] = {}
    for package in packages:
        name = f"{package.name}-{package.version}-{package.slot}"
        first = "SPDXRef-" + re.sub(r"[^A-Za-z0-9.-]", "-", name)
        spelled = (first if number == 1 else f"{first}-{number}" for number in count(1))
        found[next(each for each in spelled if each not in found)] = package
    return found


def _relation(subject: str, kind: str, other: str) -> dict[str, str]:
    return {"spdxElementId": subject, "relationshipType": kind, "relatedSpdxElement": other}


def cyclonedx(
    image: Mapping[str, Any],
    packages: Sequence[Package],
    *,
    epoch: int,
    repositories: Sequence[Path] = (),
) -> dict[str, Any]:
    """Return the CycloneDX document of an image, which has no texts of licences."""
    whole: dict[str, Any] = {"type": "file", "bom-ref": "image", "name": image["file"]}
    if "sha256" in image:
        whole["hashes"] = [{"alg": "SHA-256", "content": image["sha256"]}]
    references = [f"{package.purl}#{package.slot}" for package in packages]
    return {
        "$schema": "http://cyclonedx.org/schema/bom-1.5.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{_identity(image)}",
        "version": 1,
        "metadata": {
            "timestamp": _time(epoch),
            "tools": {
                "components": [
                    {"type": "application", "name": "flatcar-prefix", "version": __version__}
                ]
            },
            "component": whole,
        },
        "components": [
            _component(package, reference)
            for package, reference in zip(packages, references, strict=True)
        ],
        "dependencies": [{"ref": "image", "dependsOn": references}],
    }


def _component(package: Package, reference: str) -> dict[str, Any]:
    group, name = package.name.split("/")
    component: dict[str, Any] = {
        "type": "library",
        "bom-ref": reference,
        "group": group,
        "name": name,
        "version": package.version,
        "description": package.description,
        "purl": package.purl,
    }
    if package.spdx != spdx_licences.NOTHING:
        component["licenses"] = [{"expression": package.spdx}]
    if package.homepage:
        component["externalReferences"] = [{"type": "website", "url": package.homepage}]
    return component


def _identity(image: Mapping[str, Any]) -> uuid.UUID:
    return uuid.uuid5(_NAMESPACE, f"{image['file']} {image.get('sha256', image['content'])}")


def _time(epoch: int) -> str:
    return datetime.fromtimestamp(epoch, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")


Maker = Callable[..., dict[str, Any]]

SBOMS: Mapping[str, tuple[str, Maker]] = MappingProxyType(
    {"spdx": (".spdx.json", spdx), "cyclonedx": (".cdx.json", cyclonedx)}
)
"""By name: the suffix of the file, and who makes it."""
