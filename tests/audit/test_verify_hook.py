# SPDX-License-Identifier: BSD-3-Clause
"""The QA check in real builds, and waivers."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest
import verify_objects as objects
from verify_mini import BUILD_DIR, Mini
from verify_objects import EPREFIX

from flatcar_prefix.audit import qa_check
from flatcar_prefix.audit.findings import Finding
from flatcar_prefix.audit.waivers import read_waivers, reason_for
from flatcar_prefix.errors import PrefixError
from flatcar_prefix.system.places import data_dir

HOOK = data_dir() / "eclass-helpers/install-qa-check.d/60flatcar-prefix"


def test_a_build_that_would_not_be_self_contained_fails(real: SimpleNamespace) -> None:
    build = real.ebuild("faulty", "install")
    assert build.returncode == 1
    assert (
        "script-interpreter: /opt/verify-test/usr/bin/faulty-script: has the interpreter /bin/ksh"
        in (build.stdout)
    )
    assert "app-misc/faulty-1 is not self-contained" in build.stdout
    assert "QA Notice: setuid: /opt/verify-test/usr/bin/su" in build.stdout
    assert "QA Notice: link-dangling: /opt/verify-test/usr/share/link" in build.stdout


def test_a_build_that_is_self_contained_passes_in_silence(real: SimpleNamespace) -> None:
    assert "script-" not in real.built
    assert "self-contained" not in real.built


def test_a_waiver_lets_a_build_pass_and_says_why(real: SimpleNamespace) -> None:
    waivers = real.prefix.staging.config_dir / "flatcar-prefix.waivers"
    waivers.write_text("# what we know of\n<app-misc/faulty-2:0 script-* # nobody runs it\n")
    try:
        build = real.ebuild("faulty", "install")
    finally:
        waivers.unlink()
    assert build.returncode == 0
    assert "waived: script-interpreter: /opt/verify-test/usr/bin/faulty-script: nobody runs it" in (
        build.stdout
    )


def test_a_user_may_have_warnings_only(real: SimpleNamespace) -> None:
    build = real.ebuild("faulty", "install", FLATCAR_PREFIX_QA="warn")
    assert build.returncode == 0
    assert "app-misc/faulty-1 is not self-contained" in build.stdout


def test_waivers_that_cannot_be_understood_fail_the_build(real: SimpleNamespace) -> None:
    waivers = real.prefix.staging.config_dir / "flatcar-prefix.waivers"
    waivers.write_text("app-misc/faulty script-interpreter\n")
    try:
        build = real.ebuild("faulty", "install")
    finally:
        waivers.unlink()
    assert build.returncode == 1
    assert "the reason is missing" in build.stdout


def test_the_hook_does_nothing_where_there_is_no_prefix() -> None:
    script = f"set -u; EPREFIX= FLATCAR_PREFIX_RUN=; source {HOOK}; echo fine"
    result = subprocess.run(["bash", "-c", script], capture_output=True, text=True, check=True)
    assert (result.stdout, result.stderr) == ("fine\n", "")


def test_the_hook_is_clean_shell() -> None:
    subprocess.run(["shellcheck", "--shell=bash", HOOK], check=True)


def image_report(mini: Mini, image: Path) -> list[tuple[str, str]]:
    report = qa_check.check_image(
        image,
        EPREFIX,
        cpv="cat/pkg-1",
        chost="x86_64-cros-linux-gnu",
        sysroot=mini.root,
        forbidden=[BUILD_DIR],
    )
    assert report is not None
    return [(finding.code, finding.level) for finding in report.findings]


def test_libraries_of_other_packages_are_found_in_the_sysroot(mini: Mini, tmp_path: Path) -> None:
    image = Mini(tmp_path / "image")
    objects.program(image / "usr/bin/bar", mini / "usr/lib64/libfoo.so.1", mini.libc)
    image.link("usr/lib64/libbar.so", "libfoo.so.1")
    image.write("usr/bin/script", f"#!{EPREFIX}/bin/sh\n", 0o755)
    assert image_report(mini, image.root) == []
    (mini / "usr/lib64/libfoo.so.1").unlink()
    assert image_report(mini, image.root) == [("elf-needed", "error"), ("link-dangling", "warning")]


def test_an_image_without_files_is_fine(mini: Mini, tmp_path: Path) -> None:
    arguments = [f"--image={tmp_path}", f"--eprefix={EPREFIX}", "--cpv=cat/pkg-1"]
    assert qa_check.main([*arguments, "--chost=x86_64-cros-linux-gnu"]) == 0


def test_an_unknown_chost_cannot_be_checked(mini: Mini, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [f"--image={mini.root}", f"--eprefix={EPREFIX}", "--cpv=cat/pkg-1"]
    assert qa_check.main([*arguments, "--chost=vax-dec-ultrix"]) == 3
    assert capsys.readouterr().out.startswith(
        "error\tCHOST vax-dec-ultrix does not belong to a board"
    )


@pytest.mark.parametrize(
    ("line", "what"),
    [
        ("cat/pkg script-env", "the reason is missing"),
        ("cat/pkg script-env #  ", "the reason is missing"),
        ("cat/pkg # because", "the code or the reason is missing"),
        ("cat/pkg elf-nonsense # because", "elf-nonsense is not a code"),
        ("not-an-atom script-env # because", "not-an-atom is not an atom"),
    ],
)
def test_a_waiver_that_says_too_little_is_refused(tmp_path: Path, line: str, what: str) -> None:
    (tmp_path / "flatcar-prefix.waivers").write_text(f"{line}\n")
    with pytest.raises(PrefixError, match=what):
        read_waivers(tmp_path)


def test_waivers_may_be_a_directory_as_portages_files_may(tmp_path: Path) -> None:
    directory = tmp_path / "flatcar-prefix.waivers"
    directory.mkdir()
    (directory / "one").write_text("cat/one setuid, special-file # reason one\n\n# remark\n")
    (directory / "two").write_text(">=cat/two-2 elf-* # reason two\n")
    waivers = read_waivers(tmp_path)

    def reason(code: str, cpv: str) -> str | None:
        return reason_for(Finding(code, "/x", "", package=cpv), waivers)

    assert reason("setuid", "cat/one-1") == "reason one"
    assert reason("special-file", "cat/one-1-r3") == "reason one"
    assert reason("elf-rpath", "cat/one-1") is None
    assert reason("elf-rpath", "cat/two-2.1") == "reason two"
    assert reason("elf-rpath", "cat/two-1") is None
    assert reason_for(Finding("setuid", "/x", ""), waivers) is None
