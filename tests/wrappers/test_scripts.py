# SPDX-License-Identifier: BSD-3-Clause
"""Wrapper scripts: arguments and variables that reach the tool, messages, and sudo."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings, strategies as st
from machine import InUse, Machine, Run
from tooling import ORDINARY, Recorded, Recorder, as_ordinary_user, declare

from flatcar_prefix.prefix import record
from flatcar_prefix.system.variables import ASTRAY, MEANT

CROSS = "[tool]\ndescription = records\npackage = app-misc/recorder\nroot = final\nentry = cross\n"
ENTRIES = {
    "crossed": CROSS,
    "viewed": CROSS.replace("cross", "view"),
    "replaced": CROSS + "stand-in = equery\n",
    "replaced-view": CROSS.replace("cross", "view") + "stand-in = equery\n",
    "rooted": CROSS + "needs-root = yes\nwithout-root = --pretend -p --search -s\n",
}


@pytest.fixture(scope="module")
def recording() -> Iterator[InUse]:
    """A prefix with wrappers of recorders, one for each way of entering."""
    base = Path(tempfile.mkdtemp(prefix="fp-recording-"))
    base.chmod(0o755)
    prefix = Machine(base / "machine").setup("rec")
    for name, text in ENTRIES.items():
        declare(prefix.machine, name, text)
    assert prefix.machine.fp("wrappers", "rec").returncode == 0
    yield prefix
    shutil.rmtree(base)


def call(prefix: InUse, recorder: Recorder, tool: str, *args: str, **options: object) -> Recorded:
    recorder.install(tool, prefix.eprefix)
    env = {"PATH": f"{recorder.bin}:{os.environ['PATH']}", **options.pop("env", {})}  # type: ignore[dict-item]
    return recorder.read(prefix.machine.run(prefix.wrapper(tool), *args, env=env, **options))


WORDS = st.lists(
    st.one_of(
        st.sampled_from(
            ["", "-n", "--", "-", "a b", "'", '"', "\n", "*", "?", "$HOME", "`id`", "\\", "--final"]
        ),
        st.text(st.characters(blacklist_characters="\0", blacklist_categories=("Cs",)), max_size=8),
    ),
    max_size=6,
)


@pytest.mark.parametrize("tool", ["crossed", "viewed"])
@settings(
    max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(words=WORDS)
def test_arguments_arrive_as_they_were(
    recording: InUse, recorder: Recorder, tool: str, words: list[str]
) -> None:
    got = call(recording, recorder, tool, "--staging", *words)
    assert (got.code, got.words) == (23, words), got.stderr


def test_only_the_first_word_chooses_a_root(recording: InUse, recorder: Recorder) -> None:
    got = call(recording, recorder, "crossed", "--help", "--staging", "--final", "--prefix-help")
    assert got.words == ["--help", "--staging", "--final", "--prefix-help"]
    assert got.env["ROOT"].startswith(str(recording.final_dir))
    got = call(recording, recorder, "crossed", "--staging", "--staging", "--help")
    assert got.words == ["--staging", "--help"]
    assert got.env["ROOT"].startswith(str(recording.staging_dir))


def test_cross_sets_what_points_at_the_root_and_nothing_else(
    recording: InUse, recorder: Recorder
) -> None:
    prefix = record.read(recording.staging_dir)
    for root in (prefix.staging, prefix.final):
        got = call(recording, recorder, "crossed", f"--{root.kind}")
        before = recording.machine.environment()
        new = {
            k: v for k, v in got.env.items() if before.get(k) != v and k not in ("PWD", "PATH", "_")
        }
        assert new == root.environment()


def test_variables_that_would_lead_astray_are_put_right(
    recording: InUse, recorder: Recorder
) -> None:
    wrong = dict.fromkeys(ASTRAY, "/wrong")
    prefix = record.read(recording.staging_dir)
    got = call(recording, recorder, "crossed", env=wrong)
    assert {k: v for k, v in got.env.items() if k in wrong} == prefix.final.environment()
    got = call(recording, recorder, "viewed", env=wrong)
    assert {k: v for k, v in got.env.items() if k in wrong} == {
        "PORTAGE_OVERRIDE_EPREFIX": prefix.eprefix
    }


# From the manuals of gcc (Environment Variables), ld (-rpath), ld.so, cmake-env-variables,
# Autoconf (Site Defaults), pkg-config and python, and PMS: not from the code under test.
LEADING_ELSEWHERE = """
    ROOT SYSROOT EPREFIX EROOT ESYSROOT BROOT PORTAGE_CONFIGROOT PORTAGE_OVERRIDE_EPREFIX PORTDIR
    ARCH ABI CHOST CBUILD CTARGET CC CXX CPP AR LD LDFLAGS BUILD_CC BUILD_CXX HOSTCC
    CPATH C_INCLUDE_PATH CPLUS_INCLUDE_PATH OBJC_INCLUDE_PATH LIBRARY_PATH COMPILER_PATH
    GCC_EXEC_PREFIX LD_RUN_PATH LD_LIBRARY_PATH CONFIG_SITE CMAKE_TOOLCHAIN_FILE CMAKE_PREFIX_PATH
    CMAKE_INCLUDE_PATH CMAKE_LIBRARY_PATH MYMESONARGS PKG_CONFIG PKG_CONFIG_PATH PKG_CONFIG_LIBDIR
    PKG_CONFIG_SYSROOT_DIR ACLOCAL_PATH PYTHONPATH PYTHONHOME PERL5LIB DESTDIR
""".split()


def test_what_leads_elsewhere_does_not_reach_the_tool(recording: InUse, recorder: Recorder) -> None:
    ours = record.read(recording.staging_dir).final.environment()
    got = call(recording, recorder, "crossed", env=dict.fromkeys(LEADING_ELSEWHERE, "/wrong"))
    assert {name: got.env[name] for name in LEADING_ELSEWHERE if name in got.env} == ours


def test_no_variable_is_both_meant_and_leading_astray() -> None:
    assert not set(ASTRAY) & set(MEANT)
    assert len(set(MEANT)) == len(MEANT)


def test_flags_of_all_languages_and_kinds_are_meant() -> None:
    flags = {"CFLAGS", "CXXFLAGS", "FCFLAGS", "FFLAGS", "RUSTFLAGS", "GOFLAGS", "USE"}
    expanded = {
        "CURL_SSL",
        "PHP_TARGETS",
        "LLVM_SLOT",
        "LUA_SINGLE_TARGET",
        "PYTHON_TARGETS",
        "ABI_X86",
    }
    assert flags | expanded <= set(MEANT)


@pytest.mark.parametrize("tool", ["crossed", "viewed"])
def test_variables_that_the_caller_means_arrive(
    recording: InUse, recorder: Recorder, tool: str
) -> None:
    meant = {name: f"a 'b' \"c\" $d {name}\n" for name in MEANT if name != "COLUMNS"}
    got = call(recording, recorder, tool, env=meant)
    assert {name: got.env.get(name) for name in meant} == meant


def test_the_sandboxs_library_is_not_loaded_into_the_tool(
    recording: InUse, recorder: Recorder
) -> None:
    got = call(
        recording, recorder, "crossed", env={"LD_PRELOAD": "libsandbox.so", "SANDBOX_ON": "1"}
    )
    assert not {"LD_PRELOAD", "SANDBOX_ON"} & set(got.env)
    got = call(recording, recorder, "crossed", env={"LD_PRELOAD": "", "SANDBOX_ON": "1"})
    assert got.env["SANDBOX_ON"] == "1"


def test_tools_of_builds_are_in_the_path_of_the_build_only(
    recording: InUse, recorder: Recorder
) -> None:
    got = call(recording, recorder, "crossed")
    assert got.env["PATH"].split(":")[0] == str(recording.staging_dir / "tools/bin")
    got = call(recording, recorder, "viewed")
    assert str(recording.staging_dir / "tools/bin") not in got.env["PATH"].split(":")


def test_the_tool_beside_this_programs_python_comes_first(recording: InUse) -> None:
    shown = recording.machine.ok(recording.wrapper("quickpkg"), "--prefix-help").stdout
    answers = shown.rpartition("answers:   ")[2].rstrip("\n")
    assert Path(answers).samefile(Path(sys.executable).with_name("quickpkg"))


def test_a_missing_tool_is_named_with_its_package(recording: InUse) -> None:
    done = recording.machine.run(recording.wrapper("crossed"), "--help")
    assert (done.returncode, done.stdout) == (127, "")
    assert done.stderr == " * crossed is not installed here; it is in app-misc/recorder\n"


def test_prefix_help_says_what_the_wrapper_is(recording: InUse, recorder: Recorder) -> None:
    shown = recording.machine.ok(recording.wrapper("crossed"), "--prefix-help").stdout
    for part in ("crossed", "rec-amd64-usr", "records", recording.eprefix, str(recording.staging_dir / "root"),
                 str(recording.final_dir / "root"), "app-misc/recorder", "nothing here"):  # fmt: skip
        assert part in shown
    recorder.install("crossed", recording.eprefix)
    path = f"{recorder.bin}:{os.environ['PATH']}"
    assert (
        f"answers:   {recorder.bin}/crossed\n"
        in recording.machine.ok(
            recording.wrapper("crossed"), "--prefix-help", env={"PATH": path}
        ).stdout
    )


def test_prefix_help_says_that_this_programs_own_equery_answers(recording: InUse) -> None:
    if shutil.which("equery"):
        pytest.skip("gentoolkit is installed here")
    shown = recording.machine.ok(recording.wrapper("equery"), "--prefix-help").stdout
    assert "answers:   equery of flatcar-prefix" in shown


@pytest.mark.needs_namespaces
@pytest.mark.parametrize("works", [True, False])
def test_a_gentoolkit_is_preferred_where_it_works_and_answers_in_the_view(
    bare: InUse, recorder: Recorder, works: bool
) -> None:
    recorder.install("equery", bare.eprefix)
    program = recorder.bin / "equery"
    fails = "echo Traceback >&2; exit 1"
    probe = f"case $* in '--quiet list *') {'exit 3' if works else fails};; esac\n"
    program.write_text(program.read_text().replace("set -eu\n", "set -eu\n" + probe))
    path = f"{recorder.bin}:{os.environ['PATH']}"
    assert bare.machine.fp("wrappers", "bare", env={"PATH": path}).returncode == 0
    shown = bare.machine.ok(bare.wrapper("equery"), "--prefix-help", env={"PATH": path}).stdout
    assert f"answers:   {program if works else 'equery of flatcar-prefix'}" in shown
    assert (f"not used:  {program}: Traceback\n" in shown) is not works
    listed = bare.machine.fp("wrappers", "bare", "--list", env={"PATH": path})
    assert (f"equery does not use {program}: Traceback" in listed.stderr) is not works
    done = bare.machine.run(bare.wrapper("equery"), "list", "x y", env={"PATH": path})
    if works:
        got = recorder.read(done)
        assert (got.words, got.root) == (["list", "x y"], "final")
    else:
        assert done.returncode != 23


def test_a_wrapper_of_a_prefix_that_is_gone_says_so(bare: InUse) -> None:
    shutil.rmtree(bare.staging_dir)
    done = bare.machine.run(bare.wrapper("emaint"), "--check", "all")
    assert done.returncode == 1
    assert [line[:3] for line in done.stderr.splitlines()] == [" * ", " * "]
    assert "was not found in" in done.stderr


def test_moving_the_wrapper_directory_breaks_nothing(bare: InUse, open_dir: Path) -> None:
    elsewhere = open_dir / "moved here"
    shutil.move(bare.machine.bin, elsewhere)
    for name in ("portageq-prefix-bare-amd64-usr", "portageq-prefix-bare"):
        done = bare.machine.run(elsewhere / name, "envvar", "EPREFIX")
        assert done.stdout == "/usr/local/bare\n", done.stderr


def test_every_generated_script_is_clean_under_shellcheck(recording: InUse) -> None:
    scripts = [p for p in recording.machine.bin.iterdir() if not p.is_symlink()]
    scripts += [recording.staging_dir / "view/enter", recording.staging_dir / "view/portage-python"]
    tools = list((recording.staging_dir / "tools/bin").iterdir())
    kinds = {path.name.partition("-linux-gnu-")[2] for path in tools}
    assert {"gcc", "g++", "cpp", "ld", "pkg-config", "ldconfig"} <= kinds
    scripts += tools
    assert len(scripts) > 60
    subprocess.run(["shellcheck", "-o", "all", *scripts], check=True)


def test_no_wrapper_contains_syntax_of_the_templates(recording: InUse) -> None:
    for path in recording.machine.bin.iterdir():
        assert not re.findall(r"#\[.*|@[A-Z_]+@", path.read_text()), path


@pytest.mark.parametrize("tool", ["replaced", "replaced-view"])
def test_a_stand_in_answers_only_where_the_command_is_missing(
    recording: InUse, recorder: Recorder, tool: str
) -> None:
    done = recording.machine.run(recording.wrapper(tool), "--staging", "list", "no-such-package")
    asked = recording.machine.run(recording.wrapper(tool), "--prefix-help")
    assert done.returncode not in (23, 126, 127)
    assert "answers:   equery of flatcar-prefix" in asked.stdout
    assert "Traceback" not in done.stderr
    assert call(recording, recorder, tool, "list", "x").words == ["list", "x"]


@pytest.mark.parametrize("tool", ["crossed", "viewed", "replaced", "replaced-view"])
def test_a_script_without_its_interpreter_is_passed_over(
    recording: InUse, recorder: Recorder, tool: str
) -> None:
    recorder.install(tool, recording.eprefix)
    program = recorder.bin / tool
    program.write_text(program.read_text().replace("#!/bin/sh", "#! /no/such/python -E"))
    env = {"PATH": f"{recorder.bin}:{os.environ['PATH']}"}
    why = f"{program} requires /no/such/python, which does not exist\n"
    shown = recording.machine.ok(recording.wrapper(tool), "--prefix-help", env=env).stdout
    assert f"not used:  {why}" in shown
    done = recording.machine.run(recording.wrapper(tool), "list", "nothing", env=env)
    if tool in ("crossed", "viewed"):
        assert (done.returncode, done.stderr) == (127, f" * {why}")
    else:
        assert "answers:   equery of flatcar-prefix" in shown
        assert done.returncode not in (23, 126, 127)


def test_no_wrapper_names_a_shell_other_than_sh(recording: InUse) -> None:
    for path in recording.machine.bin.iterdir():
        assert path.read_text().startswith("#!/bin/sh\n")


# sudo. A private mount namespace contains the policy; the machine's stays unchanged.


def with_sudo(
    recording: InUse, recorder: Recorder, *args: str, env: dict[str, str] | None = None
) -> Run:
    recorder.install("rooted", recording.eprefix)
    policy = recorder.directory / "sudoers"
    policy.write_text(
        "Defaults env_reset\nDefaults !lecture\n"
        f'Defaults secure_path="{recorder.bin}:/usr/sbin:/usr/bin:/sbin:/bin"\n'
        "nobody ALL=(ALL:ALL) NOPASSWD: ALL\nroot ALL=(ALL:ALL) NOPASSWD: ALL\n"
    )
    policy.chmod(0o440)
    words = as_ordinary_user(recording.wrapper("rooted"), *args)
    return recording.machine.run(
        "unshare", "--mount", "sh", "-c", f"mount --bind {policy} /etc/sudoers && exec {shlex.join(words)}",
        env={"PATH": f"{recorder.bin}:{os.environ['PATH']}", **(env or {})},
    )  # fmt: skip


needs_sudo = pytest.mark.skipif(not shutil.which("sudo"), reason="sudo not found")


@pytest.mark.needs_root
@needs_sudo
def test_an_ordinary_user_becomes_root_and_takes_along_what_is_meant(
    recording: InUse, recorder: Recorder
) -> None:
    meant = {name: f"'{name}' \"%/\" (x) $y" for name in MEANT if name != "COLUMNS"}
    words = ["--staging", "a b", "", "'", "line\nend", "-n", "*"]
    done = with_sudo(recording, recorder, *words, env={**meant, "ROOT": "/wrong", "CHOST": "wrong"})
    got = recorder.read(done)
    assert (got.code, got.uid, got.words) == (23, 0, words[1:]), got.stderr
    assert {name: got.env.get(name) for name in meant} == meant
    assert got.env["ROOT"] == str(recording.staging_dir / "root")
    assert "CHOST" not in got.env


ASKING = (
    ["--pretend"],
    ["-p", "x"],
    ["x", "-pv"],
    ["-1vp"],
    ["--staging", "--search", "x"],
    ["-j", "2", "-s"],
)
CHANGING = (
    [],
    ["x"],
    ["-1v"],
    ["--", "-p"],
    ["--pretender"],
    ["--skip-p"],
    ["--=-p"],
    ["p"],
    ["--p"],
)


@pytest.mark.needs_root
def test_a_query_does_not_need_root(recording: InUse, recorder: Recorder) -> None:
    recorder.install("rooted", recording.eprefix)
    (recorder.bin / "sudo").write_text("#!/bin/sh\nexit 99\n")
    (recorder.bin / "sudo").chmod(0o755)
    path = f"{recorder.bin}:{os.environ['PATH']}"
    for words in ASKING:
        done = recording.machine.run(
            *as_ordinary_user(recording.wrapper("rooted"), *words), env={"PATH": path}
        )
        got = recorder.read(done)
        assert (got.uid, got.words) == (ORDINARY, [word for word in words if word != "--staging"])
    for words in CHANGING:
        done = recording.machine.run(
            *as_ordinary_user(recording.wrapper("rooted"), *words), env={"PATH": path}
        )
        assert done.returncode == 99, words


@pytest.mark.needs_root
@needs_sudo
def test_root_does_not_need_sudo(recording: InUse, recorder: Recorder) -> None:
    fake = recorder.bin / "sudo"
    fake.write_text("#!/bin/sh\nexit 99\n")
    fake.chmod(0o755)
    got = call(recording, recorder, "rooted", "word")
    assert (got.code, got.uid, got.words) == (23, 0, ["word"])


@pytest.mark.needs_root
def test_the_owner_of_a_prefix_does_not_need_sudo(open_dir: Path, recorder: Recorder) -> None:
    prefix = Machine(open_dir / "machine").setup("owned")
    declare(prefix.machine, "rooted", ENTRIES["rooted"])
    assert prefix.machine.fp("wrappers", "owned").returncode == 0
    for path in (prefix.staging_dir, *prefix.staging_dir.rglob("*")):
        os.chown(path, ORDINARY, ORDINARY, follow_symlinks=False)
    recorder.install("rooted", prefix.eprefix)
    (recorder.bin / "sudo").write_text("#!/bin/sh\nexit 99\n")
    (recorder.bin / "sudo").chmod(0o755)
    path = f"{recorder.bin}:{os.environ['PATH']}"
    done = prefix.machine.run(
        *as_ordinary_user(prefix.wrapper("rooted"), "word"), env={"PATH": path}
    )
    assert recorder.read(done).uid == ORDINARY


@pytest.mark.needs_root
def test_a_tool_that_does_not_need_root_never_asks_for_it(
    recording: InUse, recorder: Recorder
) -> None:
    recorder.install("crossed", recording.eprefix)
    (recorder.bin / "sudo").write_text("#!/bin/sh\nexit 99\n")
    (recorder.bin / "sudo").chmod(0o755)
    path = f"{recorder.bin}:{os.environ['PATH']}"
    done = recording.machine.run(
        *as_ordinary_user(recording.wrapper("crossed")), env={"PATH": path}
    )
    assert recorder.read(done).uid == ORDINARY


@pytest.mark.needs_root
def test_without_sudo_the_caller_is_told_to_be_root(
    recording: InUse, recorder: Recorder, open_dir: Path
) -> None:
    recorder.install("rooted", recording.eprefix)
    few = open_dir / "few"
    few.mkdir()
    for command in ("sh", "env", "id", "ls", "cat"):
        (few / command).symlink_to(shutil.which(command) or command)
    setpriv = shutil.which("setpriv") or "setpriv"
    words = [setpriv, *as_ordinary_user(recording.wrapper("rooted"))[1:]]
    done = recording.machine.run(*words, env={"PATH": f"{recorder.bin}:{few}"})
    assert done.returncode == 1
    assert "needs root" in done.stderr
