# SPDX-License-Identifier: BSD-3-Clause
"""The worked example: a Python from source, in a prefix, on any system.

The tests need a prefix with dev-lang/python in final, which takes minutes to build:

    FLATCAR_PREFIX_TEST_PYTHON=my-stuff ./run-tests tests/examples/test_python.py

chooses it by its name or its staging directory.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import flatcar_prefix as fp
from flatcar_prefix.prefix.model import Prefix

CHECKOUT = Path(__file__).resolve().parents[2]
sys.path.insert(0, os.fspath(CHECKOUT / "tests/merge"))

import merging  # this import needs the directory above
from merging import Merged, Target

pytestmark = [pytest.mark.e2e, pytest.mark.needs_namespaces, pytest.mark.timeout(900)]

# Read it now: fixtures change this program's directories during tests.
ASKED = os.environ.get("FLATCAR_PREFIX_TEST_PYTHON", "")
BUILD_DIR = os.environ.get("FLATCAR_PREFIX_BUILD_DIR", "/build")

MODULES = "ssl sqlite3 ctypes lzma bz2 zlib readline curses hashlib".split()
"""Each of these modules needs a library of another package."""

EXERCISE = """
import bz2, ctypes, ctypes.util, curses, hashlib, json, lzma, readline, sqlite3, ssl, sys, zlib
import xml.etree.ElementTree as tree

text = b"portable " * 1000
for module in (bz2, lzma, zlib):
    assert module.decompress(module.compress(text)) == text, module
database = sqlite3.connect(":memory:")
database.execute("create virtual table words using fts5(word)")
database.execute("insert into words values ('prefix')")
assert database.execute("select word from words where words match 'prefix'").fetchall()
libc = ctypes.CDLL("libc.so.6")
assert libc.abs(ctypes.c_int(-7)) == 7
callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int)(lambda x: x + 1)
assert callback(41) == 42
curses.setupterm("xterm-256color")
assert curses.tigetnum("colors") == 256
assert hashlib.new("sha512_256", b"").hexdigest().startswith("c672b8d1")
assert tree.fromstring("<a><b/></a>").find("b") is not None
readline.parse_and_bind("tab: complete")
context = ssl.create_default_context()
print(json.dumps({
    "prefix": sys.prefix,
    "certificates": context.cert_store_stats()["x509_ca"],
    "verify": ssl.get_default_verify_paths().openssl_cafile,
    "libraries": sorted({line.split(None, 5)[5].strip() for line in open("/proc/self/maps")
                         if ".so" in line}),
}))
"""

Run = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def prefix() -> Prefix:
    if not ASKED:
        pytest.skip("FLATCAR_PREFIX_TEST_PYTHON names no prefix with dev-lang/python")
    staging = ASKED if "/" in ASKED else f"{BUILD_DIR}/prefix-amd64-usr/{ASKED}"
    try:
        found = fp.load(staging)
    except fp.PrefixError as error:
        pytest.fail(f"FLATCAR_PREFIX_TEST_PYTHON={ASKED}: {error} {error.hint}", pytrace=False)
    if not any(cpv.startswith("dev-lang/python-") for cpv in found.final.vardb.cpv_all()):
        pytest.fail(f"{ASKED} has no dev-lang/python in final: emerge it first", pytrace=False)
    return found


@pytest.fixture
def run(prefix: Prefix) -> Run:
    """Run a program of the prefix in a sandbox with only the prefix; trace its libraries."""

    def run_in_prefix(*argv: str | Path, check: bool = True) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "flatcar_prefix", "run", os.fspath(prefix.staging_dir)]
        result = subprocess.run(
            [*command, "--trace-libs", "--", *map(os.fspath, argv)],
            capture_output=True,
            text=True,
            cwd=CHECKOUT,
        )
        assert not check or result.returncode == 0, result.stdout + result.stderr
        return result

    return run_in_prefix


@pytest.mark.parametrize("module", MODULES)
def test_a_module_with_a_library_behind_it_can_be_imported(run: Run, module: str) -> None:
    result = run("python3", "-c", f"import {module}; print({module}.__name__)")
    assert result.stdout == f"{module}\n"


def test_the_libraries_do_their_work_and_are_the_prefix_s(run: Run, prefix: Prefix) -> None:
    said = json.loads(run("python3", "-c", EXERCISE).stdout)
    assert said["prefix"] == f"{prefix.eprefix}/usr"
    # A relocated path has slashes behind it.
    assert os.path.normpath(said["verify"]) == f"{prefix.eprefix}/etc/ssl/cert.pem"
    assert said["certificates"] > 100
    assert said["libraries"]
    assert all(path.startswith(f"{prefix.eprefix}/") for path in said["libraries"])


def test_no_extension_module_is_broken(run: Run) -> None:
    every = (
        "import importlib, pathlib, sysconfig\n"
        "names = {p.name.partition('.')[0] for p in\n"
        "         pathlib.Path(sysconfig.get_path('platstdlib'), 'lib-dynload').glob('*.so')}\n"
        "assert len(names) > 50\n"
        "for name in sorted(names): importlib.import_module(name)\n"
    )
    run("python3", "-c", every)


def test_pip_is_there(run: Run, prefix: Prefix) -> None:
    said = run("python3", "-m", "pip", "--version").stdout
    assert f"from {prefix.eprefix}/usr/lib/python3." in said
    assert run("pip", "--version").stdout == said
    run("python3", "-m", "pip", "check")


def test_a_virtual_environment_has_pip(run: Run) -> None:
    make_and_use = (
        "import subprocess, sys\n"
        "subprocess.run([sys.executable, '-m', 'venv', '/tmp/x'], check=True)\n"
        "pip = subprocess.run(['/tmp/x/bin/python', '-m', 'pip', '--version'],\n"
        "                     check=True, capture_output=True, text=True)\n"
        "print(pip.stdout)\n"
        "subprocess.run(['/tmp/x/bin/pip', 'list'], check=True)\n"
    )
    said = run("python3", "-c", make_and_use).stdout
    assert "from /tmp/x/lib/python3." in said


def test_what_describes_the_build_names_no_directory_of_this_machine(
    run: Run, prefix: Prefix
) -> None:
    everything = (
        "import json, sysconfig\n"
        "print(json.dumps([sysconfig.get_config_vars(), sysconfig.get_paths(),\n"
        "                  open(sysconfig.get_makefile_filename()).read()]))\n"
    )
    variables, paths, makefile = json.loads(run("python3", "-c", everything).stdout)
    config = "".join(
        run("python3-config", f"--{what}").stdout
        for what in ("prefix", "includes", "libs", "cflags", "ldflags", "configdir")
    )
    assert f"-I{prefix.eprefix}/usr/include/python3." in config
    text = json.dumps([variables, paths]) + makefile + config
    built_in = (prefix.staging_dir, prefix.final_dir, prefix.tools_dir, Path.home())
    for directory in map(os.fspath, built_in):
        assert f"{directory}/" not in text
    assert variables["CC"].split()[0] == f"{prefix.board.chost}-gcc"
    assert "--with-build-python" not in text


def test_bytecode_is_there_and_is_used_whatever_the_times_of_files(run: Run) -> None:
    stale = (
        "import importlib.util, json\n"
        "data = open(importlib.util.cache_from_source(json.__file__), 'rb').read(8)\n"
        "print(data[:4] == importlib.util.MAGIC_NUMBER, data[4:8].hex())\n"
    )
    # PEP 552: bit 0 means that there is a hash, bit 1 that Python compares it.
    assert run("python3", "-c", stale).stdout.split() == ["True", "01000000"]


def test_the_prefix_is_self_contained(prefix: Prefix) -> None:
    report = fp.verify(prefix.final)
    assert report.ok, [str(f) for f in report.findings if f.level == "error"]


# The real systemd-sysext merges python.raw into other systems.


@pytest.fixture(scope="session")
def image(prefix: Prefix, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fp.sysext(prefix, tmp_path_factory.mktemp("image") / "python.raw")


ROOTS: dict[str, Callable[[Path], Target]] = {
    "busybox": lambda path: merging.busybox_root(path, merging.NO_GLIBC),
    "flatcar": merging.flatcar_root,
    "machine": merging.machine_root,
    "debian": lambda path: merging.debian_root(path, CHECKOUT / ".cache/merge"),
}


@pytest.fixture(params=ROOTS)
def target(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Target:
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR"):
        # Programs in the other system inherit the environment of this one.
        monkeypatch.delenv(name, raising=False)
    return ROOTS[request.param](tmp_path / "root")


def check(merged: Merged) -> None:
    assert merged.merge_code == 0, merged.merge_said
    assert "extension-release.python" in merged.merged
    assert merged.run_code == 0, merged.ran
    # The root is unchanged, and nothing stays mounted.
    assert merged.after == merged.before


@pytest.mark.needs_root
def test_python_runs_in_another_system(
    prefix: Prefix, image: Path, target: Target, tmp_path: Path
) -> None:
    python = f"{prefix.eprefix}/usr/bin/python3"
    merged = merging.merge_and_run(target, image, [python, "-c", EXERCISE], tmp_path / "out")
    check(merged)
    said = json.loads(merged.ran)
    assert said["certificates"] > 100
    assert all(path.startswith(f"{prefix.eprefix}/") for path in said["libraries"])


@pytest.mark.needs_root
def test_pip_and_venv_run_in_another_system(
    prefix: Prefix, image: Path, target: Target, tmp_path: Path
) -> None:
    script = (
        "import subprocess, sys, venv\n"
        "venv.create('/tmp/x', with_pip=True)\n"
        "subprocess.run(['/tmp/x/bin/pip', '--version'], check=True)\n"
    )
    python = f"{prefix.eprefix}/usr/bin/python3"
    merged = merging.merge_and_run(target, image, [python, "-c", script], tmp_path / "out")
    check(merged)
    assert "from /tmp/x/lib/python3." in merged.ran
