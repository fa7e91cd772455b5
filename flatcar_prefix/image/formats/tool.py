# SPDX-License-Identifier: BSD-3-Clause
"""From a selection to an image: one maker a format, each by the format's own tool.

Every maker gives the same bytes for the same selection: files in order, owned by root,
with the selection's times, and identifiers that are derived from what is in.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import MappingProxyType
from typing import IO

from flatcar_prefix.errors import PrefixError
from flatcar_prefix.image import work_dirs
from flatcar_prefix.image.formats import btrfs_normalise, debugfs, tar
from flatcar_prefix.image.selection import CAPABILITY, Entry, Selection
from flatcar_prefix.system import process

FICLONE = 0x40049409
_NAMESPACE = uuid.UUID("1d7a3a5c-6f0e-4f6e-9f43-2f1a35b6a6f1")

EXT4_FEATURES = (
    "none,ext_attr,filetype,extent,sparse_super,large_file,huge_file,dir_nlink,"
    "extra_isize,64bit,metadata_csum"
)
"""No journal, since the image is never written to, and nothing of the machine's mke2fs.conf."""


@dataclass(frozen=True)
class Job:
    """One image to make."""

    selection: Selection
    epoch: int
    output: Path
    scratch: Path
    """A directory on the output's file system, which the caller removes."""
    link_dir: Path | None = None
    """A directory on the prefix's file system, for trees of hard links."""
    level: int | None = None
    """How hard to compress, where the format does."""

    @property
    def uuid(self) -> str:
        """The file system's identifier: two images with different files differ in it."""
        digest = hashlib.sha256()
        for e in self.selection.entries:
            digest.update(
                f"{e.path}\0{e.mode}\0{e.size}\0{e.mtime}\0{e.target}\0".encode(
                    "utf-8", "surrogateescape"
                )
            )
            digest.update(e.content + e.capability)
        return str(uuid.uuid5(_NAMESPACE, digest.hexdigest()))

    @cached_property
    def with_xattrs(self) -> bool:
        """Whether any file has a capability, so that extended attributes are to be shipped."""
        return any(entry.capability for entry in self.selection.entries)

    def as_it_is(self, entry: Entry) -> bool:
        """Whether tools may read a file in the prefix: they ship all attributes or none."""
        return not self.with_xattrs or not foreign_xattrs(entry.source)

    def environment(self) -> dict[str, str]:
        """Return the environment of the format's tool: none of the caller's settings."""
        return process.environment(
            {
                # The time 0 means the clock to them; files get theirs afterwards.
                "E2FSPROGS_FAKE_TIME": str(max(self.epoch, 1)),
                "MKE2FS_CONFIG": os.devnull,
                "MKE2FS_SYNC": "0",
            }
        )


IMAGE, ROOT = "image", "root"
"""Names in the scratch directory, where the tools run: they read neither the prefix's nor
the output's own place, which may have any character in it, from a script."""


def link_root(job: Job) -> None:
    (job.scratch / ROOT).symlink_to(job.selection.root)


def run(job: Job, argv: list[str], **environment: str) -> None:
    """Run a tool in the scratch directory."""
    process.run(argv, env=job.environment() | environment, cwd=job.scratch, capture=True)


def finish(job: Job) -> None:
    """Give the image that a tool has made its place."""
    (job.scratch / IMAGE).rename(job.output)


def _script(job: Job, name: str, lines: Iterable[str]) -> None:
    text = "".join(f"{line}\n" for line in lines)
    (job.scratch / name).write_text(text, encoding="utf-8", errors="surrogateescape")


def make_tar(job: Job) -> None:
    with job.output.open("xb") as out:
        tar.write(job.selection, out)


def make_directory(job: Job) -> None:
    """A copy that shares nothing with the prefix but, where the file system can, blocks."""
    job.output.mkdir()
    job.output.chmod(0o755)
    plant(job.selection, job.output, how=clone)
    os.utime(job.output, (job.epoch, job.epoch))
    if os.geteuid() == 0:
        for entry in job.selection.entries:
            path = job.output / entry.path
            # Before the mode: changing the owner clears setuid.
            os.chown(path, 0, 0, follow_symlinks=False)
            if entry.is_file:
                path.chmod(entry.permissions)
                if entry.capability:
                    os.setxattr(path, CAPABILITY, entry.capability)


def make_squashfs(job: Job) -> None:
    """By mksquashfs, told file by file where each is: nothing is copied or linked.

    Its way to read tar would be simpler, but leaves the time of the root to the clock.
    """
    link_root(job)
    _script(job, "definitions", squashfs_definitions(job))
    argv = [
        *("mksquashfs", "-", IMAGE, "-pf", "definitions"),
        *(
            "-comp",
            "zstd",
            "-Xcompression-level",
            str(12 if job.level is None else job.level),
            "-b",
            "1M",
        ),
        *(
            "-mkfs-time",
            str(job.epoch),
            "-all-root",
            "-xattrs" if job.with_xattrs else "-no-xattrs",
        ),
        *("-noappend", "-no-exports", "-quiet", "-no-progress", "-exit-on-error"),
    ]
    run(job, argv)
    finish(job)


def squashfs_definitions(job: Job) -> Iterator[str]:
    """Yield the pseudo file definitions of the selection; see mksquashfs(1), 4.5 or newer.

    A regular file brings its own mode and time, so one whose time is not to be shipped
    is copied; files with several names are recognised by mksquashfs.
    """
    yield f"/ D {job.epoch} 0755 0 0"
    for number, entry in enumerate(job.selection.entries):
        path = _escaped(entry.path)
        if entry.is_dir:
            yield f"{path} D {entry.mtime} 0{entry.permissions:o} 0 0"
        elif entry.is_link:
            yield f"{path} S {entry.mtime} 0777 0 0 {squashfs_target(entry)}"
        else:
            yield f"{path} l {_escaped(timed(entry, number, job))}"


def _escaped(path: str) -> str:
    return re.sub(r"[^A-Za-z0-9/._+\u0080-\U0010ffff-]", r"\\\g<0>", path)


def squashfs_target(link: Entry) -> str:
    """Return a symlink's target, which mksquashfs takes as it stands up to the line's end.

    :class:`PrefixError` for what it would not: it skips blanks, and a backslash at the end
    of a line joins the next one to it.
    """
    if link.target.startswith(" ") or link.target.endswith("\\"):
        raise PrefixError(
            f"the symlink {link.path} leads to {link.target!r}, which squashfs cannot hold",
            hint="Choose another format, or leave it out with --exclude.",
        )
    return link.target


def timed(entry: Entry, number: int, job: Job) -> str:
    """Return the name, in the scratch directory, of a file with the content, mode and time."""
    on_time = entry.source is not None and entry.source.stat().st_mtime_ns == entry.mtime_ns
    if on_time and job.as_it_is(entry):
        return f"{ROOT}/{entry.path}"
    name = f"content-{number}"
    file = job.scratch / name
    if entry.source is not None:
        clone(entry, file)
        if entry.capability:
            os.setxattr(file, CAPABILITY, entry.capability)
    else:
        file.write_bytes(entry.content)
        _set(entry, file)
    if job.with_xattrs:
        refuse_xattrs(file)
    return name


def foreign_xattrs(path: Path | None) -> list[str]:
    """Return the extended attributes of a file that are not to be shipped."""
    if path is None:
        return []
    try:
        return [name for name in os.listxattr(path, follow_symlinks=False) if name != CAPABILITY]
    except OSError:
        return []


def refuse_xattrs(path: Path) -> None:
    """Refuse a copy that has attributes all the same, as SELinux gives every file one."""
    if found := foreign_xattrs(path):
        raise PrefixError(
            f"with the capabilities of programs, this format would ship {', '.join(found)}, too",
            hint="Choose another format, such as ext4, which takes what it is told.",
        )


def _feed(argv: list[str], job: Job, *, tool: str) -> None:
    """Run a program with the selection in tar's format as its standard input.

    What it says is kept in memory, since a full disk is what it may have to tell of.
    ``tool`` is what the user knows it by.
    """
    program = process.which(argv[0])
    with os.fdopen(os.memfd_create("log"), "w+", errors="replace") as log:
        child = subprocess.Popen(
            [os.fspath(program), *argv[1:]],
            env=job.environment(),
            stdin=subprocess.PIPE,
            stdout=log,
            stderr=log,
        )
        assert child.stdin is not None
        try:
            _write_all(job.selection, child.stdin)
            code = child.wait()
        except BaseException:
            child.kill()
            child.wait()
            raise
        log.seek(0)
        result = subprocess.CompletedProcess(argv, code, "", log.read())
    if code:
        raise process.failure(argv, result, name=tool)


def _write_all(selection: Selection, pipe: IO[bytes]) -> None:
    try:
        with pipe:
            tar.write(selection, pipe)
    except BrokenPipeError:
        pass  # The program says why it stopped reading.


def make_erofs(job: Job) -> None:
    """By mkfs.erofs from a tree of hard links; it clamps times to SOURCE_DATE_EPOCH."""
    with tree(job) as source:
        argv = [
            *(
                "mkfs.erofs",
                f"-zlz4hc,{12 if job.level is None else job.level}",
                "-C65536",
                "-Eztailpacking",
            ),
            *("--all-root", "--preserve-mtime", "--quiet"),
            *("-x0" if job.with_xattrs else "-x-1", "-U", job.uuid),
            *(IMAGE, os.fspath(source)),
        ]
        run(job, argv, SOURCE_DATE_EPOCH=str(job.epoch))
    finish(job)


def make_ext4(job: Job) -> None:
    """By mke2fs, filled by debugfs straight from the prefix, since ``mke2fs -d`` would keep
    the owners, the times of access and of change that the prefix happens to have."""
    entries = job.selection.entries
    blocks = sum(-(-entry.size // 4096) + 1 for entry in entries)
    argv = [
        *("mke2fs", "-q", "-F", "-t", "ext2", "-b", "4096", "-I", "256", "-m", "0"),
        *("-O", EXT4_FEATURES, "-N", str(len(entries) + 16), "-U", job.uuid),
        *("-E", f"hash_seed={job.uuid},lazy_itable_init=0,root_owner=0:0"),
        *(IMAGE, str(blocks + blocks // 16 + len(entries) // 8 + 1024)),
    ]
    link_root(job)
    run(job, argv)
    script = debugfs.commands(
        job.selection,
        epoch=job.epoch,
        content=lambda entry, number: _source(entry, number, job),
        capability=lambda entry, number: _capability(entry, number, job),
    )
    _script(job, "commands", script)
    argv = ["debugfs", "-w", "-f", "commands", IMAGE]
    result = process.run(
        argv,
        env=job.environment(),
        cwd=job.scratch,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    # It exits 0 whatever happens; the first line is its version.
    if complaints := result.stderr.splitlines()[1:]:
        result.returncode, result.stderr = 1, "\n".join(complaints[:2])
        raise process.failure(argv[:1], result)
    run(job, ["resize2fs", "-M", IMAGE])
    finish(job)


def _source(entry: Entry, number: int, job: Job) -> str:
    """Return the name, in the scratch directory, of a file that has the entry's content."""
    if entry.source is not None:
        return f"{ROOT}/{entry.path}"
    name = f"content-{number}"
    (job.scratch / name).write_bytes(entry.content)
    return name


def _capability(entry: Entry, number: int, job: Job) -> str:
    name = f"capability-{number}"
    (job.scratch / name).write_bytes(entry.capability)
    return name


_BTRFS = """\
mount -t tmpfs -o mode=0755 tmpfs "$1"
tar --extract --file=- --directory="$1" --preserve-permissions --numeric-owner --xattrs \\
    --xattrs-include='security.capability'
touch --date="@$2" "$1"
shift 2
exec "$@"
"""


def make_btrfs(job: Job) -> None:
    """By mkfs.btrfs from a tmpfs of its own.

    It takes numbers of inodes, counts of links and the order of names from the tree that it
    is given: on a fresh tmpfs, filled in order, those are the same every time.
    """
    source = job.scratch / "tree"
    source.mkdir()
    job.output.touch()
    unshare = ["unshare", "--mount", "--propagation", "private"]
    if os.geteuid() != 0:
        unshare += ["--user", "--map-root-user"]
    argv = [
        *(*unshare, "sh", "-euc", _BTRFS, "sh", os.fspath(source), str(job.epoch)),
        *("mkfs.btrfs", "-q", "-M", "-m", "single", "-d", "single", "-U", job.uuid),
        *("--shrink", "--rootdir", os.fspath(source), os.fspath(job.output)),
    ]
    process.which("mkfs.btrfs")
    _feed(argv, job, tool="mkfs.btrfs")
    btrfs_normalise.normalise(job.output, epoch=job.epoch, identity=uuid.UUID(job.uuid))


TREE = ".sysext-"
"""What the names of trees of hard links begin with."""


@contextmanager
def tree(job: Job) -> Iterator[Path]:
    """Within, a directory holds the selection, by hard links wherever that can be.

    Links cannot be made across file systems, nor by an ordinary user to another's files
    (``fs.protected_hardlinks``): those files are copied.
    """
    parent = job.link_dir if job.link_dir and os.access(job.link_dir, os.W_OK) else job.scratch
    with work_dirs.workplace(parent, TREE) as path:
        path.chmod(0o755)
        plant(job.selection, path, how=lambda entry, to: link_or_clone(entry, to, job))
        os.utime(path, (job.epoch, job.epoch))
        if job.with_xattrs:
            for each in [path, *path.rglob("*")]:
                refuse_xattrs(each)
        yield path


def plant(selection: Selection, directory: Path, *, how: Callable[[Entry, Path], None]) -> None:
    """Make the files of ``selection`` below ``directory``, which exists and is empty."""
    names: dict[tuple[int, int], Path] = {}
    for entry in selection.entries:
        path = directory / entry.path
        if entry.is_dir:
            path.mkdir()
        elif entry.is_link:
            path.symlink_to(entry.target)
            os.utime(path, ns=(entry.mtime_ns, entry.mtime_ns), follow_symlinks=False)
        elif entry.inode in names:
            os.link(names[entry.inode], path)
        elif entry.source is None:
            path.write_bytes(entry.content)
            _set(entry, path)
        else:
            how(entry, path)
            if entry.inode:
                names[entry.inode] = path
    for entry in reversed(selection.entries):
        if entry.is_dir:
            _set(entry, directory / entry.path)


def _set(entry: Entry, path: Path) -> None:
    path.chmod(entry.permissions)
    os.utime(path, ns=(entry.mtime_ns, entry.mtime_ns))


def link_or_clone(entry: Entry, path: Path, job: Job) -> None:
    """Give the file a second name at ``path``, else copy it there."""
    assert entry.source is not None
    try:
        if job.as_it_is(entry):
            os.link(entry.source, path, follow_symlinks=False)
            return
    except OSError:
        pass
    clone(entry, path)
    if entry.capability:
        os.setxattr(path, CAPABILITY, entry.capability)


def clone(entry: Entry, path: Path) -> None:
    """Copy the file to ``path``, sharing its blocks where the file system can."""
    assert entry.source is not None
    with entry.source.open("rb") as source, path.open("xb") as target:
        try:
            fcntl.ioctl(target, FICLONE, source.fileno())
        except OSError:
            shutil.copyfileobj(source, target, 1 << 20)
    _set(entry, path)
    if path.stat().st_size != entry.size:
        raise tar.changed(entry.source)


@dataclass(frozen=True)
class Format:
    """A format of images."""

    name: str
    suffix: str
    make: Callable[[Job], None]
    kernel: str
    """The oldest kernel that mounts what is made here; empty where nothing is mounted."""
    levels: range = range(0)
    """How hard it can be told to compress; empty where it cannot."""


FORMATS: Mapping[str, Format] = MappingProxyType(
    {
        each.name: each
        for each in (
            Format("squashfs", ".raw", make_squashfs, "4.14", range(1, 23)),
            Format("erofs", ".raw", make_erofs, "5.17", range(1, 13)),
            Format("ext4", ".raw", make_ext4, "3.18"),
            Format("btrfs", ".raw", make_btrfs, "5.4"),
            Format("tar", ".tar", make_tar, ""),
            Format("directory", "", make_directory, ""),
        )
    }
)
