# SPDX-License-Identifier: BSD-3-Clause
"""Set prefixes up in the SDK container: detection, choices, written files, users."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from furnishing import BOARD_CFLAGS, furnish, main_repository
from machine import Overlay
from sdk_container import LAYOUTS, SCRIPTS, SDK_UID, Container, add_sdk_toolchain

from flatcar_prefix.boards import BOARDS

pytestmark = [pytest.mark.e2e, pytest.mark.needs_root, pytest.mark.needs_namespaces]

Make = Callable[[str], Container]


def record(container: Container, name: str, board: str = "amd64-usr") -> dict[str, object]:
    path = container.here(f"/build/prefix-{board}/{name}/flatcar-prefix.json")
    loaded: dict[str, object] = json.loads(path.read_text())
    return loaded


def make_conf(container: Container, name: str, kind: str, board: str = "amd64-usr") -> str:
    base = f"/build/prefix-{board}" if kind == "staging" else f"{SCRIPTS}/__prefix__/{board}"
    path = container.here(f"{base}/{name}/root/usr/local/{name}/etc/portage/make.conf")
    return path.read_text()


class TestDoctor:
    """It lists what it found, what is missing, and the next step."""

    def test_it_recognises_the_container_and_its_user(self, container: Container) -> None:
        said = container.fp("doctor")
        assert said.returncode == 0, said.stdout
        assert said.stderr == "", "Portage complained"
        first = said.stdout.splitlines()[0]
        assert "the SDK container" in first
        assert f"scripts: {SCRIPTS}" in first
        assert "user: sdk" in first

    def test_it_names_the_repositories_by_whatever_they_are_called(
        self, container: Container
    ) -> None:
        checks = {c["name"]: c for c in json.loads(container.fp("doctor", "--json").stdout)}
        layout = "repos" if (container.scripts / "repos").is_dir() else "third_party"
        place, names = LAYOUTS[layout]
        for directory, name in names.values():
            found = checks["repositories"]["found"]
            assert f"{name} " in found
            assert f"{SCRIPTS}/{place}/{directory}" in found
        assert f"{names['gentoo-subset'][1]} (main)" in checks["repositories"]["found"]
        for board in BOARDS.values():
            main = names["gentoo-subset"][1]
            assert checks[f"profile of {board.name}"]["found"].startswith(f"{main}:default/linux/")

    def test_it_lists_the_toolchains_best_first(self, any_container: Container) -> None:
        checks = {c["name"]: c for c in json.loads(any_container.fp("doctor", "--json").stdout)}
        for board in BOARDS.values():
            named = f"toolchain of {board.name}, "
            kinds = [n.removeprefix(named) for n in checks if n.startswith(named)]
            assert kinds == ["board", "sdk", "host"]
            found = checks[f"{named}board"]["found"]
            assert found.startswith(f"/usr/bin/{board.chost}-gcc, glibc 2.")
            assert found.endswith(f", sysroot /build/{board.name}")

    def test_each_toolchain_that_is_missing_is_listed_with_what_to_do(
        self, make_container: Make
    ) -> None:
        """It reports a missing toolchain even if another works; otherwise it would not be noticed."""
        container = make_container("repos")
        sysroot = add_sdk_toolchain(container, BOARDS["amd64-usr"])
        checks = {c["name"]: c for c in json.loads(container.fp("doctor", "--json").stdout)}
        of = {kind: checks[f"toolchain of amd64-usr, {kind}"] for kind in ("board", "sdk", "host")}
        assert [of[kind]["ok"] for kind in of] == [False, True, True]
        assert "/build/amd64-usr" in of["board"]["found"]
        assert "./setup_board --board=amd64-usr" in of["board"]["hint"]
        assert not of["board"]["needed"], "another one works"
        shutil.rmtree(sysroot)
        lines = container.fp("doctor").stdout.splitlines()
        number = next(n for n, line in enumerate(lines) if "toolchain of amd64-usr, sdk" in line)
        assert lines[number].startswith("- ")
        assert "no sysroot of x86_64-cros-linux-gnu-gcc" in lines[number]
        assert "./update_chroot --toolchain_boards=amd64-usr" in lines[number + 1]
        foreign = checks["toolchain of arm64-usr, sdk"]
        assert foreign["found"] == "no sdk compiler for arm64-usr is installed"

    def test_what_is_not_installed_is_named_by_the_sdks_packages(
        self, any_container: Container, tmp_path: Path
    ) -> None:
        here = tmp_path / "few"
        here.mkdir()
        (here / "sh").symlink_to("/bin/sh")
        command = any_container.fp_command("doctor", "--json")
        said = any_container.run("env", f"PATH={here}", *command, user="sdk")
        checks = {c["name"]: c for c in json.loads(said.stdout)}
        missing = {name: c["hint"] for name, c in checks.items() if not c["ok"]}
        assert "emerge sys-apps/bubblewrap" in missing["bwrap"]
        assert "emerge sys-devel/patch" in missing["patch"]
        assert checks["patch"]["needed"]
        assert "app-admin/sudo" in missing["sudo"]
        assert not any("apt-get" in hint for hint in missing.values()), missing

    def test_it_says_who_builds_and_by_which_sudo(self, any_container: Container) -> None:
        said = any_container.fp("doctor", "--json", user="sdk").stdout
        checks = {c["name"]: c for c in json.loads(said)}
        assert checks["user of builds"]["found"] == "builds run as sdk:portage"
        assert checks["sudo"]["found"].endswith("/sudo")
        assert checks["sudo"]["needed"]
        assert "equery" not in checks, "this program has its own"

    def test_an_ordinary_user_is_told_the_same(self, any_container: Container) -> None:
        as_root, as_sdk = (any_container.fp("doctor", "--json", user=u) for u in ("root", "sdk"))
        names = [c["name"] for c in json.loads(as_root.stdout)]
        assert [c["name"] for c in json.loads(as_sdk.stdout)] == names
        assert as_sdk.stderr == ""

    def test_what_is_missing_comes_with_what_to_do(self, tmp_path: Path) -> None:
        empty = Container(tmp_path)
        said = empty.fp("doctor")
        assert said.returncode == 1
        lines = said.stdout.splitlines()
        number = next(n for n, line in enumerate(lines) if line.startswith("MISSING repositories"))
        assert "no repository named" in lines[number]
        assert "--scripts-dir" in lines[number + 1]


class TestSetup:
    """``setup_prefix --bootstrap=none`` in the container."""

    @pytest.mark.parametrize("board", BOARDS)
    def test_no_portage_command_warns(self, container: Container, board: str) -> None:
        started = time.monotonic()
        done = container.setup("--bootstrap=none", f"--board={board}", "quiet", "/usr/local/quiet")
        assert time.monotonic() - started < 30, "configuration takes seconds"
        said = [done.stdout + done.stderr]
        for tool, *args in (
            ("emerge", "--info"),
            ("emerge", "--stage", "--pretend", "--quiet", "sys-apps/grep"),
            ("portageq", "best_visible", "/", "dev-lang/python"),
            ("portageq", "envvar", "CHOST"),
            ("equery", "list", "*"),
        ):
            ran = container.run(f"/usr/local/bin/{tool}-prefix-quiet-{board}", *args)
            if tool != "equery":
                assert ran.returncode == 0, ran.stdout + ran.stderr
            said.append(ran.stdout + ran.stderr)
        text = "\n".join(said)
        for word in ("!!!", "WARNING", "warning", "Traceback", "deprecated", "invalid"):
            assert word not in text, text
        assert f"{BOARDS[board].chost}\n" in text

    @pytest.mark.parametrize("board", BOARDS)
    def test_the_best_python_of_the_tree_is_found(self, container: Container, board: str) -> None:
        name = f"best-{board[:5]}"
        container.setup("--bootstrap=none", f"--board={board}", name, f"/usr/local/{name}")
        wrapper = f"/usr/local/bin/portageq-prefix-{name}"
        said = container.ok(wrapper, "best_visible", "/", "dev-lang/python").stdout
        assert said == "dev-lang/python-3.11.2\n"

    def test_the_checkouts_places_are_used(self, any_container: Container) -> None:
        any_container.setup("--bootstrap=none", "places", "/usr/local/places")
        written = record(any_container, "places")
        assert written["staging_dir"] == "/build/prefix-amd64-usr/places"
        assert written["final_dir"] == f"{SCRIPTS}/__prefix__/amd64-usr/places"
        assert written["distdir"] == "/mnt/host/source/.cache/distfiles"
        assert (written["username"], written["groupname"]) == ("sdk", "portage")
        assert any_container.here("/usr/local/bin/emerge-prefix-places").exists()

    @pytest.mark.parametrize(
        ("layout", "kind"),
        [("repos", "board"), ("third_party", "sdk")],
    )
    def test_an_imported_prefix_builds_and_runs(
        self, containers: Make, layout: str, kind: str
    ) -> None:
        """The user ``sdk`` runs it, and also owns the build."""
        container, name = containers(layout), f"works-{kind}"
        overlay = write_overlay(container)
        container.setup(
            "--bootstrap=import", f"--toolchain={kind}", f"--custom_ebuild_overlays={overlay}",
            name, f"/usr/local/{name}",
        )  # fmt: skip
        container.ok(f"/usr/local/bin/emerge-prefix-{name}", "test-sdk/hello", user="sdk")
        said = container.fp("run", name, "--", "hello", user="sdk")
        assert (said.stdout, said.stderr) == ("compiled for 0-0\n", "")
        report = container.fp("verify", name)
        assert report.returncode == 0, report.stdout
        log = next(container.here(f"/build/prefix-amd64-usr/{name}/logs").glob("test-sdk:hello*"))
        assert (log.stat().st_uid, "-fno-plt" in log.read_text()) == (SDK_UID, kind == "board")


def write_overlay(container: Container) -> str:
    """Write an overlay with a program in C; return its path in the container."""
    place = "mnt/host/source/overlay"
    names = LAYOUTS["repos" if (container.scripts / "repos").is_dir() else "third_party"][1]
    files = {
        "profiles/repo_name": "sdk-test\n",
        "profiles/categories": "test-sdk\n",
        "metadata/layout.conf": f"masters = {names['gentoo-subset'][1]}\nthin-manifests = true\n",
        "test-sdk/hello/files/hello.c": '#include <stdio.h>\n#ifndef BUILT\n#define BUILT "0-0"\n'
        '#endif\nint main(void) { puts("compiled for " BUILT); return 0; }\n',
        "test-sdk/hello/hello-1.ebuild": HELLO,
    }
    for name, text in files.items():
        path = container.base / place / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return f"/{place}"


HELLO = """\
# Copyright 2026 The flatcar-prefix authors
# Distributed under the terms of the BSD 3-Clause License

EAPI=8

DESCRIPTION="A program of the tests"
S="${WORKDIR}"
LICENSE="BSD"
SLOT="0"
KEYWORDS="amd64 arm64"

src_compile() {
	set -- ${CC} ${CFLAGS} ${LDFLAGS} -o hello "${FILESDIR}/hello.c"
	echo "$@"
	"$@" || die
}

src_install() {
	dobin hello
}
"""


GREETING = """
src_prepare() {
	echo plain >said || die
	default
}

src_install() {
	echo "${GREETING}" >>said
	insinto /usr/share
	doins said
}
"""


class TestToolchains:
    """The choice of the toolchain, and its record."""

    @pytest.mark.parametrize("board", BOARDS)
    @pytest.mark.parametrize(
        ("wanted", "kind"), [(None, "board"), ("board", "board"), ("sdk", "sdk"), ("host", "host")]
    )
    def test_the_best_or_the_wanted_one_is_used_and_recorded(
        self, any_container: Container, board: str, wanted: str | None, kind: str
    ) -> None:
        name = f"tc-{wanted or 'best'}"
        args = [f"--toolchain={wanted}"] if wanted else []
        done = any_container.setup(
            "--bootstrap=none", f"--board={board}", *args, name, f"/usr/local/{name}"
        )
        assert f"toolchain: {kind}, " in done.stdout
        chost = BOARDS[board].chost
        sysroot = {"board": f"/build/{board}", "sdk": f"/usr/{chost}", "host": ""}[kind]
        shown = json.loads(any_container.fp("show", f"{name}-{board}", "--json").stdout)
        assert shown["toolchain"]["kind"] == kind
        assert shown["toolchain"]["sysroot"] == sysroot
        assert shown["toolchain"]["libc"].startswith("2.")
        assert f"toolchain:  {kind}: " in any_container.fp("show", f"{name}-{board}").stdout
        assert record(any_container, name, board)["toolchain"]["kind"] == kind  # type: ignore[index]
        for root in ("staging", "final"):
            text = make_conf(any_container, name, root, board)
            assert f'FLATCAR_PREFIX_TOOLCHAIN_SYSROOT="{sysroot}"\n' in text
            libc, version = shown["toolchain"]["libc"], shown["toolchain"]["version"]
            assert f'FLATCAR_PREFIX_TOOLCHAIN_LIBC="{libc}"\n' in text
            assert f'FLATCAR_PREFIX_TOOLCHAIN_VERSION="{version}"\n' in text
            assert 'FLATCAR_PREFIX_TOOLCHAIN_LIBDIR="lib"\n' in text
            assert (f'CFLAGS="{BOARD_CFLAGS}"\n' in text) == (kind == "board")

    def test_without_a_board_root_the_sdks_own_is_the_best(self, make_container: Make) -> None:
        container = make_container("repos")
        add_sdk_toolchain(container, BOARDS["amd64-usr"])
        assert "toolchain: sdk, " in container.setup("--bootstrap=none", "x", "/usr/local/x").stdout

    def test_without_any_of_the_sdks_the_machines_own_is_left(self, make_container: Make) -> None:
        container = make_container("repos")
        assert (
            "toolchain: host, " in container.setup("--bootstrap=none", "x", "/usr/local/x").stdout
        )

    def test_a_board_without_cflags_of_its_own_gets_the_usual(self, make_container: Make) -> None:
        container = furnish(make_container("repos"), "repos")
        (container.base / "build/amd64-usr/etc/portage/make.conf").write_text("")
        container.setup("--bootstrap=none", "x", "/usr/local/x")
        assert 'CFLAGS="-O2 -pipe"\n' in make_conf(container, "x", "staging")

    @pytest.mark.parametrize("kind", ["board", "sdk"])
    def test_a_missing_toolchain_is_an_error_before_anything_is_created(
        self, make_container: Make, kind: str
    ) -> None:
        container = make_container("repos")
        before = places(container)
        args = (f"--toolchain={kind}", "--bootstrap=none", "x", "/usr/local/x")
        said = container.run(*container.setup_command(*args))
        assert said.returncode == 1
        what, hint = said.stderr.splitlines()
        assert what == f" * no {kind} compiler for amd64-usr is installed"
        assert "x86_64-cros-linux-gnu-gcc" in hint
        assert places(container) == before

    @pytest.mark.parametrize(
        "fault",
        ["dies", "no-libc", "no-headers", "other-machine", "other-abi", "other-loader", "no-c++"],
    )
    def test_a_broken_toolchain_is_an_error_before_anything_is_created(
        self, make_container: Make, fault: str
    ) -> None:
        container = make_container("repos")
        sysroot = add_sdk_toolchain(container, BOARDS["amd64-usr"])
        gcc = container.base / "layer/usr/bin/x86_64-cros-linux-gnu-gcc"
        if fault == "dies":
            gcc.write_text("#!/bin/sh\necho something is wrong with me >&2\nexit 1\n")
        elif fault == "no-libc":
            (sysroot / "usr/lib64/libc.so").write_text("INPUT(no-such-library.so)\n")
        elif fault == "no-headers":
            (sysroot / "usr/include/stdio.h").unlink()
        elif fault == "other-abi":
            _answer(gcc, "-print-multi-os-directory", "echo ../libx32")
        elif fault == "other-loader":
            # The program contains the name of the board's loader, but not as its own loader.
            name = "ld-linux-x86-64.so.2"
            _answer(gcc, "-o", f'exec cc -Wl,-rpath,/{name} -Wl,-dynamic-linker=/x/ld.so "$@"')
        elif fault == "no-c++":
            _answer(
                gcc.with_name("x86_64-cros-linux-gnu-g++"), "-o", "echo no libstdc++ >&2; exit 1"
            )
        else:
            add_sdk_toolchain(container, BOARDS["arm64-usr"])
            gcc.write_text('#!/bin/sh\nexec aarch64-cros-linux-gnu-gcc "$@"\n')
        before = places(container)
        args = ("--toolchain=sdk", "--bootstrap=none", "x", "/usr/local/x")
        said = container.run(*container.setup_command(*args))
        assert said.returncode == 1
        what, hint = said.stderr.splitlines()
        assert f"x86_64-cros-linux-gnu-{'g++' if fault == 'no-c++' else 'gcc'}" in what
        assert hint.startswith(" * ")
        assert places(container) == before


OWN_LIBRARY = 'const char board[] = "the library of the board";\n'


class TestWhatTheBoardHas:
    """Headers, C library and gcc's runtime come from the board, not from the SDK."""

    def test_it_comes_into_the_prefix(self, make_container: Make) -> None:
        container = furnish(make_container("repos"), "repos")
        board = container.base / "build/amd64-usr"
        for header in ("linux/board-only.h", "bits/board-only.h"):
            (board / "usr/include" / header).write_text("/* the board's */\n")
        version = subprocess.run(
            ["x86_64-linux-gnu-gcc", "-dumpversion"], capture_output=True, text=True, check=True
        ).stdout.strip()
        gcc = board / "usr/lib/gcc/x86_64-cros-linux-gnu"
        for name, places in {
            # gcc finds its own version for both; older versions are not used.
            "libatomic.so.1": [gcc / version],
            "libquadmath.so.0": [gcc / "1", gcc / "99"],
            "libutil.so.1": [board / "lib64"],
        }.items():
            for place in places:
                place.mkdir(parents=True, exist_ok=True)
                text = OWN_LIBRARY if place != gcc / "1" else "int old;\n"
                (place / name).unlink(missing_ok=True)
                command = ["gcc", "-xc", "-shared", "-nostdlib", "-o", place / name, "-"]
                subprocess.run(command, input=text, text=True, check=True)
        container.setup("--bootstrap=import", "--toolchain=board", "--until=runtime", "b", "/opt/b")
        staging = container.here("/build/prefix-amd64-usr/b/root/opt/b")
        for header in ("linux/board-only.h", "bits/board-only.h"):
            assert (staging / "usr/include" / header).read_text() == "/* the board's */\n"
        for name in (
            "lib64/libutil.so.1",
            "usr/lib64/libatomic.so.1",
            "usr/lib64/libquadmath.so.0",
        ):
            assert b"the library of the board" in (staging / name).read_bytes(), name
        # The compiler provides files that the board lacks.
        assert (staging / "usr/lib64/libstdc++.so.6").exists()


def _answer(compiler: Path, option: str, command: str) -> None:
    """Make a compiler run other commands for a certain option."""
    text = compiler.read_text()
    case = f'for word; do\n\t[ "${{word}}" != {option} ] || {{ {command}; exit; }}\ndone\n'
    compiler.write_text(text.replace("sysroot=", f"{case}sysroot=", 1))


def places(container: Container) -> list[str]:
    """Return all files below the directories of prefixes."""
    return sorted(
        os.path.join(directory, name)
        for top in ("build", "bin", "mnt/host/source/src/scripts/__prefix__")
        for directory, names, files in os.walk(container.base / top)
        for name in (*names, *files)
    )


class TestOrdinaryUser:
    """The user ``sdk``: one sudo call, and files with the SDK's owner."""

    def test_setting_up_takes_one_sudo_and_leaves_the_files_roots(
        self, make_container: Make
    ) -> None:
        container = make_container("repos")
        container.setup("--bootstrap=none", "mine", "/usr/local/mine", user="sdk")
        assert container.sudo_calls == 1
        for top in ("/build/prefix-amd64-usr/mine", "/usr/local/bin", f"{SCRIPTS}/__prefix__"):
            for directory, _names, files in os.walk(container.here(top)):
                for path in (directory, *(os.path.join(directory, f) for f in files)):
                    assert os.lstat(path).st_uid == 0, path

    def test_questions_are_answered_without_sudo(self, any_container: Container) -> None:
        any_container.setup("--bootstrap=none", "asked", "/usr/local/asked")
        before = any_container.sudo_calls
        for argv in (
            any_container.fp_command("list"),
            any_container.fp_command("show", "asked"),
            any_container.fp_command("doctor"),
            any_container.fp_command("wrappers", "asked", "--list"),
            any_container.fp_command("wrappers", "asked", "--check"),
            ["/usr/local/bin/portageq-prefix-asked", "envvar", "CHOST"],
            ["/usr/local/bin/equery-prefix-asked", "meta", "sys-apps/grep"],
        ):
            said = any_container.ok(*argv, user="sdk")
            assert said.stdout
            assert said.stderr == ""
        assert any_container.sudo_calls == before

    def test_overlays_are_listed_without_sudo_and_changed_by_it(self, make_container: Make) -> None:
        container = make_container("repos")
        own = Overlay(container.base / "mnt/host/source/own", "own")
        container.setup("--bootstrap=none", "many", "/usr/local/many")
        for command, calls in (
            (["overlays", "many"], 0),
            (["overlays", "many", "list"], 0),
            (["overlays", "many", "add", "/mnt/host/source/own"], 1),
            (["overlays", "many", "remove", own.name], 2),
        ):
            said = container.fp(*command, user="sdk")
            assert said.returncode == 0, said.stderr
            assert container.sudo_calls == calls, command

    def test_wrappers_are_written_again_by_sudo(self, make_container: Make) -> None:
        container = make_container("repos")
        container.setup("--bootstrap=none", "worn", "/usr/local/worn")
        wrapper = container.here("/usr/local/bin/emerge-prefix-worn-amd64-usr")
        wrapper.unlink()
        said = container.fp("wrappers", "worn", user="sdk")
        assert said.returncode == 0, said.stderr
        assert wrapper.exists()
        assert container.sudo_calls == 1

    def test_a_wrong_argument_is_refused_before_sudo(self, any_container: Container) -> None:
        before = any_container.sudo_calls
        said = any_container.run(
            *any_container.setup_command("--no-such-flag", "x", "/usr/local/x"), user="sdk"
        )
        assert said.returncode == 2
        assert any_container.sudo_calls == before

    def test_removing_takes_one_sudo_and_leaves_nothing(self, make_container: Make) -> None:
        container = make_container("repos")
        container.setup("--bootstrap=none", "gone", "/usr/local/gone", user="sdk")
        before = container.sudo_calls
        container.setup("--uninstall", "gone", user="sdk")
        assert container.sudo_calls == before + 1
        assert [p for p in places(container) if "gone" in p] == []

    def test_this_programs_variables_and_no_others_arrive(self, make_container: Make) -> None:
        container = make_container("repos")
        env = {"FLATCAR_PREFIX_BUILD_DIR": "/build/elsewhere", "USE": "this-is-not-meant"}
        container.setup("--bootstrap=none", "x", "/usr/local/x", user="sdk", env=env)
        staging = container.base / "build/elsewhere/prefix-amd64-usr/x"
        assert (staging / "flatcar-prefix.json").exists()


class TestWhatTheCheckoutSays:
    """The skeleton, and the packages that the checkout leaves out of Gentoo."""

    @pytest.mark.parametrize(
        "place",
        ["prefix-overlay/skel/etc/portage", "coreos-overlay/coreos/config/portage"],
    )
    def test_masks_of_the_checkout_apply_by_present_names(
        self, make_container: Make, place: str
    ) -> None:
        container = make_container("third_party")
        masks = container.scripts / "sdk_container/src/third_party" / place / "package.mask"
        masks.mkdir(parents=True)
        # An old name of the main repository.
        (masks / "x").write_text("sys-apps/grep::gentoo-subset\n")
        container.setup("--bootstrap=none", "masked", "/usr/local/masked")
        wrapper = "/usr/local/bin/portageq-prefix-masked"
        assert container.run(wrapper, "best_visible", "/", "sys-apps/grep").stdout == "\n"
        assert container.run(wrapper, "best_visible", "/", "app-arch/bzip2").stdout != "\n"

    def test_patches_and_environments_of_the_checkout_apply_to_what_is_built(
        self, container: Container
    ) -> None:
        layout = "repos" if (container.scripts / "repos").is_dir() else "third_party"
        place, names = LAYOUTS[layout]
        here = {role: container.scripts / place / names[role][0] for role in names}
        patches = here["flatcar-overlay"] / "coreos/user-patches/test-sdk/greeting"
        skel = here["prefix-overlay"] / "skel/etc/portage"
        for directory in (patches, skel / "env", skel / "package.env"):
            directory.mkdir(parents=True, exist_ok=True)
        (patches / "1.patch").write_text("--- a/said\n+++ b/said\n@@ -1 +1 @@\n-plain\n+patched\n")
        (skel / "env/loud").write_text('GREETING="loud"\n')
        (skel / "package.env/x").write_text("test-sdk/greeting loud\n")
        overlay = Overlay(container.base / "mnt/host/source/greetings", "greetings")
        masters = f"masters = {names['gentoo-subset'][1]}\n"
        overlay.write("metadata/layout.conf", f"{masters}thin-manifests = true\n")
        overlay.ebuild("test-sdk/greeting-1", GREETING)
        container.setup(
            "--bootstrap=none", "--custom_ebuild_overlays=/mnt/host/source/greetings",
            "patched", "/usr/local/patched",
        )  # fmt: skip
        container.ok("/usr/local/bin/emerge-prefix-patched", "--nodeps", "test-sdk/greeting")
        root = container.here(f"{SCRIPTS}/__prefix__/amd64-usr/patched/root/usr/local/patched")
        assert (root / "usr/share/said").read_text() == "patched\nloud\n"

    def test_patches_and_environments_of_the_users_stay(self, make_container: Make) -> None:
        container = make_container("repos")
        (container.scripts / "repos/flatcar-overlay/coreos/user-patches").mkdir(parents=True)
        env = container.scripts / "repos/prefix-overlay/skel/etc/portage/env"
        env.mkdir(parents=True)
        (env / "loud").write_text('GREETING="loud"\n')
        container.setup("--bootstrap=none", "mine", "/usr/local/mine")
        config = container.here("/build/prefix-amd64-usr/mine/root/usr/local/mine/etc/portage")
        assert str((config / "patches").readlink()).endswith("coreos/user-patches")
        (config / "patches").unlink()
        (config / "patches/test-sdk/x").mkdir(parents=True)
        (config / "env/loud").write_text('GREETING="mine"\n')
        assert container.fp("update", "mine").returncode == 0
        assert (config / "patches/test-sdk/x").is_dir()
        assert (config / "env/loud").read_text() == 'GREETING="mine"\n'

    def test_an_application_that_needs_what_the_checkout_leaves_out_is_refused(
        self, make_container: Make
    ) -> None:
        """The checkout's own packages work without it; an application would fail."""
        container = make_container("repos")
        overlay_of_flatcar = container.scripts / "repos/flatcar-overlay"
        for profile, text in {
            "base": "dev-python/pillow-9999\nvirtual/mta-1\n",
            "targets/generic": "dev-libs/icu-76.1-r1\n",
        }.items():
            place = overlay_of_flatcar / "profiles/coreos" / profile
            place.mkdir(parents=True)
            (place / "package.provided").write_text(text)
        (overlay_of_flatcar / "app-misc/documents").mkdir(parents=True)
        (overlay_of_flatcar / "app-misc/documents/documents-1.ebuild").write_text(
            'EAPI=8\nDESCRIPTION="Documents"\nSLOT="0"\nKEYWORDS="amd64 arm64"\n'
            'S="${WORKDIR}"\nRDEPEND="dev-python/pillow dev-libs/icu"\n'
        )
        overlay = Overlay(container.base / "mnt/host/source/overlay", "pictures")
        overlay.ebuild("test-sdk/thumbnails-1", rdepend="dev-python/pillow")
        overlay.ebuild("test-sdk/reminder-1", rdepend="virtual/mta app-misc/documents")
        overlay_there = "--custom_ebuild_overlays=/mnt/host/source/overlay"
        container.setup("--bootstrap=none", overlay_there, "needs", "/usr/local/needs")
        emerge = "/usr/local/bin/emerge-prefix-needs"
        container.ok(emerge, "--stage", "--pretend", "test-sdk/reminder")
        said = container.run(emerge, "--stage", "--pretend", "test-sdk/thumbnails")
        assert said.returncode == 1
        first, second = (line[3:] for line in said.stderr.splitlines())
        assert (
            first == "test-sdk/thumbnails-1 needs dev-python/pillow, which the checkout leaves out"
        )
        assert second.startswith("Add an ebuild for dev-python/pillow to an overlay or, if")
        line, _, file = second.partition(" write ")[2].partition(" into ")
        with container.here(file).open("a") as provided:
            provided.write(f"{line}\n")
        container.ok(emerge, "--stage", "--pretend", "test-sdk/thumbnails")

    def test_what_the_checkout_leaves_out_is_provided(self, make_container: Make) -> None:
        container = make_container("repos")
        base = container.scripts / "repos/flatcar-overlay/profiles/coreos/base"
        base.mkdir(parents=True)
        (base / "package.provided").write_text("# none\nnet-mail/mailbase-1\nsys-apps/grep-1\n")
        packages = container.scripts / main_repository("repos") / "profiles/base/packages"
        packages.write_text(packages.read_text() + "*net-mail/mailbase\n")
        container.setup("--bootstrap=none", "less", "/usr/local/less")
        wrapper = "/usr/local/bin/emerge-prefix-less"
        said = container.ok(wrapper, "--stage", "--pretend", "--emptytree", "@system")
        assert "mailbase" not in said.stdout + said.stderr
        # The checkout has this package, so it is built although it is declared as provided.
        said = container.ok(wrapper, "--stage", "--pretend", "sys-apps/grep")
        assert "sys-apps/grep-3" in said.stdout
