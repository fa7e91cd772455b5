# SPDX-License-Identifier: BSD-3-Clause
"""Merge an image into other systems with the real systemd-sysext.

Each merge runs in a separate mount namespace, so that nothing stays mounted. systemd-sysext
needs a shared mount tree there, and a /run that is a mount point.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

BUSYBOX = "/usr/bin/busybox"

FLATCAR = """\
NAME="Flatcar Container Linux by Kinvolk"
ID=flatcar
ID_LIKE=coreos
VERSION=4230.2.1
VERSION_ID=4230.2.1
SYSEXT_LEVEL=1.0
"""
NO_GLIBC = "NAME=busybox\nID=busybox\nVERSION_ID=1\n"


@dataclass(frozen=True)
class Target:
    """A root for merging an image."""

    name: str
    path: Path
    prepare: str = ""
    """Shell commands that complete the root within the namespace."""


@dataclass(frozen=True)
class Merged:
    """The result of a merge."""

    merge_code: int
    merge_said: str
    before: str
    """All files of /usr and /opt, and all mounts, before the merge ..."""
    after: str
    """... and after the unmerge."""
    merged: str
    ran: str
    run_code: int


_SCRIPT = """\
mount --make-rshared /
mount -t tmpfs tmpfs /run
cd {path}
{prepare}
mkdir -p proc dev tmp run
mount -t proc proc proc
state() {{
    find usr opt -printf '%p %m %U %G %T@ %s %l\\n' 2>/dev/null | LC_ALL=C sort
    grep -F {path} /proc/self/mountinfo | cut -d' ' -f4-
}}
state >{out}/before
code=0; systemd-sysext --root={path} merge >{out}/said 2>&1 || code=$?
echo $code >{out}/merge_code
ls usr/lib/extension-release.d >{out}/merged 2>/dev/null || :
code=0; chroot . {command} >{out}/ran 2>&1 || code=$?
echo $code >{out}/run_code
systemd-sysext --root={path} unmerge >>{out}/said 2>&1
state >{out}/after
"""


def merge_and_run(target: Target, image: Path, command: list[str], out: Path) -> Merged:
    """Merge ``image`` into ``target``, run a program there with chroot, unmerge the image."""
    extensions = target.path / "etc/extensions"
    shutil.rmtree(extensions, ignore_errors=True)
    extensions.mkdir(parents=True)
    if image.is_dir():
        shutil.copytree(image, extensions / image.name, symlinks=True)
    else:
        shutil.copy(image, extensions)
    out.mkdir(exist_ok=True)
    script = _SCRIPT.format(
        path=shlex.quote(os.fspath(target.path)),
        out=shlex.quote(os.fspath(out)),
        prepare=target.prepare,
        command=shlex.join(command),
    )
    result = subprocess.run(
        ["unshare", "--mount", "sh", "-euc", script], capture_output=True, text=True
    )
    assert result.returncode == 0, result.stderr + (out / "said").read_text()
    read: Callable[[str], str] = lambda name: (out / name).read_text()  # noqa: E731
    return Merged(
        merge_code=int(read("merge_code")),
        merge_said=read("said"),
        before=read("before"),
        after=read("after"),
        merged=read("merged"),
        ran=read("ran"),
        run_code=int(read("run_code")),
    )


def busybox_root(path: Path, os_release: str) -> Target:
    """A root with one static program and without a C library."""
    for directory in ("usr/bin", "usr/lib", "etc", "opt"):
        (path / directory).mkdir(parents=True)
    shutil.copy(BUSYBOX, path / "usr/bin/busybox")
    for name in ("sh", "ls", "cat"):
        (path / "usr/bin" / name).symlink_to("busybox")
    (path / "bin").symlink_to("usr/bin")
    (path / "usr/lib/os-release").write_text(os_release)
    (path / "etc/os-release").symlink_to("../usr/lib/os-release")
    return Target("busybox", path)


def flatcar_root(path: Path) -> Target:
    """A root with Flatcar's os-release and a read-only /usr."""
    target = busybox_root(path, FLATCAR)
    return Target("flatcar", target.path, "mount --bind usr usr\nmount -o remount,bind,ro usr")


def machine_root(path: Path) -> Target:
    """A root with this machine's own /usr, which is a complete distribution."""
    (path / "etc").mkdir(parents=True)
    for name in ("usr", "opt"):
        (path / name).mkdir()
    for name in ("bin", "sbin", "lib", "lib64"):
        if Path("/", name).is_symlink():
            (path / name).symlink_to(f"usr/{name}")
    shutil.copy("/etc/os-release", path / "etc/os-release")
    return Target("machine", path, "mount --bind /usr usr\nmount -o remount,bind,ro usr")


def debian_root(path: Path, cache: Path) -> Target:
    """A Debian that debootstrap created, kept in ``cache``."""
    kept = cache / "debian.tar"
    if not kept.exists():
        cache.mkdir(parents=True, exist_ok=True)
        made = cache / "debian.part"
        shutil.rmtree(made, ignore_errors=True)
        codename = os_release()["VERSION_CODENAME"]
        subprocess.run(["debootstrap", "--variant=minbase", codename, made, *mirror()], check=True)
        subprocess.run(["tar", "-C", made, "-cf", f"{kept}.part", "."], check=True)
        Path(f"{kept}.part").rename(kept)
        shutil.rmtree(made)
    path.mkdir(parents=True)
    subprocess.run(["tar", "-C", path, "-xf", kept], check=True)
    return Target("debian", path)


def os_release(path: Path = Path("/etc/os-release")) -> Mapping[str, str]:
    lines = path.read_text().splitlines()
    return {k: v.strip('"') for k, _, v in (line.partition("=") for line in lines)}


def mirror() -> list[str]:
    """The mirror of this machine's own packages, from apt's configuration."""
    result = subprocess.run(
        ["apt-get", "indextargets", "--format", "$(REPO_URI)", "Identifier: Packages"],
        capture_output=True,
        text=True,
    )
    uris = [uri for uri in result.stdout.split() if "security" not in uri]
    return uris[:1]
