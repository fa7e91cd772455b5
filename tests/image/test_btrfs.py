# SPDX-License-Identifier: BSD-3-Clause
from __future__ import annotations

import struct
import uuid
from pathlib import Path

import pytest

from flatcar_prefix.errors import PrefixError
from flatcar_prefix.image.formats.btrfs_normalise import MAGIC, crc32c, normalise


def test_the_checksum_is_castagnoli_s() -> None:
    """The check value of CRC-32C, and the first of RFC 3720's examples."""
    assert crc32c(b"123456789") == 0xE3069283
    assert crc32c(bytes(32)) == 0x8A9136AA


@pytest.mark.parametrize(("magic", "csum_type"), [(b"whatever", 0), (MAGIC, 1)])
def test_a_file_system_of_another_kind_is_refused(
    tmp_path: Path, magic: bytes, csum_type: int
) -> None:
    image = tmp_path / "x.raw"
    content = bytearray(128 << 10)
    content[(64 << 10) + 64 : (64 << 10) + 72] = magic
    struct.pack_into("<I", content, (64 << 10) + 148, 4096)
    struct.pack_into("<H", content, (64 << 10) + 196, csum_type)
    image.write_bytes(content)
    with pytest.raises(PrefixError, match="cannot be made reproducible"):
        normalise(image, epoch=0, identity=uuid.UUID(int=1))
    assert image.read_bytes() == content
