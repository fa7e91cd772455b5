# SPDX-License-Identifier: BSD-3-Clause
"""Relocation of a tree: contents, links, names, attributes, and killed calls."""

import base64
import hashlib
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from flatcar_prefix.errors import PrefixError
from flatcar_prefix.relocate import tree
from flatcar_prefix.relocate.content import CHUNK
from flatcar_prefix.relocate.eprefix import LENGTH, pool_eprefix
from flatcar_prefix.relocate.proof import obstacles
from flatcar_prefix.relocate.tree import relocate_file, relocate_tree

POOL = pool_eprefix("a")
NEW = "/opt/ab"
PADDED = NEW.ljust(LENGTH, "/")


@pytest.fixture
def root(tmp_path):
    (tmp_path / "image" / POOL[1:] / "usr/bin").mkdir(parents=True)
    return tmp_path / "image"


def place(root, name, content, eprefix=POOL):
    path = root / eprefix[1:] / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def after(root, name):
    return root / NEW[1:] / name


def test_text_gets_the_new_path_as_it_is(root):
    place(root, "usr/bin/x", f"#!{POOL}/bin/sh\nPATH={POOL}/bin:{POOL}\n")
    relocate_tree(root, POOL, NEW)
    assert after(root, "usr/bin/x").read_text() == f"#!{NEW}/bin/sh\nPATH={NEW}/bin:{NEW}\n"


def test_a_binary_file_keeps_all_offsets(root):
    content = b"\x7fELF\0" + POOL.encode() + b"/lib64\0" + POOL.encode() + b"\0tail"
    place(root, "usr/bin/x", content)
    relocate_tree(root, POOL, NEW)
    moved = after(root, "usr/bin/x").read_bytes()
    assert moved == content.replace(POOL.encode(), PADDED.encode())
    assert len(moved) == len(content)


def test_an_archive_of_text_members_keeps_its_lengths(root):
    content = f"!<arch>\na/  0  0  0  644  {LENGTH + 4}  `\n{POOL}/lib"
    place(root, "usr/lib/x.a", content)
    relocate_tree(root, POOL, NEW)
    assert after(root, "usr/lib/x.a").read_text() == content.replace(POOL, PADDED)


@pytest.mark.parametrize("nul", [b"", b"\0"], ids=["text", "binary"])
def test_an_occurrence_is_found_at_each_offset_around_the_edge_of_a_chunk(root, nul):
    names = {}
    for before in [*range(CHUNK - LENGTH - 4, CHUNK + 4, 7), CHUNK - LENGTH, CHUNK - 1, CHUNK]:
        content = b"a" * (before - len(nul)) + nul + POOL.encode() + b"/b" * 70
        names[f"x{before}"] = content
        place(root, f"x{before}", content)
    relocate_tree(root, POOL, NEW)
    new = (PADDED if nul else NEW).encode()
    for name, content in names.items():
        assert after(root, name).read_bytes() == content.replace(POOL.encode(), new), name


def test_the_path_of_another_directory_is_not_the_old_one(root):
    old = "/usr/local/demo"
    text = f"{old} {old}/x {old}-2/y {old}2 {old}.old {old}. '{old}' {old}:{old}"
    place(root, "x", text, old)
    place(root, "y", text.replace(" ", "\0"), old)
    relocate_tree(root, old, NEW)
    assert after(root, "x").read_text() == (
        f"{NEW} {NEW}/x {old}-2/y {old}2 {old}.old {NEW}. '{NEW}' {NEW}:{NEW}"
    )
    assert after(root, "y").read_bytes().count(NEW.encode()) == 6


def test_links_and_names_get_the_new_path(root):
    place(root, f"var/db{POOL}/deep{POOL}/file", "x")
    absolute = root / POOL[1:] / "usr/absolute"
    absolute.symlink_to(f"{POOL}/usr/bin")
    relative = root / POOL[1:] / "usr/relative"
    relative.symlink_to(f"../var/db{POOL}/deep")
    outside = root / "usr/lib/outside"
    outside.parent.mkdir(parents=True)
    outside.symlink_to(f"{POOL}/x")
    result = relocate_tree(root, POOL, NEW)
    assert after(root, f"var/db{NEW}/deep{NEW}/file").read_text() == "x"
    assert os.readlink(after(root, "usr/absolute")) == f"{NEW}/usr/bin"
    assert os.readlink(after(root, "usr/relative")) == f"../var/db{NEW}/deep"
    assert os.readlink(outside) == f"{NEW}/x"
    assert (result.links, result.directories) == (3, 3)
    assert sorted(os.listdir(root)) == ["opt", "usr"]
    assert os.listdir(root / "opt") == ["ab"]


def test_an_empty_directory_of_the_new_path_may_be_there(root):
    """Portage makes ED before it merges."""
    place(root, "x", POOL)
    (root / NEW[1:]).mkdir(parents=True)
    relocate_tree(root, POOL, NEW)
    assert after(root, "x").read_text() == NEW


def test_attributes_of_files_stay(root):
    path = place(root, "usr/bin/x", f"{POOL}")
    os.setxattr(path, "user.note", b"kept")
    path.chmod(0o4511)
    os.utime(path, ns=(1, 1_234_567_890_123_456_789))
    link = root / POOL[1:] / "link"
    link.symlink_to(POOL)
    os.utime(link, ns=(1, 1_234_567_891_000_000_000), follow_symlinks=False)
    directory = path.parent
    os.utime(directory, ns=(1, 1_000_000_001))
    relocate_tree(root, POOL, NEW)
    moved = after(root, "usr/bin/x")
    assert moved.read_text() == NEW
    assert moved.stat().st_mode & 0o7777 == 0o4511
    assert moved.stat().st_mtime_ns == 1_234_567_890_123_456_789
    assert os.getxattr(moved, "user.note") == b"kept"
    assert after(root, "link").lstat().st_mtime_ns == 1_234_567_891_000_000_000
    assert moved.parent.stat().st_mtime_ns == 1_000_000_001


@pytest.mark.needs_root
def test_owners_stay(root):
    path = place(root, "x", POOL)
    os.chown(path, 1234, 4321)
    link = root / POOL[1:] / "link"
    link.symlink_to(POOL)
    os.chown(link, 1234, 4321, follow_symlinks=False)
    relocate_tree(root, POOL, NEW)
    for moved in (after(root, "x"), after(root, "link")):
        assert (moved.lstat().st_uid, moved.lstat().st_gid) == (1234, 4321)


def test_hard_links_stay(root):
    path = place(root, "usr/bin/x", f"a {POOL}")
    for name in ("usr/bin/y", "z"):
        os.link(path, root / POOL[1:] / name)
    result = relocate_tree(root, POOL, NEW)
    inodes = {after(root, name).stat().st_ino for name in ("usr/bin/x", "usr/bin/y", "z")}
    assert len(inodes) == 1
    assert after(root, "z").read_text() == f"a {NEW}"
    assert after(root, "z").stat().st_nlink == 3
    assert result.files == 1


def test_a_longer_path_is_refused_and_nothing_changes(root):
    place(root, "x", POOL)
    with pytest.raises(PrefixError, match=f"has room for {LENGTH}"):
        relocate_tree(root, POOL, POOL + "b")
    with pytest.raises(PrefixError, match=f"has room for {LENGTH}"):
        relocate_file(root / POOL[1:] / "x", POOL, POOL + "b")
    assert (root / POOL[1:] / "x").read_text() == POOL
    assert os.listdir(root) == ["opt"]


@pytest.mark.parametrize("path", ["", "opt/ab", "/opt//ab", "/opt/ab/", "/", "/opt/../ab"])
def test_a_path_that_is_no_eprefix_is_refused(root, path):
    with pytest.raises(PrefixError, match="not a normal absolute path"):
        relocate_tree(root, path, "/a")


def test_special_files_do_not_block(root):
    os.mkfifo(root / POOL[1:] / "fifo")
    relocate_tree(root, POOL, NEW)
    assert after(root, "fifo").is_fifo()


def make_tree(root, old):
    """Make 120 files: text, binary and hard links, in 12 directories."""
    random.seed(1)
    for number in range(120):
        data = b" ".join([old.encode() + b"/x"] * random.randint(1, 4))
        place(root, f"d{number % 12}/f{number}", data + (b"\0" if number % 2 else b""), old)
        if number % 5 == 0:
            os.link(root / old[1:] / f"d{number % 12}/f{number}", root / old[1:] / f"h{number}")
        if number % 7 == 0:
            (root / old[1:] / f"l{number}").symlink_to(f"{old}/d1")
    for number in range(12):
        os.utime(root / old[1:] / f"d{number}", ns=(1, 10**18 + number))


def listing(root):
    """Return kind, content, mtime and hard links of each path below ``root``."""
    found, groups = {}, {}
    for directory, directories, files in os.walk(root):
        for name in (*directories, *files):
            path = Path(directory, name)
            status = path.lstat()
            key = str(path.relative_to(root))
            if path.is_symlink():
                found[key] = ("link", os.readlink(path))
            elif path.is_dir():
                found[key] = ("directory", status.st_mtime_ns if name.startswith("d") else 0)
            else:
                first = groups.setdefault(status.st_ino, key)
                found[key] = (path.read_bytes(), status.st_mode, first)
    return found


# The new path and a part of the old one make the old path again: a file that is changed twice
# would be wrong.
@pytest.mark.parametrize("old,new", [(POOL, NEW), ("/opt/a/a", "/opt/a")])
def test_a_call_that_was_killed_at_any_step_continues(tmp_path, monkeypatch, old, new):
    make_tree(tmp_path / "expected", old)
    relocate_tree(tmp_path / "expected", old, new)
    expected = listing(tmp_path / "expected")
    root = tmp_path / "image"
    make_tree(root, old)

    class Killed(BaseException):
        pass

    calls = {"left": 0}
    for name in ("rename", "link", "symlink", "utime", "rmdir"):
        original = getattr(os, name)

        def counted(*args, original=original, **kwargs):
            calls["left"] -= 1
            if calls["left"] == 0:
                raise Killed
            return original(*args, **kwargs)

        monkeypatch.setattr(os, name, counted)
    interrupted = 0
    for step in range(1, 2000):
        calls["left"] = random.Random(step).randint(1, 40)
        try:
            relocate_tree(root, old, new)
            break
        except Killed:
            interrupted += 1
    calls["left"] = 0
    assert interrupted > 20
    assert listing(root) == expected


def test_a_killed_process_leaves_each_file_old_or_new(tmp_path):
    root = tmp_path / "image"
    for number in range(8):
        place(root, f"f{number}", (POOL + "/x ") * 5_000)
    code = (
        "import sys; sys.path[:0] = [sys.argv[4]]\nfrom pathlib import Path\n"
        "from flatcar_prefix.relocate.tree import relocate_tree\n"
        "relocate_tree(Path(sys.argv[1]), sys.argv[2], sys.argv[3])"
    )
    source = Path(tree.__file__).parents[2]
    process = subprocess.Popen([sys.executable, "-c", code, root, POOL, NEW, source])
    journal = root / ".flatcar-prefix-relocation/journal"
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline and not (journal.exists() and "done" in journal.read_text()):
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    old, new = (POOL + "/x ") * 5_000, (NEW + "/x ") * 5_000
    for path in [*(root / POOL[1:]).glob("f*"), *(root / NEW[1:]).glob("f*")]:
        assert path.read_text() in (old, new)
    relocate_tree(root, POOL, NEW)
    assert [path.read_text() for path in sorted((root / NEW[1:]).iterdir())] == [new] * 8


def test_another_move_does_not_continue_a_killed_one(root, monkeypatch):
    place(root, "x", POOL)

    def fail(*args, **kwargs):
        raise OSError("disk")

    with monkeypatch.context() as patch:
        patch.setattr(os, "utime", fail)
        with pytest.raises(OSError):
            relocate_tree(root, POOL, NEW)
    with pytest.raises(PrefixError, match="is being moved from"):
        relocate_tree(root, POOL, "/opt/cd")


def test_one_file_is_replaced_atomically(tmp_path):
    path = tmp_path / "x"
    path.write_text(f"a {POOL}/b\n")
    before = path.stat().st_ino
    assert relocate_file(path, POOL, NEW)
    assert path.read_text() == f"a {NEW}/b\n"
    assert path.stat().st_ino != before
    assert not relocate_file(path, POOL, NEW)
    assert os.listdir(tmp_path) == ["x"]


def test_the_record_of_a_python_distribution_has_the_digests_of_the_changed_files(root):
    def row(name, content):
        digest = hashlib.sha256(content.encode()).digest()
        text = base64.urlsafe_b64encode(digest).rstrip(b"=").decode()
        return f"{name},sha256={text},{len(content)}"

    site, script = "usr/lib/python3.11/site-packages", "#!{}/bin/python\n"
    place(root, "usr/bin/tool", script.format(POOL))
    place(root, f"{site}/m.py", "same\n")
    rows = [
        '"odd,name.py",,',
        row("../../../bin/tool", script.format(POOL)),
        row("m.py", "same\n"),
        row(f"{POOL}/usr/bin/tool", script.format(POOL)),
        "a-1.dist-info/RECORD,,",
        "",
    ]
    place(root, f"{site}/a-1.dist-info/RECORD", "\r\n".join(rows))
    assert list(obstacles(root, POOL)) == []
    relocate_tree(root, POOL, NEW)
    rows[1] = row("../../../bin/tool", script.format(NEW))
    rows[3] = row(f"{NEW}/usr/bin/tool", script.format(NEW))
    found = after(root, f"{site}/a-1.dist-info/RECORD").read_bytes().decode()
    assert found.split("\r\n") == rows
