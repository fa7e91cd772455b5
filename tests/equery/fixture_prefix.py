# SPDX-License-Identifier: BSD-3-Clause
"""A small prefix of synthetic packages, merged for real by Portage.

Tests, the parity table and the benchmark share it. Everything lies below one directory:
two repositories, the build host's configuration, and ROOT with the prefix in it.
"""

from __future__ import annotations

import bz2
import hashlib
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

# A place whose parent holds nothing that a test needs: the view mounts over it.
EPREFIX = "/srv/equery-fixture"
MAIN_REPO = "gentoo"
OVERLAY = "fixture-extra"

FILES: dict[str, tuple[Put, ...]] = {}

# Portage passes these on from the caller; a fixture must not depend on who runs it.
_CLEAN_ENV = {
    "PATH": os.environ.get("PATH", "/usr/bin:/bin"),
    "HOME": "/",
    "LANG": "C.UTF-8",
    "LC_ALL": "C.UTF-8",
    "TERM": "dumb",
    "TZ": "UTC",
}


@dataclass(frozen=True)
class Fixture:
    """The paths of the parts of one generated prefix."""

    base: Path
    eprefix: str = EPREFIX

    @property
    def root(self) -> Path:
        return self.base / "root"

    @property
    def eroot(self) -> Path:
        return Path(f"{self.root}{self.eprefix}")

    @property
    def host(self) -> Path:
        return self.base / "host"

    @property
    def repo(self) -> Path:
        return self.base / "repos" / MAIN_REPO

    @property
    def overlay(self) -> Path:
        return self.base / "repos" / OVERLAY

    def cross_env(self) -> dict[str, str]:
        """The variables that point Portage at this root from the build machine."""
        return {
            **_CLEAN_ENV,
            "ROOT": f"{self.root}/",
            "SYSROOT": f"{self.root}/",
            "EPREFIX": self.eprefix,
            "PORTAGE_CONFIGROOT": str(self.eroot),
            "PORTAGE_OVERRIDE_EPREFIX": str(self.host),
        }

    def view_env(self) -> dict[str, str]:
        """The variables of a namespace in which the prefix stands at its EPREFIX."""
        return {**_CLEAN_ENV, "PORTAGE_OVERRIDE_EPREFIX": self.eprefix}


def in_view(fixture: Fixture, command: list[str]) -> list[str]:
    """`command`, wrapped so that it runs where the prefix stands at its EPREFIX."""
    script = 'mkdir -p "$2" && mount --bind "$1" "$2" && shift 2 && exec "$@"'
    top = f"{fixture.base}/view-parent"
    prepare = (
        f'mkdir -p "{top}" && mount --bind "{top}" "{Path(fixture.eprefix).parent}" && {script}'
    )
    return [
        "unshare",
        "--mount",
        "sh",
        "-euc",
        prepare,
        "sh",
        str(fixture.eroot),
        fixture.eprefix,
        *command,
    ]


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(textwrap.dedent(text).lstrip("\n"), encoding="utf-8")


class Put(NamedTuple):
    """One thing that a package installs; paths are those below the prefix."""

    kind: str
    path: str
    content: str = ""


def _file(path: str, content: str = "#!/bin/sh\n") -> Put:
    return Put("obj", path, content)


def _install_phase(files: Sequence[Put]) -> str:
    """The shell that installs them: plain commands, each of Portage's helpers is a Python start."""
    lines = []
    for put in files:
        where = shlex.quote(put.path)
        lines.append(f'mkdir -p "${{ED}}"/{shlex.quote(os.path.dirname(put.path))} || die')
        if put.kind == "obj":
            lines.append(f'printf %s {shlex.quote(put.content)} > "${{ED}}"{where} || die')
        elif put.kind == "sym":
            lines.append(f'ln -s {shlex.quote(put.content)} "${{ED}}"{where} || die')
        elif put.kind == "hard":
            lines.append(f'ln "${{ED}}"{shlex.quote(put.content)} "${{ED}}"{where} || die')
        elif put.kind == "fif":
            lines.append(f'mkfifo "${{ED}}"{where} || die')
        else:
            lines.append(f'mkdir -p "${{ED}}"{where} || die')
    return "\n".join(f"\t{line}" for line in lines) or "\t:"


def _ebuild(
    repo: Path,
    cpv: str,
    *,
    files: Sequence[Put] = (),
    description: str = "Synthetic package",
    slot: str = "0",
    keywords: str = "amd64 arm64",
    iuse: str = "",
    depend: str = "",
    rdepend: str = "",
    bdepend: str = "",
    pdepend: str = "",
    license_: str = "BSD",
    homepage: str = "https://example.org/",
) -> None:
    category, pf = cpv.split("/")
    match = re.match(r"(.+?)-\d", pf)
    assert match is not None
    name = match[1]
    FILES[cpv] = tuple(files)
    _write(
        repo / category / name / f"{pf}.ebuild",
        f"""\
# Copyright 2026 The flatcar-prefix authors
# Distributed under the terms of the BSD 3-Clause License

EAPI=8
DESCRIPTION="{description}"
HOMEPAGE="{homepage}"
S="${{WORKDIR}}"
LICENSE="{license_}"
SLOT="{slot}"
KEYWORDS="{keywords}"
IUSE="{iuse}"
DEPEND="{depend}"
RDEPEND="{rdepend}"
BDEPEND="{bdepend}"
PDEPEND="{pdepend}"

src_install() {{
{_install_phase(files)}
}}
""",
    )


def _metadata(repo: Path, cp: str, body: str) -> None:
    _write(
        repo / cp / "metadata.xml",
        f"""\
<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE pkgmetadata SYSTEM "https://www.gentoo.org/dtd/metadata.dtd">
<pkgmetadata>
{body}
</pkgmetadata>
""",
    )


def _profiles(repo: Path) -> None:
    profiles = repo / "profiles"
    _write(profiles / "repo_name", f"{MAIN_REPO}\n")
    _write(profiles / "categories", "app-misc\ndev-libs\nsys-apps\nvirtual\nx11-misc\n")
    _write(profiles / "arch.list", "amd64\narm64\nhppa\nriscv\nx86\namd64-linux\nx64-macos\n")
    _write(
        profiles / "profiles.desc",
        """
        amd64 base stable
        arm64 base stable
        hppa  base dev
        riscv base exp
        x86   base stable
        amd64-linux base exp
        x64-macos base exp
        """,
    )
    _write(profiles / "arches.desc", "amd64 stable\narm64 stable\nriscv testing\nhppa testing\n")
    _write(
        profiles / "use.desc",
        """
        # global flags
        doc - Build documentation
        foo - Enable the foo back end, which is the one that most people want to have in place of the other one
        test - Run tests
        static - Link statically
        """,
    )
    _write(profiles / "desc" / "l10n.desc", "# languages\nde - German\nfr - French\n")
    _write(profiles / "desc" / "python_targets.desc", "python3_11 - Build with Python 3.11\n")
    _write(
        profiles / "package.mask",
        """
        # A. Developer <dev@example.org> (2026-01-01)
        # Broken on purpose.
        # See the bug.
        =app-misc/alpha-3.0

        x11-misc/masked
        """,
    )
    _write(repo / "metadata" / "layout.conf", "masters =\nthin-manifests = true\n")
    base = profiles / "base"
    _write(base / "eapi", "8\n")
    _write(
        base / "make.defaults",
        """
        ARCH="amd64"
        ACCEPT_KEYWORDS="amd64"
        CHOST="x86_64-cros-linux-gnu"
        USE="foo"
        USE_EXPAND="L10N PYTHON_TARGETS ELIBC"
        USE_EXPAND_IMPLICIT="ARCH ELIBC"
        USE_EXPAND_HIDDEN="ELIBC"
        USE_EXPAND_UNPREFIXED="ARCH"
        USE_EXPAND_VALUES_ARCH="amd64 arm64"
        USE_EXPAND_VALUES_ELIBC="glibc"
        IUSE_IMPLICIT="prefix"
        ELIBC="glibc"
        L10N="de"
        PYTHON_TARGETS="python3_11"
        CONFIG_PROTECT="/etc"
        CONFIG_PROTECT_MASK="/etc/env.d"
        """,
    )
    _write(base / "use.mask", "static\n")
    _write(base / "use.force", "forced\n")
    _write(base / "packages", "*sys-apps/base\n")


def _repository(repo: Path) -> None:
    _profiles(repo)
    licenses = repo / "licenses"
    _write(licenses / "BSD", "BSD\n")
    _write(licenses / "Special", "Special\n")
    _ebuild(
        repo,
        "sys-apps/base-1",
        description="The base",
        files=[
            _file("/var/lib/base/.keep_sys-apps_base-0", ""),
            _file("/etc/base/base.conf", "setting=1\n"),
            _file("/etc/env.d/99base", "BASE=1\n"),
            _file("/usr/bin/base-tool"),
            Put("sym", "/usr/bin/base-link", "base-tool"),
            _file("/usr/share/man/man1/base-tool.1", ".TH BASE 1\n"),
            _file("/usr/share/info/base.info", "info\n"),
            _file("/usr/share/doc/base-1/README", "read me\n"),
        ],
    )
    alpha: dict[str, Any] = {
        "iuse": "+foo bar static forced doc l10n_de l10n_fr python_targets_python3_11",
        "rdepend": "dev-libs/beta:0= foo? ( >=dev-libs/gamma-1.2[bar,-foo] ) !app-misc/blocked "
        "|| ( virtual/thing sys-apps/base )",
        "depend": ">=dev-libs/beta-1",
        "bdepend": "~sys-apps/base-1",
        "pdepend": "doc? ( app-misc/docs )",
    }

    def files(slot: str) -> list[Put]:
        return [
            _file(f"/usr/bin/alpha{slot}"),
            _file("/usr/share/name with space/a file", "spaces\n"),
            Put("sym", f"/usr/lib/alpha-link{slot}", "../share/name with space/a file"),
            _file(f"/etc/alpha/alpha{slot}.conf", f"x={slot}\n"),
            Put("fif", f"/usr/lib/pipe{slot}"),
            _file(f"/usr/lib/alpha/blob{slot}", "z" * 5000),
            Put("hard", f"/usr/lib/alpha/hard{slot}", f"/usr/lib/alpha/blob{slot}"),
        ]

    _ebuild(repo, "app-misc/alpha-1.0", files=files("0"), **alpha)
    _ebuild(repo, "app-misc/alpha-1.1-r2", keywords="~amd64 arm64 -hppa", **alpha)
    _ebuild(repo, "app-misc/alpha-2.0_rc1", slot="2/2.5", files=files("2"), **alpha)
    _ebuild(repo, "app-misc/alpha-3.0", slot="3", keywords="~amd64", **alpha)
    _ebuild(repo, "app-misc/alpha-9999", slot="3", keywords="", **alpha)
    _metadata(
        repo,
        "app-misc/alpha",
        """\
  <maintainer type="person">
    <email>ann@example.org</email>
    <name>Ann Other</name>
    <description>Main maintainer</description>
  </maintainer>
  <maintainer type="project" restrict="&gt;=app-misc/alpha-2">
    <email>project@example.org</email>
  </maintainer>
  <longdescription lang="en">
    Alpha is a synthetic package. Its description is long enough to be wrapped at the width of
    a terminal, and it has more than one line,

    with an empty one in between.
  </longdescription>
  <use>
    <flag name="foo">Enables <pkg>dev-libs/gamma</pkg> as the
      back end</flag>
    <flag name="bar" restrict="&gt;=app-misc/alpha-1.1">Enables bar</flag>
  </use>
  <upstream>
    <maintainer status="active"><email>up@example.net</email><name>Up Stream</name></maintainer>
    <changelog>https://example.net/ChangeLog</changelog>
    <doc lang="en">https://example.net/doc</doc>
    <bugs-to>mailto:bugs@example.net</bugs-to>
    <remote-id type="github">example/alpha</remote-id>
    <remote-id type="unheard-of">alpha</remote-id>
  </upstream>""",
    )
    _metadata(repo, "dev-libs/beta", "  <!-- maintainer-needed -->")
    _libraries(repo)
    _applications(repo)
    _write(
        repo / "app-misc" / "alpha" / "ChangeLog",
        """
        # ChangeLog for app-misc/alpha

        *alpha-2.0_rc1 (02 Feb 2026)

          02 Feb 2026; Ann Other <ann@example.org> +alpha-2.0_rc1.ebuild:
          The second slot.

        *alpha-1.1-r2 (20 Jan 2026)

          20 Jan 2026; Ann Other <ann@example.org> +alpha-1.1-r2.ebuild:
          A revision.

        *alpha-1.0 (01 Jan 2026)

          01 Jan 2026; Ann Other <ann@example.org> +alpha-1.0.ebuild, +metadata.xml:
          The first one.
        """,
    )


def _libraries(repo: Path) -> None:
    _ebuild(
        repo,
        "dev-libs/beta-1.0",
        iuse="static",
        rdepend="sys-apps/base",
        files=[
            _file("/usr/lib64/libbeta.so.1", "b" * 2000),
            Put("sym", "/usr/lib64/libbeta.so", "libbeta.so.1"),
            _file("/usr/include/beta.h", "#define BETA 1\n"),
        ],
    )
    _ebuild(repo, "dev-libs/beta-1.5", keywords="~amd64 ~arm64", rdepend="sys-apps/base")
    keep = _file("/usr/lib/gamma/.keep_dev-libs_gamma-0", "")
    _ebuild(repo, "dev-libs/gamma-1.2", iuse="bar +foo", files=[keep])
    _ebuild(repo, "dev-libs/gamma-1.3", iuse="bar", keywords="-* arm64")
    _ebuild(repo, "virtual/thing-0", rdepend="|| ( dev-libs/delta:2 sys-apps/base )")
    _ebuild(
        repo,
        "dev-libs/delta-2.1",
        slot="2",
        rdepend="dev-libs/beta foo? ( dev-libs/gamma:0/0 )",
        iuse="foo",
        files=[_file("/usr/lib/delta/d", "d\n")],
    )
    _ebuild(repo, "dev-libs/fake-alpha-1", files=[_file("/usr/lib/fake/fake", "f\n")])


def _applications(repo: Path) -> None:
    _ebuild(
        repo,
        "app-misc/docs-0.1_p2",
        rdepend=">=app-misc/alpha-1",
        license_="|| ( BSD Special )",
        homepage="https://example.org/a https://example.org/b",
        files=[_file("/usr/share/doc/docs/INDEX", "i\n")],
    )
    _ebuild(
        repo,
        "app-misc/epsilon-4",
        rdepend="<app-misc/alpha-2 =dev-libs/beta-1*",
        iuse="test",
        files=[_file("/usr/bin/epsilon")],
    )
    _ebuild(
        repo,
        "app-misc/zeta-1-r1",
        rdepend="test? ( app-misc/epsilon ) !test? ( app-misc/docs )",
        iuse="test",
        files=[_file("/usr/bin/zeta"), Put("dir", "/usr/lib/zeta")],
    )
    _ebuild(repo, "app-misc/fake-alpha-1", files=[_file("/usr/bin/fake-alpha")])
    _ebuild(repo, "x11-misc/masked-1", rdepend="app-misc/alpha")
    _ebuild(repo, "x11-misc/plain-1.2.3", description="Nothing but a name", keywords="~amd64")
    _ebuild(repo, "x11-misc/empty-1")
    _ebuild(repo, "x11-misc/gone-1", files=[_file("/usr/bin/gone")])


def _overlay(repo: Path) -> None:
    _write(repo / "profiles" / "repo_name", f"{OVERLAY}\n")
    _write(repo / "metadata" / "layout.conf", f"masters = {MAIN_REPO}\nthin-manifests = true\n")
    _ebuild(repo, "dev-libs/beta-1.6", iuse="foo", rdepend="sys-apps/base dev-libs/gamma")
    _ebuild(
        repo,
        "x11-misc/extra-7",
        iuse="foo",
        rdepend="dev-libs/beta",
        files=[_file("/usr/bin/extra"), _file("/usr/share/\u00fcml\u00e4ut/\u00e9", "e\n")],
    )
    _ebuild(repo, "x11-misc/hidden-1", keywords="~amd64", slot="1")


def _configuration(fixture: Fixture) -> None:
    repos_conf = f"""
        [DEFAULT]
        main-repo = {MAIN_REPO}

        [{MAIN_REPO}]
        location = {fixture.repo}

        [{OVERLAY}]
        location = {fixture.overlay}
        priority = 10
        """
    for config_root in (fixture.host, fixture.eroot):
        etc = config_root / "etc" / "portage"
        _write(etc / "repos.conf", repos_conf)
        (etc / "make.profile").symlink_to(fixture.repo / "profiles" / "base")
        _write(
            etc / "make.conf",
            f"""
            DISTDIR="{fixture.base}/distfiles"
            PKGDIR="{fixture.base}/pkgs"
            PORTAGE_TMPDIR="{fixture.base}/tmp"
            PORT_LOGDIR="{fixture.base}/logs"
            PORTAGE_USERNAME="root"
            PORTAGE_GRPNAME="root"
            FEATURES="-sandbox -usersandbox -userpriv -news -ipc-sandbox -network-sandbox -pid-sandbox -mount-sandbox -collision-protect -protect-owned -preserve-libs -merge-sync -binpkg-logs -multilib-strict -strict -xattr nostrip"
            USE="bar"
            PORTAGE_ELOG_CLASSES=""
            CLEAN_DELAY=0
            EMERGE_WARNING_DELAY=0
            """,
        )
    _write(fixture.eroot / "etc" / "portage" / "package.use" / "alpha", "app-misc/zeta test\n")
    _write(
        fixture.eroot / "etc" / "portage" / "package.accept_keywords", "=app-misc/alpha-1.1-r2\n"
    )
    _write(fixture.eroot / "etc" / "portage" / "sets" / "mine", "app-misc/alpha\ndev-libs/beta\n")
    share = fixture.host / "share" / "portage"
    share.mkdir(parents=True)
    (share / "config").symlink_to(Path(sys.prefix) / "share" / "portage" / "config")
    native = fixture.eroot / "share" / "portage"
    native.mkdir(parents=True)
    (native / "config").symlink_to(Path(sys.prefix) / "share" / "portage" / "config")
    for name in ("distfiles", "pkgs", "tmp", "logs"):
        (fixture.base / name).mkdir()


# Merged by emerge: what a real merge writes is the measure for the rest.
MERGED = ("sys-apps/base-1", "app-misc/alpha-1.0", "x11-misc/extra-7")
# Written to the VDB from the same ebuilds: a merge takes seconds, and tests have few.
WRITTEN = (
    "dev-libs/beta-1.0",
    "dev-libs/gamma-1.2",
    "dev-libs/delta-2.1",
    "virtual/thing-0",
    "app-misc/alpha-2.0_rc1",
    "app-misc/docs-0.1_p2",
    "app-misc/epsilon-4",
    "app-misc/zeta-1-r1",
    "app-misc/fake-alpha-1",
    "dev-libs/fake-alpha-1",
    "x11-misc/empty-1",
    "x11-misc/gone-1",
)
MTIME = 1_700_000_000


def _merge(fixture: Fixture, cpvs: Sequence[str]) -> None:
    emerge = shutil.which("emerge", path=str(Path(sys.executable).parent))
    if emerge is None:
        raise RuntimeError("emerge is not beside the Python that runs this")
    command = [emerge, "--oneshot", "--nodeps", "--quiet", "--quiet-build=y", "--jobs=2"]
    command += ["--color=n", *(f"={cpv}" for cpv in cpvs)]
    done = subprocess.run(
        command, env=fixture.cross_env(), stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    if done.returncode != 0:
        raise RuntimeError(f"the fixture could not be merged:\n{done.stdout}{done.stderr}")


def _write_installed(fixture: Fixture, cpvs: Sequence[str]) -> None:
    """Puts packages into the root without emerge: their files, and what Portage knows of them."""
    from portage.dbapi.porttree import portdbapi
    from portage.package.ebuild.config import config

    env = fixture.cross_env()
    settings = config(
        config_root=env["PORTAGE_CONFIGROOT"],
        target_root=env["ROOT"],
        sysroot=env["SYSROOT"],
        eprefix=env["EPREFIX"],
        env=env,
    )
    portdb = portdbapi(mysettings=settings)
    for counter, cpv in enumerate(cpvs, start=100):
        settings.setcpv(cpv, mydb=portdb)
        _write_record(fixture, cpv, portdb, settings["PORTAGE_USE"].split(), counter)


def _write_record(fixture: Fixture, cpv: str, portdb: Any, use: list[str], counter: int) -> None:
    from portage.dep import paren_enclose, use_reduce

    keys = "DEPEND RDEPEND BDEPEND PDEPEND IDEPEND IUSE SLOT KEYWORDS LICENSE HOMEPAGE".split()
    keys += ["DESCRIPTION", "EAPI", "repository", "DEFINED_PHASES"]
    record = dict(zip(keys, portdb.aux_get(cpv, keys), strict=False))
    for key in keys[:5]:
        record[key] = paren_enclose(use_reduce(record[key], uselist=use))
    record |= {"USE": " ".join(use), "COUNTER": str(counter), "CATEGORY": cpv.split("/")[0]}
    record |= {
        "PF": cpv.split("/")[1],
        "EPREFIX": fixture.eprefix,
        "CHOST": "x86_64-cros-linux-gnu",
    }
    directory = fixture.eroot / "var" / "db" / "pkg" / cpv
    directory.mkdir(parents=True)
    for key, value in record.items():
        if value:
            (directory / key).write_text(f"{value}\n", encoding="utf-8")
    (directory / "environment.bz2").write_bytes(bz2.compress(b""))
    (directory / "CONTENTS").write_text(_put_all(fixture, FILES[cpv]), encoding="utf-8")


def _put_all(fixture: Fixture, files: Sequence[Put]) -> str:
    """Installs the files; returns the text of CONTENTS."""
    lines: dict[str, str] = {}
    for put in files:
        here = fixture.eroot / put.path.lstrip("/")
        path = f"{fixture.eprefix}{put.path}"
        here.parent.mkdir(parents=True, exist_ok=True)
        below = [p for p in reversed(here.parents) if p.is_relative_to(fixture.eroot)]
        for parent in below[1:]:
            lines.setdefault(f"dir {parent.as_posix()[len(str(fixture.root)) :]}\n", "")
        lines[_put(fixture, put, here, path)] = ""
    return "".join(lines)


def _put(fixture: Fixture, put: Put, here: Path, path: str) -> str:
    if put.kind == "dir":
        here.mkdir()
        return f"dir {path}\n"
    if put.kind == "fif":
        os.mkfifo(here)
        return f"fif {path}\n"
    if put.kind == "sym":
        here.symlink_to(put.content)
        return f"sym {path} -> {put.content} {MTIME}\n"
    if put.kind == "hard":
        here.hardlink_to(fixture.eroot / put.content.lstrip("/"))
    else:
        here.write_text(put.content, encoding="utf-8")
    os.utime(here, (MTIME, MTIME))
    return f"obj {path} {hashlib.md5(here.read_bytes()).hexdigest()} {MTIME}\n"


def _disturb(fixture: Fixture) -> None:
    """Change a root as users do: change files, remove ebuilds."""
    prefix = fixture.eroot
    (prefix / "usr/bin/alpha0").write_text("changed\n")
    os.utime(prefix / "usr/lib/alpha/blob2", (1_000_000_000, 1_000_000_000))
    (prefix / "usr/lib64/libbeta.so").unlink()
    (prefix / "usr/lib64/libbeta.so").symlink_to("elsewhere")
    (prefix / "usr/bin/base-tool").unlink()
    shutil.rmtree(fixture.repo / "x11-misc" / "gone")


def configure(base: Path) -> Fixture:
    """Generates the repositories and a prefix in which nothing is installed."""
    fixture = Fixture(base)
    fixture.root.mkdir(parents=True)
    _repository(fixture.repo)
    _overlay(fixture.overlay)
    _configuration(fixture)
    return fixture


def build(base: Path, *, merge_all: bool = False) -> Fixture:
    """Generates the fixture below `base`, which must be empty or absent.

    With `merge_all`, every package is built and merged by emerge: a minute rather than seconds.
    """
    fixture = configure(base)
    if merge_all:
        _merge(fixture, [*MERGED, *WRITTEN])
    else:
        _merge(fixture, MERGED)
        command = [sys.executable, __file__, "--write", str(base)]
        subprocess.run(command, env=fixture.cross_env(), check=True)
    _disturb(fixture)
    return fixture


def main(argv: list[str]) -> None:
    if argv[0] == "--write":
        fixture = Fixture(Path(argv[1]).resolve())
        with tempfile.TemporaryDirectory() as scratch:
            # Only to know each package's files again.
            _repository(Path(scratch) / "main")
        _write_installed(fixture, WRITTEN)
    else:
        build(Path(argv[-1]).resolve(), merge_all=argv[0] == "--merge-all")


if __name__ == "__main__":
    main(sys.argv[1:])
