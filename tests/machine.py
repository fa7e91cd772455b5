# SPDX-License-Identifier: BSD-3-Clause
"""A machine for prefixes: everything that this program writes stays below one directory.

The commands run in separate processes, as a user runs them.
"""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import textwrap
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

CHECKOUT = Path(__file__).resolve().parents[1]

PASSED_ON = {
    key: os.environ[key] for key in ("PATH", "COVERAGE_PROCESS_START") if key in os.environ
}
"""The variables that a command inherits from the environment of the tests."""

Run = subprocess.CompletedProcess[str]


@dataclass
class Machine:
    """The directories of a machine, and functions that run commands there."""

    base: Path
    variables: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.scripts.exists():
            copy_repositories(self.scripts)
        (self.base / "home").mkdir(parents=True, exist_ok=True)

    @property
    def scripts(self) -> Path:
        """A scripts checkout: a copy of this one's repositories."""
        return self.base / "scripts"

    @property
    def repos(self) -> Path:
        return self.scripts / "repos"

    @property
    def bin(self) -> Path:
        """The wrapper directory."""
        return self.base / "bin"

    def staging(self, name: str, board: str = "amd64-usr") -> Path:
        return self.base / "build" / f"prefix-{board}" / name

    def final(self, name: str, board: str = "amd64-usr") -> Path:
        return self.scripts / "__prefix__" / board / name

    @property
    def places(self) -> dict[str, str]:
        """The variables that choose this program's directories, see flatcar_prefix.system.places."""
        return {
            "FLATCAR_PREFIX_BUILD_DIR": str(self.base / "build"),
            "FLATCAR_PREFIX_CACHE_DIR": str(self.base / "cache"),
            "FLATCAR_PREFIX_STATE_DIR": str(self.base / "state"),
            "FLATCAR_PREFIX_WRAPPER_DIR": str(self.bin),
        }

    def environment(self, **more: str) -> dict[str, str]:
        return {
            **PASSED_ON,
            "HOME": str(self.base / "home"),
            "LC_ALL": "C.UTF-8",
            "TERM": "dumb",
            **self.places,
            **self.variables,
            **more,
        }

    def run(self, *argv: str | Path, env: Mapping[str, str] | None = None, **options: Any) -> Run:
        """Run a command to its end; return stdout and stderr separately."""
        return subprocess.run(
            [os.fspath(word) for word in argv],
            env=self.environment(**(env or {})),
            **{
                "capture_output": True,
                "text": True,
                "check": False,
                "stdin": subprocess.DEVNULL,
                "cwd": self.base,
                **options,
            },
        )

    def ok(self, *argv: str | Path, **options: Any) -> Run:
        """Run a command that must succeed."""
        result = self.run(*argv, **options)
        assert result.returncode == 0, f"{argv}\n{result.stdout}\n{result.stderr}"
        return result

    def setup_command(self, *args: str | Path) -> list[str]:
        """Return ``setup_prefix`` with the checkout of this machine."""
        code = (
            "import sys; from flatcar_prefix.cli.main import setup_prefix; sys.exit(setup_prefix())"
        )
        return [sys.executable, "-c", code, f"--scripts_dir={self.scripts}", *map(str, args)]

    def try_setup(self, *args: str | Path, **options: Any) -> Run:
        return self.run(*self.setup_command(*args), **options)

    def setup(self, name: str, *args: str | Path, eprefix: str = "", **options: Any) -> InUse:
        """Set a prefix up (``--bootstrap=none`` unless ``args`` say otherwise)."""
        if not any(str(arg).startswith("--bootstrap") for arg in args):
            args = ("--bootstrap=none", *args)
        self.ok(*self.setup_command(*args, name, eprefix or f"/usr/local/{name}"), **options)
        board = next(
            (str(a).partition("=")[2] for a in args if str(a).startswith("--board=")), "amd64-usr"
        )
        return InUse(self, name, eprefix or f"/usr/local/{name}", board)

    def fp(self, *args: str | Path, **options: Any) -> Run:
        """Run ``flatcar-prefix``."""
        return self.run(sys.executable, "-m", "flatcar_prefix", *args, **options)


@dataclass
class InUse:
    """A prefix, as its user sees it."""

    machine: Machine
    name: str
    eprefix: str
    board: str = "amd64-usr"

    @property
    def staging_dir(self) -> Path:
        return self.machine.staging(self.name, self.board)

    @property
    def final_dir(self) -> Path:
        return self.machine.final(self.name, self.board)

    def eroot(self, kind: str) -> Path:
        directory = self.staging_dir if kind == "staging" else self.final_dir
        return directory / "root" / self.eprefix.lstrip("/")

    @property
    def staging(self) -> Path:
        """EROOT of staging."""
        return self.eroot("staging")

    @property
    def final(self) -> Path:
        """EROOT of final."""
        return self.eroot("final")

    def config(self, kind: str) -> Path:
        return self.eroot(kind) / "etc/portage"

    def installed(self, kind: str) -> set[str]:
        """Return ``category/name-version`` of the installed packages, from the VDB."""
        vdb = self.eroot(kind) / "var/db/pkg"
        return {f"{path.parent.name}/{path.name}" for path in vdb.glob("*/[!-]*") if path.is_dir()}

    def world(self, kind: str) -> list[str]:
        path = self.eroot(kind) / "var/lib/portage/world"
        return path.read_text().split() if path.exists() else []

    def binaries(self, cpv: str) -> list[Path]:
        """Return the binary packages of one package, with any build ID."""
        category, pf = cpv.split("/")
        return sorted((self.staging_dir / "pkgs" / category).glob(f"*/{pf}-*.gpkg.tar"))

    def wrapper(self, tool: str) -> Path:
        return self.machine.bin / f"{tool}-prefix-{self.name}-{self.board}"

    def emerge(self, *args: str, **options: Any) -> Run:
        return self.machine.run(self.wrapper("emerge"), *args, **options)

    def install(self, *args: str, **options: Any) -> Run:
        """Run emerge, which must succeed."""
        return self.machine.ok(self.wrapper("emerge"), *args, **options)

    def variables(self, kind: str) -> dict[str, str]:
        """Return what ``flatcar-prefix show <name> --env`` prints, as a shell reads it."""
        shown = self.machine.fp("show", f"{self.name}-{self.board}", "--env", kind)
        assert shown.returncode == 0, shown.stderr
        read = subprocess.run(
            ["env", "-i", "sh", "-c", f"set -a\n{shown.stdout}\nexec env -0"],
            capture_output=True, text=True, check=True,
        )  # fmt: skip
        pairs = (line.partition("=") for line in read.stdout.split("\0") if line)
        return {name: value for name, _, value in pairs if name not in ("PWD", "_", "SHLVL")}

    def plain(self, kind: str, tool: str, *args: str, **options: Any) -> Run:
        """Run Portage's own tool with these variables only."""
        beside = Path(sys.executable).parent / tool
        return self.machine.run(
            sys.executable,
            beside,
            *args,
            env={**self.variables(kind), **options.pop("env", {})},
            **options,
        )


def copy_repositories(scripts: Path) -> Path:
    """Copy this checkout's repositories to ``scripts/repos``; return ``scripts``."""
    shutil.copytree(
        CHECKOUT / "repos", scripts / "repos", symlinks=True,
        ignore=shutil.ignore_patterns("md5-cache"),
    )  # fmt: skip
    return scripts


@dataclass
class Overlay:
    """An ebuild repository that a test writes."""

    path: Path
    name: str

    def __post_init__(self) -> None:
        self.write("profiles/repo_name", f"{self.name}\n")
        self.write("profiles/eapi", "8\n")
        self.write("profiles/categories", "")
        self.write("metadata/layout.conf", "masters = gentoo-subset\nthin-manifests = true\n")

    def write(self, path: str, text: str) -> Path:
        file = self.path / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
        return file

    def ebuild(
        self,
        cpv: str,
        body: str = "",
        *,
        files: Mapping[str, str] | None = None,
        slot: str = "0",
        iuse: str = "",
        depend: str = "",
        rdepend: str = "",
        bdepend: str = "",
        pdepend: str = "",
        restrict: str = "",
        src_uri: str = "",
        keywords: str = "amd64 arm64",
    ) -> str:
        """Write an ebuild; one without a ``body`` installs /usr/share/<category>/<name>/<version>.

        Return ``category/name``.
        """
        category, pf = cpv.split("/")
        name, _, version = pf.rpartition("-")
        categories = self.path / "profiles/categories"
        known = categories.read_text().split()
        if category not in known:
            categories.write_text("\n".join([*known, category]) + "\n")
        for file, text in (files or {}).items():
            self.write(f"{category}/{name}/files/{file}", text)
        self.write(f"{category}/{name}/{pf}.ebuild", _EBUILD.format(
            slot=slot, iuse=iuse, depend=depend, rdepend=rdepend, bdepend=bdepend, pdepend=pdepend,
            restrict=restrict, src_uri=src_uri, keywords=keywords,
            body=textwrap.dedent(body) or _INSTALL.format(name=name, version=version),
        ))  # fmt: skip
        return f"{category}/{name}"


_EBUILD = """\
# Copyright 2026 The flatcar-prefix authors
# Distributed under the terms of the BSD 3-Clause License

EAPI=8

DESCRIPTION="A package of the tests"
HOMEPAGE="https://example.org/"
SRC_URI="{src_uri}"
S="${{WORKDIR}}"
LICENSE="BSD"
SLOT="{slot}"
KEYWORDS="{keywords}"
IUSE="{iuse}"
RESTRICT="{restrict}"
DEPEND="{depend}"
RDEPEND="{rdepend}"
BDEPEND="{bdepend}"
PDEPEND="{pdepend}"
{body}
"""

_INSTALL = """
src_install() {{
	insinto /usr/share/${{CATEGORY}}/{name}
	newins - {version} <<<"${{PF}}"
}}
"""


def descendants(pid: int) -> list[int]:
    """Return a process and all its descendants, itself first."""
    children: dict[int, list[int]] = {}
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = file.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        children.setdefault(int(fields[1]), []).append(int(file.parent.name))
    found = [pid]
    for one in found:
        found += children.get(one, [])
    return found


def snapshot(*directories: Path, ignore: Iterable[str] = ()) -> dict[str, str]:
    """Return all paths below the directories, with their kinds, modes and contents."""
    seen: dict[str, str] = {}
    for top in directories:
        for directory, subdirectories, files in os.walk(top):
            subdirectories[:] = [d for d in subdirectories if d not in ignore]
            for name in (*subdirectories, *files):
                path = Path(directory, name)
                seen[str(path)] = _fingerprint(path)
    return seen


def _fingerprint(path: Path) -> str:
    mode = path.lstat().st_mode
    if stat.S_ISLNK(mode):
        return f"-> {path.readlink()}"
    if stat.S_ISREG(mode):
        return f"{mode:o} {path.read_bytes()!r}"
    return f"{mode:o}"


def two_lines(result: Run) -> tuple[str, str]:
    """Return the two lines of a failed command: the error and the hint."""
    lines = result.stderr.splitlines()
    assert len(lines) == 2, f"not two lines:\n{result.stdout}\n{result.stderr}"
    assert all(line.startswith(" * ") and len(line) > 10 for line in lines), result.stderr
    assert "Traceback" not in result.stdout
    return lines[0][3:], lines[1][3:]
