# SPDX-License-Identifier: BSD-3-Clause
"""A small prefix that takes a second to make, with real programs and a real VDB.

The machine's compiler compiles its one program for the prefix's loader. The prefix's loader
and C library are copies of the machine's. Its VDB has Portage's format, and Portage reads it.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

from flatcar_prefix.boards import BOARDS
from flatcar_prefix.prefix import record
from flatcar_prefix.prefix.model import Prefix, Toolchain
from flatcar_prefix.prefix.repository import Repository

EPREFIX = "/usr/local/shipped"
VERSION_SAID = "hello from the prefix"
OLD = 1_600_000_000
"""The build time of all files in the prefix."""

TOOLS = {
    "amd64-usr": ("gcc", "ld-linux-x86-64.so.2", None),
    "arm64-usr": ("aarch64-linux-gnu-gcc", "ld-linux-aarch64.so.1", "/usr/aarch64-linux-gnu/lib"),
}

PROGRAM = """
#include <dlfcn.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

extern const char *greeting(void);
static void on_signal(int number) { _exit(40 + number); }

int main(int argc, char **argv)
{
    const char *what = argc > 1 ? argv[1] : "";
    if (!strcmp(what, "exit"))
        return atoi(argv[2]);
    if (!strcmp(what, "kill"))
        kill(getpid(), atoi(argv[2]));
    if (!strcmp(what, "wait")) {
        signal(SIGTERM, on_signal);
        signal(SIGINT, on_signal);
        signal(SIGUSR1, on_signal);
        puts("ready");
        fflush(stdout);
        for (;;) pause();
    }
    if (!strcmp(what, "cat")) {
        int c;
        while ((c = getchar()) != EOF) putchar(c);
        return 0;
    }
    if (!strcmp(what, "see")) {
        for (int i = 2; i < argc; i++)
            printf("%s %d\\n", argv[i], access(argv[i], F_OK) == 0);
        return 0;
    }
    if (!strcmp(what, "write")) {
        int fd = open(argv[2], O_CREAT | O_WRONLY, 0644);
        return fd < 0 ? 1 : write(fd, "x", 1) != 1;
    }
    if (!strcmp(what, "env")) {
        extern char **environ;
        for (char **e = environ; *e; e++) puts(*e);
        return 0;
    }
    if (!strcmp(what, "tty"))
        return printf("%d%d%d\\n", isatty(0), isatty(1), isatty(2)) < 0;
    if (!strcmp(what, "load"))
        return dlopen(argv[2], RTLD_NOW) ? 0 : (puts(dlerror()), 9);
    if (!strcmp(what, "maps")) {
        char line[4096];
        FILE *maps = fopen("/proc/self/maps", "r");
        while (fgets(line, sizeof line, maps))
            if (strchr(line, '/')) fputs(strchr(line, '/'), stdout);
        return 0;
    }
    if (!strcmp(what, "read")) {
        int c;
        FILE *file = fopen(argv[2], "r");
        while (file && (c = getc(file)) != EOF) putchar(c);
        return !file;
    }
    if (!strcmp(what, "spawn")) {
        pid_t child = fork();
        int status;
        if (!child) { execv(argv[2], argv + 2); _exit(99); }
        waitpid(child, &status, 0);
        return WEXITSTATUS(status);
    }
    puts(greeting());
    return 0;
}
"""

LIBRARY = f"""
static int ready;
__attribute__((constructor)) static void start(void) {{ ready = 1; }}
const char *greeting(void) {{ return ready ? "{VERSION_SAID}" : "not ready"; }}
"""


def make(
    base: Path,
    *,
    board: str = "amd64-usr",
    eprefix: str = EPREFIX,
    name: str = "shipped",
    compiled: bool = True,
) -> Prefix:
    """Make a prefix below ``base`` and return it."""
    repo = base / "repo"
    prefix = Prefix(
        name=name,
        eprefix=eprefix,
        board=BOARDS[board],
        staging_dir=base / "staging",
        final_dir=base / "final",
        repositories=(Repository("gentoo", repo),),
        main_repo="gentoo",
        distdir=base / "distfiles",
        depcachedir=base / "depcache",
        toolchain=Toolchain("host", "gcc", "g++", "", "", "gcc"),
        profile="gentoo:base",
        complete=True,
    )
    _repository(repo)
    for directory in (prefix.host_dir, prefix.final.eroot, prefix.staging.eroot):
        _configuration(directory, repo, prefix)
    _files(prefix.final.eroot)
    if compiled:
        _compile(prefix, base / "obj")
    _settle(prefix.final.path)
    _package(prefix, "sys-libs/glibc-2.36", "LGPL-2.1+ GPL-2+ BSD", ["lib", "lib64"])
    _package(prefix, "app-misc/hello-1.2-r3", "|| ( GPL-3 MIT )", ["usr", "etc/hello.conf", "bin"])
    for kind in (prefix.final, prefix.staging):
        kind.tmpdir.mkdir(parents=True, exist_ok=True)
    return record.write(prefix)


def _write(path: Path, text: str, mode: int = 0o644) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)


def _repository(repo: Path) -> None:
    _write(repo / "profiles/repo_name", "gentoo\n")
    _write(repo / "profiles/arch.list", "amd64\narm64\n")
    _write(repo / "profiles/categories", "app-misc\nsys-libs\n")
    _write(repo / "profiles/base/make.defaults", 'ARCH="amd64"\nACCEPT_KEYWORDS="amd64"\n')
    _write(repo / "profiles/base/eapi", "8\n")
    _write(repo / "metadata/layout.conf", "masters =\nthin-manifests = true\n")


def _configuration(eroot: Path, repo: Path, prefix: Prefix) -> None:
    config = eroot / "etc/portage"
    config.mkdir(parents=True)
    (config / "make.profile").symlink_to(repo / "profiles/base")
    _write(
        config / "make.conf",
        f'CHOST="{prefix.board.chost}"\nPKGDIR="{prefix.final.pkgdir}"\n'
        f'PORTAGE_TMPDIR="{prefix.final.tmpdir}"\n',
    )
    _write(
        config / "repos.conf",
        f"[DEFAULT]\nmain-repo = gentoo\n[gentoo]\nlocation = {repo}\n",
    )


def _files(eroot: Path) -> None:
    """One file for each rule, and files that no rule matches."""
    for path in (
        "usr/include/hello.h",
        "usr/lib64/libhello.a",
        "usr/lib64/pkgconfig/hello.pc",
        "usr/share/man/man1/hello.1",
        "usr/share/doc/hello/README",
        "var/cache/edb/counter",
        "var/lib/portage/world",
        "etc/hello.conf",
        "usr/share/hello/data with a space",
        "usr/share/hello/ünïcode",
    ):
        _write(eroot / path, f"{path}\n")
    config = f"#!{EPREFIX}/usr/bin/hello\ncase $1 in --cflags) echo -I/usr/include ;; esac\n"
    _write(eroot / "usr/bin/hello-config", config, 0o755)
    _write(eroot / "usr/bin/hello-script", f"#!{EPREFIX}/usr/bin/hello\n", 0o755)
    _write(
        eroot / "usr/lib/systemd/system/hello.service",
        "[Service]\nExecStart=/usr/bin/hello wait\nExecStop=/usr/bin/kill $MAINPID\n",
    )
    _write(eroot / "usr/lib/sysusers.d/hello.conf", 'u hello - "Hello"\n')
    _write(eroot / "usr/lib/tmpfiles.d/hello.conf", "d /var/lib/hello\n")
    wants = eroot / "usr/lib/systemd/system/multi-user.target.wants"
    wants.mkdir()
    (wants / "hello.service").symlink_to("../hello.service")
    _write(eroot / "var/lib/hello/.keep_app-misc_hello-0", "")
    os.link(eroot / "usr/share/hello/ünïcode", eroot / "usr/share/hello/second name")
    (eroot / "usr/bin/hi").symlink_to("hello")
    (eroot / "usr/share/hello/manual").symlink_to("../man/man1/hello.1")
    (eroot / "usr/share/hello/absolute").symlink_to(f"{EPREFIX}/etc/hello.conf")


def _compile(prefix: Prefix, obj: Path) -> None:
    compiler, loader, libraries = TOOLS[prefix.board.name]
    eroot, eprefix = prefix.final.eroot, prefix.eprefix
    target = eroot / prefix.board.loader
    source = Path(libraries) if libraries else Path(f"/lib64/{loader}").resolve().parent
    libdir = eroot / prefix.board.libdir
    for directory in (obj, target.parent, libdir, eroot / "usr/bin", eroot / "usr/lib64"):
        directory.mkdir(parents=True, exist_ok=True)
    shutil.copy((source / loader).resolve(), target)
    shutil.copy((source / "libc.so.6").resolve(), libdir / "libc.so.6")
    _write(obj / "hello.c", PROGRAM)
    _write(obj / "greeting.c", LIBRARY)
    library = eroot / "usr/lib64/libgreeting.so.1"
    _cc(compiler, "-shared", "-fPIC", "-Wl,-soname,libgreeting.so.1", obj / "greeting.c", library)
    _cc(
        compiler,
        f"-Wl,--dynamic-linker={eprefix}/{prefix.board.loader}",
        f"-Wl,-rpath,{eprefix}/usr/lib64:{eprefix}/{prefix.board.libdir}",
        library,
        obj / "hello.c",
        eroot / "usr/bin/hello",
    )


def _cc(compiler: str, *words: str | Path) -> None:
    *rest, output = words
    # A library comes after the files that need it.
    sources = sorted(map(os.fspath, rest), key=lambda word: word.endswith(".so.1"))
    subprocess.run([compiler, "-O1", "-o", os.fspath(output), *sources], check=True)


def _settle(root: Path) -> None:
    for path in [root, *root.rglob("*")]:
        os.utime(path, (OLD, OLD), follow_symlinks=False)


def _package(prefix: Prefix, cpv: str, licence: str, tops: list[str]) -> None:
    """Write the VDB entry of a package that owns all files below ``tops``."""
    eroot = prefix.final.eroot
    entry = eroot / "var/db/pkg" / cpv
    pf = cpv.split("/")[1]
    lines = []
    for top in tops:
        paths = [eroot / top, *sorted((eroot / top).rglob("*"))] if (eroot / top).exists() else []
        lines += [_contents(path, prefix) for path in paths]
    for key, value in {
        "CONTENTS": "\n".join(lines),
        "LICENSE": licence,
        "SLOT": "0",
        "EAPI": "8",
        "PF": pf,
        "CATEGORY": cpv.split("/")[0],
        "DESCRIPTION": f"The package {pf}",
        "HOMEPAGE": "https://example.org/",
        "KEYWORDS": "amd64 arm64",
        "USE": "amd64",
        "IUSE": "",
        "repository": "gentoo",
        "COUNTER": "1",
        "CHOST": prefix.board.chost,
        "EPREFIX": prefix.eprefix,
    }.items():
        _write(entry / key, value and value + "\n")
    _write(entry / f"{pf}.ebuild", 'EAPI="8"\nSLOT="0"\n')


def _contents(path: Path, prefix: Prefix) -> str:
    name = f"{prefix.eprefix}/{path.relative_to(prefix.final.eroot)}"
    if path.is_symlink():
        return f"sym {name} -> {os.readlink(path)} {OLD}"
    if path.is_dir():
        return f"dir {name}"
    return f"obj {name} {hashlib.md5(path.read_bytes()).hexdigest()} {OLD}"


def copied(prefix: Prefix, base: Path) -> Prefix:
    """Return the same prefix with its final root in another directory."""
    base.mkdir(exist_ok=True)
    subprocess.run(["cp", "-a", prefix.final_dir, base / "final"], check=True)
    _settle_directories(base / "final")
    return replace(prefix, final_dir=base / "final")


def _settle_directories(base: Path) -> None:
    """Change the times of directories and symlinks, as an installation does."""
    for path in base.rglob("*"):
        if path.is_dir() or path.is_symlink():
            os.utime(path, None, follow_symlinks=False)
