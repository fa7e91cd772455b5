# SPDX-License-Identifier: BSD-3-Clause
"""Staging takes the packages of a pool that fit, and refuses those that nobody vouches for."""

from __future__ import annotations

import gzip
import os
import re
import shutil
import subprocess
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from machine import InUse, Machine, Overlay, two_lines
from pooling import TEXT, packages, pool_of, short_machine

from flatcar_prefix.binhost import keyring

pytestmark = pytest.mark.e2e


@pytest.fixture(scope="module")
def machine() -> Iterator[Machine]:
    with short_machine() as found:
        yield found


@pytest.fixture(scope="module")
def overlay(machine: Machine) -> Overlay:
    return packages(machine, ("base", "edited", "patched", "flagged", "extra"))


@pytest.fixture(scope="module")
def pool(machine: Machine, overlay: Overlay) -> InUse:
    return pool_of(machine, overlay, ("top", "edited", "patched", "flagged", "extra"))


@pytest.fixture(scope="module")
def consumer(machine: Machine, overlay: Overlay, pool: InUse) -> InUse:
    command = machine.setup_command(
        "--bootstrap=none", f"--custom_ebuild_overlays={overlay.path}", "taker", "/opt/taker"
    )
    said = machine.ok(*command)
    assert said.stdout.count("packages that fit come from shared-amd64-usr") == 1
    return InUse(machine, "taker", "/opt/taker")


def test_a_pool_of_this_machine_is_used_without_being_asked(consumer: InUse, pool: InUse) -> None:
    before = {path.read_bytes() for path in pool.binaries("test-pool/base-1")}
    said = consumer.install("test-pool/top").stdout
    assert said.count(">>> Emerging binary (") == 4, said  # two packages, two roots
    assert ">>> Emerging (" not in said
    for kind in ("staging", "final"):
        assert consumer.installed(kind) == {"test-pool/base-1", "test-pool/top-1"}
        text = (consumer.eroot(kind) / "usr/share/test-pool/base").read_text()
        assert text.startswith("/opt/taker/usr/share of")
    # The signed file is kept as it is.
    assert before == {path.read_bytes() for path in consumer.binaries("test-pool/base-1")}
    again = consumer.install("--stage", "--pretend", "test-pool/top").stdout
    assert "[binary" in again and "[ebuild" not in again


def test_what_differs_is_built_from_source(
    consumer: InUse, overlay: Overlay, machine: Machine
) -> None:
    config = consumer.config("staging")
    (config / "package.use/zz-user").write_text("test-pool/extra extra\n")
    patch = config / "patches/test-pool/patched/a.patch"
    patch.parent.mkdir(parents=True)
    patch.write_text("--- a\n+++ b\n")
    (config / "env").mkdir(exist_ok=True)
    (config / "env/slow").write_text('CFLAGS="-O0"\n')
    (config / "package.env").mkdir(exist_ok=True)
    (config / "package.env/zz-user").write_text("test-pool/flagged slow\n")
    overlay.ebuild("test-pool/edited-1", f"{TEXT}\n# edited\n", iuse="extra")
    overlay.ebuild("test-pool/new-1", TEXT)
    names = ["base", "edited", "patched", "flagged", "extra", "new"]
    said = consumer.install("--stage", "--pretend", *(f"test-pool/{n}" for n in names)).stdout
    kinds = {
        name: kind for kind, name in re.findall(r"\[(binary|ebuild).*?test-pool/(\w+)-1", said)
    }
    assert kinds == {**dict.fromkeys(names, "ebuild"), "base": "binary"}, said
    reasons = dict(re.findall(r"test-pool/(\w+)-1 is built from source; .*?: (.*)", said))
    assert reasons["edited"] == "other ebuild"
    assert reasons["patched"] == "other patches"
    assert reasons["flagged"] == "other compiler flags"
    assert "new" not in reasons and "base" not in reasons


def test_a_package_that_was_built_here_is_built_again(consumer: InUse, overlay: Overlay) -> None:
    overlay.ebuild("test-pool/mine-1", TEXT)
    consumer.install("--stage", "test-pool/mine")
    said = consumer.install("--stage", "--pretend", "test-pool/mine").stdout
    assert "[ebuild" in said and "[binary" not in said


def test_none_builds_everything(machine: Machine, overlay: Overlay, pool: InUse) -> None:
    said = machine.ok(*machine.setup_command(
        "--bootstrap=none", "--binhost=none", f"--custom_ebuild_overlays={overlay.path}",
        "alone", "/opt/alone",
    ))  # fmt: skip
    assert "packages that fit" not in said.stdout
    plan = InUse(machine, "alone", "/opt/alone").install("--stage", "-p", "test-pool/base").stdout
    assert "[ebuild" in plan and "[binary" not in plan


class Served:
    """A copy of the pool that a web server of the standard library publishes."""

    def __init__(self, directory: Path, source: Path) -> None:
        self.directory = directory
        self._source = source
        self._time = 0
        self.fetched = 0
        handler = partial(_Handler, self, directory=str(directory))
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def publish(self) -> None:
        """Publish the pool as it is."""
        shutil.rmtree(self.directory, ignore_errors=True)
        shutil.copytree(self._source, self.directory)
        self.index(lambda text: text)

    def package(self, name: str) -> Path:
        (found,) = self.directory.glob(f"test-pool/{name}/*.gpkg.tar")
        return found

    def index(self, change: Callable[[str], str]) -> None:
        """Change the index, and make it newer than all before."""
        path = self.directory / "Packages"
        text = change(path.read_text())
        now = int(re.search(r"^TIMESTAMP: (\d+)", text, re.MULTILINE)[1])  # type: ignore[index]
        self._time = max(self._time + 1, now)
        text = re.sub(r"^TIMESTAMP: \d+", f"TIMESTAMP: {self._time}", text, flags=re.MULTILINE)
        path.write_text(text)
        compressed = self.directory / "Packages.gz"
        compressed.write_bytes(gzip.compress(text.encode()))
        # The server compares the time of the file with If-Modified-Since, which is the second of
        # the last fetch.
        later = int(time.time()) + 1
        for file in (path, compressed):
            os.utime(file, (later, later))


class _Handler(SimpleHTTPRequestHandler):
    def __init__(self, served: Served, *args: object, **kwargs: object) -> None:
        self.served = served
        super().__init__(*args, **kwargs)  # type: ignore[arg-type]

    def log_message(self, *_: object) -> None:
        pass

    def end_headers(self) -> None:
        # The file's time has whole seconds only; the index has its own time.
        self._headers_buffer = [
            line for line in self._headers_buffer if not line.startswith(b"Last-Modified")
        ]
        super().end_headers()


@pytest.fixture(scope="module")
def served(machine: Machine, pool: InUse) -> Iterator[Served]:
    found = Served(machine.base / "www", pool.staging_dir / "pkgs")
    found.publish()
    yield found
    found.server.shutdown()


@pytest.fixture(scope="module")
def remote(machine: Machine, overlay: Overlay, pool: InUse, served: Served) -> InUse:
    """A prefix like one on another machine: it knows the URL and the key of the pool only."""
    key = pool.staging_dir / "pkgs/pool-key.asc"
    machine.ok(*machine.setup_command(
        "--bootstrap=none", f"--binhost={served.url}", f"--binhost-key={key}",
        f"--custom_ebuild_overlays={overlay.path}", "remote", "/opt/remote",
    ))  # fmt: skip
    return InUse(machine, "remote", "/opt/remote")


def altered(served: Served) -> None:
    """Change one byte of the content, and the checksums of the index with it."""
    path = served.package("top")
    with tarfile.open(path) as parts:
        (image,) = (part for part in parts if part.name.endswith("image.tar.zst"))
    data = bytearray(path.read_bytes())
    data[image.offset_data + image.size // 2] ^= 1
    path.write_bytes(data)
    reindex(served, "top")


def reindex(served: Served, name: str) -> None:
    """Write the checksums of a changed package into the index, as an attacker would."""
    path = served.package(name)
    sums = {
        key: subprocess.run([program, path], capture_output=True, text=True, check=True)
        .stdout.split()[0]
        for key, program in (("MD5", "md5sum"), ("SHA1", "sha1sum"))
    }  # fmt: skip
    sums["SIZE"] = str(path.stat().st_size)

    def change(text: str) -> str:
        blocks = text.split("\n\n")
        for number, block in enumerate(blocks):
            if f"CPV: test-pool/{name}-1" in block:
                for key, value in sums.items():
                    block = re.sub(rf"^{key}: .*$", f"{key}: {value}", block, flags=re.MULTILINE)
                blocks[number] = block
        return "\n\n".join(blocks)

    served.index(change)


def unsigned(served: Served) -> None:
    """Take all signatures out of a package."""
    path = served.package("top")
    with TemporaryDirectory() as directory:
        subprocess.run(["tar", "-xf", path, "-C", directory], check=True)
        (inside,) = Path(directory).iterdir()
        for signature in inside.glob("*.sig"):
            signature.unlink()
        manifest = inside / "Manifest"
        lines = [line for line in manifest.read_text().splitlines() if line.startswith("DATA ")]
        lines = [line for line in lines if ".sig " not in line]
        manifest.write_text("\n".join(lines) + "\n")
        names = ["gpkg-1", "metadata.tar.zst", "image.tar.zst", "Manifest"]
        members = [f"{inside.name}/{name}" for name in names]
        subprocess.run(["tar", "-cf", path, "-C", directory, *members], check=True)
    reindex(served, "top")


def truncated(served: Served) -> None:
    path = served.package("top")
    path.write_bytes(path.read_bytes()[:-4096])


def exchanged(served: Served) -> None:
    """Serve another package under the name; its signature is valid."""
    shutil.copyfile(served.package("base"), served.package("top"))
    reindex(served, "top")


def lying(served: Served) -> None:
    """Let the index describe another build than the packages contain."""
    served.index(lambda text: re.sub(r"^BUILD_TIME: \d", "BUILD_TIME: 9", text, flags=re.MULTILINE))


def missing(served: Served) -> None:
    served.package("top").unlink()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (altered, "its signature does not match its content"),
        (unsigned, "not signed"),
        (truncated, "not fetched, or does not match the index"),
        (exchanged, "the file contains test-pool/base-1"),
        (lying, "BUILD_TIME in the index differs"),
        (missing, "not fetched"),
    ],
)
def test_a_bad_package_is_named_and_nothing_is_installed(
    remote: InUse, served: Served, change: Callable[[Served], None], reason: str
) -> None:
    served.publish()
    change(served)
    said = remote.emerge("--stage", "test-pool/base", "test-pool/top")
    assert said.returncode == 1, said.stdout + said.stderr
    assert re.search(rf"the binary package test-pool/top-1 was refused: .*({reason})", said.stderr)
    assert "Traceback" not in said.stdout + said.stderr
    assert remote.installed("staging") == set()
    assert remote.binaries("test-pool/top-1") == []
    assert list((remote.staging_dir / "pkgs").rglob("*.partial*")) == []


def test_another_key_is_refused(
    machine: Machine, overlay: Overlay, served: Served, pool: InUse
) -> None:
    machine.ok(*machine.setup_command("--bootstrap=none", "--pool", "other"))
    key = machine.staging("other") / "pkgs/pool-key.asc"
    served.publish()
    prefix = machine.setup(
        "stranger", f"--binhost={served.url}", f"--binhost-key={key}",
        f"--custom_ebuild_overlays={overlay.path}", eprefix="/opt/stranger",
    )  # fmt: skip
    said = prefix.emerge("--stage", "test-pool/base")
    assert said.returncode == 1
    assert "it is signed with the key" in said.stderr, said.stdout + said.stderr
    assert "--binhost-key" in said.stderr
    assert prefix.installed("staging") == set()

    # The right key, given later, is enough.
    right = pool.staging_dir / "pkgs/pool-key.asc"
    added = machine.fp("binhost", "stranger", "add", served.url, f"--binhost-key={right}")
    assert added.returncode == 0, added.stderr
    prefix.install("--stage", "test-pool/base")
    assert prefix.installed("staging") == {"test-pool/base-1"}

    (line,) = machine.fp("binhost", "stranger").stdout.splitlines()
    name, url, how = line.split(" ", 2)
    assert url == served.url and len(how.split()) == 3  # verified, and two keys
    assert machine.fp("binhost", "stranger", "remove", name).returncode == 0
    assert not keyring.trusted(machine.staging("stranger") / "keyring")


def test_a_good_pool_is_installed_over_http(remote: InUse, served: Served) -> None:
    served.publish()
    said = remote.install("test-pool/top").stdout
    assert ">>> Emerging (" not in said
    assert remote.installed("final") == {"test-pool/base-1", "test-pool/top-1"}


def test_without_a_key_the_user_learns_what_to_do(machine: Machine, served: Served) -> None:
    said = machine.try_setup(
        "--bootstrap=none", f"--binhost={served.url}", "trusting", "/opt/trusting"
    )
    assert said.returncode == 2
    what, hint = two_lines(said)
    assert what == f"there is no key to verify the packages of {served.url}"
    assert "--binhost-key=FILE" in hint
    assert not machine.staging("trusting").exists()
