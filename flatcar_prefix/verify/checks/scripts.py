# SPDX-License-Identifier: BSD-3-Clause
"""Interpreters of scripts.

Only files with an executable bit count: others are read by programs, or passed to an
interpreter by name, and their first line is a comment.
"""

from __future__ import annotations

import os
import posixpath
from collections.abc import Iterator

from flatcar_prefix.verify.findings import WARNING, Finding
from flatcar_prefix.verify.tree import Resolver

_IN_PATH = frozenset({"bin", "sbin", "libexec"})


def check_script(resolver: Resolver, path: str, head: bytes) -> Iterator[Finding]:
    """Yield what is wrong with the interpreter of an executable file that begins with #!."""
    words = os.fsdecode(head[2:4096].split(b"\n", 1)[0]).split()
    interpreter = words[0] if words else ""
    tree = resolver.tree
    in_path = posixpath.basename(posixpath.dirname(path)) in _IN_PATH
    level = "" if in_path else WARNING
    if posixpath.basename(interpreter) == "env":
        message = f"takes its interpreter from PATH: {' '.join(words)}"
        inside = tree.inside(interpreter)
        yield Finding("script-env", path, message, WARNING if inside else level)
    elif not tree.inside(interpreter):
        code = "script-interpreter" if in_path else "script-interpreter-aside"
        yield Finding(code, path, f"is run by {interpreter or 'nothing'}, outside the prefix")
    elif not resolver.resolve(interpreter).ok:
        message = f"is run by {interpreter}, which is not there"
        yield Finding("script-interpreter-missing", path, message, level)
