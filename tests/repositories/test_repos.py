# SPDX-License-Identifier: BSD-3-Clause
"""The included repositories, as Portage and pkgcheck read them, without a build."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

REPOS = Path(__file__).resolve().parents[2] / "repos"
NAMES = ("prefix-toolchain", "gentoo-subset", "flatcar-overlay", "prefix-overlay")
PROFILES = REPOS / "gentoo-subset/profiles"

MASTERS = {
    "prefix-toolchain": (),
    "gentoo-subset": ("prefix-toolchain",),
    "flatcar-overlay": ("gentoo-subset",),
    "prefix-overlay": ("gentoo-subset", "prefix-toolchain"),
}
DESCRIBED = [
    tuple(line.split())
    for line in (PROFILES / "profiles.desc").read_text().splitlines()
    if line and not line.startswith("#")
]
"""(arch, profile, status) of every profile."""

EBUILDS = sorted(REPOS.glob("*/*/*/*.ebuild"))


def repos_conf() -> str:
    sections = ["[DEFAULT]\nmain-repo = gentoo-subset\n"]
    sections += [f"[{name}]\nlocation = {REPOS / name}\nauto-sync = no\n" for name in NAMES]
    return "\n".join(sections)


def config_root(base: Path, arch: str, profile: str) -> Path:
    """Write a configuration root for PORTAGE_CONFIGROOT."""
    directory = base / "etc/portage"
    directory.mkdir(parents=True)
    (directory / "make.profile").symlink_to(PROFILES / profile)
    (directory / "repos.conf").write_text(repos_conf())
    (directory / "make.conf").write_text(
        f'ACCEPT_KEYWORDS="{arch} -~{arch}"\nFEATURES="-sandbox"\n'
        f'PORTAGE_DEPCACHEDIR="{base}/depcache"\nPORTAGE_USERNAME="root"\nPORTAGE_GRPNAME="root"\n'
    )
    return base


def load(base: Path, *, eprefix: str = "/usr/local/test") -> Any:
    """Return Portage's configuration for the root below ``base``."""
    from portage.package.ebuild.config import config

    env = {"PORTAGE_REPOSITORIES": repos_conf(), "PATH": os.environ["PATH"]}
    return config(
        config_root=str(base), target_root=str(base), eprefix=eprefix, local_config=True, env=env
    )


@pytest.fixture(scope="module", params=["amd64", "arm64"])
def portdb(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The ebuilds as a board sees them."""
    from portage.dbapi.porttree import portdbapi

    arch = request.param
    profile = next(path for a, path, _ in DESCRIBED if a == arch and "23.0/split-usr" in path)
    base = config_root(tmp_path_factory.mktemp(arch), arch, profile)
    settings = load(base, eprefix="")
    return portdbapi(mysettings=settings)


def packages() -> set[str]:
    return {f"{e.parts[-3]}/{e.stem}" for e in EBUILDS}


def test_every_ebuild_parses_for_both_boards(portdb: Any) -> None:
    known = {cpv for cp in portdb.cp_all() for cpv in portdb.cp_list(cp)}
    assert known == packages()
    for cpv in sorted(known):
        eapi, keywords, slot, description = portdb.aux_get(
            cpv, ["EAPI", "KEYWORDS", "SLOT", "DESCRIPTION"]
        )
        assert eapi == "8", cpv
        assert set(keywords.split()) == {"amd64", "arm64"}, cpv
        assert slot and description, cpv
        assert portdb.xmatch("match-visible", f"={cpv}") == [cpv]


# This package is installed in the SDK only, whose repositories have its dependencies.
SDK_ONLY = {"app-portage/flatcar-prefix-0.1.0"}

# Only a checkout has sys-libs/libcap.
CHECKOUT_ONLY = {"prefix/libudev-257.13"}


def test_everything_that_is_depended_on_is_there(portdb: Any) -> None:
    from portage.dep import use_reduce

    for cpv in sorted(packages() - SDK_ONLY - CHECKOUT_ONLY):
        for kind in ("DEPEND", "RDEPEND", "BDEPEND", "PDEPEND", "IDEPEND"):
            (text,) = portdb.aux_get(cpv, [kind])
            for atom in use_reduce(text, matchall=True, flat=True, opconvert=False):
                if atom != "||" and not atom.startswith("!"):
                    assert portdb.match(atom.split("[")[0]), f"{cpv}: {kind} {atom}"


def test_no_package_needs_a_build_tool_to_be_built(portdb: Any) -> None:
    from portage.dep import use_reduce

    from flatcar_prefix.config.machine_packages import PROVIDED

    provided = {kind.name for kinds in PROVIDED.values() for kind in kinds}
    for cpv in packages() - SDK_ONLY:
        (text,) = portdb.aux_get(cpv, ["BDEPEND"])
        assert set(use_reduce(text, matchall=True, flat=True)) <= provided, cpv


def test_manifests_name_exactly_what_the_ebuilds_fetch(portdb: Any) -> None:
    from portage.manifest import Manifest

    for directory in sorted({ebuild.parent for ebuild in EBUILDS}):
        cp = "/".join(directory.parts[-2:])
        repo = directory.parts[-3]
        wanted: set[str] = set()
        for cpv in portdb.cp_list(cp, mytree=str(REPOS / repo)):
            wanted |= set(portdb.getFetchMap(cpv, mytree=str(REPOS / repo)))
        manifest = Manifest(str(directory), "/nonexistent", thin=True)
        recorded = manifest.fhashdict.get("DIST", {})
        assert set(recorded) == wanted, cp
        for name, hashes in recorded.items():
            assert set(hashes) == {"size", "BLAKE2B", "SHA512"}, name


def test_a_tarball_that_is_not_upstreams_never_has_its_name(portdb: Any) -> None:
    """Otherwise the Manifest would reject the real file. A native package is Debian's own."""
    for cpv in packages():
        pf = cpv.partition("/")[2]
        for name, uris in portdb.getFetchMap(cpv).items():
            if all(uri.startswith("debian://") and ".orig." in uri for uri in uris):
                assert not name.startswith(f"{pf}.tar"), f"{cpv}: {name}"


@pytest.mark.parametrize(("arch", "profile", "status"), DESCRIBED)
def test_every_profile_loads(tmp_path: Path, arch: str, profile: str, status: str) -> None:
    settings = load(config_root(tmp_path, arch, profile))
    assert settings["ARCH"] == settings["ABI"] == settings["DEFAULT_ABI"] == arch
    assert settings[f"LIBDIR_{arch}"] == "lib64"
    assert (settings["ELIBC"], settings["KERNEL"]) == ("glibc", "linux")
    assert "prefix" in settings.useforce
    assert set(settings.packages) == {
        "*sys-apps/baselayout",
        "*virtual/libc",
        "*virtual/os-headers",
    }
    assert not {"sandbox", "usersandbox", "userpriv"} & set(settings["FEATURES"].split())
    split = "split-usr" in profile or "/17." in profile
    assert ("split-usr" in settings.useforce) == split
    assert ("split-usr" in settings.usemask) != split
    deprecated = PROFILES / profile / "deprecated"
    assert deprecated.exists() == ("/17." in profile)
    if deprecated.exists():
        assert (PROFILES / deprecated.read_text().strip()).is_dir()


def test_testing_keywords_are_on_until_the_board_turns_them_off(tmp_path: Path) -> None:
    arch, profile, _ = DESCRIBED[0]
    base = config_root(tmp_path, arch, profile)
    make_conf = base / "etc/portage/make.conf"
    text = make_conf.read_text()
    make_conf.write_text(re.sub("ACCEPT_KEYWORDS=.*\n", "", text))
    assert f"~{arch}" in load(base)["ACCEPT_KEYWORDS"].split()
    make_conf.write_text(text)
    assert f"~{arch}" not in load(base)["ACCEPT_KEYWORDS"].split()


def test_profile_directories_are_all_described_or_inherited() -> None:
    """A profile that no user can choose and no profile inherits is left over."""
    inherited = {
        (parent.parent / line).resolve()
        for parent in PROFILES.rglob("parent")
        for line in parent.read_text().split()
    }
    described = {PROFILES / profile for _, profile, _ in DESCRIBED}
    for eapi in PROFILES.rglob("eapi"):
        if eapi.parent != PROFILES:
            assert eapi.parent in inherited | described, eapi.parent


def test_each_repository_says_its_name_and_its_masters() -> None:
    from portage.repository.config import RepoConfig

    for name in NAMES:
        repo = RepoConfig(None, {"location": str(REPOS / name)})
        assert repo.name == name and not repo.missing_repo_name
        assert repo.masters == MASTERS[name]
        assert repo.thin_manifest and repo.manifest_hashes == {"BLAKE2B", "SHA512"}


def test_no_file_says_where_it_was_written_or_copied_from() -> None:
    for ebuild in EBUILDS:
        text = ebuild.read_text()
        assert text.startswith(
            "# Copyright 2026 The flatcar-prefix authors\n"
            "# Distributed under the terms of the BSD 3-Clause License\n"
        ), ebuild


def test_pkgcheck_finds_nothing(tmp_path: Path) -> None:
    """Each result is either fixed, or disabled with a reason in metadata/pkgcheck.conf."""
    beside = Path(sys.executable).with_name("pkgcheck")
    pkgcheck = beside if beside.exists() else shutil.which("pkgcheck")
    if not pkgcheck:
        pytest.fail("pkgcheck is not installed: run ./run-tests, which installs it")
    arch, profile, _ = DESCRIBED[0]
    config = config_root(tmp_path, arch, profile) / "etc/portage"
    env = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
    }
    for name in NAMES:
        result = subprocess.run(
            [
                pkgcheck,
                "--config",
                config,
                "scan",
                "--exit",
                "error,warning,style,info",
                "-r",
                name,
            ],
            cwd=REPOS / name,
            env=env,
            capture_output=True,
            text=True,
            check=False,
        )
        said = result.stdout + result.stderr
        assert result.returncode == 0, said
        assert not result.stdout, said
