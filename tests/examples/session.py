# SPDX-License-Identifier: BSD-3-Clause
"""Hosts made of directories, on which a prefix is mounted at its EPREFIX.

A host has its own files, users and settings. Its programs and C library are those of the machine,
or only busybox, or nothing.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from flatcar_prefix.prefix.model import Prefix

FLATCAR_SWITCH = """\
passwd:      files usrfiles sss systemd
shadow:      files usrfiles sss
group:       files usrfiles sss systemd
hosts:       files usrfiles resolve [!UNAVAIL=return] myhostname dns
networks:    files usrfiles dns
services:    files usrfiles
protocols:   files usrfiles
"""
FEDORA_SWITCH = """\
passwd:     files altfiles sss systemd
group:      files altfiles sss systemd
hosts:      files myhostname resolve [!UNAVAIL=return] dns
services:   files sss
"""
CORE = "core:x:500:500:Core:/home/core:/bin/bash\n"
ROOT = "root:x:0:0:root:/root:/bin/sh\n"


@dataclass(frozen=True)
class Host:
    """A kind of host, as the arguments of bwrap and the files that it has."""

    name: str
    mounts: tuple[str, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    poisoned: bool = True
    """Whether its etc/ld.so.preload names a library that ends each program."""


MACHINE = ("--ro-bind", "/usr", "/usr", *(
    word for name in ("bin", "lib", "lib64") for word in ("--symlink", f"usr/{name}", f"/{name}")
))  # fmt: skip

HOSTS = (
    Host("nothing but the prefix", poisoned=False),
    Host("busybox", ("--ro-bind", "/usr/bin/busybox", "/bin/sh")),
    Host("Debian 12", (*MACHINE, "--ro-bind", "/etc", "/etc"), poisoned=False),
    Host(
        "like Flatcar",
        files={
            "etc/nsswitch.conf": FLATCAR_SWITCH,
            "etc/passwd": ROOT,
            "etc/group": "root:x:0:\n",
            "usr/share/baselayout/passwd": CORE,
            "usr/share/baselayout/group": "core:x:500:\nwheel:x:10:core\n",
            "usr/share/baselayout/services": "ssh 22/tcp\n",
            "usr/share/baselayout/protocols": "tcp 6 TCP\n",
        },
    ),
    Host(
        "like Fedora CoreOS",
        files={
            "etc/nsswitch.conf": FEDORA_SWITCH,
            "etc/passwd": ROOT,
            "etc/group": "root:x:0:\n",
            "usr/lib/passwd": CORE,
            "usr/lib/group": "core:x:500:\nwheel:x:10:core\n",
            "etc/services": "ssh 22/tcp\n",
        },
    ),
)

POISON = r"""
#include <unistd.h>
__attribute__((constructor)) static void end(void) { _exit(66); }
unsigned la_version(unsigned version) { _exit(66); }
"""


def poison(place: Path, names: Sequence[str]) -> Path:
    """Return a directory with a library that ends each program, under each of the names."""
    place.mkdir(parents=True, exist_ok=True)
    file = place / "poison.so"
    command = ["gcc", "-shared", "-fPIC", "-O1", "-o", file, "-x", "c", "-"]
    subprocess.run(command, input=POISON.encode(), check=True)
    for name in names:
        (place / name).unlink(missing_ok=True)
        (place / name).hardlink_to(file)
    return place


class Guest:
    """A prefix on a host."""

    def __init__(self, prefix: Prefix, host: Host, place: Path, poisoned: Path) -> None:
        self.prefix = prefix
        self.host = host
        self.place = place
        self.poisoned = poisoned
        for name, text in host.files.items():
            file = place / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(text)

    def command(self, *, uid: int = 0, writable: bool = True) -> list[str]:
        """Return the command that enters the host; /tmp is writable unless ``writable`` is not."""
        words = ["bwrap", "--unshare-all", "--hostname", "machine", "--die-with-parent"]
        words += ["--uid", str(uid), "--gid", str(uid), *self.host.mounts]
        words += ["--dir", "/etc"] if "/etc" not in self.host.mounts else []
        if "/usr" in self.host.mounts:
            words += ["--tmpfs", "/usr/local"]
        for file in sorted(self.place.rglob("*")):
            if file.is_file():
                words += ["--ro-bind", os.fspath(file), f"/{file.relative_to(self.place)}"]
        final = os.fspath(self.prefix.final.eroot)
        words += ["--ro-bind", final, self.prefix.eprefix]
        words += ["--ro-bind", os.fspath(self.poisoned), "/poison"]
        if self.host.poisoned:
            words += ["--ro-bind", os.fspath(self.place.parent / "preload"), "/etc/ld.so.preload"]
        words += ["--proc", "/proc", "--dev", "/dev", "--dir", "/tmp", "--dir", "/root"]
        words += ["--tmpfs", "/tmp"] if writable else []
        return [*words, "--remount-ro", "/", "--chdir", "/", "--clearenv"]

    def run(
        self,
        program: str,
        *arguments: str,
        environment: Mapping[str, str] | None = None,
        stdin: bytes = b"",
        uid: int = 0,
        writable: bool = True,
    ) -> subprocess.CompletedProcess[bytes]:
        """Run a program of the prefix with only these variables."""
        words = self.command(uid=uid, writable=writable)
        for name, value in {"HOME": "/root", **(environment or {})}.items():
            words += ["--setenv", name, value] if value else []
        path = f"{self.prefix.eprefix}/{program}"
        return subprocess.run(
            [*words, "--", path, *arguments], input=stdin, capture_output=True, timeout=120
        )

    def python(self, text: str, **options: object) -> str:
        """Return an empty string if the text runs without an exception, else the last line."""
        environment = dict(options.pop("environment", None) or {})  # type: ignore[call-overload]
        done = self.run("usr/bin/python3", "-c", text, environment=environment, **options)  # type: ignore[arg-type]
        lines = done.stderr.decode(errors="replace").strip().splitlines() or [""]
        return "" if done.returncode == 0 else f"exit {done.returncode}: {lines[-1]}"
