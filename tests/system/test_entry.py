# SPDX-License-Identifier: BSD-3-Clause
"""Pipes, signals, colour, errors and unexpected exceptions of every command."""

from __future__ import annotations

import ast
import errno
import os
import pty
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from machine import InUse, Machine

from flatcar_prefix.errors import PrefixError
from flatcar_prefix.portage_api import emerge_process
from flatcar_prefix.system import entry, terminal
from flatcar_prefix.version import __version__

WORK = """
import sys
from flatcar_prefix.system import entry
def work():
    {body}
    return 0
sys.exit(entry.run(work, program="trial", changes=lambda: {changes}))
"""


def command(body: str, *, changes: bool = False) -> list[str]:
    return [sys.executable, "-c", WORK.format(body=body, changes=changes)]


def ran(body: str, state: Path, *, changes: bool = False) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "FLATCAR_PREFIX_STATE_DIR": str(state)}
    return subprocess.run(command(body, changes=changes), env=env, capture_output=True, text=True)


def test_an_unexpected_exception_is_one_line_and_a_file(tmp_path: Path) -> None:
    result = ran("{}['no such key']", tmp_path)
    assert result.returncode == 1
    assert result.stdout == ""
    what, hint = result.stderr.splitlines()
    assert what == " * trial: unexpected error: KeyError: 'no such key'"
    report = Path(hint.split()[-1].rstrip("."))
    assert report.parent == tmp_path / "logs"
    assert report.stat().st_mode & 0o777 == 0o600
    text = report.read_text()
    assert "Traceback (most recent call last)" in text
    assert f"flatcar-prefix: {__version__}\n" in text
    assert "\nportage:        3." in text
    assert f"\npython:         {sys.version.split()[0]} " in text


def test_the_report_goes_elsewhere_if_the_logs_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "logs").write_text("a file")
    result = ran("raise RuntimeError('two\\nlines')", tmp_path)
    what, hint = result.stderr.splitlines()
    assert what == " * trial: unexpected error: RuntimeError: two"
    report = Path(hint.split()[-1].rstrip("."))
    try:
        assert "RuntimeError: two\nlines" in report.read_text()
    finally:
        report.unlink()


def test_a_module_that_cannot_be_imported_is_one_line(machine: Machine) -> None:
    launch = Path(entry.__file__).parents[1] / "launch.py"
    result = machine.run(sys.executable, "-I", launch, "no.such.module")
    assert result.returncode == 1
    assert result.stderr.splitlines()[0].startswith(" * module: unexpected error: ImportError")
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("changes", [False, True])
def test_a_signal_cleans_up_and_ends_the_process(
    tmp_path: Path, number: signal.Signals, changes: bool
) -> None:
    left = tmp_path / "temporary"
    body = f"""import os, pathlib, time
    path = pathlib.Path({str(left)!r})
    path.write_text("")
    try:
        os.kill(os.getpid(), {int(number)})
        time.sleep(60)
    finally:
        path.unlink()"""
    result = ran(body, tmp_path, changes=changes)
    assert result.returncode == -number
    assert not left.exists()
    assert ("Run the same command again; it continues." in result.stderr) is changes
    assert "Traceback" not in result.stderr


def test_an_ignored_hangup_stays_ignored(tmp_path: Path) -> None:
    body = "import os, signal; os.kill(os.getpid(), signal.SIGHUP)"
    argv = ["sh", "-c", 'trap "" HUP; exec "$@"', "sh", *command(body)]
    assert subprocess.run(argv).returncode == 0


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
@pytest.mark.parametrize(("changes", "code"), [(False, -signal.SIGPIPE), (True, 0)])
def test_a_closed_pipe_stops_a_question_and_not_a_change(
    tmp_path: Path, stream: str, changes: bool, code: int
) -> None:
    done = tmp_path / "done"
    body = f"""import pathlib
    for _ in range(3):
        print("a line", file=sys.{stream}, flush=True)
    pathlib.Path({str(done)!r}).write_text("")"""
    reading, writing = os.pipe()
    os.close(reading)
    streams = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, stream: writing}
    assert subprocess.run(command(body, changes=changes), **streams).returncode == code
    os.close(writing)
    assert done.exists() is changes


def test_uninstall_goes_on_when_its_reader_has_gone(machine: Machine) -> None:
    prefix = machine.setup("piped")
    fp = [sys.executable, "-m", "flatcar_prefix", "uninstall", "piped"]
    machine.run("sh", "-c", '"$@" 2>&1 | head -n 1', "sh", *fp)
    assert not prefix.staging_dir.exists()
    assert not prefix.final_dir.exists()
    assert not list(machine.bin.glob("*-prefix-piped*"))


def test_emerge_is_silent_when_its_reader_has_gone(empty_prefix: InUse) -> None:
    script = '"$@" | head -n 1; echo "${PIPESTATUS[0]}" >&2'
    wrapper = empty_prefix.wrapper("emerge")
    result = empty_prefix.machine.run("bash", "-c", script, "bash", wrapper, "-pv", "prefix-final")
    assert result.stderr == "141\n"
    assert len(result.stdout.splitlines()) == 1


def test_emerge_uses_utf8_in_any_locale(empty_prefix: InUse) -> None:
    result = empty_prefix.emerge("-p", "prefix-finäl", env={"LC_ALL": "en_US.ISO-8859-1"})
    assert "Traceback" not in result.stdout + result.stderr
    assert "prefix-finäl" in result.stdout + result.stderr


class TestPortagesExceptions:
    """Exceptions for which ``bin/emerge`` prints one line."""

    @staticmethod
    def reported(error: Exception, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
        def work() -> int:
            raise error

        code = entry.run(work, program="trial", portage_codes=True)
        what, hint = capsys.readouterr().err.splitlines()
        assert hint.startswith(" * ")
        return code, what

    def test_a_refused_file(self, capsys: pytest.CaptureFixture[str]) -> None:
        from portage.exception import PermissionDenied

        code, what = self.reported(PermissionDenied("open('/a/file')"), capsys)
        assert (code, what) == (errno.EACCES, " * open('/a/file'): Permission denied")

    def test_a_directory(self, capsys: pytest.CaptureFixture[str]) -> None:
        from portage.exception import IsADirectory

        code, what = self.reported(IsADirectory("/a/make.conf"), capsys)
        assert (code, what) == (
            errno.EISDIR,
            " * /a/make.conf is a directory, but should be a file",
        )

    def test_a_typo(self, capsys: pytest.CaptureFixture[str]) -> None:
        from portage.exception import ParseError

        assert self.reported(ParseError("a file,\n line 3"), capsys) == (1, " * a file, line 3")

    def test_any_other_is_unexpected(self, tmp_path: Path) -> None:
        result = ran("import portage.exception as e; raise e.CommandNotFound('x')", tmp_path)
        assert result.stderr.startswith(
            " * trial: unexpected error: portage.exception.CommandNotFound"
        )

    def test_an_atom_that_is_not_valid_is_the_users(self, tmp_path: Path) -> None:
        result = ran("import portage.exception as e; raise e.InvalidAtom('>>null/x')", tmp_path)
        assert result.returncode == 1
        what, to_do = result.stderr.splitlines()
        assert what == " * '>>x' is not a valid atom"
        assert "ebuild(5)" in to_do


def test_our_own_codes_stay_our_own(capsys: pytest.CaptureFixture[str]) -> None:
    from portage.exception import PermissionDenied

    def work() -> int:
        raise PermissionDenied("x")

    assert entry.run(work, program="trial") == 1
    assert entry.run(work, program="trial", failure=3) == 3

    def other() -> int:
        raise PrefixError("x", hint="y")

    assert entry.run(other, program="trial", failure=3) == 1
    capsys.readouterr()


@pytest.mark.parametrize(
    ("environ", "allowed"),
    [
        ({"TERM": "xterm"}, True),
        ({}, True),
        ({"TERM": "dumb"}, False),
        ({"NO_COLOR": "1"}, False),
        ({"NO_COLOR": ""}, True),
        ({"NOCOLOR": "true"}, False),
        ({"NOCOLOR": "YES"}, False),
        ({"NOCOLOR": "no"}, True),
    ],
)
def test_one_policy_for_colour(environ: dict[str, str], allowed: bool) -> None:
    assert terminal.allows_colour(environ) is allowed


@pytest.mark.parametrize(
    ("variables", "coloured"),
    [
        ({"TERM": "xterm"}, True),
        ({"TERM": "dumb"}, False),
        ({"TERM": "xterm", "NO_COLOR": "1"}, False),
    ],
)
@pytest.mark.parametrize("words", [("verify",), ("show", "nothing"), ("wrapper",)])
def test_each_command_follows_it(
    empty_prefix: InUse, words: tuple[str, ...], variables: dict[str, str], coloured: bool
) -> None:
    machine = empty_prefix.machine
    argv = [sys.executable, "-m", "flatcar_prefix", *words]
    if words == ("verify",):
        argv += [empty_prefix.name]
    elif words == ("wrapper",):
        argv = [str(empty_prefix.wrapper("equery")), "list", "no/such"]
    environ = {**machine.environment(), **variables}
    said = in_terminal(argv, environ)
    assert ("\x1b[" in said) is coloured, said


def in_terminal(argv: list[str], environ: dict[str, str]) -> str:
    """Return the output of a command on a terminal."""
    master, slave = pty.openpty()
    with subprocess.Popen(argv, stdin=slave, stdout=slave, stderr=slave, env=environ):
        os.close(slave)
        said = b""
        while True:
            try:
                piece = os.read(master, 4096)
            except OSError:
                break
            said += piece
    os.close(master)
    return said.decode(errors="replace")


class TestAgainstPortage:
    """Compare the code around ``emerge_main`` with the installed Portage's ``bin/emerge``."""

    @pytest.fixture
    def program(self) -> ast.Module:
        import portage

        path = Path(portage.const.PORTAGE_BIN_PATH) / "emerge"
        return ast.parse(path.read_text(encoding="utf-8"))

    @staticmethod
    def function(program: ast.Module, name: str) -> ast.FunctionDef:
        return next(n for n in program.body if isinstance(n, ast.FunctionDef) and n.name == name)

    def test_it_handles_the_same_exceptions(self, program: ast.Module) -> None:
        caught = {
            ast.unparse(handler.type)
            for handler in ast.walk(program)
            if isinstance(handler, ast.ExceptHandler) and handler.type is not None
        }
        assert caught == {
            "PermissionDenied",  # entry.of_portage
            "IsADirectory",
            "ParseError",
            "(KeyboardInterrupt, SystemExit)",  # entry.run
            "KeyboardInterrupt",
            "Exception",  # crash.written
        }

    def test_it_sets_the_same_signals(self, program: ast.Module) -> None:
        calls = [ast.unparse(n) for n in ast.walk(program) if isinstance(n, ast.Call)]
        assert {call for call in calls if call.startswith("signal.")} == {
            "signal.signal(signal.SIGPIPE, signal.SIG_DFL)",  # emerge_process.prepare
            "signal.signal(signal.SIGUSR1, debug_signal)",
            "signal.signal(signal.SIGTERM, signal_interrupt)",  # entry.run
            "signal.signal(signum, signal.SIG_DFL)",  # entry.end_by
            "signal.raise_signal(signum)",
        }

    def test_it_does_the_same_before_and_after(self, program: ast.Module) -> None:
        main = self.function(program, "main")
        calls = [ast.unparse(n.func) for n in ast.walk(main) if isinstance(n, ast.Call)]
        portages = {call for call in calls if not call.startswith(("sys.", "signal.", "str"))}
        assert portages == {
            "portage.process.sanitize_fds",  # emerge_process.keep_descriptors
            "emerge_main",
            "traceback.format_exc",  # crash.written
            "mod_echo.finalize",  # session.run_exit_functions, which emerge calls before
        }
        assert "global_event_loop().close()" in ast.unparse(program)  # run_exit_functions, too

    def test_it_starts_again_for_utf8(self, program: ast.Module) -> None:
        first = next(node for node in program.body if isinstance(node, ast.If))
        assert "utf-8" in ast.unparse(first.test)  # entry.in_utf8
        assert "os.execv" in ast.unparse(first)

    def test_the_message_of_a_signal_is_the_same(
        self, program: ast.Module, capsys: pytest.CaptureFixture[str]
    ) -> None:
        emerge_process.say_signal(2)
        said = capsys.readouterr().err
        assert said == "\n\nExiting on signal 2\n"
        assert "\\n\\nExiting on signal {signum}\\n" in ast.unparse(program)
