# SPDX-License-Identifier: BSD-3-Clause
"""A small prefix of synthetic packages, merged for real by Portage.

Tests, the parity table and the benchmark share it. Everything lies below one directory:
two repositories, the build host's configuration, and ROOT with the prefix in it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path

EPREFIX = "/usr/local/equery-fixture"
MAIN_REPO = "gentoo"
OVERLAY = "fixture-extra"

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
    """Where the parts of one generated prefix are."""

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
    top = f"{fixture.base}/view-usr-local"
    prepare = f'mkdir -p "{top}" && mount --bind "{top}" "{Path(fixture.eprefix).parent}" && {script}'
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


def _ebuild(
    repo: Path,
    cpv: str,
    *,
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
    eapi: str = "8",
    install: str = "",
) -> None:
    category, pf = cpv.split("/")
    name = pf
    while not name.rsplit("-", 1)[-1].startswith(tuple("0123456789")):
        name = name.rsplit("-", 1)[0]
    name = name.rsplit("-", 1)[0]
    body = textwrap.indent(textwrap.dedent(install).strip(), "\t") or "\t:"
    _write(
        repo / category / name / f"{pf}.ebuild",
        f"""\
# Copyright 2026 The flatcar-prefix authors
# Distributed under the terms of the BSD 3-Clause License

EAPI={eapi}
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

put() {{ mkdir -p "${{ED}}$1" && echo "$3" > "${{ED}}$1/$2" || die; }}

src_install() {{
{body}
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
        install="""
        keepdir /var/lib/base
        put /etc/base base.conf "setting=1"
        put /etc/env.d 99base "BASE=1"
        put /usr/bin base-tool "#!/bin/sh"
        dosym base-tool /usr/bin/base-link
        dodir /usr/share/man/man1
        put /usr/share/man/man1 base-tool.1 ".TH BASE 1"
        put /usr/share/info base.info "info"
        put /usr/share/doc/base-1 README "read me"
        """,
    )
    alpha = dict(
        iuse="+foo bar static forced doc l10n_de l10n_fr python_targets_python3_11",
        rdepend="dev-libs/beta:0= foo? ( >=dev-libs/gamma-1.2[bar,-foo] ) !app-misc/blocked "
        "|| ( virtual/thing sys-apps/base )",
        depend=">=dev-libs/beta-1",
        bdepend="~sys-apps/base-1",
        pdepend="doc? ( app-misc/docs )",
    )
    files = """
        put /usr/bin alpha${SLOT%%/*} "#!/bin/sh"
        put "/usr/share/name with space" "a file" "spaces"
        dosym "../share/name with space/a file" /usr/lib/alpha-link${SLOT%%/*}
        put /etc/alpha alpha${SLOT%%/*}.conf "x=${PV}"
        mkfifo "${ED}/usr/lib/pipe${SLOT%%/*}" || die
        head -c 5000 /dev/zero > "${T}/blob" || die
        put /usr/lib/alpha blob${SLOT%%/*} ""; cp "${T}/blob" "${ED}/usr/lib/alpha/blob${SLOT%%/*}" || die
        dohard() { ln "${ED}/usr/lib/alpha/blob${SLOT%%/*}" "${ED}/usr/lib/alpha/hard${SLOT%%/*}" || die; }
        dohard
        """
    _ebuild(repo, "app-misc/alpha-1.0", install=files, **alpha)
    _ebuild(repo, "app-misc/alpha-1.1-r2", keywords="~amd64 arm64 -hppa", install=files, **alpha)
    _ebuild(repo, "app-misc/alpha-2.0_rc1", slot="2/2.5", install=files, **alpha)
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
    _ebuild(
        repo,
        "dev-libs/beta-1.0",
        iuse="static",
        rdepend="sys-apps/base",
        install="""
        newlib() { head -c 2000 /dev/zero > "${T}/libbeta.so.1" || die; }
        newlib
        mkdir -p "${ED}/usr/lib64"; cp "${T}/libbeta.so.1" "${ED}/usr/lib64/" || die
        dosym libbeta.so.1 /usr/lib64/libbeta.so
        put /usr/include beta.h "#define BETA 1"
        """,
    )
    _ebuild(repo, "dev-libs/beta-1.5", keywords="~amd64 ~arm64", rdepend="sys-apps/base")
    _metadata(repo, "dev-libs/beta", "  <!-- maintainer-needed -->")
    _ebuild(repo, "dev-libs/gamma-1.2", iuse="bar +foo", install="keepdir /usr/lib/gamma")
    _ebuild(repo, "dev-libs/gamma-1.3", iuse="bar", keywords="-* arm64")
    _ebuild(repo, "virtual/thing-0", rdepend="|| ( dev-libs/delta:2 sys-apps/base )")
    _ebuild(repo, "dev-libs/delta-2.1", slot="2", rdepend="dev-libs/beta foo? ( dev-libs/gamma:0/0 )",
            iuse="foo", install='put /usr/lib/delta d "d"')
    _ebuild(repo, "app-misc/docs-0.1_p2", rdepend=">=app-misc/alpha-1", license_="|| ( BSD Special )",
            homepage="https://example.org/a https://example.org/b",
            install='put /usr/share/doc/docs INDEX "i"')
    _ebuild(repo, "app-misc/epsilon-4", rdepend="<app-misc/alpha-2 =dev-libs/beta-1*",
            iuse="test", install='put /usr/bin epsilon "#!/bin/sh"')
    _ebuild(repo, "app-misc/zeta-1-r1", rdepend="test? ( app-misc/epsilon ) !test? ( app-misc/docs )",
            iuse="test", install='put /usr/bin zeta "#!/bin/sh"\nkeepdir /usr/lib/zeta')
    _ebuild(repo, "app-misc/fake-alpha-1", install='put /usr/bin fake-alpha "#!/bin/sh"')
    _ebuild(repo, "dev-libs/fake-alpha-1", install='put /usr/lib/fake fake "f"')
    _ebuild(repo, "x11-misc/masked-1", rdepend="app-misc/alpha")
    _ebuild(repo, "x11-misc/plain-1.2.3", description="Nothing but a name", keywords="~amd64")
    _ebuild(repo, "x11-misc/empty-1", install=":")
    _ebuild(repo, "x11-misc/gone-1", install='put /usr/bin gone "#!/bin/sh"')
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


def _overlay(repo: Path) -> None:
    _write(repo / "profiles" / "repo_name", f"{OVERLAY}\n")
    _write(repo / "metadata" / "layout.conf", f"masters = {MAIN_REPO}\nthin-manifests = true\n")
    _ebuild(repo, "dev-libs/beta-1.6", iuse="foo", rdepend="sys-apps/base dev-libs/gamma")
    _ebuild(repo, "x11-misc/extra-7", iuse="foo", rdepend="dev-libs/beta",
            install='put /usr/bin extra "#!/bin/sh"\nput /usr/share/\u00fcml\u00e4ut \u00e9 "e"')
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
    _write(fixture.eroot / "etc" / "portage" / "package.accept_keywords", "=app-misc/alpha-1.1-r2\n")
    _write(fixture.eroot / "etc" / "portage" / "sets" / "mine", "app-misc/alpha\ndev-libs/beta\n")
    share = fixture.host / "share" / "portage"
    share.mkdir(parents=True)
    (share / "config").symlink_to(Path(sys.prefix) / "share" / "portage" / "config")
    native = fixture.eroot / "share" / "portage"
    native.mkdir(parents=True)
    (native / "config").symlink_to(Path(sys.prefix) / "share" / "portage" / "config")
    for name in ("distfiles", "pkgs", "tmp", "logs"):
        (fixture.base / name).mkdir()


INSTALLED = (
    "=sys-apps/base-1",
    "=dev-libs/beta-1.0",
    "=dev-libs/gamma-1.2",
    "=dev-libs/delta-2.1",
    "=virtual/thing-0",
    "=app-misc/alpha-1.0",
    "=app-misc/alpha-2.0_rc1",
    "=app-misc/docs-0.1_p2",
    "=app-misc/epsilon-4",
    "=app-misc/zeta-1-r1",
    "=app-misc/fake-alpha-1",
    "=dev-libs/fake-alpha-1",
    "=x11-misc/empty-1",
    "=x11-misc/gone-1",
    "=x11-misc/extra-7::fixture-extra",
)


def _merge(fixture: Fixture) -> None:
    emerge = shutil.which("emerge", path=str(Path(sys.executable).parent))
    if emerge is None:
        raise RuntimeError("emerge is not beside the Python that runs this")
    command = [emerge, "--oneshot", "--nodeps", "--quiet", "--quiet-build=y", "--jobs=2", "--color=n", *INSTALLED]
    done = subprocess.run(
        command, env=fixture.cross_env(), stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    if done.returncode != 0:
        raise RuntimeError(f"the fixture could not be merged:\n{done.stdout[-4000:]}{done.stderr[-4000:]}")


def _disturb(fixture: Fixture) -> None:
    """What happens to a root in its life: files change, ebuilds go away."""
    prefix = fixture.eroot
    (prefix / "usr/bin/alpha0").write_text("changed\n")
    os.utime(prefix / "usr/lib/alpha/blob2", (1_000_000_000, 1_000_000_000))
    (prefix / "usr/lib64/libbeta.so").unlink()
    (prefix / "usr/lib64/libbeta.so").symlink_to("elsewhere")
    (prefix / "usr/bin/base-tool").unlink()
    shutil.rmtree(fixture.repo / "x11-misc" / "gone")


def build(base: Path) -> Fixture:
    """Generates and merges the fixture below `base`, which must be empty or absent."""
    fixture = Fixture(base)
    fixture.root.mkdir(parents=True)
    _repository(fixture.repo)
    _overlay(fixture.overlay)
    _configuration(fixture)
    _merge(fixture)
    _disturb(fixture)
    return fixture


if __name__ == "__main__":
    build(Path(sys.argv[1]))
