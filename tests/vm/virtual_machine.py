# SPDX-License-Identifier: BSD-3-Clause
"""A virtual machine that is configured like Flatcar, from Debian's packages.

debootstrap fills its root once, and the images of it stay in a cache: the directory of
FLATCAR_PREFIX_VM_CACHE, or ``flatcar-prefix/vm`` in the user's cache. /usr is a read-only file
system of its own, and os-release says ``ID=flatcar``. QEMU emulates the machine. At each boot,
the machine runs the script ``scenario`` of its third disk on the console, which is a log here.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
sys.path.insert(0, os.fspath(HERE.parent / "merge"))

import merging  # this import needs the directory above

PACKAGES = ("systemd", "systemd-sysv", "linux-image-cloud-amd64", "initramfs-tools", "udev")

MORE: Mapping[str, tuple[str, ...]] = {
    "trixie": ("libcryptsetup12", "libssl3t64", "systemd-container", "dbus", "gpg")
}
"""Further packages by suite: libraries for dm-verity, which systemd loads if they are there,
systemd-sysupdate, and the program that verifies signatures."""

MODULES = ("virtio_pci", "virtio_blk", "ext4", "squashfs", "crc32c", "crc32c_generic")
"""The kernel modules that the initial RAM disk needs to mount both file systems."""

ACCELERATOR = os.environ.get("FLATCAR_PREFIX_VM_ACCEL", "tcg,thread=multi")
"""QEMU's emulation works everywhere. ``kvm`` is faster where it works."""

RESTART, BOOTS = 77, 3
"""The exit code of a script to restart the machine, and the most boots of a machine."""

UNUSED = (
    "usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/info", "usr/share/zoneinfo",
    "var/cache/apt", "var/lib/apt", "var/log",
)  # fmt: skip

FILES: Mapping[str, str] = {
    "usr/lib/os-release": merging.FLATCAR,
    "etc/fstab": "/dev/vda / ext4 rw 0 0\n/dev/vdb /usr squashfs ro 0 0\n",
    "etc/hostname": "guest\n",
    "etc/machine-id": "0123456789abcdef0123456789abcdef\n",
    "etc/run-scenario": """\
#!/bin/sh
mount -o ro /dev/vdc /mnt
while [ "$(systemctl is-system-running)" = starting ]; do sleep 1; done
sh /mnt/scenario >/dev/ttyS0 2>&1 </dev/null
code=$?
echo "=== the scenario ended with ${code}" >/dev/ttyS0
if [ "${code}" = 77 ]; then systemctl reboot; else systemctl poweroff; fi
""",
    "etc/systemd/system/run-scenario.service": """\
[Unit]
After=ensure-sysext.service
[Service]
ExecStart=/bin/sh /etc/run-scenario
[Install]
WantedBy=multi-user.target
""",
    # Flatcar has a unit with this name that does the same: systemd reads the units of images.
    "etc/systemd/system/ensure-sysext.service": """\
[Unit]
After=systemd-sysext.service
DefaultDependencies=no
Before=shutdown.target
Conflicts=shutdown.target
[Service]
Type=oneshot
RemainAfterExit=yes
ExecStart=/bin/systemctl daemon-reload
ExecStart=/bin/systemctl restart --no-block sockets.target timers.target multi-user.target
[Install]
WantedBy=sysinit.target
""",
}

SETTLE = """\
set -eu
useradd --create-home --shell /bin/sh core
systemctl enable systemd-sysext.service run-scenario.service ensure-sysext.service
systemctl mask serial-getty@ttyS0.service getty@tty1.service systemd-networkd-wait-online.service
sed -i 's/^MODULES=.*/MODULES=list/' /etc/initramfs-tools/initramfs.conf
printf '%s\\n' {modules} >>/etc/initramfs-tools/modules
update-initramfs -u
"""


@dataclass(frozen=True)
class Images:
    """The files that QEMU boots."""

    kernel: Path
    initrd: Path
    root: Path
    usr: Path


def cache_dir() -> Path:
    given = os.environ.get("FLATCAR_PREFIX_VM_CACHE")
    home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return Path(given) if given else home / "flatcar-prefix/vm"


def images(suite: str) -> Images:
    """Return the images of a machine with Debian's ``suite``, from the cache or made now."""
    recipe = repr(
        (suite, PACKAGES, MORE.get(suite), MODULES, UNUSED, sorted(FILES.items()), SETTLE)
    )
    place = cache_dir() / f"{suite}-{hashlib.sha256(recipe.encode()).hexdigest()[:12]}"
    found = Images(*(place / name for name in ("vmlinuz", "initrd", "root.ext4", "usr.squashfs")))
    if not place.is_dir():
        place.parent.mkdir(parents=True, exist_ok=True)
        for old in place.parent.glob(f"{suite}-*"):
            shutil.rmtree(old)
        with tempfile.TemporaryDirectory(dir=place.parent) as temporary:
            made = Path(temporary, "images")
            made.mkdir()
            _make(suite, Path(temporary, "tree"), made)
            made.rename(place)
    return found


def _make(suite: str, tree: Path, made: Path) -> None:
    packages = ",".join((*PACKAGES, *MORE.get(suite, ())))
    words = ["debootstrap", "--variant=minbase", f"--include={packages}"]
    _run(*words, suite, tree, *merging.mirror())
    for name, text in FILES.items():
        (tree / name).write_text(text)
    _run("chroot", tree, "sh", "-c", SETTLE.format(modules=" ".join(MODULES)))
    for name in UNUSED:
        shutil.rmtree(tree / name, ignore_errors=True)
    for start, name in (("vmlinuz-", "vmlinuz"), ("initrd.img-", "initrd")):
        (newest,) = (tree / "boot").glob(f"{start}*")
        shutil.copy(newest, made / name)
    shutil.rmtree(tree / "boot")
    _run("mksquashfs", tree / "usr", made / "usr.squashfs", "-comp", "zstd", "-Xcompression-level",
         "3", "-quiet", "-no-progress")  # fmt: skip
    shutil.rmtree(tree / "usr")
    for name in ("usr", "var/log", "boot"):
        (tree / name).mkdir(exist_ok=True)
    _run("mke2fs", "-q", "-t", "ext4", "-O", "^metadata_csum", "-d", tree, made / "root.ext4",
         "512M")  # fmt: skip


def _run(*words: str | os.PathLike[str], **more: object) -> None:
    path = os.environ["PATH"] + ":/usr/sbin:/sbin"
    result = subprocess.run(
        words, env={**os.environ, "PATH": path}, capture_output=True, text=True, errors="replace"
    )
    assert result.returncode == 0, f"{words}\n{result.stdout[-4000:]}{result.stderr[-4000:]}"


def boot(
    of: Images, *, scenario: str, files: Mapping[str, Path], work: Path, log: Path, timeout: int
) -> str:
    """Boot a machine until it powers off, and return the output of its console.

    ``scenario`` is a file in ``guest/``. ``files`` and directories go to /mnt in the machine, with the
    files of ``guest/``. The script ends with 77 to restart the machine: it then runs again. ``log`` receives the console, and stays.
    ``timeout`` is in seconds and for each boot.
    """
    work.mkdir(exist_ok=True)
    disk = work / "disk"
    disk.mkdir()
    shutil.copy(HERE / "guest" / scenario, disk / "scenario")
    for path in (HERE / "guest").iterdir():
        shutil.copy(path, disk)
    for name, source in files.items():
        copy = shutil.copytree if source.is_dir() else shutil.copy
        copy(source, disk / name)
    size = sum(path.stat().st_size for path in disk.rglob("*")) // 2**20 + 32
    _run("mke2fs", "-q", "-t", "ext4", "-d", disk, work / "disk.ext4", f"{size}M")
    _run("cp", "--sparse=always", of.root, work / "root.ext4")
    log.parent.mkdir(parents=True, exist_ok=True)
    drives = (f"{work}/root.ext4", f"{of.usr},readonly=on", f"{work}/disk.ext4,readonly=on")
    words = [
        *("qemu-system-x86_64", "-accel", ACCELERATOR, "-cpu", "max"),
        *("-smp", "2", "-m", "1024", "-nic", "none", "-display", "none", "-no-user-config"),
        *("-kernel", os.fspath(of.kernel), "-initrd", os.fspath(of.initrd)),
        "-append",
        "root=/dev/vda rw console=ttyS0 systemd.show_status=0 loglevel=3 no_timer_check panic=-1",
        *(word for each in drives for word in ("-drive", f"file={each},if=virtio,format=raw")),
        *("-chardev", f"file,id=console,path={log},append=on", "-serial", "chardev:console"),
        *("-monitor", "none", "-no-reboot"),
    ]
    log.unlink(missing_ok=True)
    for number in range(1, BOOTS + 1):
        try:
            subprocess.run(words, stdin=subprocess.DEVNULL, timeout=timeout, check=True)
        except subprocess.TimeoutExpired:
            said = log.read_text(errors="replace")[-3000:]
            raise AssertionError(f"the machine did not end; see {log}: {said}") from None
        console = log.read_text(errors="replace").replace("\r", "")
        if console.count(f"ended with {RESTART}\n") < number:
            break
    return console


def results(console: str) -> dict[str, bool]:
    """Return the result of each check of a scenario."""
    found = re.findall(r"^(ok|not ok) (.*?)(?: \(.*\))?$", console, re.MULTILINE)
    return {name: word == "ok" for word, name in found}


def passed(console: str, wanted: int) -> None:
    """All checks of a scenario passed. A script that ends early leaves checks out."""
    found = results(console)
    assert [name for name, passed in found.items() if not passed] == [], console[-6000:]
    assert "the scenario is complete" in console, console[-3000:]
    assert len(found) == wanted, sorted(found)
