# SPDX-License-Identifier: BSD-3-Clause
"""Interpreters of scripts.

Only files with an executable bit count: others are read by programs, or passed to an
interpreter by name, and their first line is a comment.
"""

from __future__ import annotations

import os
import posixpath
import re
import stat
from collections.abc import Iterator

from flatcar_prefix.audit.findings import WARNING, Finding
from flatcar_prefix.audit.tree import Resolver

_IN_PATH = frozenset({"bin", "sbin", "libexec"})
_KERNEL_READS = 256
_CARRIAGE_RETURN = "End its lines with a line feed alone (dos2unix)."


def check_script(resolver: Resolver, path: str, head: bytes) -> Iterator[Finding]:
    """Yield what is wrong with the interpreter of an executable file that begins with #!."""
    words = _words(head)
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
    elif reason := _cannot_run(resolver, interpreter):
        message = f"is run by {interpreter!r}, which {reason}"
        hint = _CARRIAGE_RETURN if interpreter.endswith("\r") else ""
        yield Finding("script-interpreter-missing", path, message, level, hint=hint)


def _words(head: bytes) -> list[str]:
    """Return interpreter and argument, cut where ``load_script`` of fs/binfmt_script.c does.

    Spaces and tabs alone are between them: a carriage return is part of the name.
    """
    line = re.split(rb"[\n\0]", head[2:_KERNEL_READS], maxsplit=1)[0].strip(b" \t")
    return [os.fsdecode(word) for word in re.split(rb"[ \t]+", line, maxsplit=1)]


def _cannot_run(resolver: Resolver, interpreter: str) -> str:
    """Return why the kernel does not run an interpreter in the prefix; empty where it does."""
    resolved = resolver.resolve(interpreter)
    status = resolver.lstat(resolved.path) if resolved.ok else None
    if status is None:
        return "is not there"
    if not stat.S_ISREG(status.st_mode):
        return "is a directory" if stat.S_ISDIR(status.st_mode) else "is no program"
    return "" if status.st_mode & 0o111 else "is not executable"
