# SPDX-License-Identifier: BSD-3-Clause
"""Errors stay errors: a user's mistake or a full disk is one line, and a hint that can be followed."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from machine import InUse, Machine, Overlay, Run, snapshot, two_lines

from flatcar_prefix.errors import hint_for


class TestMakeConfUser:
    """A typo in a user's file, or its absence, is one line that names the file."""

    @pytest.fixture(params=["typo", "absent"])
    def broken(self, empty_prefix: InUse, request: pytest.FixtureRequest) -> Iterator[Path]:
        path = empty_prefix.config("staging") / "make.conf.user"
        before = path.read_text()
        if request.param == "typo":
            path.write_text('A$B="x"\n')
        else:
            path.unlink()
        yield path
        path.write_text(before)

    @pytest.mark.parametrize(
        "words",
        [
            ("emerge", "-p", "prefix-final"),
            ("emerge", "--final", "-p", "prefix-final"),
            ("portageq", "envvar", "CHOST"),
            ("verify",),
            ("verify", "--staging"),
            ("sysext", "--output", "image.raw"),
            ("sysext", "--no-verify", "--output", "image.raw"),
            ("regen",),
        ],
        ids=" ".join,
    )
    def test_each_command_names_it(
        self, empty_prefix: InUse, broken: Path, words: tuple[str, ...], tmp_path: Path
    ) -> None:
        result = self.run(empty_prefix, words, cwd=tmp_path)
        said = result.stdout + result.stderr
        assert "Traceback" not in said and "unexpected error" not in said
        assert "profile" not in said
        if result.returncode:
            assert str(broken) in result.stderr
            assert len(result.stderr.splitlines()) == 2, result.stderr

    def test_update_does_not_blame_the_profile(self, empty_prefix: InUse) -> None:
        path = empty_prefix.config("staging") / "make.conf.user"
        before = path.read_text()
        path.write_text('A$B="x"\n')
        try:
            what, hint = two_lines_of(empty_prefix.machine.fp("update", empty_prefix.name))
        finally:
            path.write_text(before)
        assert str(path) in what
        assert hint == f"Correct {path}, then run the same command again."

    @staticmethod
    def run(prefix: InUse, words: tuple[str, ...], **options: object) -> Run:
        if words[0] in ("emerge", "portageq"):
            return prefix.machine.run(prefix.wrapper(words[0]), *words[1:], **options)
        if words[0] == "regen":
            return prefix.machine.fp(*words, **options)
        return prefix.machine.fp(words[0], prefix.name, *words[1:], **options)


def two_lines_of(result: Run) -> tuple[str, str]:
    assert result.returncode == 1
    what, hint = result.stderr.splitlines()
    return what.removeprefix(" * "), hint.removeprefix(" * ")


class TestAgain:
    """A set-up that is finished succeeds, and changes nothing."""

    @pytest.mark.parametrize("option", ["nothing", "overlay", "wrappers"])
    def test_it_says_so(self, empty_prefix: InUse, overlay: Overlay, option: str) -> None:
        result = self.again(
            empty_prefix,
            {
                "nothing": (),
                "overlay": (f"--custom_ebuild_overlays={overlay.path}",),
                "wrappers": (f"--wrapper_dir={empty_prefix.machine.bin}",),
            }[option],
        )
        assert result.returncode == 0, result.stderr
        assert "the set-up is complete" in result.stdout
        assert f"{empty_prefix.name}-amd64-usr is ready" in result.stdout

    @pytest.mark.parametrize("option", ["overlay", "wrappers", "eprefix", "from", "profile"])
    def test_another_request_is_refused(
        self, empty_prefix: InUse, tmp_path: Path, option: str
    ) -> None:
        other = Overlay(tmp_path / "other", "other")
        words = {
            "overlay": (f"--custom_ebuild_overlays={other.path}",),
            "wrappers": (f"--wrapper_dir={tmp_path}",),
            "eprefix": (),
            "from": ("--from=runtime",),
            "profile": ("--profile=default/linux/arm64/23.0/split-usr/prefix/kernel-3.2+",),
        }[option]
        eprefix = "/usr/local/other" if option == "eprefix" else ""
        result = self.again(empty_prefix, words, eprefix=eprefix)
        assert result.returncode == 1
        two_lines(result)

    @staticmethod
    def again(prefix: InUse, words: tuple[str, ...], *, eprefix: str = "") -> Run:
        places = (prefix.staging_dir, prefix.final_dir, prefix.machine.bin)
        before = snapshot(*places)
        result = prefix.machine.try_setup(
            "--bootstrap=none", *words, prefix.name, eprefix or prefix.eprefix
        )
        assert snapshot(*places) == before
        return result


def test_a_lost_index_of_binary_packages_is_made_again(
    empty_prefix: InUse, overlay: Overlay
) -> None:
    overlay.ebuild("test-lost/index-1")
    empty_prefix.install("--stage", "test-lost/index")
    index = empty_prefix.staging_dir / "pkgs/Packages"
    index.unlink()
    empty_prefix.install("--install", "test-lost/index")
    assert "test-lost/index-1" in empty_prefix.installed("final")
    assert "CPV: test-lost/index-1\n" in index.read_text()


def test_a_binary_package_that_was_deleted_by_hand_is_built_again(
    empty_prefix: InUse, overlay: Overlay
) -> None:
    package = overlay.ebuild("test-lost/file-1")
    empty_prefix.install("--stage", package)
    shutil.rmtree(empty_prefix.staging_dir / "pkgs/test-lost/file")
    said = empty_prefix.emerge("--noreplace", package)
    assert said.returncode == 1
    assert "there is no binary package of test-lost/file" in said.stderr
    hint = said.stderr.strip().splitlines()[-1]
    # The hint can be followed.
    wrapper, *words = hint.partition("Build the missing packages: ")[2].split()
    empty_prefix.machine.ok(empty_prefix.machine.bin / wrapper, *words)
    empty_prefix.install("--noreplace", package)
    assert "test-lost/file-1" in empty_prefix.installed("final")


@pytest.mark.needs_root
class TestFullDisk:
    """The message names the full file system."""

    @pytest.fixture
    def small(self) -> Iterator[Path]:
        """A separate file system, with space for almost nothing."""
        with tempfile.TemporaryDirectory(prefix="small-") as name:
            options = "size=16k,nr_inodes=1000,mode=0755"
            subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", name], check=True)
            yield Path(name)
            subprocess.run(["umount", name], check=True)

    @pytest.mark.parametrize("which", ["staging", "final", "wrapper"])
    def test_set_up_names_it(self, machine: Machine, small: Path, which: str) -> None:
        result = machine.try_setup(
            "--bootstrap=none", f"--{which}_dir={small}/it", "full", "/usr/local/full"
        )
        what, hint = two_lines_of(result)
        assert "No space left on device" in what
        assert f"Free space on the file system of {small}/it" in hint
        assert os.listdir(small) in ([], ["it"])

    def test_a_read_only_place_is_named(self, machine: Machine, small: Path) -> None:
        subprocess.run(["mount", "-o", "remount,ro", small], check=True)
        result = machine.try_setup(
            "--bootstrap=none", f"--final_dir={small}/it", "full", "/usr/local/full"
        )
        what, hint = two_lines_of(result)
        assert f"{small}/it" in what and "Read-only file system" in what
        assert f"mount the file system of {small}/it" in hint

    def test_inodes_are_not_space(self, small: Path) -> None:
        subprocess.run(["mount", "-o", "remount,nr_inodes=3", small], check=True)
        for number in range(10):
            try:
                (small / str(number)).touch()
            except OSError as error:
                assert error.errno == errno.ENOSPC
        assert hint_for(errno.ENOSPC, f"{small}/a/b").startswith("Free inodes")
