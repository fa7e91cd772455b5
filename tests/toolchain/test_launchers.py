# SPDX-License-Identifier: BSD-3-Clause
"""ccache and distcc work through the compiler names of a prefix. Both are the real programs."""

from __future__ import annotations

import os
import pwd
import re
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from machine import InUse, Overlay

pytestmark = [pytest.mark.e2e, pytest.mark.needs_root, pytest.mark.needs_namespaces]

SOURCE = "int number(void) { return 42; }\n"

BUILD = """
src_compile() {
	printf 'int number(void) { return 42; }\\n' > number.c || die
	"${CC}" -c -o number.o number.c || die
}
src_install() {
	insinto /usr/share/launched
	doins number.o
}
"""


def compiler(prefix: InUse) -> Path:
    return prefix.staging_dir / "tools/bin/x86_64-cros-linux-gnu-gcc"


def compile_once(prefix: InUse, directory: Path, **env: str) -> bytes:
    source, out = directory / "number.c", directory / "number.o"
    source.write_text(SOURCE)
    subprocess.run(
        [compiler(prefix), "-c", "-o", out, source],
        check=True,
        env={"PATH": os.environ["PATH"], "HOME": os.fspath(directory), **env},
    )
    return out.read_bytes()


def hits(cache: Path) -> int:
    said = subprocess.run(
        ["ccache", "--print-stats"],
        capture_output=True,
        text=True,
        check=True,
        env={"PATH": os.environ["PATH"], "CCACHE_DIR": os.fspath(cache)},
    ).stdout
    found = dict(line.split("\t") for line in said.splitlines())
    return int(found["direct_cache_hit"]) + int(found["preprocessed_cache_hit"])


class Helper(NamedTuple):
    """A distccd on the loopback interface, which may run the plain compiler only."""

    hosts: str
    log: Path

    def has_compiled(self, count: int) -> bool:
        """Return whether the helper compiled so many files. It writes its log after it answers."""
        end = time.monotonic() + 10
        while self._compiled() < count and time.monotonic() < end:
            time.sleep(0.1)
        return self._compiled() == count

    def _compiled(self) -> int:
        return len(re.findall(r"COMPILE_OK", self.log.read_text()))


@pytest.fixture
def helper(tmp_path: Path) -> Iterator[Helper]:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = tmp_path / "distccd.log"
    # The machine may let only root write to /tmp.
    temporary = Path(tempfile.mkdtemp(prefix="fp-distccd-", dir="/var/tmp"))
    os.chown(temporary, *pwd.getpwnam("nobody")[2:4])
    daemon = subprocess.Popen(
        [
            *(shutil.which("distccd") or "/usr/bin/distccd", "--no-detach", "--daemon"),
            *("--allow", "127.0.0.1", "--listen", "127.0.0.1", "--port", str(port)),
            *("--log-stderr", "--jobs", "2", "--user", "nobody"),
        ],
        stderr=log.open("w"),
        env={**os.environ, "TMPDIR": os.fspath(temporary)},
    )
    try:
        for _ in range(100):
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        yield Helper(f"127.0.0.1:{port}", log)
    finally:
        daemon.terminate()
        daemon.wait()
        shutil.rmtree(temporary)


def test_ccache_is_used_and_changes_no_byte(imported_prefix: InUse, tmp_path: Path) -> None:
    cache = tmp_path / "ccache"
    env = {"FLATCAR_PREFIX_COMPILER_LAUNCHER": "ccache", "CCACHE_DIR": os.fspath(cache)}
    plain = compile_once(imported_prefix, tmp_path)
    assert compile_once(imported_prefix, tmp_path, **env) == plain
    assert hits(cache) == 0
    assert compile_once(imported_prefix, tmp_path, **env) == plain
    assert hits(cache) == 1


def test_distcc_compiles_on_the_helper_and_changes_no_byte(
    imported_prefix: InUse, tmp_path: Path, helper: Helper
) -> None:
    plain = compile_once(imported_prefix, tmp_path)
    (tmp_path / "distcc").mkdir()
    distributed = compile_once(
        imported_prefix,
        tmp_path,
        FLATCAR_PREFIX_COMPILER_LAUNCHER="distcc",
        DISTCC_HOSTS=helper.hosts,
        DISTCC_FALLBACK="0",
        DISTCC_DIR=os.fspath(tmp_path / "distcc"),
    )
    assert distributed == plain
    assert helper.has_compiled(1)


def test_a_helper_that_is_gone_leaves_the_work_to_this_machine(
    imported_prefix: InUse, tmp_path: Path
) -> None:
    plain = compile_once(imported_prefix, tmp_path)
    (tmp_path / "distcc").mkdir()
    env = {
        "FLATCAR_PREFIX_COMPILER_LAUNCHER": "distcc",
        "DISTCC_HOSTS": "127.0.0.1:1",
        "DISTCC_DIR": os.fspath(tmp_path / "distcc"),
    }
    assert compile_once(imported_prefix, tmp_path, **env) == plain


def test_features_choose_ccache_in_a_build(
    imported_prefix: InUse, overlay: Overlay, tmp_path: Path
) -> None:
    cached = overlay.ebuild("test-launch/cached-1", body=BUILD)
    cache = tmp_path / "ccache"
    cache.mkdir(mode=0o777)
    cache.chmod(0o777)
    env = {"FEATURES": "ccache", "CCACHE_DIR": os.fspath(cache)}
    for wanted in (0, 1):
        imported_prefix.install("--stage", "--oneshot", cached, env=env)
        assert hits(cache) == wanted
