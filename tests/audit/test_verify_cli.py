# SPDX-License-Identifier: BSD-3-Clause
"""The printed reports, and the verb's own arguments."""

from __future__ import annotations

import io
import json
import tracemalloc
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import verify_objects as objects
from verify_mini import Mini
from verify_objects import EPREFIX

from flatcar_prefix.audit.audit import audit
from flatcar_prefix.audit.findings import CODES
from flatcar_prefix.audit.reporters import as_json, as_text
from flatcar_prefix.boards import board
from flatcar_prefix.cli import main
from flatcar_prefix.cli.verify import audit_and_print as run
from flatcar_prefix.errors import PrefixError, UsageError

DOCUMENT = Path(__file__).parents[2] / "docs/verify.md"


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def run_on(mini: Mini, *, out: io.StringIO, **options: Any) -> int:
    options = {"json": False, "strict": False, "libc": "source", **options}
    return run(None, mini.root, EPREFIX, board("amd64-usr"), stdout=out, **options)


def test_a_clean_directory_is_one_line_and_exit_0(clean: Mini) -> None:
    out = io.StringIO()
    assert run_on(clean, out=out) == 0
    (line,) = out.getvalue().splitlines()
    assert line.startswith(f" * {EPREFIX}: 8 files (4 ELF)")
    assert line.endswith("0 errors; C library built for the prefix; owners not checked.")


def test_findings_are_grouped_by_code_with_one_hint_each(mini: Mini) -> None:
    mini.write("usr/bin/one", "#!/bin/ksh\n", 0o755)
    mini.write("usr/bin/two", "#!/bin/ksh\n", 0o4755)
    out = io.StringIO()
    assert run_on(mini, out=out) == 1
    lines = out.getvalue().splitlines()
    assert lines[0] == " * error: script-interpreter"
    assert (
        lines[1] == f" *   {EPREFIX}/usr/bin/one: has the interpreter /bin/ksh, outside the prefix"
    )
    assert lines[3] == f" *   -> {CODES['script-interpreter'].hint}"
    assert lines[5] == " * warning: setuid"
    assert "; 2 errors, 1 warning; " in lines[-1]


def test_json_has_a_stable_schema(mini: Mini) -> None:
    mini.write("usr/bin/su", "", 0o4755)
    out = io.StringIO()
    assert run_on(mini, out=out, json=True) == 0
    data = json.loads(out.getvalue())
    assert sorted(data) == [
        *("board", "counts", "eprefix", "findings", "format", "libc", "ok", "owners", "root"),
        *("statistics", "waived"),
    ]
    assert (data["libc"], data["owners"]) == ("source", False)
    assert data["format"] == 1
    assert data["counts"] == {"error": 0, "warning": 1, "note": 0, "waived": 0}
    assert data["findings"] == [
        {
            "code": "setuid",
            "level": "warning",
            "path": f"{EPREFIX}/usr/bin/su",
            "package": None,
            "message": "runs with the rights of its user",
            "hint": CODES["setuid"].hint,
        }
    ]


def test_equal_trees_give_equal_json(mini: Mini) -> None:
    assert as_json(mini.audit()) == as_json(mini.audit(jobs=2))


def test_colour_is_for_terminals(mini: Mini) -> None:
    mini.write("usr/bin/su", "", 0o4755)
    out = Terminal()
    run_on(mini, out=out)
    assert "\x1b[33;01m*" in out.getvalue()
    assert "\x1b" not in as_text(mini.audit())


def test_nothing_to_look_at_is_wrong_usage(tmp_path: Path) -> None:
    with pytest.raises(UsageError):
        run(None, None, None, board("amd64-usr"), json=False, strict=False, stdout=io.StringIO())
    with pytest.raises(UsageError):
        run(None, tmp_path, "x", board("amd64-usr"), json=False, strict=False, stdout=io.StringIO())


def test_which_c_library_a_prefix_has_is_said(mini: Mini) -> None:
    mini.settings["libc"] = "import"
    report = mini.audit()
    assert report.libc == "import"
    assert "; C library imported from the toolchain" in as_text(report)
    assert json.loads(as_json(report))["libc"] == "import"
    (mini / "lib64/ld-linux-x86-64.so.2").unlink()
    assert mini.audit().libc == "none"
    assert "; no C library" in as_text(mini.audit())


def test_what_is_assumed_of_a_directory_is_said(clean: Mini) -> None:
    out = io.StringIO()
    assert run_on(clean, out=out, libc=None) == 0
    assert "Assuming a C library built for the prefix; use --libc" in out.getvalue()
    out = io.StringIO()
    run_on(clean, out=out, libc="import")
    assert "imported from the toolchain" in out.getvalue()
    assert "use --libc" not in out.getvalue()


def test_directories_of_the_build_machine_can_be_named(mini: Mini) -> None:
    mini.write("usr/lib64/pkgconfig/bar.pc", "a=/srv/build/x\n")
    mini.write("usr/lib64/pkgconfig/baz.pc", "b=/srv/other\n")
    assert run_on(mini, out=io.StringIO()) == 0
    out = io.StringIO()
    assert run_on(mini, out=out, forbid=["/srv/build", "/srv/other/"]) == 1
    assert "names /srv/build/x" in out.getvalue()
    assert "names /srv/other" in out.getvalue()


def test_a_copy_is_held_against_what_its_prefix_knows(
    real: SimpleNamespace, tmp_path: Path
) -> None:
    """Of final, say: the build machine's directories are the same for it."""
    copy = Mini(tmp_path / "copy", eprefix=real.prefix.eprefix)
    copy.write("usr/lib64/pkgconfig/bar.pc", f"prefix={real.prefix.staging.path}/usr\n")
    out = io.StringIO()
    code = run(
        *(real.prefix.final, copy.root, None, real.prefix.board),
        json=True, strict=False, stdout=out,
    )  # fmt: skip
    assert [finding["code"] for finding in json.loads(out.getvalue())["findings"]] == [
        "text-build-path"
    ]
    assert code == 1


def test_a_copy_has_the_c_library_of_its_prefix(real: SimpleNamespace, tmp_path: Path) -> None:
    copy = Mini(tmp_path / "copy", eprefix=real.prefix.eprefix)
    loader = copy / real.prefix.board.loader
    objects.loader(loader, directories=("/lib64/", "/usr/lib64/"))
    out = io.StringIO()
    imported = replace(real.prefix, bootstrap="import")
    code = run(
        *(imported.final, copy.root, None, imported.board),
        json=True, strict=False, stdout=out,
    )  # fmt: skip
    assert code == 0
    assert json.loads(out.getvalue())["libc"] == "import"


@pytest.mark.parametrize(
    "options",
    [{"eprefix": "/opt/x"}, {"forbid": ["/srv/build"]}, {"libc": "import"}],
    ids=["eprefix", "forbid", "libc"],
)
def test_what_is_for_directories_is_refused_without_one(
    real: SimpleNamespace, options: dict[str, Any]
) -> None:
    eprefix = options.pop("eprefix", None)
    with pytest.raises(UsageError, match="requires --directory"):
        run(
            *(real.prefix.final, None, eprefix, real.prefix.board),
            json=False, strict=False, stdout=io.StringIO(), **options,
        )  # fmt: skip


@pytest.mark.parametrize("path", ["srv/build", "/", "/opt", f"{EPREFIX}/"])
def test_what_cannot_be_forbidden_is_refused(clean: Mini, path: str) -> None:
    with pytest.raises(UsageError, match="--forbid"):
        run_on(clean, out=io.StringIO(), forbid=[path])


def test_a_root_and_a_directory_are_not_looked_at_together(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main.main(["verify", "demo", "--staging", "--directory", str(tmp_path)]) == 2
    assert "--staging cannot be combined with --directory" in capsys.readouterr().err


def test_a_directory_without_the_prefix_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(PrefixError, match="does not contain a directory /opt/none"):
        run(
            *(None, tmp_path, "/opt/none", board("amd64-usr")),
            json=False, strict=False, stdout=io.StringIO(),
        )  # fmt: skip


def test_several_processes_find_what_one_finds(mini: Mini) -> None:
    for number in range(300):
        mini.write(f"usr/bin/script{number}", "#!/bin/ksh\n" if number % 7 else "", 0o755)
    objects.library(mini / "usr/lib64/plugin.so", mini / "usr/lib64/libfoo.so.1")
    assert mini.audit(jobs=2).findings == mini.audit(jobs=1).findings


def test_a_process_that_is_killed_is_an_error(mini: Mini, monkeypatch: pytest.MonkeyPatch) -> None:
    import os

    monkeypatch.setattr("flatcar_prefix.audit.examiner.Examiner.examine", lambda *_: os._exit(9))
    with pytest.raises(PrefixError, match="killed"):
        mini.audit(jobs=2)


def test_memory_does_not_grow_with_the_number_of_files(mini: Mini) -> None:
    def peak() -> int:
        tracemalloc.start()
        try:
            audit(mini.tree, jobs=1)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    def add(numbers: range) -> None:
        for number in numbers:
            (mini / f"usr/share/{number // 100}").mkdir(parents=True, exist_ok=True)
            mini.write(f"usr/share/{number // 100}/{number}", f"text {number}\n")

    add(range(1000))
    small = peak()
    add(range(1000, 4000))
    assert peak() < 1.1 * small + 100_000


def test_every_code_is_documented() -> None:
    text = DOCUMENT.read_text()
    for code in CODES.values():
        assert f"| `{code.name}` | {code.level} | {code.meaning} | {code.hint} |" in text, code.name


def test_many_findings_of_one_cause_take_one_line(mini: Mini) -> None:
    for number in range(388):
        mini.write(f"usr/share/many/{number // 100}/{number}", "", 0o666)
    for number in range(3):
        mini.write(f"usr/share/few/{number}", "", 0o666)
    report = mini.audit()
    lines = [line for line in as_text(report).splitlines() if "can be changed" in line]
    assert len(report.findings) == 391
    assert len(lines) == 4
    assert any(f"{EPREFIX}/usr/share/many/: 388 files" in line for line in lines)
    assert as_json(report).count('"path"') == 391
