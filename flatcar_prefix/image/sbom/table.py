# SPDX-License-Identifier: BSD-3-Clause
"""The formats of bills of materials."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

SBOMS: Mapping[str, str] = MappingProxyType({"spdx": ".spdx.json", "cyclonedx": ".cdx.json"})
"""For each name: the suffix of the file."""


def maker(name: str) -> Callable[..., dict[str, Any]]:
    """Return the function that makes the document of a format from a bill."""
    # Imported here: the names of formats alone take no modules.
    from flatcar_prefix.image.sbom import cyclonedx, spdx

    return {"spdx": spdx.document, "cyclonedx": cyclonedx.document}[name]
