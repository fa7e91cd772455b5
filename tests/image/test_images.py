# SPDX-License-Identifier: BSD-3-Clause
"""The images, as read by the kernel and by each format's own checker."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import time
import traceback
from pathlib import Path

import pytest
import shipping_prefix

from flatcar_prefix.errors import PrefixError
from flatcar_prefix.image import selection as selection_module
from flatcar_prefix.image.build import sysext
from flatcar_prefix.image.formats.table import FORMATS
from flatcar_prefix.prefix.model import Prefix

IMAGES = ("squashfs", "erofs", "ext4", "btrfs")
INSIDE = shipping_prefix.EPREFIX.lstrip("/")
RELEASE = "usr/lib/extension-release.d/extension-release.test"

CHECKERS = {
    "squashfs": ["unsquashfs", "-stat"],
    "erofs": ["fsck.erofs"],
    "ext4": ["e2fsck", "-f", "-n"],
    "btrfs": ["btrfs", "check"],
}


def make(prefix: Prefix, directory: Path, form: str, **options: object) -> Path:
    directory.mkdir(exist_ok=True)
    name = "test" + FORMATS[form].suffix
    return sysext(prefix, directory / name, format=form, verify=False, **options)


def digest(path: Path) -> str:
    if path.is_file():
        return hashlib.sha256(path.read_bytes()).hexdigest()
    whole = hashlib.sha256()
    for file in [path, *sorted(path.rglob("*"))]:
        status = file.lstat()
        text = f"{file.relative_to(path)} {status.st_mode} {status.st_mtime_ns} {status.st_uid}"
        whole.update(text.encode())
        if file.is_symlink():
            whole.update(os.readlink(file).encode())
        elif file.is_file():
            whole.update(file.read_bytes())
    return whole.hexdigest()


def listing(image: Path, form: str, tmp_path: Path) -> dict[str, tuple[str, ...]]:
    """Return the kernel's view of an image: mode, owner, time, size, links, content or target."""
    script = """
        mount -o ro,loop "$1" "$2"
        cd "$2"
        find . -mindepth 1 ! -name lost+found \
            -printf '%P\\t%m\\t%U\\t%G\\t%T@\\t%y\\t%n\\t%l\\n' >"$3"
        find . -type f -print0 | xargs -0 sha256sum >"$3.sums"
    """
    mount = tmp_path / "mnt"
    mount.mkdir(exist_ok=True)
    out = tmp_path / "listing"
    subprocess.run(
        ["unshare", "--mount", "sh", "-euc", script, "sh", image, mount, out], check=True
    )
    sums = dict(
        reversed(line.split("  ./"))
        for line in (tmp_path / "listing.sums").read_text().splitlines()
    )
    found = {}
    for line in out.read_text().splitlines():
        name, mode, uid, gid, when, kind, links, target = line.split("\t")
        if kind == "d":
            links = "-"
        found[name] = (
            mode,
            uid,
            gid,
            str(int(float(when))),
            kind,
            links,
            target,
            sums.get(name, ""),
        )
    return found


@pytest.fixture(scope="module")
def expected(shipped: Prefix) -> dict[str, tuple[str, ...]]:
    """Return the same data of the selection."""
    chosen = selection_module.select(shipped.final.path, shipped.eprefix)
    found = {}
    old = str(shipping_prefix.OLD)
    for entry in chosen.entries:
        kind = "d" if entry.is_dir else "l" if entry.is_link else "f"
        links = "-" if entry.is_dir else "2" if entry.inode else "1"
        content = hashlib.sha256(entry.read()).hexdigest() if entry.is_file else ""
        mode = f"{entry.permissions:o}"
        found[entry.path] = (mode, "0", "0", old, kind, links, entry.target, content)
    return found


@pytest.mark.needs_root
@pytest.mark.parametrize("form", IMAGES)
def test_an_image_holds_exactly_what_was_chosen(
    shipped: Prefix, tmp_path: Path, form: str, expected: dict[str, tuple[str, ...]]
) -> None:
    image = make(shipped, tmp_path / "out", form)
    found = listing(image, form, tmp_path)
    content = found.pop(RELEASE)
    for directory in ("usr/lib", "usr/lib/extension-release.d"):
        assert found.pop(directory)[:5] == ("755", "0", "0", str(shipping_prefix.OLD), "d")
    if form == "btrfs":  # mkfs.btrfs turns two hard links into two files.
        found, wanted = ({k: (*v[:5], *v[6:]) for k, v in d.items()} for d in (found, expected))
        assert found == wanted
    else:
        assert found == expected
    assert (
        content[-1] == hashlib.sha256(b"ID=_any\nARCHITECTURE=x86-64\nSYSEXT_ID=test\n").hexdigest()
    )


@pytest.mark.parametrize("form", IMAGES)
def test_an_image_is_sound_to_its_own_checker(shipped: Prefix, tmp_path: Path, form: str) -> None:
    image = make(shipped, tmp_path / "out", form)
    path = os.environ["PATH"] + ":/usr/sbin:/sbin"
    result = subprocess.run(
        [*CHECKERS[form], image], env={"PATH": path}, capture_output=True, text=True
    )
    assert result.returncode == 0, result.stdout + result.stderr


@pytest.mark.parametrize("form", FORMATS)
def test_the_same_final_gives_the_same_bytes_in_another_directory_at_another_time(
    own_prefix: Prefix, tmp_path: Path, form: str
) -> None:
    first = make(own_prefix, tmp_path / "one", form)
    time.sleep(1.1)
    again = shipping_prefix.copied(own_prefix, tmp_path / "elsewhere")
    second = make(again, tmp_path / "two", form)
    assert digest(first) == digest(second)
    # SHA256SUMS has the same digest, and the manifest contains neither directory nor time.
    for name in ("test.manifest.json", "SHA256SUMS"):
        assert digest(tmp_path / "one" / name) == digest(tmp_path / "two" / name)


@pytest.mark.needs_root
@pytest.mark.parametrize("form", [*IMAGES, "tar"])
def test_an_ordinary_user_gets_the_same_bytes_as_root(
    own_prefix: Prefix, tmp_path: Path, form: str
) -> None:
    first = make(own_prefix, tmp_path / "root", form)
    theirs = shipping_prefix.copied(own_prefix, tmp_path / "theirs")
    closed = theirs.final.eroot / "var/cache/edb"
    for path in [tmp_path, *tmp_path.parents[:3], *tmp_path.rglob("*")]:
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | (0o555 if path.is_dir() else 0o444))
    closed.chmod(0)
    out = tmp_path / "user"
    out.mkdir()
    shutil.chown(out, 65534, 65534)
    pid = os.fork()
    if not pid:
        code = 1
        try:
            os.setgroups([])
            os.setresgid(65534, 65534, 65534)
            os.setresuid(65534, 65534, 65534)
            make(theirs, out, form)
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    assert os.waitpid(pid, 0)[1] == 0
    assert digest(first) == digest(out / first.name)
    for name in ("test.manifest.json", "SHA256SUMS"):
        assert digest(tmp_path / "root" / name) == digest(out / name)


@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("epoch", [0, 1, 4_000_000_000])
def test_the_clock_is_nowhere_in_an_image_of_any_time(
    own_prefix: Prefix, tmp_path: Path, form: str, epoch: int
) -> None:
    first = make(own_prefix, tmp_path / "one", form, epoch=epoch)
    time.sleep(1.1)
    second = make(own_prefix, tmp_path / "two", form, epoch=epoch)
    assert digest(first) == digest(second)


@pytest.mark.parametrize("form", FORMATS)
def test_no_file_is_newer_than_source_date_epoch(
    own_prefix: Prefix, tmp_path: Path, form: str
) -> None:
    new = own_prefix.final.eroot / "usr/bin/new"
    new.write_text("new")
    first = make(own_prefix, tmp_path / "one", form, epoch=shipping_prefix.OLD + 5)
    os.utime(new, None)
    second = make(own_prefix, tmp_path / "two", form, epoch=shipping_prefix.OLD + 5)
    assert digest(first) == digest(second)
    third = make(own_prefix, tmp_path / "three", form, epoch=shipping_prefix.OLD + 6)
    assert digest(first) != digest(third)
    assert own_prefix.final.eroot.joinpath("usr/bin/new").stat().st_mtime > shipping_prefix.OLD + 9


def test_a_file_older_than_source_date_epoch_keeps_its_time(
    own_prefix: Prefix, tmp_path: Path
) -> None:
    """Otherwise Python would compile every module again at each start."""
    image = make(own_prefix, tmp_path / "out", "tar", epoch=shipping_prefix.OLD + 500)
    with tarfile.open(image) as archive:
        member = archive.getmember(f"{INSIDE}/usr/bin/hello-script")
        directory = archive.getmember(f"{INSIDE}/usr/bin")
    assert member.mtime == shipping_prefix.OLD
    assert directory.mtime == shipping_prefix.OLD + 500


def test_two_names_of_a_file_stay_two_names_in_a_tar(own_prefix: Prefix, tmp_path: Path) -> None:
    with tarfile.open(make(own_prefix, tmp_path / "out", "tar")) as archive:
        links = [member for member in archive if member.islnk()]
    assert [link.name.rpartition("/")[2] for link in links] == ["ünïcode"]
    assert links[0].linkname.endswith("second name")


def test_a_directory_shares_no_file_with_the_prefix(own_prefix: Prefix, tmp_path: Path) -> None:
    image = make(own_prefix, tmp_path / "out", "directory")
    shipped_file = image / INSIDE / "etc/hello.conf"
    assert not shipped_file.samefile(own_prefix.final.eroot / "etc/hello.conf")
    assert shipped_file.read_text() == "etc/hello.conf\n"


XATTRS = """
import os, sys
for name in sys.argv[2:]:
    path = os.path.join(sys.argv[1], name)
    print(*(f"{x}={os.getxattr(path, x).hex()}" for x in os.listxattr(path) if "selinux" not in x))
"""

MOUNTED = {
    "directory": 'mount --bind "$1" "$2"',
    "tar": 'tar -xf "$1" -C "$2" --xattrs --xattrs-include=\'*\'',
}


@pytest.mark.needs_root
@pytest.mark.parametrize("form", FORMATS)
def test_a_capability_is_shipped_and_no_other_attribute(
    own_prefix: Prefix, tmp_path: Path, form: str
) -> None:
    names = ("usr/bin/hello-script", "etc/hello.conf", "usr/share/hello", "usr/share/hello/ünïcode")
    value = "0100000200200000000000000000000000000000"
    eroot = own_prefix.final.eroot
    os.setxattr(eroot / names[0], "security.capability", bytes.fromhex(value))
    for name in names:
        os.setxattr(eroot / name, "user.comment", b"mine")
        os.setxattr(eroot / name, "trusted.comment", b"mine")
    image = make(own_prefix, tmp_path / "out", form)
    mount = tmp_path / "mnt"
    mount.mkdir()
    script = MOUNTED.get(form, 'mount -o ro,loop "$1" "$2"') + '; shift 2; exec "$@"'
    words = ["unshare", "--mount", "sh", "-euc", script, "sh", image, mount]
    reader = [sys.executable, "-c", XATTRS, mount / INSIDE, *names]
    result = subprocess.run([*words, *reader], check=True, capture_output=True, text=True)
    assert result.stdout == f"security.capability={value}\n\n\n\n"


@pytest.mark.needs_root
@pytest.mark.parametrize("form", ["squashfs", "erofs"])
def test_an_attribute_that_no_copy_is_rid_of_is_refused(
    own_prefix: Prefix, tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Every file has a label on a machine with SELinux."""
    program = own_prefix.final.eroot / "usr/bin/hello-script"
    value = bytes.fromhex("0100000200200000000000000000000000000000")
    os.setxattr(program, "security.capability", value)
    monkeypatch.setattr(os, "listxattr", lambda *args, **options: ["security.selinux"])
    with pytest.raises(PrefixError, match=r"ships all attributes .* also security\.selinux"):
        make(own_prefix, tmp_path / "out", form)


def test_a_manifest_is_json_whatever_the_names_are(own_prefix: Prefix, tmp_path: Path) -> None:
    name = b"\xffodd\xfe\xc3"
    (own_prefix.final.eroot / os.fsdecode(b"usr/share/" + name)).write_text("x")
    make(own_prefix, tmp_path / "out", "tar", sbom="spdx")
    raw = (tmp_path / "out/test.manifest.json").read_bytes()
    unowned = json.loads(raw.decode("utf-8", "strict"))["unowned"]
    assert [os.fsencode(path).rpartition(b"/")[2] for path in unowned] == [name]


def test_nothing_is_written_to_the_prefix(own_prefix: Prefix, tmp_path: Path) -> None:
    def state() -> list[tuple[object, ...]]:
        paths = sorted(own_prefix.final_dir.rglob("*"))
        return [
            (p, s.st_mode, s.st_uid, s.st_size, s.st_mtime_ns, s.st_nlink)
            for p in paths
            if p != own_prefix.final.tmpdir and (s := p.lstat())
        ]

    before = state()
    for form in FORMATS:
        make(own_prefix, tmp_path / form, form, units=True, epoch=shipping_prefix.OLD - 1)
    assert state() == before


def test_without_hard_links_files_are_copied(
    own_prefix: Prefix, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = make(own_prefix, tmp_path / "one", "erofs")

    def refuse(*args: object, **options: object) -> None:
        raise PermissionError

    real = os.link
    monkeypatch.setattr(
        os,
        "link",
        lambda a, b, **o: refuse() if "/final/root/" in os.fspath(a) else real(a, b, **o),
    )
    second = make(own_prefix, tmp_path / "two", "erofs")
    assert digest(first) == digest(second)


def test_a_tool_that_is_not_installed_is_named_with_its_package(
    own_prefix: Prefix, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", os.fspath(tmp_path))
    monkeypatch.setattr("flatcar_prefix.system.programs.SBIN", ())
    with pytest.raises(PrefixError, match="mksquashfs") as error:
        make(own_prefix, tmp_path / "out", "squashfs")
    assert "squashfs-tools" in error.value.hint
    assert os.listdir(tmp_path / "out") == []


def test_the_image_is_smaller_for_what_is_left_out(own_prefix: Prefix, tmp_path: Path) -> None:
    whole = make(own_prefix, tmp_path / "one", "tar", keep=("portage", "devel", "docs", "cache"))
    part = make(own_prefix, tmp_path / "two", "tar")
    assert part.stat().st_size < whole.stat().st_size
    left = json.loads((tmp_path / "two/test.manifest.json").read_text())["left_out"]
    assert {"portage", "devel", "docs", "cache"} <= left.keys()
    assert left["docs"]["files"] > 0
    assert left["cache"].keys() == {"why"}
