# SPDX-License-Identifier: BSD-3-Clause
"""What cannot be moved is found at build time, each kind planted on its own."""

import base64
import bz2
import gzip
import hashlib
import io
import lzma
import os
import py_compile
import shutil
import subprocess
import tarfile
import zipfile
from pathlib import Path

import pytest

from flatcar_prefix.relocate import bytecode
from flatcar_prefix.relocate.eprefix import PIECE, pieces, pool_eprefix
from flatcar_prefix.relocate.pieces import Search
from flatcar_prefix.relocate.proof import obstacles

POOL = pool_eprefix("proof")
WHOLE = POOL.encode()


@pytest.fixture
def image(tmp_path):
    (tmp_path / "image" / POOL[1:]).mkdir(parents=True)
    return tmp_path / "image"


def place(image, name, content):
    path = image / POOL[1:] / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def reasons(image):
    return [each.reason for each in obstacles(image, POOL)]


def zipped(content, method):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        archive.writestr("inside", content)
    return file.getvalue()


def tarred(content):
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        member = tarfile.TarInfo("inside")
        member.size = len(content)
        archive.addfile(member, io.BytesIO(content))
    return file.getvalue()


TEXT = f"prefix={POOL}/lib\n".encode()

PLANTED = {
    "eight bytes in code": (b"\x48\xb8" + WHOLE[8:16] + b"\0\xc3", "piece of the EPREFIX at 0x6"),
    "all but the first byte": (WHOLE[1:] + b"\0", "piece of the EPREFIX"),
    "all but the last byte": (b"\0" + WHOLE[:-1] + b"\0", "piece of the EPREFIX"),
    "escaped slashes": (TEXT.replace(b"/", b"\\/"), "piece of the EPREFIX"),
    "percent signs": (TEXT.replace(b"/", b"%2F"), "piece of the EPREFIX"),
    "UTF-16": (TEXT.decode().encode("utf-16-le"), "UTF-16-LE"),
    "wide characters": (TEXT.decode().encode("utf-32-le"), "UTF-32-LE"),
    "Base64": (base64.b64encode(b"ab" + TEXT), "Base64"),
    "hexadecimal digits": (TEXT.hex().encode(), "hexadecimal digits"),
    "upper case": (TEXT.upper(), "upper case"),
    "reverse order": (TEXT[::-1], "reverse order"),
    "a longer name in a binary": (b"\0" + WHOLE + b"-data\0", "begins with the EPREFIX"),
    "gzip": (gzip.compress(TEXT), "in gzip data"),
    "bzip2": (bz2.compress(TEXT), "in bzip2 data"),
    "xz": (lzma.compress(TEXT), "in xz data"),
    "damaged gzip": (gzip.compress(TEXT)[:-9], "cannot be searched"),
    "zstd": (b"\x28\xb5\x2f\xfd" + b"a" * 9, "zstd data, which cannot be searched"),
    "zip": (zipped(TEXT, zipfile.ZIP_DEFLATED), "the member inside of a ZIP archive"),
    "stored zip": (zipped(TEXT, zipfile.ZIP_STORED), "in a ZIP archive"),
    "tar": (tarred(TEXT), "in a tar archive"),
    "GDBM": (b"\xcf\x9a\x57\x13" + bytes(60) + WHOLE, "in a GDBM database"),
    "compressed for LTO": (b"\x7fELF" + bytes(60) + b".gnu.lto_main", "link-time optimization"),
}


@pytest.mark.parametrize("content,reason", PLANTED.values(), ids=PLANTED)
def test_a_planted_obstacle_is_found(image, content, reason):
    place(image, "usr/lib/planted", content)
    found = reasons(image)
    assert any(reason in each for each in found), found


MOVABLE = {
    "text": TEXT,
    "a longer name in text": f"{POOL}-data {POOL}2\n".encode(),
    "binary": b"\x7fELF\0" + WHOLE + b"/lib64\0" + WHOLE + b"\0",
    "archive": b"!<arch>\n" + b"a.o/".ljust(58) + b"`\n" + WHOLE + b"/lib\0",
    "gzip without it": gzip.compress(b"text"),
    "zip without it": zipped(b"text", zipfile.ZIP_DEFLATED),
    "letters like it": b"zq" * 1000 + WHOLE[5:12] + b" " + WHOLE[20:27],
}


@pytest.mark.parametrize("content", MOVABLE.values(), ids=MOVABLE)
def test_what_can_be_moved_is_no_obstacle(image, content):
    place(image, "usr/lib/planted", content)
    assert reasons(image) == []


def test_each_piece_is_found_at_each_offset_around_the_edge_of_a_chunk():
    search = Search(POOL)
    for number, piece in enumerate(pieces(WHOLE)):
        before = 5000 - number
        content = b"a" * before + piece + b"b" * 5000
        cut = 5000 - PIECE // 2
        assert search.read([content[:cut], content[cut:]]).piece is not None
        whole = b"a" * before + WHOLE + b"\0" * 5000
        seen = search.read([whole[:cut], whole[cut : cut + 3], whole[cut + 3 :]])
        assert (seen.whole, seen.piece, seen.glued) == (True, None, None)


def test_names_links_and_attributes_are_searched(image):
    place(image, f"usr/{POOL[9:30]}", "x")
    assert reasons(image) == ["its name has a piece of the EPREFIX"]
    os.remove(image / POOL[1:] / f"usr/{POOL[9:30]}")
    path = place(image, "usr/x", "x")
    os.setxattr(path, "user.origin", WHOLE)
    assert reasons(image) == ["the extended attribute user.origin has the EPREFIX"]
    os.removexattr(path, "user.origin")
    (image / POOL[1:] / "usr/bad").symlink_to("../../../usr/bin")
    (image / POOL[1:] / "usr/good").symlink_to("../lib/../usr/x")
    (image / POOL[1:] / "usr/absolute").symlink_to(f"{POOL}/usr/x")
    assert reasons(image) == ["its relative target leaves the EPREFIX"]


def test_a_digest_of_a_changing_file_is_found(image):
    changing = place(image, "usr/x", TEXT)
    place(image, "usr/same", "same")
    place(image, "usr/other-sums", hashlib.sha256(b"same").hexdigest() + "  same\n")
    assert reasons(image) == []
    place(image, "usr/sums", hashlib.sha256(changing.read_bytes()).hexdigest() + "  x\n")
    assert reasons(image) == ["has a digest of x, which changes with the EPREFIX"]


def compiled(image, name, source):
    script = place(image, f"usr/lib/{name}.py", source)
    return script, py_compile.compile(str(script), dfile=f"{POOL}/usr/lib/{name}.py")


def test_byte_code_that_can_be_rewritten_is_no_obstacle(image):
    compiled(image, "m", f"path = {POOL!r}\n")
    compiled(image, "plain", "path = 1\n")
    assert reasons(image) == []


def test_byte_code_of_an_unknown_version_is_an_obstacle_if_its_source_changes(image):
    for name, source in (("m", f"path = {POOL!r}\n"), ("plain", "path = 1\n")):
        _, code = compiled(image, name, source)
        with open(code, "r+b") as file:
            file.write(b"\x01\x02")
    assert reasons(image) == [
        f"is byte code that cannot be rewritten: byte code with the magic number {0x0201}"
    ]
    assert bytecode.is_bytecode(Path(code).read_bytes())


@pytest.mark.skipif(not shutil.which("gcc"), reason="no compiler")
def test_what_a_compiler_makes_of_the_path_is_found(image, tmp_path):
    """-O2 turns strcpy of a short constant into immediates."""
    source = tmp_path / "x.c"
    source.write_text(
        f'#include <string.h>\nvoid f(char *p) {{ strcpy(p, "{POOL[7:22]}"); }}\n'
        f'const char *whole(void) {{ return "{POOL}/lib"; }}\n'
    )
    target = image / POOL[1:] / "x.o"
    subprocess.run(["gcc", "-O2", "-c", source, "-o", target], check=True)
    assert any("piece of the EPREFIX" in reason for reason in reasons(image))
    source.write_text(f'const char *whole(void) {{ return "{POOL}/lib"; }}\n')
    subprocess.run(["gcc", "-O2", "-c", source, "-o", target], check=True)
    assert reasons(image) == []
    debug = ["gcc", "-O2", "-g", "-gz=zlib", f"-fdebug-prefix-map={tmp_path}={POOL}/src"]
    subprocess.run([*debug, "-c", source, "-o", target], check=True)
    assert "has the EPREFIX in a compressed section" in reasons(image)
