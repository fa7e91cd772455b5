# SPDX-License-Identifier: BSD-3-Clause
"""Compile the programs and libraries of small prefixes, real ELF files from a few lines of C."""

from __future__ import annotations

import subprocess
from pathlib import Path

EPREFIX = "/opt/mini"
LOADER = f"{EPREFIX}/lib64/ld-linux-x86-64.so.2"

LOADER_SOURCE = """
const char directories[] = "\\0{directories}\\0";
const char cache[] = "\\0{cache}\\0";
const char preload[] = "\\0{preload}\\0";
const char ignored[] = "\\0{ignored}\\0";
"""
LIBC_SOURCE = "int puts(const char *s) { return 0; }\n"
LIBC_VERSIONS = "GLIBC_2.2.5 { global: puts; local: *; };\n"
LIBRARY_SOURCE = 'int puts(const char *); int {name}(void) {{ return puts(""); }}\n'
PROGRAM_SOURCE = 'int puts(const char *); void _start(void) { puts(""); }\n'


def compile_c(target: Path, source: str, *arguments: str | Path) -> Path:
    """Compile ``source`` into ``target`` with the named libraries only."""
    target.parent.mkdir(parents=True, exist_ok=True)
    command = ["gcc", "-nostdlib", "-fPIC", "-w", "-Wl,--no-as-needed"]
    subprocess.run(
        [*command, "-o", target, "-x", "c", "-", "-x", "none", *arguments],
        input=source.encode(),
        check=True,
    )
    return target


def loader(
    target: Path,
    *,
    directories: tuple[str, ...] = (f"{EPREFIX}/lib64/", f"{EPREFIX}/usr/lib64/"),
    cache: str = f"{EPREFIX}/etc/ld.so.cache",
    preload: str = f"{EPREFIX}/etc/ld.so.preload",
    ignored: str = "LD_PRELOAD",
) -> Path:
    """Compile a file with a loader's strings that cannot load programs."""
    source = LOADER_SOURCE.format(
        directories="\\0".join(directories), cache=cache, preload=preload, ignored=ignored
    )
    return compile_c(target, source, "-shared", f"-Wl,-soname,{target.name}")


def libc(target: Path, *, versions: str = LIBC_VERSIONS) -> Path:
    """Compile a C library with one function."""
    script = target.with_name("versions")
    script.parent.mkdir(parents=True, exist_ok=True)
    script.write_text(versions)
    flag = f"-Wl,--version-script={script}" if versions else ""
    arguments = [a for a in ("-shared", f"-Wl,-soname,{target.name}", flag) if a]
    compile_c(target, LIBC_SOURCE, *arguments)
    script.unlink()
    return target


def library(target: Path, *arguments: str | Path, name: str = "foo") -> Path:
    """Compile a library that depends on the libraries that it links with."""
    source = LIBRARY_SOURCE.format(name=name)
    return compile_c(target, source, "-shared", f"-Wl,-soname,{target.name}", *arguments)


def program(target: Path, *arguments: str | Path, interpreter: str = LOADER) -> Path:
    """Compile a program with the loader ``interpreter``."""
    return compile_c(
        target, PROGRAM_SOURCE, "-pie", f"-Wl,--dynamic-linker,{interpreter}", *arguments
    )


def patch(path: Path, offset: int, data: bytes) -> None:
    """Overwrite bytes of a file."""
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(data)
