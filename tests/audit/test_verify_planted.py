# SPDX-License-Identifier: BSD-3-Clause
"""Plant faults that break programs, or leak the build machine, in a small good root.

Each fault must give its finding, at its path, and nothing else.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import verify_edit as edit
import verify_objects as objects
from verify_mini import BUILD_DIR, Mini
from verify_objects import EPREFIX

SITE = "usr/lib/python3.11/site-packages"
LOADER = "lib64/ld-linux-x86-64.so.2"
FOO, PROGRAM = "usr/lib64/libfoo.so.1", "usr/bin/foo"
DT_AUDIT, DT_DEPAUDIT = 0x6FFFFEFC, 0x6FFFFEFB
DT_AUXILIARY, DT_FILTER = 0x7FFFFFFD, 0x7FFFFFFF


@dataclass(frozen=True)
class Planted:
    code: str
    path: str
    plant: Callable[[Mini], object]
    level: str = "error"


FAULTS: dict[str, Planted] = {}


def fault(name: str, code: str, path: str, level: str = "error") -> Callable[..., None]:
    """Register the function that plants a fault."""

    def register(plant: Callable[[Mini], object]) -> None:
        assert name not in FAULTS
        FAULTS[name] = Planted(code, path, plant, level)

    return register


# ELF files: each starts from a file of the good root.


@fault("a symbol that its library no longer defines", "elf-symbol", PROGRAM)
def _(mini: Mini) -> None:
    objects.program(mini / PROGRAM, mini / FOO, mini.libc)
    edit.rename_symbol(mini / PROGRAM, "puts", "putz")


@fault("a symbol without a version", "elf-symbol", "usr/bin/bar")
def _(mini: Mini) -> None:
    objects.library(mini / "usr/lib64/libbar.so.1", mini.libc, name="bar")
    source = "int bar(void); void _start(void) { bar(); }\n"
    flags = ("-pie", f"-Wl,--dynamic-linker,{objects.LOADER}")
    objects.compile_c(mini / "usr/bin/bar", source, *flags, mini / "usr/lib64/libbar.so.1")
    edit.rename_symbol(mini / "usr/bin/bar", "bar", "baz")


@fault("another library under the expected soname", "elf-symbol", "usr/bin/bar")
def _(mini: Mini) -> None:
    bar = objects.library(mini / "usr/lib64/libbar.so.1", mini.libc, name="bar")
    source = "int bar(void); void _start(void) { bar(); }\n"
    flags = ("-pie", f"-Wl,--dynamic-linker,{objects.LOADER}")
    objects.compile_c(mini / "usr/bin/bar", source, *flags, bar)
    bar.write_bytes((mini / FOO).read_bytes())


@fault("a variable that nothing defines", "elf-symbol", "usr/bin/bar")
def _(mini: Mini) -> None:
    objects.compile_c(mini / "usr/lib64/libbar.so", "int bar;", "-shared", "-Wl,-soname,libbar.so")
    source = "extern int bar; int *p = &bar; void _start(void) { }\n"
    flags = ("-pie", f"-Wl,--dynamic-linker,{objects.LOADER}")
    objects.compile_c(mini / "usr/bin/bar", source, *flags, mini / "usr/lib64/libbar.so")
    edit.rename_symbol(mini / "usr/lib64/libbar.so", "bar", "baz")


@fault("a plugin whose symbol no program defines", "elf-symbol", "usr/lib64/plugin.so")
def _(mini: Mini) -> None:
    source = "extern int nowhere; int *p = &nowhere;\n"
    objects.compile_c(mini / "usr/lib64/plugin.so", source, "-shared", mini.libc)


@fault("a plugin that calls an undefined function", "elf-symbol", "usr/lib64/plugin.so", "warning")
def _(mini: Mini) -> None:
    source = "int nowhere(void); int f(void) { return nowhere(); }\n"
    objects.compile_c(mini / "usr/lib64/plugin.so", source, "-shared", "-Wl,-z,lazy", mini.libc)


@fault("a needed library that is a program", "elf-needed", PROGRAM)
def _(mini: Mini) -> None:
    data = (mini / "usr/bin/script").with_name("foo").read_bytes()
    (mini / FOO).unlink()
    (mini / FOO).write_bytes(data)
    (mini / FOO).chmod(0o755)


@fault("a needed library that is a linker script", "elf-needed", PROGRAM)
def _(mini: Mini) -> None:
    (mini / FOO).write_text("INPUT ( libfoo.so.2 )\n")


@fault("a needed library of another OS ABI", "elf-needed", PROGRAM)
def _(mini: Mini) -> None:
    copy = mini.write("usr/lib64/other.so", "")
    copy.write_bytes((mini / FOO).read_bytes())
    objects.patch(copy, 7, b"\x09")
    (mini / FOO).unlink()
    copy.rename(mini / FOO)
    mini.ignored = {"elf-abi"}


@fault("an OS ABI of another system", "elf-abi", "usr/lib64/other.so")
def _(mini: Mini) -> None:
    objects.library(mini / "usr/lib64/other.so", mini.libc, name="other")
    objects.patch(mini / "usr/lib64/other.so", 7, b"\x09")


@fault("an ABI version that no loader has", "elf-abi", "usr/lib64/other.so")
def _(mini: Mini) -> None:
    objects.library(mini / "usr/lib64/other.so", mini.libc, name="other")
    objects.patch(mini / "usr/lib64/other.so", 8, b"\x07")


@fault("a program whose segment is cut off", "elf-broken", "usr/bin/cut")
def _(mini: Mini) -> None:
    cut = mini.write("usr/bin/cut", "", 0o755)
    cut.write_bytes((mini / PROGRAM).read_bytes())
    at, row = [(at, row) for at, row in edit.segments(cut) if row[0] == edit.PT_LOAD][-1]
    objects.patch(cut, at + 32, struct.pack("<Q", row[5] + (1 << 24)))


@fault("a program without its executable bit", "not-executable", PROGRAM)
def _(mini: Mini) -> None:
    (mini / PROGRAM).chmod(0o644)


@fault("a program of a package's own directory", "not-executable", "usr/lib64/p/tool", "warning")
def _(mini: Mini) -> None:
    tool = mini.write("usr/lib64/p/tool", "")
    tool.write_bytes((mini / PROGRAM).read_bytes())


@fault("a loader without its executable bit", "not-executable", LOADER)
def _(mini: Mini) -> None:
    (mini / LOADER).chmod(0o644)


@fault("an RPATH that leaves through a link and ..", "elf-rpath", "usr/bin/rpath")
def _(mini: Mini) -> None:
    mini.link("usr/deep", "../..")
    mini.ignored = {"link-escapes"}
    objects.program(mini / "usr/bin/rpath", mini.libc, f"-Wl,-rpath,{EPREFIX}/usr/deep/../lib")


@fault("a RUNPATH with $ORIGIN and too many ..", "elf-rpath", "usr/bin/rpath")
def _(mini: Mini) -> None:
    flags = ("-Wl,-rpath,$ORIGIN/../../../../lib64", "-Wl,--enable-new-dtags")
    objects.program(mini / "usr/bin/rpath", mini.libc, *flags)


def _named(tag: int, name: str) -> Callable[[Mini], None]:
    def plant(mini: Mini) -> None:
        long = "lib" + "x" * 40 + ".so"
        filler = objects.library(mini / "usr/lib64" / long, mini.libc)
        objects.program(mini / "usr/bin/named", filler, mini.libc)
        filler.unlink()
        edit.set_dynamic(mini / "usr/bin/named", tag, name)

    return plant


for _tag, _what in ((DT_AUXILIARY, "AUXILIARY"), (DT_AUDIT, "AUDIT"), (DT_DEPAUDIT, "DEPAUDIT")):
    for _name in ("/usr/lib64/libhost.so", "lib/relative.so", f"{EPREFIX}/../../lib/libhost.so"):
        fault(f"{_what} {_name}", "elf-outside", "usr/bin/named")(_named(_tag, _name))
fault("FILTER /usr/lib64/libhost.so", "elf-needed", "usr/bin/named")(
    _named(DT_FILTER, "/usr/lib64/libhost.so")
)


# Files of the loader.

for _line in (
    "/usr/lib64/libhost.so",
    "lib/libhost.so",
    "libgone.so.1",
    f"{EPREFIX}/lib64/gone.so",
):
    fault(f"ld.so.preload with {_line}", "loader-preload-list", "etc/ld.so.preload")(
        lambda mini, line=_line: mini.write("etc/ld.so.preload", f"# a list\nlibfoo.so.1 {line}\n")
    )


@fault("a program that LD_LIBRARY_PATH can break", "loader-library-path", LOADER, "warning")
def _(mini: Mini) -> None:
    rpath = ("-Wl,--disable-new-dtags", f"-Wl,-rpath,{EPREFIX}/lib64:{EPREFIX}/usr/lib64")
    objects.program(mini / PROGRAM, mini / FOO, mini.libc, *rpath)
    mini.settings["environment"] = True
    assert mini.codes() == []
    objects.program(mini / PROGRAM, mini / FOO, mini.libc)
    objects.loader(mini / LOADER, ignored="LD_PREFIX_VARIABLES")
    assert mini.codes() == []
    objects.loader(mini / LOADER)


# Python.


def _python(mini: Mini, program: str, modules: dict[str, str]) -> None:
    python = mini.write("usr/bin/python3.11", "", 0o755)
    python.write_bytes((mini / PROGRAM).read_bytes())
    mini.link("usr/bin/python3", "python3.11")
    for name in ("os", "json/__init__", "site-packages/README"):
        mini.write(f"usr/lib/python3.11/{name}.py", "")
    for name, text in modules.items():
        mini.write(f"usr/lib/python3.11/site-packages/{name}", text)
    mini.write("usr/bin/app", f"#!{EPREFIX}/usr/bin/python3\n{program}", 0o755)


for _name, _path, _program, _modules in (
    ("a module", "usr/bin/app", "import os, json, gone\n", {}),
    (
        "a module of a package",
        f"{SITE}/a/b.py",
        "from a.b import c\n",
        {"a/__init__.py": "", "a/b.py": "import json\nimport gone.x\n"},
    ),
    ("a part of a package", "usr/bin/app", "from a.gone import c\n", {"a/__init__.py": ""}),
    (
        "a relative module",
        f"{SITE}/a/__init__.py",
        "import a\n",
        {"a/__init__.py": "from .gone import c\n"},
    ),
    ("a module of the standard library", "usr/bin/app", "import sqlite3\n", {}),
):
    fault(f"nothing provides {_name}", "python-module", _path)(
        lambda mini, program=_program, modules=_modules: _python(mini, program, modules)
    )


def test_imports_that_need_not_succeed_are_right(mini: Mini) -> None:
    program = (
        "import sys, os.path\ntry:\n    import gone\nexcept ImportError:\n    gone = None\n"
        "if sys.platform == 'win32':\n    import winreg\n"
        "def f():\n    import later\nfrom a import name, b\nimport ext, space.x, a.b.c\n"
    )
    modules = {
        "a/__init__.py": "name = 1\nfrom . import b\nfrom .b import c\n",
        "a/b/__init__.py": "from .. import name\nfrom ..b.c import x\n",
        "a/b/c.py": "x = 1\n",
        "ext.cpython-311-x86_64-linux-gnu.so": "",
        "space/x.py": "",
        "unused.py": "import gone\n",
    }
    _python(mini, program, modules)
    assert mini.codes() == []


# Rights.

fault("a file that all can write", "world-writable", "usr/share/data")(
    lambda mini: mini.write("usr/share/data", "data\n", 0o666)
)
fault("a program that all can write", "world-writable", PROGRAM)(
    lambda mini: (mini / PROGRAM).chmod(0o777)
)
fault("a directory that all can write", "world-writable", "usr/bin")(
    lambda mini: (mini / "usr/bin").chmod(0o777)
)

# Scripts.

SCRIPT = "usr/bin/odd"
fault("a byte order mark before #!", "script-none", SCRIPT)(
    lambda mini: mini.write(SCRIPT, f"\ufeff#!{EPREFIX}/bin/sh\n", 0o755)
)
fault("a program that is text without #!", "script-none", SCRIPT, "warning")(
    lambda mini: mini.write(SCRIPT, "echo hello\n", 0o755)
)
fault("a script without its executable bit", "not-executable", SCRIPT, "warning")(
    lambda mini: mini.write(SCRIPT, f"#!{EPREFIX}/bin/sh\n")
)
fault("an interpreter that is its own interpreter", "script-interpreter-missing", SCRIPT)(
    lambda mini: mini.write(SCRIPT, f"#!{EPREFIX}/{SCRIPT}\n", 0o755)
)


@fault("a chain of six interpreters", "script-interpreter-missing", "usr/bin/chain6")
def _(mini: Mini) -> None:
    for number in range(1, 7):
        interpreter = f"usr/bin/chain{number - 1}" if number > 1 else "bin/sh"
        mini.write(f"usr/bin/chain{number}", f"#!{EPREFIX}/{interpreter}\n", 0o755)


def _env(words: str) -> Callable[[Mini], None]:
    def plant(mini: Mini) -> None:
        env = mini.write("usr/bin/env", "", 0o755)
        env.write_bytes((mini / PROGRAM).read_bytes())
        mini.write(SCRIPT, f"#!{EPREFIX}/usr/bin/{words}\n", 0o755)

    return plant


for _words, _code in {
    "env -S /usr/bin/python3 -u": "script-interpreter",
    "env /usr/bin/python3": "script-interpreter",
    "env -S A=1 /usr/bin/python3": "script-interpreter",
    f"env -S {EPREFIX}/usr/bin/gone": "script-interpreter-missing",
    "env python3 -u": "script-interpreter-missing",
    "gone/env python3": "script-interpreter-missing",
}.items():
    fault(f"#! {_words}", _code, SCRIPT)(_env(_words))
fault("#! env sh", "script-system-shell", SCRIPT, "warning")(
    lambda mini: mini.write(SCRIPT, "#!/usr/bin/env sh\n", 0o755)
)
fault("#! env bash", "script-env", SCRIPT)(
    lambda mini: mini.write(SCRIPT, "#!/usr/bin/env bash\n", 0o755)
)
fault("#! env -S python3 -u", "script-env", SCRIPT, "warning")(_env("env -S python3 -u"))

# Links.

for _target, _code in {
    "/dev/../etc/passwd": "link-outside",
    "/proc/self/root/etc/passwd": "link-outside",
    "//usr/lib/os-release": "link-outside",
    "../bin/script/part": "link-dangling",
}.items():
    fault(f"a link to {_target}", _code, "usr/share/link")(
        lambda mini, target=_target: mini.link("usr/share/link", target)
    )


@fault("a link to Portage's data, which is not shipped", "link-dangling", "usr/share/link")
def _(mini: Mini) -> None:
    mini.write("etc/portage/make.conf", "")
    mini.link("usr/share/link", "../../etc/portage/make.conf")


# Paths of the host in data.

for _path, _text in {
    f"{SITE}/host.pth": "# more\n/usr/lib/python3/dist-packages\n",
    f"{SITE}/up.pth": "../../../../../../usr/lib/python3\n",
    f"{SITE}/editable.egg-link": "/home/me/project\n.\n",
    "usr/share/venv/pyvenv.cfg": "home = /usr/bin\nversion = 3.11\n",
    "usr/lib64/gconv/gconv-modules": "module UTF-7// INTERNAL /usr/lib64/gconv/UTF-7.so 1\n",
    "usr/lib64/gconv/gconv-modules.d/a.conf": "module A// INTERNAL /usr/lib64/gconv/A.so 1\n",
    "usr/lib64/gdk-pixbuf-2.0/2.10.0/loaders.cache": '# c\n"/usr/lib64/gdk/png.so"\n',
    "etc/OpenCL/vendors/host.icd": "/usr/lib64/libcl.so\n",
    "usr/share/vulkan/icd.d/a.json": '{"ICD": {"library_path": "/usr/lib64/libvk.so"}}\n',
    "etc/ld.so.conf.d/host.conf": "/usr/lib64/host\n",
    "usr/share/dbus-1/services/a.service": "[D-BUS Service]\nExec=/usr/bin/a --b\n",
    "usr/lib64/modules/png.la": "dlname='png.so'\nlibdir='/usr/lib64/modules'\n",
    "usr/lib64/tcl/a/pkgIndex.tcl": "package ifneeded a 1 [list load /usr/lib64/liba.so]\n",
}.items():
    fault(f"host path in {_path}", "host-path", _path)(
        lambda mini, path=_path, text=_text: mini.write(path, text)
    )

# Paths of the build machine.

DATA = "usr/share/data"
BUILT = f"{BUILD_DIR}/tmp/x"


def _bytes(content: Callable[[], bytes], path: str = DATA) -> Callable[[Mini], None]:
    def plant(mini: Mini) -> None:
        mini.write(path, "").write_bytes(content())

    return plant


def _zip() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("a.txt", "harmless")
        archive.writestr("b.txt", f"{BUILT}\n" * 20)
    return out.getvalue()


for _what, _make in {
    "gzip": lambda: gzip.compress(f"{BUILT}\n".encode() * 20),
    "bzip2": lambda: bz2.compress(f"{BUILT}\n".encode() * 20),
    "xz": lambda: lzma.compress(f"{BUILT}\n".encode() * 20),
    "a zip archive or wheel": _zip,
}.items():
    fault(f"build path in {_what}", "binary-build-path", DATA, "warning")(_bytes(_make))
for _what, _text in {
    "escaped as in JSON": "a: " + BUILT.replace("/", "\\/"),
    "percent-encoded": "file:" + BUILT.replace("/", "%2F"),
    "percent-encoded in lower case": "file:" + BUILT.replace("/", "%2f").replace("-", "%2d"),
    "with doubled slashes": BUILT.replace("/", "//"),
    "with dots": BUILT.replace("/", "/./"),
    "with ..": BUILT.replace("/mini", "/other/../mini"),
}.items():
    fault(f"build path {_what}", "text-build-path", DATA)(
        lambda mini, text=_text: mini.write(DATA, f"# a\n{text}\n")
    )
for _codec in ("utf-16-le", "utf-16-be"):
    fault(f"build path in {_codec}", "text-build-path", DATA)(
        _bytes(lambda codec=_codec: f"\ufeffa = {BUILT}\n".encode(codec))
    )
fault("build path in a name", "name-build-path", f"usr{BUILD_DIR}/data", "warning")(
    lambda mini: mini.write(f"usr{BUILD_DIR}/data", "data\n")
)
fault("build path in an attribute", "name-build-path", DATA, "warning")(
    lambda mini: os.setxattr(mini.write(DATA, "data\n"), "user.origin", BUILT.encode())
)


@pytest.mark.parametrize("name", FAULTS)
def test_the_planted_fault_is_found_and_nothing_else(mini: Mini, name: str) -> None:
    planted = FAULTS[name]
    planted.plant(mini)
    found = [each for each in mini.audit().findings if each.code not in mini.ignored]
    place = f"{EPREFIX}/{planted.path}"
    assert [(each.code, each.path, each.level) for each in found] == [
        (planted.code, place, planted.level)
    ], [each.message for each in found]


def test_a_plugin_may_use_the_symbols_of_a_program(mini: Mini) -> None:
    source = "int host_function(void) { return 0; } void _start(void) { }\n"
    flags = ("-pie", "-Wl,--export-dynamic", f"-Wl,--dynamic-linker,{objects.LOADER}")
    objects.compile_c(mini / "usr/bin/host", source, *flags, mini.libc)
    source = "int host_function(void); int (*f)(void) = &host_function;\n"
    objects.compile_c(mini / "usr/lib64/plugin.so", source, "-shared", mini.libc)
    source = "int puts(const char *) __attribute__((weak)); int gone(void) __attribute__((weak));\n"
    source += "int (*f)(void) = &gone;\n"
    objects.compile_c(mini / "usr/lib64/weak.so", source, "-shared", mini.libc)
    assert mini.codes() == []


def test_a_preload_list_of_libraries_of_the_prefix_is_right(mini: Mini) -> None:
    text = f"# comment\nlibfoo.so.1:{EPREFIX}/usr/lib64/libfoo.so # more\n\n"
    mini.write("etc/ld.so.preload", text)
    assert mini.codes() == []


GOOD: dict[str, tuple[str, int]] = {
    "usr/share/git/hooks/pre-commit.sample": ("#!/bin/sh\n", 0o755),
    f"{SITE}/good.pth": ("import os; os.getcwd()\n../other\nlib\n# /usr/lib/python3\n", 0o644),
    "usr/lib64/gconv/gconv-modules": ("module UTF-7// INTERNAL UTF-7 1\n", 0o644),
    "usr/share/urls": ("http://host//a/./b/../c and %2Fbuild%2Fother\n", 0o644),
    "usr/share/notes.txt": ("plain text with the executable bit\n", 0o755),
    "usr/bin/blank": ("\n", 0o755),
}


@pytest.mark.parametrize("path", GOOD)
def test_what_is_right_has_no_finding(mini: Mini, path: str) -> None:
    text, mode = GOOD[path]
    mini.write(path, text, mode)
    assert mini.codes() == []


def test_five_interpreters_may_follow_each_other(mini: Mini) -> None:
    for number in range(1, 6):
        interpreter = f"usr/bin/chain{number - 1}" if number > 1 else "bin/sh"
        mini.write(f"usr/bin/chain{number}", f"#!{EPREFIX}/{interpreter}\n", 0o755)
    assert mini.codes() == []


def test_a_directory_for_all_users_is_right_with_the_sticky_bit(mini: Mini) -> None:
    mini.write("var/spool/all/file", "data\n")
    (mini / "var/spool/all").chmod(0o1777)
    assert mini.codes() == []


def test_test_data_of_another_architecture_is_only_a_note(mini: Mini) -> None:
    data = objects.library(mini / "usr/lib64/go/testdata/arm.so", mini.libc)
    objects.patch(data, 18, struct.pack("<H", 183))
    assert [(f.code, f.level) for f in mini.audit().findings] == [("elf-machine", "note")]


def test_a_link_to_a_device_is_right(mini: Mini) -> None:
    mini.link("usr/share/null", "/dev/null")
    mini.link("usr/share/mounts", "/proc/self/mounts")
    assert mini.codes() == []


def test_at_least_sixty_faults_are_planted() -> None:
    assert len(FAULTS) >= 60
