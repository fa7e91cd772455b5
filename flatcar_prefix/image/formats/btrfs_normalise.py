# SPDX-License-Identifier: BSD-3-Clause
"""Make a btrfs image reproducible, for which mkfs.btrfs has no option.

mkfs.btrfs generates random UUIDs, stores the time of creation, copies atime and ctime from
its source, and leaves uninitialised memory in its nodes. This module replaces all of these
with values that depend only on the content. The offsets are those of the stable on-disk
format: https://btrfs.readthedocs.io/en/latest/dev/On-disk-format.html
"""

from __future__ import annotations

import mmap
import struct
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from flatcar_prefix.errors import PrefixError

SUPERBLOCKS = (64 << 10, 64 << 20, 256 << 30)
MAGIC = b"_BHRfS_M"
CSUM = 32
"""The size of the checksum field at the start of each block, in bytes."""

HEADER, ITEM, POINTER = 101, 25, 33
INODE_ITEM, ROOT_ITEM, DIR_ITEM, DIR_INDEX, UUID_KEY = 1, 132, 84, 96, 251
FIRST_INODE = 256
"""The inode number of each tree's root directory; files have higher numbers."""
ATIME, CTIME, MTIME, OTIME = 112, 124, 136, 148
ROOT_UUID, ROOT_CTIME, ROOT_OTIME = 247, 327, 339
SUPER_DEVICE_UUID = 267
HEADER_CHUNK_UUID = 64


@dataclass(frozen=True)
class _Identity:
    """The replacements for random UUIDs (``names``: old to new) and the latest time."""

    fsid: bytes
    names: dict[bytes, bytes]
    subvolume: bytes
    epoch: int


def normalise(image: Path, *, epoch: int, identity: uuid.UUID) -> None:
    """Rewrite ``image`` in place so that it depends only on its content.

    ``identity`` is the file system's UUID, from which the other UUIDs are derived. ``epoch``
    (seconds) replaces the times that mkfs.btrfs generates, and all later times.
    Raise :class:`PrefixError` for an unsupported checksum type or layout.
    """
    with image.open("r+b") as file, mmap.mmap(file.fileno(), 0) as data:
        start = SUPERBLOCKS[0]
        node_size, csum_type = (
            struct.unpack_from("<I", data, start + 148)[0],
            struct.unpack_from("<H", data, start + 196)[0],
        )
        chunk_root = struct.unpack_from("<Q", data, start + 88)[0]
        fsid = data[start + CSUM : start + CSUM + 16]
        # mkfs.btrfs maps the chunk tree's address one to one. A node there confirms this.
        placed = data[chunk_root + CSUM : chunk_root + CSUM + 16] == fsid
        if data[start + 64 : start + 72] != MAGIC or csum_type or not placed:
            raise PrefixError(
                "mkfs.btrfs made a file system that cannot be made reproducible",
                hint="Choose another format, such as squashfs.",
            )
        known = _Identity(
            fsid=fsid,
            names={
                data[at : at + 16]: uuid.uuid5(identity, name).bytes
                for name, at in (
                    ("device", start + SUPER_DEVICE_UUID),
                    ("chunks", chunk_root + HEADER_CHUNK_UUID),
                )
            },
            subvolume=uuid.uuid5(identity, "subvolume").bytes,
            epoch=epoch,
        )
        for at in _nodes(data, node_size, known.fsid):
            data[at : at + node_size] = bytes(_node(data[at : at + node_size], known))
        for at in SUPERBLOCKS:
            if data[at + 64 : at + 72] == MAGIC:
                block = bytearray(data[at : at + 4096])
                data[at : at + 4096] = bytes(_sealed(_renamed(block, known)))


def _nodes(data: mmap.mmap, node_size: int, fsid: bytes) -> Iterator[int]:
    """Yield the offsets of all nodes, including unused ones."""
    for at in range(0, len(data) - node_size + 1, 4096):
        if data[at + CSUM : at + CSUM + 16] == fsid and data[at + 64 : at + 72] != MAGIC:
            yield at


def _node(block: bytes, known: _Identity) -> bytearray:
    node = _renamed(bytearray(block), known)
    count, level = struct.unpack_from("<IB", node, 96)
    if level:
        end = HEADER + count * POINTER
        node[end:] = bytes(len(node) - end)
        return _sealed(node)
    lowest = len(node)
    for number in range(count):
        at = HEADER + number * ITEM
        kind = node[at + 8]
        offset, size = struct.unpack_from("<II", node, at + 17)
        lowest = min(lowest, HEADER + offset)
        _item(node, at, kind, HEADER + offset, size, known)
    end = HEADER + count * ITEM
    node[end:lowest] = bytes(lowest - end)
    return _sealed(node)


def _item(node: bytearray, key: int, kind: int, at: int, size: int, known: _Identity) -> None:
    if kind == INODE_ITEM:
        (number,) = struct.unpack_from("<Q", node, key)
        _inode(node, at, known.epoch, ours=number <= FIRST_INODE)
    elif kind == ROOT_ITEM:
        _inode(node, at, known.epoch, ours=True)
        for when in (ROOT_CTIME, ROOT_OTIME):
            _settle(node, at + when, known.epoch, ours=True)
        if any(node[at + ROOT_UUID : at + ROOT_UUID + 16]):
            node[at + ROOT_UUID : at + ROOT_UUID + 16] = known.subvolume
    elif kind in (DIR_ITEM, DIR_INDEX):
        end = at + size
        while at + 30 <= end:
            node[at + 17 : at + 25] = bytes(8)
            at += 30 + sum(struct.unpack_from("<HH", node, at + 25))
    elif kind == UUID_KEY:
        node[key : key + 8] = known.subvolume[:8]
        node[key + 9 : key + 17] = known.subvolume[8:]


def _inode(node: bytearray, at: int, epoch: int, *, ours: bool) -> None:
    """Set atime, ctime and otime of an inode to its mtime, which is at most ``epoch``.

    ``ours`` marks an inode that mkfs.btrfs generated with the current time.
    """
    _settle(node, at + MTIME, epoch, ours=ours)
    for when in (ATIME, CTIME, OTIME):
        node[at + when : at + when + 12] = node[at + MTIME : at + MTIME + 12]


def _settle(node: bytearray, at: int, epoch: int, *, ours: bool) -> None:
    seconds, _ = struct.unpack_from("<QI", node, at)
    if ours and seconds:
        seconds = epoch
    struct.pack_into("<QI", node, at, min(seconds, epoch), 0)


def _renamed(block: bytearray, known: _Identity) -> bytearray:
    for old, new in known.names.items():
        block = block.replace(old, new)
    return block


def _sealed(block: bytearray) -> bytearray:
    block[:CSUM] = struct.pack("<I", crc32c(memoryview(block)[CSUM:])) + bytes(CSUM - 4)
    return block


@cache
def _table() -> tuple[int, ...]:
    table = []
    for byte in range(256):
        for _ in range(8):
            byte = byte >> 1 ^ (0x82F63B78 if byte & 1 else 0)
        table.append(byte)
    return tuple(table)


def crc32c(data: bytes | bytearray | memoryview) -> int:
    """Return the CRC-32C (Castagnoli) checksum; :func:`zlib.crc32` has another polynomial."""
    crc, table = 0xFFFFFFFF, _table()
    for byte in data:
        crc = crc >> 8 ^ table[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF
