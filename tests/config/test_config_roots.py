# SPDX-License-Identifier: BSD-3-Clause
"""Portage reads configuration roots without a warning, and with the intended values."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pytest
from machine import InUse, Machine, Overlay, two_lines

from flatcar_prefix.boards import BOARDS, PREFIX_FEATURES, board
from flatcar_prefix.prefix.record import read as load
from flatcar_prefix.prefix.repository import Repository
from flatcar_prefix.repositories.profiles import choose_profile

WARNING = re.compile(
    r"!!!|warning|deprecated(?!-)|QA Notice|Traceback|unavailable repos|has been ignored",
    re.IGNORECASE,
)


def queried(prefix: InUse, kind: str, *args: str) -> str:
    """Return the output of portageq's wrapper."""
    return prefix.machine.ok(prefix.wrapper("portageq"), f"--{kind}", *args).stdout.strip()


@pytest.fixture(scope="module", params=sorted(BOARDS))
def prefix(request: pytest.FixtureRequest, shared_machine: Machine) -> InUse:
    return shared_machine.setup("config", f"--board={request.param}")


@pytest.mark.parametrize("kind", ["staging", "final"])
@pytest.mark.parametrize(
    "command",
    [
        ("emerge", "--info"),
        ("emerge", "--pretend", "--quiet", "--nodeps", "app-arch/bzip2"),
        ("emerge", "--list-sets"),
        ("portageq", "envvar", "EROOT"),
        ("emaint", "--check", "moveinst"),
    ],
    ids=" ".join,
)
def test_no_command_of_portage_has_anything_to_complain_of(
    prefix: InUse, kind: str, command: tuple[str, ...]
) -> None:
    result = prefix.plain(kind, *command)
    said = [line for line in (result.stdout + result.stderr).splitlines() if WARNING.search(line)]
    if kind == "final" and "--pretend" in command:
        assert "binary packages to satisfy" in result.stdout + result.stderr
    else:
        assert result.returncode == 0, result.stderr
        assert not said
        assert not result.stderr.strip() or command[0] == "emaint"


@pytest.mark.parametrize("kind", ["staging", "final"])
def test_both_roots_are_what_they_were_meant_to_be(prefix: InUse, kind: str) -> None:
    the_board = board(prefix.board)
    names = ("CHOST", "ARCH", "EPREFIX", "EROOT", "PKGDIR", "ACCEPT_KEYWORDS", "CBUILD")
    said = dict(zip(names, queried(prefix, kind, "envvar", *names).splitlines(), strict=True))
    assert said["CHOST"] == the_board.chost != said["CBUILD"]
    assert said["ARCH"] == said["ACCEPT_KEYWORDS"] == the_board.arch
    assert said["EPREFIX"] == prefix.eprefix
    assert said["EROOT"] == f"{prefix.eroot(kind)}/"
    assert said["PKGDIR"] == str(prefix.staging_dir / "pkgs")


def test_staging_makes_binary_packages_and_final_takes_nothing_else(prefix: InUse) -> None:
    assert "--buildpkg" in queried(prefix, "staging", "envvar", "EMERGE_DEFAULT_OPTS").split()
    assert "--usepkgonly" in queried(prefix, "final", "envvar", "EMERGE_DEFAULT_OPTS").split()


PACKAGE = {"EAPI": "8", "SLOT": "0", "IUSE": "", "USE": "", "KEYWORDS": "amd64 arm64"}
"""Metadata of an ebuild."""


@pytest.mark.parametrize("kind", ["staging", "final"])
def test_links_that_alternatives_replace_are_no_collisions(prefix: InUse, kind: str) -> None:
    from portage import config

    found = {}
    for name in ("app-alternatives/gzip", "app-arch/gzip"):
        settings = config(clone=load(prefix.staging_dir).root(kind).settings)
        settings.setcpv(f"{name}-1", mydb=PACKAGE)
        found[name] = settings.get("COLLISION_IGNORE", "").split()
    assert "*/bin/*" in found["app-alternatives/gzip"]
    assert "*/bin/*" not in found["app-arch/gzip"]


def test_the_users_settings_are_read_last(machine: Machine) -> None:
    prefix = machine.setup("user")
    (prefix.config("staging") / "make.conf.user").write_text('MAKEOPTS="-j77"\nUSE="${USE} mine"\n')
    assert queried(prefix, "staging", "envvar", "MAKEOPTS") == "-j77"
    assert {"mine", "-wayland"} & set(queried(prefix, "staging", "envvar", "USE").split()) == {
        "mine"
    }
    assert queried(prefix, "final", "envvar", "MAKEOPTS") == "-j77", (
        "staging's settings apply to both roots"
    )
    (prefix.config("final") / "make.conf.user").write_text('MAKEOPTS="-j78"\n')
    assert queried(prefix, "final", "envvar", "MAKEOPTS") == "-j78"
    assert queried(prefix, "staging", "envvar", "MAKEOPTS") == "-j77"


@pytest.mark.parametrize("before", ["", "${EMERGE_DEFAULT_OPTS} "])
def test_no_setting_of_the_users_makes_final_build(machine: Machine, before: str) -> None:
    prefix = machine.setup("opts")
    for kind in ("staging", "final"):
        (prefix.config(kind) / "make.conf.user").write_text(
            f'EMERGE_DEFAULT_OPTS="{before}--verbose"\n'
        )
    said = queried(prefix, "final", "envvar", "EMERGE_DEFAULT_OPTS").split()
    assert {"--verbose", "--usepkgonly", "--root-deps=rdeps"} <= set(said)
    said = queried(prefix, "staging", "envvar", "EMERGE_DEFAULT_OPTS").split()
    assert said[-2:] == ["--verbose", "--buildpkg"]
    assert bool(before) == any(word.startswith("--jobs=") for word in said)


def test_what_the_user_says_of_packages_in_staging_holds_for_final(machine: Machine) -> None:
    prefix = machine.setup("lists")
    staging, final = prefix.config("staging"), prefix.config("final")
    (staging / "package.license/mine").write_text("app-arch/bzip2 NOTHING-ELSE\n")
    (staging / "package.mask/mine").write_text("app-arch/bzip2\n")
    (final / "package.mask/own").write_text("sys-libs/zlib\n")
    (staging / "profile/use.mask").mkdir()
    (staging / "profile/use.mask/mine").write_text("no-such-flag\n")
    loaded = {kind: load(prefix.staging_dir).root(kind).settings for kind in ("staging", "final")}
    for settings in loaded.values():
        assert "app-arch/bzip2" in settings._mask_manager._pmaskdict
        assert "app-arch/bzip2" in settings._license_manager._plicensedict
        assert "no-such-flag" in settings.usemask
    assert ["sys-libs/zlib" in s._mask_manager._pmaskdict for s in loaded.values()] == [False, True]


def test_a_file_in_place_of_a_directory_becomes_the_users_file_in_it(machine: Machine) -> None:
    prefix = machine.setup("filed")
    licences = prefix.config("final") / "package.license"
    shutil.rmtree(licences)
    licences.write_text("app-arch/bzip2 BZIP2\n")
    result = machine.fp("update", "filed")
    assert result.returncode == 0, result.stderr
    assert (
        f"{licences} is a directory now; its former content is in {licences}/zz-user"
        in result.stderr
    )
    assert (licences / "zz-user").read_text() == "app-arch/bzip2 BZIP2\n"
    assert (licences / "00-flatcar-prefix").resolve().parent == prefix.config("staging")


@pytest.mark.parametrize(
    ("setting", "name"),
    [('CHOST="x"', "CHOST"), ('PKGDIR="/x"', "PKGDIR"), ('LDFLAGS=""', "LDFLAGS")],
)
def test_a_difference_is_an_error_that_names_it(machine: Machine, setting: str, name: str) -> None:
    prefix = machine.setup("differs")
    (prefix.config("final") / "make.conf.user").write_text(f"{setting}\n")
    record = prefix.staging_dir / "flatcar-prefix.json"
    record.write_text(json.dumps({**json.loads(record.read_text()), "complete": False}))
    result = machine.try_setup("--bootstrap=none", "differs", "/usr/local/differs")
    assert result.returncode == 1
    what, to_do = two_lines(result)
    assert what.startswith(f"final: Portage reads {name} as ")
    assert "make.conf.user" in to_do
    assert (prefix.config("final") / "make.conf.user").exists(), "the user's files stay"


class TestProfiles:
    """The board's first existing profile that is not deprecated, else a composed one."""

    @pytest.fixture
    def tree(self, tmp_path: Path) -> Repository:
        return Repository("main", tmp_path)

    @staticmethod
    def make(tree: Repository, *paths: str, deprecated: bool = False) -> None:
        for path in paths:
            directory = tree.location / "profiles" / path
            directory.mkdir(parents=True, exist_ok=True)
            if deprecated:
                (directory / "deprecated").write_text("other\n")

    @pytest.mark.parametrize("name", sorted(BOARDS))
    def test_the_first_that_exists_is_chosen(self, tree: Repository, name: str) -> None:
        first, last = BOARDS[name].profiles[0], BOARDS[name].profiles[-1]
        self.make(tree, last)
        assert choose_profile([tree], "main", BOARDS[name], None) == f"main:{last}"
        self.make(tree, first)
        assert choose_profile([tree], "main", BOARDS[name], None) == f"main:{first}"

    @pytest.mark.parametrize("name", sorted(BOARDS))
    def test_a_deprecated_one_is_chosen_last(self, tree: Repository, name: str) -> None:
        paths = BOARDS[name].profiles
        self.make(tree, paths[0], paths[1], deprecated=True)
        assert choose_profile([tree], "main", BOARDS[name], None) == f"main:{paths[0]}"
        self.make(tree, paths[2])
        assert choose_profile([tree], "main", BOARDS[name], None) == f"main:{paths[2]}"

    def test_the_boards_and_the_prefix_features_are_composed(self, machine: Machine) -> None:
        default = machine.repos / "gentoo-subset/profiles/default/linux/amd64"
        for directory in sorted(default.rglob("prefix")):
            shutil.rmtree(directory)
        prefix = machine.setup("composed")
        assert json.loads(machine.fp("show", "composed", "--json").stdout)["profile"] == "composed"
        parents = (prefix.config("staging") / "make.profile/parent").read_text().split()
        assert parents[0].endswith(BOARDS["amd64-usr"].base_profiles[0])
        assert parents[1].endswith(PREFIX_FEATURES[0])
        assert "prefix" in queried(prefix, "staging", "envvar", "USE").split()
        info = prefix.plain("staging", "emerge", "--info")
        assert (info.returncode, info.stderr) == (0, "")

    @pytest.mark.parametrize("repo", ["", "gentoo-subset:"])
    def test_the_users_choice_is_taken(self, machine: Machine, repo: str) -> None:
        path = "default/linux/amd64/23.0/no-multilib/prefix"
        prefix = machine.setup("chosen", f"--profile={repo}{path}")
        link = prefix.config("final") / "make.profile"
        assert link.resolve() == machine.repos / "gentoo-subset/profiles" / path

    def test_a_profile_of_an_overlay_can_be_chosen(self, machine: Machine) -> None:
        overlay = Overlay(machine.base / "mine", "mine")
        overlay.write(
            "metadata/layout.conf", "masters = gentoo-subset\nprofile-formats = portage-2\n"
        )
        overlay.write("profiles/special/eapi", "8\n")
        overlay.write(
            "profiles/special/parent", "gentoo-subset:default/linux/amd64/23.0/no-multilib/prefix\n"
        )
        overlay.write("profiles/special/make.defaults", 'USE="special-flag"\n')
        prefix = machine.setup(
            "special", f"--custom_ebuild_overlays={overlay.path}", "--profile=mine:special"
        )
        assert "special-flag" in queried(prefix, "staging", "envvar", "USE").split()


class TestRepositories:
    """``profiles/repo_name`` identifies them in both layouts; masters and priorities are right."""

    def test_directories_may_have_any_name(self, machine: Machine) -> None:
        for number, name in enumerate(("gentoo-subset", "flatcar-overlay", "prefix-overlay")):
            (machine.repos / name).rename(machine.repos / f"repo{number}")
        prefix = machine.setup("renamed")
        assert queried(
            prefix, "staging", "get_repo_path", str(prefix.staging), "gentoo-subset"
        ) == str(machine.repos / "repo0")

    def test_the_older_layout_and_its_names_are_known(self, machine: Machine) -> None:
        older = machine.scripts / "sdk_container/src/third_party"
        older.mkdir(parents=True)
        names = {"gentoo-subset": "portage-stable", "flatcar-overlay": "coreos-overlay"}
        for path in sorted(machine.repos.iterdir()):
            if path.is_dir():
                path.rename(older / names.get(path.name, path.name))
        for old, new in names.items():
            for path in [
                *older.glob("*/metadata/layout.conf"),
                *older.glob("*/profiles/repo_name"),
            ]:
                path.write_text(path.read_text().replace(old, new))
        prefix = machine.setup("older")
        assert (prefix.config("final") / "repos.conf/00-flatcar-prefix").read_text().count(
            "main-repo = portage-stable"
        ) == 1
        info = prefix.plain("final", "emerge", "--info")
        assert (info.returncode, info.stderr) == (0, "")
        assert (
            re.search(
                r"^\[gentoo\]",
                (prefix.config("final") / "repos.conf/00-flatcar-prefix").read_text(),
                re.MULTILINE,
            )
            is None
        )

    def test_later_overlays_have_higher_priorities(self, machine: Machine) -> None:
        paths = [Overlay(machine.base / name, name).path for name in ("one", "two", "three")]
        prefix = machine.setup("order", f"--custom_ebuild_overlays={','.join(map(str, paths))}")
        order = queried(prefix, "staging", "get_repos", str(prefix.staging)).split()
        assert order[:4] == ["three", "two", "one", "prefix-overlay"]
        assert order[-1] == "gentoo-subset" or "gentoo-subset" in order[4:]

    def test_an_overlay_whose_masters_are_none_has_the_main_repository(
        self, machine: Machine
    ) -> None:
        overlay = Overlay(machine.base / "bare", "bare")
        overlay.write("metadata/layout.conf", "masters =\nthin-manifests = true\n")
        overlay.ebuild("test-bare/x-1")
        prefix = machine.setup("bare", f"--custom_ebuild_overlays={overlay.path}")
        section = (
            (prefix.config("staging") / "repos.conf/00-flatcar-prefix")
            .read_text()
            .partition("[bare]\n")[2]
        )
        assert "masters = gentoo-subset\n" in section
        result = prefix.plain("staging", "emerge", "--pretend", "--quiet", "test-bare/x")
        assert (result.returncode, result.stderr) == (0, "")

    @pytest.mark.parametrize("layout", ["thin-manifests = true\n", None])
    def test_an_overlay_that_says_nothing_of_masters_is_refused_with_the_line_to_write(
        self, machine: Machine, layout: str | None
    ) -> None:
        overlay = Overlay(machine.base / "bare", "bare")
        file = overlay.write("metadata/layout.conf", layout or "")
        if layout is None:
            file.unlink()
        flag = f"--custom_ebuild_overlays={overlay.path}"
        result = machine.try_setup("--bootstrap=none", flag, "bare", "/usr/local/bare")
        assert result.returncode == 1
        what, to_do = two_lines(result)
        assert f"bare at {overlay.path} does not name its masters" in what
        assert to_do == f"Add this line to {file}: masters = gentoo-subset"
        assert not machine.staging("bare").exists()
        with file.open("a") as stream:
            stream.write(to_do.partition(": ")[2] + "\n")
        prefix = machine.setup("bare", flag)
        assert prefix.plain("staging", "emerge", "--info").stderr == ""

    @pytest.mark.parametrize("kind", ["staging", "final"])
    def test_emaint_checks_all_of_an_empty_prefix(self, prefix: InUse, kind: str) -> None:
        result = prefix.plain(kind, "emaint", "--check", "all")
        assert "Traceback" not in result.stdout + result.stderr
        assert (prefix.eroot(kind) / "var/db/pkg").is_dir()
