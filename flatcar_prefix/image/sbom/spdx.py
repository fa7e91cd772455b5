# SPDX-License-Identifier: BSD-3-Clause
"""A bill of materials in SPDX 2.3."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator, Mapping
from itertools import count
from typing import Any

from flatcar_prefix.image import spdx_licences
from flatcar_prefix.image.bundled import Project
from flatcar_prefix.image.components import Component, purl
from flatcar_prefix.image.sbom.document import Bill, digests, printed
from flatcar_prefix.image.selection import Entry
from flatcar_prefix.version import __version__

NO_TEXT = "See the file with this name in the licenses directory of the ebuild repository."

NOTHING = spdx_licences.NOTHING
_WHOLE = "SPDXRef-image"
_ALGORITHMS = {"sha256": "SHA256", "sha512": "SHA512", "blake2b": "BLAKE2b-512", "sha1": "SHA1"}


def document(bill: Bill) -> dict[str, Any]:
    """Return the document: each component with its sources and the checksums of its files."""
    names = _Names()
    packages, files, relations = [_image(bill)], [], []
    relations.append(_relation("SPDXRef-DOCUMENT", "DESCRIBES", _WHOLE))
    for component in bill.components:
        own = [_file(entry, names) for entry in component.entries]
        package = component.package
        name = names.new(f"{package.name}-{package.version}-{package.slot}")
        packages.append(_package(name, component, own))
        relations.append(_relation(_WHOLE, "CONTAINS", name))
        relations += [_relation(name, "CONTAINS", file["SPDXID"]) for file in own]
        for part in component.parts:
            packages.append(_part(names.new(f"{part.name}-{part.version}"), part, component))
            relations.append(_relation(name, "CONTAINS", packages[-1]["SPDXID"]))
        files += own
    # The package of the image is not analyzed, so it cannot contain files.
    rest = [_file(entry, names) for entry in bill.unowned]
    relations += [_relation("SPDXRef-DOCUMENT", "DESCRIBES", file["SPDXID"]) for file in rest]
    return {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": bill.image["file"],
        "documentNamespace": f"https://spdx.org/spdxdocs/{bill.image['name']}-{bill.identity}",
        "creationInfo": {
            "created": bill.created,
            "creators": [f"Tool: flatcar-prefix-{__version__}"],
        },
        "packages": packages,
        "files": files + rest,
        "hasExtractedLicensingInfos": list(_licences(bill)),
        "relationships": relations,
    }


class _Names:
    """Unique SPDX identifiers."""

    def __init__(self) -> None:
        self.used: set[str] = set()

    def new(self, text: str) -> str:
        """Return an identifier for ``text``, with a number if it is in use."""
        first = "SPDXRef-" + re.sub(r"[^A-Za-z0-9.-]", "-", text)
        spelled = (first if number == 1 else f"{first}-{number}" for number in count(1))
        found = next(each for each in spelled if each not in self.used)
        self.used.add(found)
        return found


def _image(bill: Bill) -> dict[str, Any]:
    sha256 = bill.image.get("sha256")
    return {
        "SPDXID": _WHOLE,
        "name": bill.image["name"],
        "packageFileName": bill.image["file"],
        "downloadLocation": NOTHING,
        "filesAnalyzed": False,
        "primaryPackagePurpose": "ARCHIVE",
        "licenseConcluded": NOTHING,
        "licenseDeclared": NOTHING,
        "copyrightText": NOTHING,
        "supplier": NOTHING,
        **(_checksums({"sha256": sha256}) if sha256 else {}),
    }


def _checksums(values: Mapping[str, str]) -> dict[str, Any]:
    found = [
        {"algorithm": _ALGORITHMS[name], "checksumValue": value}
        for name, value in sorted(values.items())
    ]
    return {"checksums": found} if found else {}


def _package(name: str, component: Component, files: list[dict[str, Any]]) -> dict[str, Any]:
    package, upstream = component.package, component.upstream
    first = component.sources[0] if component.sources else None
    return {
        "SPDXID": name,
        "name": upstream.name,
        **({"versionInfo": upstream.version} if upstream.version else {}),
        "supplier": f"Organization: {upstream.supplier}",
        "downloadLocation": (first.url if first else "") or NOTHING,
        **_checksums(first.digests if first else {}),
        "filesAnalyzed": bool(files),
        **({"packageVerificationCode": _verification(files)} if files else {}),
        "licenseConcluded": NOTHING,
        "licenseDeclared": package.spdx,
        "copyrightText": NOTHING,
        "summary": package.description,
        "sourceInfo": _source_info(component),
        **({"homepage": package.homepage} if package.homepage else {}),
        "externalRefs": list(_references(upstream.purl, component.cpe)),
    }


def _source_info(component: Component) -> str:
    package = component.package
    parts = [f"ebuild {package.cpv}::{package.repository}"]
    for source in component.sources:
        values = " ".join(f"{name}:{value}" for name, value in sorted(source.digests.items()))
        parts.append(f"{source.name} from {', '.join(source.urls)} {values}".rstrip())
    return "; ".join(parts)


def _references(package_url: str, cpe: str) -> Iterator[dict[str, str]]:
    yield {
        "referenceCategory": "PACKAGE-MANAGER",
        "referenceType": "purl",
        "referenceLocator": package_url,
    }
    if cpe:
        yield {
            "referenceCategory": "SECURITY",
            "referenceType": "cpe23Type",
            "referenceLocator": cpe,
        }


def _part(name: str, part: Project, owner: Component) -> dict[str, Any]:
    """Return a package for a project of PyPI in the files of ``owner``."""
    return {
        "SPDXID": name,
        "name": part.name,
        "versionInfo": part.version,
        "supplier": f"Organization: {owner.upstream.supplier}",
        "downloadLocation": NOTHING,
        "filesAnalyzed": False,
        "licenseConcluded": NOTHING,
        "licenseDeclared": NOTHING,
        "copyrightText": NOTHING,
        "summary": part.summary,
        "sourceInfo": f"found in {printed(part.path)}",
        "externalRefs": list(_references(purl("pypi", part.name, part.version), "")),
    }


def _file(entry: Entry, names: _Names) -> dict[str, Any]:
    return {
        "SPDXID": names.new(
            f"file-{hashlib.sha1(entry.path.encode(errors='surrogateescape')).hexdigest()[:16]}"
        ),
        "fileName": f"./{printed(entry.path)}",
        "licenseConcluded": NOTHING,
        "copyrightText": NOTHING,
        # SHA1 is mandatory for a file.
        **_checksums(digests(entry, ("sha1", "sha256"))),
    }


def _verification(files: Iterable[Mapping[str, Any]]) -> dict[str, str]:
    """Return the package verification code: the SHA1 of the sorted SHA1 digests of the files."""
    found = (each for file in files for each in file["checksums"])
    values = sorted(each["checksumValue"] for each in found if each["algorithm"] == "SHA1")
    code = hashlib.sha1("".join(values).encode()).hexdigest()
    return {"packageVerificationCodeValue": code}


def _licences(bill: Bill) -> Iterator[dict[str, str]]:
    packages = [component.package for component in bill.components]
    texts: dict[str, str] = {}
    for package in packages:
        texts = spdx_licences.texts(package.licence, bill.repositories) | texts
    for reference in sorted({r for p in packages for r in spdx_licences.references(p.spdx)}):
        yield {
            "licenseId": reference,
            "name": reference.removeprefix("LicenseRef-"),
            "extractedText": texts.get(reference, NO_TEXT),
        }


def _relation(subject: str, kind: str, other: str) -> dict[str, str]:
    return {"spdxElementId": subject, "relationshipType": kind, "relatedSpdxElement": other}
