# SPDX-License-Identifier: BSD-3-Clause
"""A small prefix for planted faults."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from verify_objects import EPREFIX

from flatcar_prefix.audit.audit import audit
from flatcar_prefix.audit.findings import Report
from flatcar_prefix.audit.tree import Tree
from flatcar_prefix.boards import board

BUILD_DIR = "/build/prefix-amd64-usr/mini"


@dataclass
class Mini:
    """A prefix with a loader, a C library, a library and a program, without a fault."""

    root: Path
    eprefix: str = EPREFIX
    settings: dict[str, Any] = field(default_factory=dict)
    """Further fields of the audited tree."""
    ignored: set[str] = field(default_factory=set)
    """Codes that a fault gives besides its own."""

    def __truediv__(self, path: str) -> Path:
        """Return a path in the prefix."""
        return self.root / self.eprefix.lstrip("/") / path

    @property
    def libc(self) -> Path:
        return self / "lib64/libc.so.6"

    def write(self, path: str, text: str, mode: int = 0o644) -> Path:
        file = self / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        file.chmod(mode)
        return file

    def link(self, path: str, target: str) -> Path:
        link = self / path
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(target)
        return link

    @property
    def tree(self) -> Tree:
        return Tree(
            root=self.root,
            eprefix=self.eprefix,
            board=board("amd64-usr"),
            **{"forbidden_paths": (BUILD_DIR,), **self.settings},
        )

    def audit(self, **options: Any) -> Report:
        return audit(self.tree, **options)

    def codes(self, **options: Any) -> list[str]:
        return [finding.code for finding in self.audit(**options).findings]
