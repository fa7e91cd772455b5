# SPDX-License-Identifier: BSD-3-Clause
"""Each declared tool works in both roots: the real tool, or a recorder."""

from __future__ import annotations

import os
import platform
import pty
import re
import shutil
import time
from collections.abc import Iterator
from importlib.metadata import distribution
from pathlib import Path

import pytest
from machine import InUse, Machine, Overlay
from tooling import GREETING, Recorder

from flatcar_prefix.boards import board
from flatcar_prefix.wrappers import declaration

pytestmark = [pytest.mark.needs_root, pytest.mark.needs_namespaces]

GENTOOLKIT = (
    "eclean eclean-dist eclean-pkg enalyze epkginfo eread eshowkw euse revdep-rebuild imlate ekeyword"
    " ebump"
).split()
PORTAGE_UTILS = (
    "q qatom qcheck qdepends qfile qgrep qkeyword qlist qlop qsearch qsize quse qwhich qmerge qpkg"
    " qtbz2 qxpak qmanifest qtegrity"
).split()
CONFIGURATION = ["eselect", "gcc-config", "binutils-config"]
REAL = (
    "emerge ebuild portageq emaint egencache quickpkg env-update etc-update dispatch-conf regenworld"
    " fixpackages archive-conf glsa-check emerge-webrsync emirrordist gpkg-sign equery gdb pkg-config ldconfig bwrap"
).split()
"""Tools that a test below (or test_portageq, test_equery...) runs instead of a recorder."""


@pytest.fixture(params=["staging", "final"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[InUse]:
    """A prefix that these tests change."""
    base = tmp_path_factory.mktemp("workshop")
    overlay = Overlay(base / "overlay", "workshop-tests")
    overlay.ebuild("app-misc/greeting-1.0", GREETING, iuse="+loud quiet")
    overlay.ebuild("app-misc/letter-1.0", rdepend="app-misc/greeting")
    overlay.ebuild("app-misc/alone-1.0")
    prefix = Machine(base / "machine").setup("shop", f"--custom_ebuild_overlays={overlay.path}")
    for name in ("staging", "final"):
        (prefix.eroot(name) / "etc/which-root").write_text(name)
    prefix.install("--quiet", "app-misc/letter")
    yield prefix


def run(prefix: InUse, tool: str, *args: str | Path, **options: object):  # type: ignore[no-untyped-def]
    done = prefix.machine.run(prefix.wrapper(tool), *args, **options)
    assert "Traceback" not in done.stderr, done.stderr
    return done


def test_every_declaration_is_tried() -> None:
    declared = {
        n for n, t in declaration.tools().items() if t.path.parent.parent.name != "flatcar-prefix"
    }
    assert declared == {*REAL, *GENTOOLKIT, *PORTAGE_UTILS, *CONFIGURATION}


def test_every_tool_of_portage_is_declared() -> None:
    files = distribution("portage").files or ()
    installed = {path.name for path in files if str(path).startswith("../../../bin/")}
    assert "emerge" in installed
    assert installed - set(declaration.tools()) == set()


@pytest.mark.parametrize("tool", ["emirrordist", "gpkg-sign"])
def test_tools_for_mirrors_and_signatures_start(workshop: InUse, kind: str, tool: str) -> None:
    done = run(workshop, tool, f"--{kind}", "--help")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "usage" in (done.stdout + done.stderr).lower()


def test_emerge_webrsync_wants_a_repository_called_gentoo(workshop: InUse) -> None:
    done = run(workshop, "emerge-webrsync", "--help")
    assert done.returncode in (0, 1)
    assert "Repository 'gentoo' not found" in done.stderr or "usage" in done.stdout.lower()


def test_ebuild_runs_phases_in_its_root(workshop: InUse, kind: str) -> None:
    ebuild = workshop.machine.base.parent / "overlay/app-misc/greeting/greeting-1.0.ebuild"
    done = run(workshop, "ebuild", f"--{kind}", ebuild, "clean", "install", "qmerge")
    assert done.returncode == 0, done.stdout + done.stderr
    installed = workshop.eroot(kind) / "usr/bin/greet"
    assert time.time() - installed.stat().st_ctime < 60
    run(workshop, "ebuild", f"--{kind}", ebuild, "clean")


def test_emaint_repairs_the_world_file(workshop: InUse, kind: str) -> None:
    world = workshop.eroot(kind) / "var/lib/portage/world"
    world.write_text("app-misc/letter\napp-misc/gone\n")
    found = run(workshop, "emaint", f"--{kind}", "--check", "world")
    assert (found.returncode, "app-misc/gone" in found.stdout) == (1, True)
    assert run(workshop, "emaint", f"--{kind}", "--fix", "world").returncode == 0
    assert world.read_text() == "app-misc/letter\n"


@pytest.mark.parametrize(
    "module", ["binhost", "cleanconfmem", "cleanresume", "merges", "movebin", "moveinst", "all"]
)
def test_each_module_of_emaint_finds_nothing_wrong(workshop: InUse, kind: str, module: str) -> None:
    done = run(workshop, "emaint", f"--{kind}", "--check", module)
    assert done.returncode == 0, done.stdout + done.stderr


def test_egencache_writes_the_cache_of_a_repository(workshop: InUse, kind: str) -> None:
    cache = workshop.machine.base.parent / "overlay/metadata/md5-cache"
    shutil.rmtree(cache, ignore_errors=True)
    done = run(
        workshop, "egencache", f"--{kind}", "--update", "--repo", "workshop-tests", "--jobs", "1"
    )
    assert done.returncode == 0, done.stderr
    assert "DESCRIPTION=A package of the tests" in (cache / "app-misc/letter-1.0").read_text()


def test_quickpkg_packs_what_is_installed_under_its_names_on_the_target(
    workshop: InUse, kind: str
) -> None:
    pkgdir, elsewhere = (workshop.staging_dir / name for name in ("pkgs", "quickpkgs"))
    for directory in (pkgdir, elsewhere):
        shutil.rmtree(directory, ignore_errors=True)
    words = ("quickpkg", f"--{kind}", "--include-config=y", "app-misc/greeting")
    done = run(workshop, *words)
    assert done.returncode == 0, done.stderr
    assert list(elsewhere.rglob("*.gpkg.tar"))
    assert not list(pkgdir.rglob("*.gpkg.tar")), "final would install it"
    done = run(workshop, *words, env={"PKGDIR": str(pkgdir)})
    assert done.returncode == 0, done.stderr
    (package,) = workshop.binaries("app-misc/greeting-1.0")
    listed = workshop.machine.ok(
        "sh",
        "-c",
        f'tar -xOf {package} --wildcards "*/image.tar*" | tar -t --zstd 2>/dev/null || tar -xOf {package} --wildcards "*/image.tar*" | tar -tj',
    )
    assert f"image{workshop.eprefix}/usr/bin/greet\n" in listed.stdout
    again = workshop.emerge("--install", "--quiet", "app-misc/greeting")
    assert again.returncode == 0, again.stderr


def test_env_update_makes_the_environment_and_the_loaders_cache(workshop: InUse, kind: str) -> None:
    env_d = workshop.eroot(kind) / "etc/env.d"
    (env_d / "50shop").write_text(f'SHOP="open"\nLDPATH="{workshop.eprefix}/usr/lib64/shop"\n')
    cache = workshop.eroot(kind) / "etc/ld.so.cache"
    cache.unlink(missing_ok=True)
    done = run(workshop, "env-update", f"--{kind}")
    assert done.returncode == 0, done.stderr
    assert "export SHOP='open'" in (workshop.eroot(kind) / "etc/profile.env").read_text()
    assert (
        f"{workshop.eprefix}/usr/lib64/shop"
        in (workshop.eroot(kind) / "etc/ld.so.conf").read_text()
    )
    assert cache.is_file()
    assert os.listdir(workshop.eroot(kind).parents[2]) == ["usr"]


def pending(prefix: InUse, kind: str, volume: int) -> Path:
    conf = prefix.eroot(kind) / "etc/greeting/conf"
    (conf.parent / "._cfg0000_conf").write_text(f"volume = {volume}\n")
    return conf


def test_etc_update_settles_updates_by_this_machines_settings(workshop: InUse, kind: str) -> None:
    conf = pending(workshop, kind, 5)
    done = run(workshop, "etc-update", f"--{kind}", "--automode", "-5")
    assert (done.returncode, done.stderr) == (0, "")
    assert conf.read_text() == "volume = 5\n"
    assert sorted(os.listdir(conf.parent)) == ["conf"]


def test_dispatch_conf_asks_at_the_terminal_and_keeps_history(workshop: InUse, kind: str) -> None:
    conf = pending(workshop, kind, 7)
    before = conf.read_text()
    pid, descriptor = pty.fork()
    if pid == 0:
        wrapper = os.fspath(workshop.wrapper("dispatch-conf"))
        os.execve(wrapper, [wrapper, f"--{kind}"], workshop.machine.environment(TERM="xterm"))
    said = b""
    try:
        while chunk := os.read(descriptor, 1000):
            said += chunk
            if b"use-new" in said:
                os.write(descriptor, b"u")
    except OSError:
        pass
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, said
    assert conf.read_text() == "volume = 7\n"
    archive = workshop.eroot(kind) / f"etc/config-archive{workshop.eprefix}/etc/greeting"
    assert before in [path.read_text() for path in archive.iterdir()]


def test_archive_conf_archives_a_file_by_its_name_on_the_target(workshop: InUse, kind: str) -> None:
    conf = workshop.eroot(kind) / "etc/greeting/conf"
    conf.write_text("archived\n")
    done = run(workshop, "archive-conf", f"--{kind}", f"{workshop.eprefix}/etc/greeting/conf")
    assert done.returncode == 0, done.stderr
    archive = workshop.eroot(kind) / f"etc/config-archive{workshop.eprefix}/etc/greeting"
    assert "archived\n" in [path.read_text() for path in archive.iterdir()]


def test_regenworld_finds_in_the_log_what_emerge_has_installed(workshop: InUse, kind: str) -> None:
    install = workshop.emerge("--quiet", "app-misc/letter")
    assert install.returncode == 0, install.stderr
    world = workshop.eroot(kind) / "var/lib/portage/world"
    assert "app-misc/letter\n" in world.read_text()
    world.write_text("")
    done = run(workshop, "regenworld", f"--{kind}")
    assert (done.returncode, "add to world: app-misc/letter\n" in done.stdout) == (0, True), (
        done.stderr
    )
    assert "app-misc/letter" in world.read_text().split()


def test_each_root_has_a_log_of_its_own_which_is_not_shipped(workshop: InUse) -> None:
    assert workshop.emerge("--stage", "--quiet", "--oneshot", "app-misc/alone").returncode == 0
    built, installed = (
        (d / "logs/emerge.log").read_text() for d in (workshop.staging_dir, workshop.final_dir)
    )
    assert "app-misc/alone" in built
    assert "app-misc/alone" not in installed
    assert "app-misc/letter" in installed
    places = (
        workshop.staging_dir / "host",
        workshop.staging_dir / "root",
        workshop.final_dir / "root",
    )
    assert not [log for place in places for log in place.rglob("emerge.log")]


def test_what_reads_emerges_log_is_led_to_it(toolbox: InUse, recorder: Recorder, kind: str) -> None:
    recorder.install("qlop", toolbox.eprefix)
    path = f"{recorder.bin}:{os.environ['PATH']}"
    got = recorder.read(run(toolbox, "qlop", f"--{kind}", env={"PATH": path}))
    log = Path(got.env["EMERGE_LOG_DIR"], "emerge.log")
    assert "app-misc/letter" in log.read_text()


def test_fixpackages_renames_what_a_repository_has_renamed(workshop: InUse) -> None:
    overlay = Overlay(workshop.machine.base.parent / "overlay", "workshop-tests")
    overlay.ebuild("app-misc/elder-1.0")
    assert workshop.emerge("--quiet", "app-misc/elder").returncode == 0
    assert all("app-misc/elder-1.0" in workshop.installed(kind) for kind in ("staging", "final"))
    (overlay.path / "app-misc/elder").rename(overlay.path / "app-misc/younger")
    (overlay.path / "app-misc/younger/elder-1.0.ebuild").rename(
        overlay.path / "app-misc/younger/younger-1.0.ebuild"
    )
    overlay.write("profiles/updates/1Q-2026", "move app-misc/elder app-misc/younger\n")
    for kind in ("staging", "final"):
        done = run(workshop, "fixpackages", f"--{kind}")
        assert (done.returncode, "Done." in done.stdout) == (0, True), done.stderr
        assert "app-misc/younger-1.0" in workshop.installed(kind)
        assert "app-misc/elder-1.0" not in workshop.installed(kind)
        assert "app-misc/younger" in workshop.world(kind)
    assert workshop.binaries("app-misc/younger-1.0")
    shutil.rmtree(overlay.path / "profiles/updates")


GLSA = """\
<?xml version="1.0" encoding="UTF-8"?>
<!DOCTYPE glsa SYSTEM "http://www.gentoo.org/dtd/glsa.dtd">
<glsa id="{number}">
  <title>{name}: a fault of the tests</title>
  <synopsis>Of the tests.</synopsis>
  <product type="ebuild">{name}</product>
  <announced>2026-01-01</announced>
  <revised count="1">2026-01-01</revised>
  <access>local</access>
  <affected>
    <package name="app-misc/{name}" auto="yes" arch="*">
      <unaffected range="ge">{unaffected}</unaffected>
      <vulnerable range="lt">{unaffected}</vulnerable>
    </package>
  </affected>
  <background><p>x</p></background>
  <description><p>x</p></description>
  <impact type="low"><p>x</p></impact>
  <workaround><p>x</p></workaround>
  <resolution><p>x</p></resolution>
  <references></references>
</glsa>
"""


@pytest.fixture
def announced(workshop: InUse) -> Iterator[None]:
    """Announcements of two faults: letter 1.0 has one, no installed package has the other."""
    directory = workshop.machine.repos / "gentoo-subset/metadata/glsa"
    directory.mkdir()
    for number, name, unaffected in (
        ("202601-01", "letter", "2.0"),
        ("202601-02", "greeting", "1.0"),
    ):
        text = GLSA.format(number=number, name=name, unaffected=unaffected)
        (directory / f"glsa-{number}.xml").write_text(text)
    yield
    shutil.rmtree(directory)


@pytest.mark.usefixtures("announced")
def test_glsa_check_tells_what_is_affected_from_what_is_not(workshop: InUse, kind: str) -> None:
    done = run(workshop, "glsa-check", f"--{kind}", "--test", "all")
    assert (done.returncode, done.stdout) == (6, "202601-01\n"), done.stderr
    listed = run(workshop, "glsa-check", f"--{kind}", "--nocolor", "--list", "all").stdout
    assert "202601-01 [N] letter: a fault of the tests" in listed
    assert "202601-02 [U] greeting: a fault of the tests" in listed


def test_equery_answers_about_its_root(workshop: InUse, kind: str) -> None:
    done = run(
        workshop, "equery", f"--{kind}", "--quiet", "belongs", f"{workshop.eprefix}/usr/bin/greet"
    )
    assert (done.returncode, done.stdout) == (0, "app-misc/greeting-1.0\n"), done.stderr


def test_gdb_finds_programs_where_they_are_on_the_target(workshop: InUse, kind: str) -> None:
    target = workshop.eroot(kind) / "usr/bin/true-of-the-prefix"
    shutil.copy("/bin/true", target)
    done = run(workshop, "gdb", f"--{kind}", "-nx", "-batch", "-ex", "info files", "-ex",
               "show debug-file-directory", f"{workshop.eprefix}/usr/bin/true-of-the-prefix")  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert f"`{workshop.eprefix}/usr/bin/true-of-the-prefix'" in done.stdout
    assert f'"{workshop.eprefix}/usr/lib/debug"' in done.stdout
    target.unlink()


def test_gdb_of_another_architecture_is_one_that_knows_it(
    open_dir: Path, recorder: Recorder
) -> None:
    other = "amd64-usr" if platform.machine() == "aarch64" else "arm64-usr"
    prefix = Machine(open_dir / "machine").setup("arms", f"--board={other}")
    path = f"{recorder.bin}:{few(open_dir)}"
    recorder.install("gdb", prefix.eprefix)
    done = prefix.machine.run(prefix.wrapper("gdb"), "x", env={"PATH": path})
    assert (done.returncode, done.stdout) == (127, "")
    assert done.stderr == " * gdb is not installed here; it is in dev-debug/gdb\n"
    recorder.install("gdb-multiarch", prefix.eprefix)
    done = prefix.machine.run(prefix.wrapper("gdb"), "x", env={"PATH": path})
    assert done.returncode == 23, done.stderr
    assert recorder.read(done).words[-1] == "x"


def few(directory: Path) -> Path:
    """Return a directory of programs without any gdb."""
    programs = directory / "few"
    programs.mkdir()
    for name in "sh env id ls cat rm unshare mount setpriv".split():
        (programs / name).symlink_to(shutil.which(name) or name)
    return programs


def test_pkg_config_sees_the_roots_libraries_and_no_others(workshop: InUse, kind: str) -> None:
    directory = workshop.eroot(kind) / "usr/lib64/pkgconfig"
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "shop.pc").write_text(
        f"prefix={workshop.eprefix}/usr\nName: shop\nDescription: x\nVersion: {1 if kind == 'final' else 2}\n"
        "Cflags: -I${prefix}/include/shop\nLibs: -L${prefix}/lib64 -lshop\n"
    )
    env = {"PKG_CONFIG_PATH": "/usr/lib/x86_64-linux-gnu/pkgconfig"}
    done = run(workshop, "pkg-config", f"--{kind}", "--modversion", "shop", env=env)
    assert (done.returncode, done.stdout) == (0, "1\n" if kind == "final" else "2\n"), done.stderr
    flags = run(workshop, "pkg-config", f"--{kind}", "--cflags", "shop", env=env).stdout.split()
    assert flags == [f"-I{workshop.eroot(kind)}/usr/include/shop"]
    others = run(workshop, "pkg-config", f"--{kind}", "--list-all", env=env).stdout
    assert [line.split()[0] for line in others.splitlines()] == ["shop"]


def test_ldconfig_makes_and_prints_the_cache_of_its_root(workshop: InUse, kind: str) -> None:
    libdir = workshop.eroot(kind) / "usr/lib64"
    libdir.mkdir(parents=True, exist_ok=True)
    library = next(Path("/lib").glob("*/libz.so.1*")).resolve()
    shutil.copy(library, libdir / "libz.so.1")
    assert run(workshop, "ldconfig", f"--{kind}").returncode == 0
    printed = run(workshop, "ldconfig", f"--{kind}", "-p").stdout
    assert f"=> {workshop.eprefix}/usr/lib64/libz.so.1\n" in printed
    assert not re.search(rf"=> (?!{workshop.eprefix}/)", printed)
    assert os.listdir(workshop.eroot(kind).parents[2]) == ["usr"]


def test_emerge_makes_the_loaders_cache_too(workshop: InUse) -> None:
    for kind in ("staging", "final"):
        (workshop.eroot(kind) / "etc/ld.so.conf").unlink(missing_ok=True)
        (workshop.eroot(kind) / "etc/ld.so.cache").unlink(missing_ok=True)
        (workshop.eroot(kind) / "etc/env.d").mkdir(exist_ok=True)
        (workshop.eroot(kind) / "etc/env.d/60other").write_text(
            f'LDPATH="{workshop.eprefix}/usr/lib64/other"\n'
        )
    done = workshop.emerge("--quiet", "app-misc/greeting")
    assert done.returncode == 0, done.stderr
    assert (workshop.staging / "etc/ld.so.cache").is_file()
    assert (workshop.final / "etc/ld.so.cache").is_file()


def busybox() -> str:
    """Return a statically linked program."""
    return shutil.which("busybox") or pytest.fail("busybox is not here; run-tests installs it")


def test_bwrap_runs_a_program_where_nothing_else_is(workshop: InUse, kind: str) -> None:
    target = workshop.eroot(kind) / "usr/bin/busybox"
    shutil.copy(busybox(), target)
    done = run(workshop, "bwrap", f"--{kind}", "busybox", "sh", "-c", "echo *; exit 42")
    assert done.returncode == 42, done
    there, here = set(done.stdout.split()), set(os.listdir("/"))
    assert "usr" in there and not {"home", "root", "opt"} & here & there
    target.unlink()


@pytest.mark.parametrize(
    "words", [("--staging",), ("--network", "--staging"), ("--final", "--staging")]
)
def test_bwrap_takes_the_word_for_the_root_among_its_options(
    workshop: InUse, words: tuple[str, ...]
) -> None:
    shutil.copy(busybox(), workshop.staging / "usr/bin/busybox")
    done = run(workshop, "bwrap", *words, "busybox", "echo", "from staging")
    assert (done.returncode, done.stdout) == (0, "from staging\n"), done.stderr
    (workshop.staging / "usr/bin/busybox").unlink()


def test_bwrap_without_a_shell_in_the_prefix_names_the_package(workshop: InUse, kind: str) -> None:
    done = run(workshop, "bwrap", f"--{kind}")
    assert done.returncode == 127
    assert "app-shells/bash" in done.stderr


# Tools that no package registry offers: a recorder replaces them.

ARGUMENTS = [
    "plain",
    "with space",
    "",
    "-n",
    "--",
    "quote'\"",
    "line\nend",
    "*",
    "$HOME",
    "\\",
    "ü",
]


@pytest.mark.parametrize("tool", GENTOOLKIT + PORTAGE_UTILS)
def test_tools_of_gentoolkit_and_portage_utils_are_run_in_the_view(
    toolbox: InUse, recorder: Recorder, kind: str, tool: str
) -> None:
    recorder.install(tool, toolbox.eprefix)
    path = f"{recorder.bin}:{os.environ['PATH']}"
    done = run(
        toolbox, tool, f"--{kind}", *ARGUMENTS, env={"PATH": path, "ROOT": "/wrong", "USE": "meant"}
    )
    got = recorder.read(done)
    assert (got.code, got.words, got.root) == (23, ARGUMENTS, kind), got.stderr
    assert "etc" in got.seen
    assert got.env["PORTAGE_OVERRIDE_EPREFIX"] == toolbox.eprefix
    assert got.env["USE"] == "meant"
    if tool in PORTAGE_UTILS:
        assert (got.env["ROOT"], got.env["PORTAGE_CONFIGROOT"]) == ("/", toolbox.eprefix)
        assert got.env["Q_VDB"] == f"{toolbox.eprefix}/var/db/pkg"
    else:
        assert not {"ROOT", "EPREFIX", "SYSROOT", "PORTAGE_CONFIGROOT"} & set(got.env)


@pytest.mark.parametrize("tool", CONFIGURATION)
def test_configuration_tools_are_given_the_prefix_as_their_root(
    toolbox: InUse, recorder: Recorder, kind: str, tool: str
) -> None:
    recorder.install(tool, toolbox.eprefix)
    path = f"{recorder.bin}:{os.environ['PATH']}"
    got = recorder.read(run(toolbox, tool, f"--{kind}", *ARGUMENTS, env={"PATH": path}))
    assert (got.code, got.words) == (23, ARGUMENTS), got.stderr
    assert (got.env["ROOT"], got.env["EPREFIX"]) == (str(toolbox.eroot(kind)), "")
    assert got.env["PORTAGE_CONFIGROOT"] == str(toolbox.eroot(kind))


@pytest.mark.parametrize("tool", GENTOOLKIT + PORTAGE_UTILS + CONFIGURATION)
def test_a_tool_that_is_not_installed_names_its_package(toolbox: InUse, tool: str) -> None:
    if shutil.which(tool):
        pytest.skip(f"{tool} is installed here")
    done = run(toolbox, tool, "--version")
    package = declaration.tools()[tool].package
    assert (done.returncode, done.stdout) == (127, "")
    assert done.stderr == f" * {tool} is not installed here; it is in {package}\n"


def test_the_boards_ldconfig_of_another_architecture_is_run_by_qemu(open_dir: Path) -> None:
    if not shutil.which("aarch64-linux-gnu-gcc") or platform.machine() == "aarch64":
        pytest.skip("no compiler for another architecture is here")
    prefix = Machine(open_dir / "machine").setup("arms", "--board=arm64-usr")
    tool = prefix.staging_dir / "tools/bin" / f"{board('arm64-usr').chost}-ldconfig"
    done = prefix.machine.run(tool, "-r", prefix.staging_dir / "root")
    assert (done.returncode, "sys-libs/glibc" in done.stderr) == (127, True)
    own = prefix.staging / "sbin/ldconfig"
    own.parent.mkdir()
    own.write_text("not run itself")
    own.chmod(0o755)
    bin_dir = open_dir / "bin"
    bin_dir.mkdir()
    (bin_dir / "qemu-aarch64-static").write_text('#!/bin/sh\nprintf "%s\\n" "$@"\n')
    (bin_dir / "qemu-aarch64-static").chmod(0o755)
    done = prefix.machine.run(
        tool, "-X", "-r", "/x", env={"PATH": f"{bin_dir}:{os.environ['PATH']}"}
    )
    assert done.stdout.split() == [
        str(own), "-f", "/usr/local/arms/etc/ld.so.conf", "-C", "/usr/local/arms/etc/ld.so.cache", "-X", "-r", "/x",
    ]  # fmt: skip
