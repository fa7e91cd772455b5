# SPDX-License-Identifier: BSD-3-Clause
"""Checks of the interpreters of scripts.

The audit checks only executable files. For other files, a program reads the script or the
user names the interpreter, so that the first line is only a comment.
"""

from __future__ import annotations

import os
import posixpath
import re
import stat
from collections.abc import Iterator
from functools import lru_cache

from flatcar_prefix.audit.findings import ERROR, NOTE, WARNING, Finding
from flatcar_prefix.audit.tree import IN_PATH, Resolver

_KERNEL_READS = 256
_MAX_INTERPRETERS = 5
"""The most interpreters that are scripts themselves; execve(2) fails with ELOOP after them."""
_STARTED = frozenset({"bin", "sbin"})
_SYSTEM_SHELLS = frozenset({"/bin/sh", "/usr/bin/sh"})
"""The POSIX shell of every system: FHS requires it, and system(3) runs it."""
_ENV = frozenset({"/bin/env", "/usr/bin/env"})
_SAMPLE = ".sample"
"""The suffix of scripts that nothing runs until a user renames them, as git's hooks."""
_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_CARRIAGE_RETURN = "Convert the line endings to line feeds (dos2unix)."


def check_script(resolver: Resolver, path: str, head: bytes) -> Iterator[Finding]:
    """Yield findings about the interpreter of an executable file that starts with #!."""
    if path.endswith(_SAMPLE):
        return
    words = _words(head)
    interpreter = words[0] if words else ""
    tree = resolver.tree
    in_path = posixpath.basename(posixpath.dirname(path)) in IN_PATH
    level = "" if in_path else WARNING
    inside = tree.inside(interpreter)
    if interpreter in _ENV and words[1:] == ["sh"]:
        # Each caller's PATH has this shell: the system's or the prefix's.
        yield _system_shell(path, f"{interpreter} sh", in_path)
        return
    if posixpath.basename(interpreter) == "env" and not inside:
        message = f"searches PATH for its interpreter: {' '.join(words)}"
        yield Finding("script-env", path, message, level)
        return
    reason = _cannot_run(resolver, interpreter) if inside else ""
    if posixpath.basename(interpreter) == "env" and not reason:
        interpreter = _started_by_env(words[1] if words[1:] else "")
        if "/" not in interpreter and " " not in interpreter:
            message = f"searches PATH for its interpreter: {' '.join(words)}"
            yield Finding("script-env", path, message, WARNING)
            return
        inside = tree.inside(interpreter) or " " in interpreter
        reason = _cannot_run(resolver, interpreter) if inside else ""
    if interpreter in _SYSTEM_SHELLS:
        yield _system_shell(path, interpreter, in_path)
    elif not inside:
        code = "script-interpreter" if in_path else "script-interpreter-aside"
        outside = f"has the interpreter {interpreter}, outside the prefix"
        yield Finding(code, path, outside if interpreter else "does not name an interpreter")
    elif reason:
        message = f"has the interpreter {interpreter!r}, which {reason}"
        hint = _CARRIAGE_RETURN if interpreter.endswith("\r") else ""
        yield Finding("script-interpreter-missing", path, message, level, hint=hint)


def _system_shell(path: str, interpreter: str, in_path: bool) -> Finding:
    message = f"has the interpreter {interpreter}, the target's own shell"
    return Finding("script-system-shell", path, message, WARNING if in_path else NOTE)


def check_text(path: str, mode: int, head: bytes) -> Iterator[Finding]:
    """Yield a finding for a text that looks like a program and is not one.

    execve(2) fails with ENOEXEC for an executable text without #!. That is a warning, because
    a shell runs such a text itself; with a byte order mark before #!, it runs the wrong program.
    """
    if posixpath.basename(posixpath.dirname(path)) not in _STARTED or path.endswith(_SAMPLE):
        return
    if mode & 0o111 and head.strip():
        mark = " after a byte order mark" if head.startswith(_BYTE_ORDER_MARK + b"#!") else ""
        what = f"has its #!{mark}" if mark else "is an executable text without #!"
        yield Finding("script-none", path, what, ERROR if mark else WARNING)
    elif not mode & 0o111 and head.startswith(b"#!"):
        message = f"is a script without its executable bit (mode {stat.S_IMODE(mode):04o})"
        yield Finding("not-executable", path, message, WARNING)


def _started_by_env(argument: str) -> str:
    """Return the program that env(1) starts; without -S, the argument is one word."""
    split = re.match(r"(?:-[0iv]*S|--split-string=?)\s*(.*)", argument, re.DOTALL)
    if not split:
        return argument
    for word in split.group(1).split():
        if not word.startswith("-") and "=" not in word:
            return word.strip("\"'")
    return ""


def _words(head: bytes) -> list[str]:
    """Return interpreter and argument, truncated like ``load_script`` of fs/binfmt_script.c.

    Only spaces and tabs separate them; a carriage return is part of the name.
    """
    if not head:
        return []
    line = re.split(rb"[\n\0]", head[2:_KERNEL_READS], maxsplit=1)[0].strip(b" \t")
    return [os.fsdecode(word) for word in re.split(rb"[ \t]+", line, maxsplit=1)]


@lru_cache(maxsize=256)
def _cannot_run(resolver: Resolver, interpreter: str) -> str:
    """Return why the kernel cannot run an interpreter of the prefix, or an empty string."""
    for _ in range(_MAX_INTERPRETERS):
        resolved = resolver.resolve(interpreter)
        status = resolver.lstat(resolved.path) if resolved.ok else None
        if status is None:
            return "does not exist"
        if not stat.S_ISREG(status.st_mode):
            return "is a directory" if stat.S_ISDIR(status.st_mode) else "is not a regular file"
        if not status.st_mode & 0o111:
            return "is not executable"
        words = _words(_head(resolver, resolved.path))
        if not words or not resolver.tree.inside(words[0]):
            # The interpreter's own findings say more.
            return ""
        interpreter = words[0]
    return f"leads through more than {_MAX_INTERPRETERS} interpreters"


def _head(resolver: Resolver, path: str) -> bytes:
    """Return the first line of a script; nothing for other files."""
    try:
        with open(resolver.local(path) or "", "rb") as file:
            head = file.read(_KERNEL_READS)
    except OSError:
        return b""
    return head if head.startswith(b"#!") else b""
