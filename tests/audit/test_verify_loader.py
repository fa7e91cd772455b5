# SPDX-License-Identifier: BSD-3-Clause
"""Compare the loader's rules with this machine's own loader, on real files."""

from __future__ import annotations

import os
import re
import subprocess
from contextlib import suppress
from itertools import count
from pathlib import Path

import pytest
import verify_objects as objects
from hypothesis import HealthCheck, example, given, settings, strategies as st
from verify_mini import Mini
from verify_objects import EPREFIX

from flatcar_prefix.audit.elf import Elf, Source, read_elf
from flatcar_prefix.audit.ldcache import CacheError, read_cache
from flatcar_prefix.audit.loader import BuiltIn, Loader, built_in
from flatcar_prefix.audit.tree import MISSING, OUTSIDE, Resolver, Tree
from flatcar_prefix.boards import board
from flatcar_prefix.links import LOOP

REAL_LOADER = "/lib64/ld-linux-x86-64.so.2"


def read(path: Path) -> Elf:
    fd = os.open(path, os.O_RDONLY)
    try:
        return read_elf(Source(fd, os.fstat(fd).st_size, b""))
    finally:
        os.close(fd)


def really_loaded(program: Path) -> tuple[set[str], set[str]]:
    """Return the libraries that the machine's loader finds for a program, and the missing names."""
    environment = {"LD_TRACE_LOADED_OBJECTS": "1"}
    result = subprocess.run(
        [REAL_LOADER, program], capture_output=True, text=True, env=environment, check=False
    )
    lines = result.stdout.splitlines()
    found = {m[1] for line in lines if (m := re.search(r"(/\S+) \(0x", line))}
    missing = {m[1] for line in lines if (m := re.search(r"^\s*(\S+) => not found", line))}
    missing |= set(re.findall(r"libraries: (\S+): cannot open", result.stderr))
    return {os.path.realpath(path) for path in found}, missing


def test_finds_what_the_machines_loader_finds() -> None:
    """Treat this machine's /usr as a prefix, because it contains all libraries."""
    tree = Tree(root=Path("/"), eprefix="/usr", board=board("amd64-usr"))
    loader = Loader(tree)
    if loader.file is None:
        loader.file, loader.built_in = (
            os.path.realpath(REAL_LOADER),
            BuiltIn(built_in(Path(REAL_LOADER).read_bytes()).directories),
        )
    checked = 0
    for path in sorted(Path("/usr/bin").iterdir())[::12]:
        if path.is_symlink() or not os.access(path, os.R_OK) or path.read_bytes()[:4] != b"\x7fELF":
            continue
        elf = read(path)
        if elf.interpreter != REAL_LOADER:
            continue
        expected, missing = really_loaded(path)
        objects_, faults = loader.load(str(path), elf)
        found = {loaded.file for loaded in objects_[1:]}
        assert found == expected - {os.path.realpath(REAL_LOADER), str(path)}, path
        assert {fault.needed for fault in faults} == missing
        checked += 1
    assert checked > 10


NAMES = ("a", "b", "c")
DIRECTORIES = ("lib1", "lib2", "lib3")
PATHS = st.lists(
    st.sampled_from([*DIRECTORIES, "$ORIGIN", "$ORIGIN/../lib1", "${ORIGIN}/../lib3", "none"]),
    max_size=2,
)


@st.composite
def programs(draw: st.DrawFn) -> list[tuple[str, str, list[str], list[str], bool, bool]]:
    """Return libraries and a program: name, directory, needed, search path, new tags, nodeflib."""
    result = []
    for index, name in enumerate(NAMES):
        needed = draw(st.lists(st.sampled_from(NAMES[:index] or NAMES[:0] or ("",)), unique=True))
        needed = [n for n in needed if n]
        place = draw(st.sampled_from(DIRECTORIES))
        result.append((name, place, needed, draw(PATHS), draw(st.booleans()), draw(st.booleans())))
    needed = draw(st.lists(st.sampled_from(NAMES), unique=True, min_size=1))
    result.append(("program", "bin", needed, draw(PATHS), draw(st.booleans()), False))
    return result


_numbers = count()


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@example(
    [
        ("a", "lib1", [], [], False, False),
        ("b", "lib2", ["a"], [], False, False),
        ("c", "lib3", ["b"], ["lib1", "lib2"], False, False),
        ("program", "bin", ["c"], ["lib3"], True, False),
    ]
).via("the RPATH of one in between counts for what comes after")
@given(programs())
def test_search_paths_are_followed_as_the_machines_loader_follows_them(
    tmp_path: Path, shapes: list[tuple[str, str, list[str], list[str], bool, bool]]
) -> None:
    root = tmp_path / str(next(_numbers))
    stubs = {name: root / "stubs" / f"libfp{name}.so" for name in NAMES}
    for stub in stubs.values():
        objects.compile_c(stub, "", "-shared", f"-Wl,-soname,{stub.name}")
    for name, place, needed, path, new_tags, nodeflib in shapes:
        elements = [e if e.startswith("$") else f"{root}/{e}" for e in path]
        flags = [f"-Wl,-rpath,{':'.join(elements)}"] if elements else []
        flags.append(f"-Wl,--{'enable' if new_tags else 'disable'}-new-dtags")
        flags += ["-Wl,-z,nodefaultlib"] if nodeflib else []
        flags += [os.fspath(stubs[n]) for n in needed]
        target = root / place / (name if name == "program" else stubs[name].name)
        if name == "program":
            objects.program(target, *flags, "-Wl,--unresolved-symbols=ignore-all",
                            interpreter=REAL_LOADER)  # fmt: skip
        else:
            objects.compile_c(target, "", "-shared", f"-Wl,-soname,{target.name}", *flags)
    program = root / "bin/program"
    expected, missing = really_loaded(program)
    tree = Tree(root=Path("/"), eprefix=os.fspath(root), board=board("amd64-usr"))
    loaded, faults = Loader(tree).load(os.fspath(program), read(program))
    ours = {path for path in expected if path.startswith(os.fspath(root))} - {os.fspath(program)}
    assert {each.file for each in loaded[1:]} == ours
    assert {fault.needed for fault in faults} == missing


def test_the_built_in_directories_of_the_machines_loader_are_found() -> None:
    known = built_in(Path(REAL_LOADER).read_bytes())
    shown = subprocess.run(
        [REAL_LOADER, "--help"], capture_output=True, text=True, check=True
    ).stdout
    expected = re.findall(r"^  (/\S+) \(system search path\)", shown, re.MULTILINE)
    assert list(known.directories) == expected
    assert known.cache == "/etc/ld.so.cache"
    assert known.preload == "/etc/ld.so.preload"


def test_the_cache_of_the_machine_is_read_as_ldconfig_reads_it(tmp_path: Path) -> None:
    objects.library(tmp_path / "libs/libfpone.so.1")
    objects.library(tmp_path / "libs/libfptwo.so.2")
    (tmp_path / "ld.so.conf").write_text(f"{tmp_path}/libs\n")
    ldconfig = ["/sbin/ldconfig", "-C", tmp_path / "cache", "-f", tmp_path / "ld.so.conf"]
    subprocess.run([*ldconfig, "-X"], check=True)
    libraries = read_cache((tmp_path / "cache").read_bytes())
    shown = subprocess.run([*ldconfig, "-p"], check=True, capture_output=True, text=True).stdout
    for name in ("libfpone.so.1", "libfptwo.so.2"):
        assert libraries[name] == f"{tmp_path}/libs/{name}"
        assert f"{name} " in shown


@given(st.binary(max_size=300), st.integers(0, 2**32 - 1))
def test_a_broken_cache_is_refused(data: bytes, number: int) -> None:
    magic = b"glibc-ld.so.cache1.1" + number.to_bytes(4, "little")
    for cache in (data, magic + data, b"ld.so-1.7.0\0" + number.to_bytes(4, "little") + data):
        with suppress(CacheError):
            read_cache(cache)


def test_a_library_in_the_cache_is_found(mini: Mini, monkeypatch: pytest.MonkeyPatch) -> None:
    aside = objects.library(mini / "usr/lib64/aside/libaside.so.1", mini.libc)
    objects.program(mini / "bin/aside", aside, mini.libc)
    assert mini.codes() == ["elf-needed"]
    (finding,) = mini.audit().findings
    assert "libaside.so.1" in finding.message
    path = f"{EPREFIX}/usr/lib64/aside/libaside.so.1"
    monkeypatch.setattr("flatcar_prefix.audit.loader.read_cache", lambda _: {aside.name: path})
    mini.write("etc/ld.so.cache", "cache")
    assert mini.codes() == []


def test_a_cache_that_names_the_host_is_found_out(
    mini: Mini, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "flatcar_prefix.audit.loader.read_cache", lambda _: {"libx.so": "/usr/lib/libx.so"}
    )
    mini.write("etc/ld.so.cache", "cache")
    assert mini.codes() == ["loader-cache"]


def test_a_library_of_another_machine_is_passed_over(mini: Mini) -> None:
    first = objects.library(mini / "lib64/libtwice.so", mini.libc)
    objects.library(mini / "usr/lib64/libtwice.so", mini.libc)
    objects.program(mini / "bin/twice", first, mini.libc)
    objects.patch(first, 18, b"\xb7\0")
    assert mini.codes() == ["elf-machine"]


def test_a_library_only_some_processors_find_counts_for_nothing(mini: Mini) -> None:
    fast = objects.library(mini / "usr/lib64/glibc-hwcaps/x86-64-v3/libfast.so", mini.libc)
    objects.program(mini / "bin/fast", fast, mini.libc)
    assert mini.codes() == ["elf-needed"]


def test_an_rpath_counts_for_the_libraries_of_libraries_and_a_runpath_does_not(mini: Mini) -> None:
    inner = objects.library(mini / "usr/lib64/deep/libinner.so", mini.libc, name="inner")
    outer = objects.library(mini / "usr/lib64/deep/libouter.so", inner, mini.libc, name="outer")
    path = f"-Wl,-rpath,{EPREFIX}/usr/lib64/deep"
    arguments = (path, outer, mini.libc, "-Wl,--allow-shlib-undefined")
    objects.program(mini / "bin/deep", *arguments, "-Wl,--disable-new-dtags")
    assert mini.codes() == []
    objects.program(mini / "bin/deep", *arguments, "-Wl,--enable-new-dtags")
    (finding,) = mini.audit().findings
    assert (finding.code, finding.path) == ("elf-needed", f"{EPREFIX}/usr/lib64/deep/libouter.so")


def test_an_imported_c_library_leaves_libraries_to_the_rpath_of_programs(mini: Mini) -> None:
    objects.loader(mini / "lib64/ld-linux-x86-64.so.2", directories=("/lib64/", "/usr/lib64/"))
    rpath = f"-Wl,--disable-new-dtags,-rpath,{EPREFIX}/lib64:{EPREFIX}/usr/lib64"
    objects.program(mini / "usr/bin/foo", mini / "usr/lib64/libfoo.so.1", mini.libc, rpath)
    objects.library(mini / "usr/lib64/plugin.so", mini.libc)
    mini.settings["libc"] = "import"
    assert mini.codes() == ["loader-directories"]
    mini.settings["libc"] = "source"
    assert sorted(mini.codes()) == ["elf-needed-luck", "loader-directories"]


def test_paths_are_followed_as_on_the_target(mini: Mini) -> None:
    mini.link("lib", "usr/lib64")
    mini.link("usr/lib64/abs", f"{EPREFIX}/lib/libfoo.so.1")
    mini.link("usr/out", "/etc")
    mini.link("usr/loop1", "loop2")
    mini.link("usr/loop2", "loop1")
    resolver = Resolver(mini.tree)
    assert resolver.resolve(f"{EPREFIX}/lib/abs").path == f"{EPREFIX}/usr/lib64/libfoo.so.1"
    assert resolver.resolve(f"{EPREFIX}/lib/../lib64").path == f"{EPREFIX}/usr/lib64"
    assert resolver.resolve(f"{EPREFIX}/usr/out/passwd").failure == OUTSIDE
    assert resolver.resolve(f"{EPREFIX}/usr/loop1").failure == LOOP
    assert resolver.resolve(f"{EPREFIX}/usr/none").failure == MISSING
    assert resolver.resolve("/etc/passwd").failure == OUTSIDE
    assert resolver.resolve(f"{EPREFIX}/../../etc").failure == OUTSIDE


STEPS = st.lists(
    st.sampled_from(["usr", "lib64", "lib", "..", ".", "bin", "l1", "l2", "x"]), max_size=6
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(STEPS, STEPS, STEPS)
def test_paths_inside_are_followed_as_the_kernel_follows_them(
    tmp_path: Path, first: list[str], second: list[str], path: list[str]
) -> None:
    """A prefix at its own EPREFIX, so that the kernel can run its programs."""
    root = tmp_path / str(next(_numbers)) / "p"
    for directory in ("usr/lib64", "usr/bin", "lib"):
        (root / directory).mkdir(parents=True)
    (root / "l1").symlink_to("/".join(first) or ".")
    (root / "usr/l2").symlink_to("/".join([os.fspath(root), *second]))
    tree = Tree(root=Path("/"), eprefix=os.fspath(root), board=board("amd64-usr"))
    asked = "/".join([os.fspath(root), *path])
    found = Resolver(tree).resolve(asked)
    if found.ok:
        assert found.path == os.path.realpath(asked, strict=True)
    elif found.failure != OUTSIDE:
        with pytest.raises(OSError):
            os.stat(asked)
