# SPDX-License-Identifier: BSD-3-Clause
"""Completion in bash: verbs, flags, names of prefixes, and arguments of wrapped tools."""

from __future__ import annotations

import os
import pty
import re
import select
import shlex
import subprocess
import sys
import time
from pathlib import Path

import pytest
from machine import InUse

COMPLETION = Path(__file__).parents[2] / "completion/flatcar-prefix.bash"

EQUERY = """
_equery_completer() {
	COMPREPLY=("words:${COMP_WORDS[*]}" "number:${COMP_CWORD}" "line:${COMP_LINE}" "point:${COMP_POINT}" "given:$*")
}
complete -F _equery_completer equery
"""


def complete(line: str, *, before: str = "", env: dict[str, str] | None = None) -> list[str]:
    """Return the completions of ``line`` in bash; after a final space, those of a new word."""
    words = line.replace("=", " = ").split() + ([""] if line.endswith((" ", "=")) else [])
    code = f"""
{before}
source {shlex.quote(str(COMPLETION))}
COMP_WORDS=({shlex.join(words)}) COMP_CWORD={len(words) - 1}
COMP_LINE={shlex.quote(line)} COMP_POINT={len(line)}
command={shlex.quote(words[0])}
function=$(complete -p -- "$command" 2>/dev/null || complete -p -D)
while :; do
	[[ $function =~ -F\\ ([^ ]+) ]]
	"${{BASH_REMATCH[1]}}" "$command" {shlex.quote(words[-1])} {shlex.quote(words[-2])}
	(($? == 124)) || break
	function=$(complete -p -- "$command")
done
printf '%s\\n' "${{COMPREPLY[@]}}"
"""
    done = subprocess.run(
        ["bash", "--norc", "-c", code], capture_output=True, text=True, check=False,
        env={"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "HOME": "/nonexistent", **(env or {})},
    )  # fmt: skip
    assert not done.stderr, done.stderr
    return [word for word in done.stdout.split("\n") if word]


def test_the_script_is_clean_under_shellcheck() -> None:
    subprocess.run(["shellcheck", "-o", "all", COMPLETION], check=True)


def test_verbs() -> None:
    offered = complete("flatcar-prefix ")
    assert set("setup list show wrappers verify run sysext uninstall doctor".split()) <= set(
        offered
    )
    assert complete("flatcar-prefix w") == ["wrappers"]
    assert complete("flatcar-prefix wrappers x --c") == ["--check"]
    assert complete("flatcar-prefix show x --env ") == ["staging", "final"]
    assert complete("flatcar-prefix show x --env=f") == ["final"]


def test_flags_of_setup_prefix() -> None:
    assert complete("setup_prefix --sta") == ["--staging-dir="]
    assert complete("setup_prefix --staging_") == ["--staging-dir="]
    assert complete("setup_prefix --board=ar") == ["arm64-usr"]
    assert complete("setup_prefix --board ") == ["amd64-usr", "arm64-usr"]
    assert complete("flatcar-prefix setup --bootstrap=") == ["source", "import", "none"]
    assert complete("setup_prefix name /us") == ["/usr"]


def test_each_flag_that_the_program_has_is_offered(bare: InUse) -> None:
    shown = bare.machine.ok(*bare.machine.setup_command("--help")).stdout
    flags = set(re.findall(r"--[a-z][a-z-]+", shown))
    offered = {flag.rstrip("=") for flag in complete("setup_prefix --")}
    assert {f for f in flags if not f.startswith("--no")} <= offered


def test_names_of_prefixes(bare: InUse) -> None:
    for line in ("flatcar-prefix show ", "flatcar-prefix wrappers b", "setup_prefix --uninstall "):
        offered = complete(line, env=bare.machine.places)
        assert {"bare", "bare-amd64-usr"} <= set(offered)
    assert complete("flatcar-prefix show z", env=bare.machine.places) == []


def test_a_wrapper_completes_as_its_tool_does() -> None:
    line = "equery-prefix-my-stuff-amd64-usr list ap"
    assert complete(line, before=EQUERY) == [
        "words:equery list ap", "number:2", "line:equery list ap", "point:14",
        f"given:{line.split()[0]} ap list",
    ]  # fmt: skip


def test_the_word_for_the_root_is_not_the_tools() -> None:
    line = "/somewhere/equery-prefix-my --staging list ap"
    assert complete(line, before=EQUERY)[:4] == [
        "words:equery list ap", "number:2", "line:equery list ap", "point:14",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "asked"), [("", "--list-all"), ("--staging ", "--staging --list-all")]
)
@pytest.mark.parametrize("home", ["", "~"])
def test_what_a_completer_asks_it_asks_of_the_prefix(
    tmp_path: Path, words: str, asked: str, home: str
) -> None:
    """The completer of pkg-config runs the command: the answer must not be the host's libraries."""
    wrapper = tmp_path / "pkg-config-prefix-my"
    wrapper.write_text('#!/bin/sh\necho "libprefix:$*"\n')
    wrapper.chmod(0o755)
    before = """
pkg-config() { echo libhost; }
_pkg_config_completer() {
	local command
	eval "command=${1}"
	mapfile -t COMPREPLY < <("${command}" --list-all)
}
complete -F _pkg_config_completer pkg-config
"""
    place = home or str(tmp_path)
    line = f"{place}/pkg-config-prefix-my {words}--exists libp"
    offered = complete(line, before=before, env={"HOME": str(tmp_path)})
    assert offered == [f"libprefix:{asked}"]


def test_the_first_word_may_choose_the_root() -> None:
    assert complete("equery-prefix-my --st", before=EQUERY)[-1] == "--staging"
    assert complete("emerge-prefix-my --st") == ["--staging", "--stage"]
    assert complete("equery-prefix-my ") == []


def test_a_tool_without_a_completion_leaves_it_to_bash() -> None:
    assert complete("qlist-prefix-my some") == []


@pytest.mark.parametrize("loader", ["_comp_load", "_completion_loader", "__load_completion"])
def test_the_tools_completion_is_loaded_when_it_is_needed(loader: str) -> None:
    before = f"{loader}() {{ {EQUERY} }}"
    assert complete("equery-prefix-my list ap", before=before)[0] == "words:equery list ap"


def test_other_commands_are_left_to_whoever_completed_them_before() -> None:
    before = '_theirs() { COMPREPLY=("theirs:$1"); }\ncomplete -D -F _theirs'
    assert complete("something el", before=before) == ["theirs:something"]
    twice = f"{before}\nsource {shlex.quote(str(COMPLETION))}"
    assert complete("something el", before=twice) == ["theirs:something"]


def test_at_a_terminal(tmp_path: Path) -> None:
    (tmp_path / "rc").write_text(
        f"PS1='ready>'\n{EQUERY.replace('given:$*', 'x')}source {COMPLETION}\n_equery_completer() {{ COMPREPLY=(listing); }}\n"
    )
    pid, descriptor = pty.fork()
    if pid == 0:
        env = {"PATH": os.environ["PATH"], "TERM": "dumb", "HOME": str(tmp_path)}
        os.execvpe("bash", ["bash", "--noprofile", "--rcfile", str(tmp_path / "rc"), "-i"], env)
    said = until(descriptor, b"ready>")
    os.write(descriptor, b"equery-prefix-my --final li\t")
    said = until(descriptor, b"listing")
    os.write(descriptor, b"\x03\x04")
    os.close(descriptor)
    os.waitpid(pid, 0)
    assert b"--final listing" in said


def until(descriptor: int, text: bytes) -> bytes:
    said = b""
    deadline = time.monotonic() + 20
    while text not in said and time.monotonic() < deadline:
        if select.select([descriptor], [], [], 0.2)[0]:
            said += os.read(descriptor, 1000)
    return said
