# SPDX-License-Identifier: BSD-3-Clause
"""README lists the packages of the embedded repositories."""

from __future__ import annotations

import re

from machine import CHECKOUT


def test_readme_lists_every_package_of_gentoo_subset() -> None:
    text = (CHECKOUT / "README.md").read_text()
    listed = set()
    for word in re.findall(r"`([a-z-]+/[^`]+)`", text):
        category, _, names = word.partition("/")
        listed |= {f"{category}/{name}" for name in names.strip("{}").split(",")}
    there = {
        f"{path.parent.parent.name}/{path.parent.name}"
        for path in (CHECKOUT / "repos/gentoo-subset").glob("*/*/*.ebuild")
    }
    assert there
    assert there <= listed
