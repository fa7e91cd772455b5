# SPDX-License-Identifier: BSD-3-Clause
"""Plant one fault for each code: the audit finds it at its path, and finds nothing else."""

from __future__ import annotations

import os
import socket
import struct
from collections.abc import Callable
from pathlib import Path

import pytest
import verify_objects as objects
from verify_mini import BUILD_DIR, Mini
from verify_objects import EPREFIX

from flatcar_prefix.audit.findings import CODES

GNU_STACK = struct.pack("<I", 0x6474E551)

Plant = Callable[[Mini], str]
FAULTS: dict[str, Plant] = {}


def fault(code: str) -> Callable[[Plant], Plant]:
    """Register the function that plants the fault with ``code`` and returns its path."""

    def register(plant: Plant) -> Plant:
        FAULTS[code] = plant
        return plant

    return register


@fault("elf-broken")
def _(mini: Mini) -> str:
    library = mini / "usr/lib64/libfoo.so.1"
    data = library.read_bytes()
    (mini / "usr/lib64/libcut.so").write_bytes(data[: len(data) // 8])
    return "usr/lib64/libcut.so"


@fault("elf-machine")
def _(mini: Mini) -> str:
    library = objects.library(mini / "usr/lib64/libarm.so", mini.libc)
    objects.patch(library, 18, struct.pack("<H", 183))
    return "usr/lib64/libarm.so"


@fault("elf-interpreter")
def _(mini: Mini) -> str:
    objects.program(mini / "bin/host", mini.libc, interpreter="/lib64/ld-linux-x86-64.so.2")
    return "bin/host"


@fault("elf-interpreter-missing")
def _(mini: Mini) -> str:
    objects.program(mini / "bin/lost", mini.libc, interpreter=f"{EPREFIX}/lib/ld-gone.so.1")
    return "bin/lost"


@fault("elf-interpreter-other")
def _(mini: Mini) -> str:
    objects.loader(mini / "lib64/ld-musl-x86_64.so.1")
    objects.program(
        mini / "bin/other", mini.libc, interpreter=f"{EPREFIX}/lib64/ld-musl-x86_64.so.1"
    )
    return "bin/other"


@fault("elf-interpreter-library")
def _(mini: Mini) -> str:
    source = 'const char i[] __attribute__((section(".interp"))) = "/lib64/ld-linux-x86-64.so.2";'
    objects.compile_c(mini / "usr/lib64/librun.so", source, "-shared", "-Wl,-soname,librun.so")
    return "usr/lib64/librun.so"


@fault("elf-needed")
def _(mini: Mini) -> str:
    gone = objects.library(mini / "usr/lib64/libgone.so.1", mini.libc)
    objects.library(mini / "usr/lib64/plugin.so", gone)
    gone.unlink()
    return "usr/lib64/plugin.so"


@fault("elf-needed-luck")
def _(mini: Mini) -> str:
    private = objects.library(mini / "usr/lib64/private/libprivate.so", mini.libc)
    rpath = f"-Wl,-rpath,{EPREFIX}/usr/lib64/private"
    objects.program(mini / "usr/bin/host", "-Wl,--no-as-needed", private, mini.libc, rpath)
    objects.library(mini / "usr/lib64/private/plugin.so", private)
    return "usr/lib64/private/plugin.so"


@fault("elf-version")
def _(mini: Mini) -> str:
    newer = objects.libc(
        mini.root / "libc.so.6", versions="GLIBC_2.99 { global: puts; local: *; };"
    )
    objects.program(mini / "bin/new", newer)
    newer.unlink()
    return "bin/new"


@fault("elf-version-none")
def _(mini: Mini) -> str:
    versioned = objects.libc(mini / "usr/lib64/libbar.so.1")
    objects.program(mini / "bin/bar", versioned)
    objects.libc(versioned, versions="")
    return "bin/bar"


@fault("elf-rpath")
def _(mini: Mini) -> str:
    objects.program(mini / "bin/rpath", mini.libc, "-Wl,-rpath,/usr/local/lib")
    return "bin/rpath"


@fault("elf-rpath-build")
def _(mini: Mini) -> str:
    objects.program(mini / "bin/rpath", mini.libc, f"-Wl,-rpath,{BUILD_DIR}/tmp/foo/.libs")
    return "bin/rpath"


@fault("elf-textrel")
def _(mini: Mini) -> str:
    source = '__asm__(".text\\n.globl f\\nf: .quad f\\n");'
    objects.compile_c(mini / "usr/lib64/libtext.so", source, "-shared", "-Wl,-z,notext")
    return "usr/lib64/libtext.so"


@fault("elf-execstack")
def _(mini: Mini) -> str:
    objects.program(mini / "bin/stack", mini.libc, "-Wl,-z,execstack")
    return "bin/stack"


@fault("loader-directories")
def _(mini: Mini) -> str:
    directories = ("/lib64/", "/usr/lib64/", f"{EPREFIX}/lib64/", f"{EPREFIX}/usr/lib64/")
    objects.loader(mini / "lib64/ld-linux-x86-64.so.2", directories=directories)
    return "lib64/ld-linux-x86-64.so.2"


@fault("loader-preload")
def _(mini: Mini) -> str:
    objects.loader(mini / "lib64/ld-linux-x86-64.so.2", preload="/etc/ld.so.preload")
    return "lib64/ld-linux-x86-64.so.2"


@fault("loader-cache")
def _(mini: Mini) -> str:
    mini.write("etc/ld.so.cache", "not a cache")
    return "etc/ld.so.cache"


@fault("setuid")
def _(mini: Mini) -> str:
    mini.write("usr/bin/su", "", 0o4755)
    return "usr/bin/su"


@fault("private-file")
def _(mini: Mini) -> str:
    mini.write("usr/share/notes", "", 0o640)
    return "usr/share/notes"


@fault("private-directory")
def _(mini: Mini) -> str:
    (mini / "usr/bin").chmod(0o750)
    return "usr/bin"


@fault("special-file")
def _(mini: Mini) -> str:
    with socket.socket(socket.AF_UNIX) as server:
        here = Path.cwd()
        os.chdir(mini / "etc" if (mini / "etc").is_dir() else mini / "usr")
        try:
            server.bind("socket")
        finally:
            os.chdir(here)
    return "usr/socket"


@fault("script-interpreter")
def _(mini: Mini) -> str:
    mini.write("usr/bin/host-script", "#!/bin/ksh\n", 0o755)
    return "usr/bin/host-script"


@fault("script-interpreter-aside")
def _(mini: Mini) -> str:
    mini.write("usr/share/example", "#!/bin/ksh\n", 0o755)
    return "usr/share/example"


@fault("script-system-shell")
def _(mini: Mini) -> str:
    mini.write("usr/bin/shell-script", "#!/bin/sh -e\n", 0o755)
    return "usr/bin/shell-script"


@fault("script-env")
def _(mini: Mini) -> str:
    mini.write("usr/bin/env-script", "#!/usr/bin/env python3\n", 0o755)
    return "usr/bin/env-script"


@fault("script-interpreter-missing")
def _(mini: Mini) -> str:
    mini.write("usr/bin/perl-script", f"#!{EPREFIX}/usr/bin/perl -w\n", 0o755)
    return "usr/bin/perl-script"


@fault("link-outside")
def _(mini: Mini) -> str:
    mini.link("etc/os-release", "/usr/lib/os-release")
    return "etc/os-release"


@fault("link-escapes")
def _(mini: Mini) -> str:
    mini.link("etc/os-release", "../../../usr/lib/os-release")
    return "etc/os-release"


@fault("link-dangling")
def _(mini: Mini) -> str:
    mini.link("usr/lib64/libnone.so", "libnone.so.1")
    return "usr/lib64/libnone.so"


@fault("link-loop")
def _(mini: Mini) -> str:
    mini.link("usr/loop", "loop")
    return "usr/loop"


@fault("link-build-path")
def _(mini: Mini) -> str:
    mini.link("usr/lib64/libstaged.so", f"{BUILD_DIR}/root{EPREFIX}/usr/lib64/libfoo.so.1")
    return "usr/lib64/libstaged.so"


@fault("text-build-path")
def _(mini: Mini) -> str:
    mini.write("usr/lib64/pkgconfig/bar.pc", f"prefix=/usr\nlibdir={BUILD_DIR}/root/usr/lib64\n")
    return "usr/lib64/pkgconfig/bar.pc"


@fault("binary-build-path")
def _(mini: Mini) -> str:
    mini.write("usr/lib64/module.pyc", f"\0\0z#{BUILD_DIR}/root/module.py\0")
    return "usr/lib64/module.pyc"


@fault("portability-kernel")
def _(mini: Mini) -> str:
    note = '__asm__(".section .note.ABI-tag,\\"a\\"\\n.long 4,16,1\\n.asciz \\"GNU\\"\\n.long 0,6,6,0");'
    objects.compile_c(mini / "usr/lib64/libnew.so", note, "-shared")
    return "usr/lib64/libnew.so"


@fault("portability-cpu")
def _(mini: Mini) -> str:
    objects.compile_c(mini / "usr/lib64/libfast.so", "int f;", "-shared", "-Wl,-z,x86-64-v3")
    return "usr/lib64/libfast.so"


@fault("outside-prefix")
def _(mini: Mini) -> str:
    (mini.root / "etc").mkdir()
    (mini.root / "etc/passwd").touch()
    return "../../etc/passwd"


@fault("outside-usr-opt")
def _(mini: Mini) -> str:
    # At another EPREFIX, all built files would be faulty, except plain files.
    mini.eprefix = "/srv/mini"
    mini.write("share/text", "text\n")
    (mini.root / "opt").rename(mini.root.parent / "away")
    return ""


ELSEWHERE = {
    **dict.fromkeys(
        (
            "elf-symbol",
            "elf-abi",
            "elf-outside",
            "not-executable",
            "loader-preload-list",
            "world-writable",
            "python-module",
            "loader-library-path",
            "script-none",
            "name-build-path",
            "host-path",
        ),
        "test_verify_planted.py",
    ),
    "capability": "test_verify_rights.py",
    "unreadable": "test_verify_hostile.py",
    "unowned": "test_verify_ownership.py",
    "vdb-missing": "test_verify_ownership.py",
    "vdb-changed": "test_verify_ownership.py",
    "vdb-config-changed": "test_verify_ownership.py",
    "depend-provided": "test_verify_dependencies.py",
}
"""Codes whose faults need more than a file, and the modules that plant them."""


def test_a_prefix_without_a_fault_has_no_findings(clean: Mini) -> None:
    report = clean.audit(strict=True)
    assert report.findings == ()
    assert report.ok
    assert report.exit_code == 0
    assert report.statistics.elf == 4


@pytest.mark.parametrize("code", FAULTS)
def test_the_fault_is_found_and_nothing_else(mini: Mini, code: str) -> None:
    place = FAULTS[code](mini)
    report = mini.audit()
    assert [finding.code for finding in report.findings] == [code]
    (finding,) = report.findings
    assert finding.path == os.path.normpath(f"{mini.eprefix}/{place}")
    assert finding.level == CODES[code].level
    assert report.ok is (finding.level != "error")


def test_every_code_has_its_fault_planted_somewhere() -> None:
    assert set(FAULTS) | set(ELSEWHERE) == set(CODES)
    for code, module in ELSEWHERE.items():
        assert f'"{code}"' in (Path(__file__).parent / module).read_text()


def test_a_library_that_needs_none_is_asked_about_its_stack_too(mini: Mini) -> None:
    """The loader does the same: it makes the stack of the whole process executable."""
    source = '__asm__(".text\\n.globl f\\nf: ret\\n");'
    library = objects.compile_c(
        mini / "usr/lib64/libalone.so", source, "-shared", "-Wl,-z,noexecstack"
    )
    assert mini.codes() == []
    table = int.from_bytes(library.read_bytes()[32:40], "little")
    (stack,) = (n for n in range(20) if library.read_bytes()[table + 56 * n :][:4] == GNU_STACK)
    objects.patch(library, table + 56 * stack, bytes(4))
    (finding,) = mini.audit().findings
    assert (finding.code, finding.path) == ("elf-execstack", f"{EPREFIX}/usr/lib64/libalone.so")


CANNOT_RUN = {
    "a carriage return": (
        "bin/sh\r",
        "has the interpreter '/opt/mini/bin/sh\\r', which does not exist",
    ),
    "a directory": ("bin", "which is a directory"),
    "not executable": ("usr/lib64/pkgconfig/foo.pc", "which is not executable"),
    "a name cut at a form feed": ("bin/sh\f", "which does not exist"),
}


@pytest.mark.parametrize("interpreter", CANNOT_RUN)
def test_an_interpreter_that_the_kernel_would_not_run_is_found(
    mini: Mini, interpreter: str
) -> None:
    name, message = CANNOT_RUN[interpreter]
    mini.write("usr/bin/odd", f"#! {EPREFIX}/{name}\necho\n", 0o755)
    (finding,) = mini.audit().findings
    assert finding.code == "script-interpreter-missing"
    assert message in finding.message


def test_what_the_kernel_takes_for_the_interpreter_is_taken_for_it(mini: Mini) -> None:
    mini.write("usr/bin/spaces", f"#! \t{EPREFIX}/bin/sh\t-e  \n", 0o755)
    mini.write("usr/bin/argument", f"#!{EPREFIX}/bin/sh -e\r\n", 0o755)
    mini.write("usr/bin/endless", f"#!{EPREFIX}/bin/sh " + "x" * 400, 0o755)
    assert mini.codes() == []


def test_strict_makes_errors_of_warnings(mini: Mini) -> None:
    FAULTS["setuid"](mini)
    assert mini.audit().exit_code == 0
    assert mini.audit(strict=True).exit_code == 1


def test_an_imported_loader_is_a_warning_and_an_error_when_strict(mini: Mini) -> None:
    place = FAULTS["loader-directories"](mini)
    mini.settings["libc"] = "import"
    (finding,) = mini.audit().findings
    assert (finding.level, finding.path) == ("warning", f"{EPREFIX}/{place}")
    assert "imported" in finding.message
    assert mini.audit(strict=True).exit_code == 1
