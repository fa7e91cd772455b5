# SPDX-License-Identifier: BSD-3-Clause
"""The real systemd-sysext merges an image into other systems, where its programs run."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from pathlib import Path
from typing import Any

import merging
import pytest
import shipping_prefix
from merging import Merged, Target

from flatcar_prefix.image.build import sysext
from flatcar_prefix.prefix.model import Prefix

pytestmark = [
    pytest.mark.needs_root,
    pytest.mark.skipif(platform.machine() != "x86_64", reason="the image is for x86_64"),
]

EPREFIX = shipping_prefix.EPREFIX
HELLO = f"{EPREFIX}/usr/bin/hello"
FORMATS = ("squashfs", "erofs", "ext4", "btrfs", "directory")
HERE = Path(__file__).parent


def image(prefix: Prefix, directory: Path, **options: Any) -> Path:
    directory.mkdir(exist_ok=True)
    suffix = "" if options.get("format") == "directory" else ".raw"
    return sysext(prefix, directory / f"hello{suffix}", **{"verify": False, **options})


@pytest.fixture(scope="session")
def squashfs(prefix_to_merge: Prefix, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return image(prefix_to_merge, tmp_path_factory.mktemp("image"))


ROOTS = {
    "busybox": lambda path: merging.busybox_root(path, merging.NO_GLIBC),
    "flatcar": merging.flatcar_root,
    "machine": merging.machine_root,
}


@pytest.fixture
def target(request: pytest.FixtureRequest, tmp_path: Path) -> Target:
    return ROOTS[request.param](tmp_path / "root")


def check_ran(merged: Merged) -> None:
    assert merged.merge_code == 0, merged.merge_said
    assert "extension-release.hello" in merged.merged
    assert merged.run_code == 0, merged.ran
    # The root is unchanged, and nothing stays mounted.
    assert merged.after == merged.before


@pytest.mark.parametrize("target", ROOTS, indirect=True)
def test_the_program_runs_in_another_system_and_unmerging_leaves_it_as_it_was(
    target: Target, squashfs: Path, tmp_path: Path
) -> None:
    merged = merging.merge_and_run(target, squashfs, [HELLO], tmp_path / "out")
    check_ran(merged)
    assert merged.ran == shipping_prefix.VERSION_SAID + "\n"


@pytest.mark.parametrize("target", ROOTS, indirect=True)
def test_the_program_s_libraries_are_its_own(
    target: Target, squashfs: Path, tmp_path: Path
) -> None:
    merged = merging.merge_and_run(target, squashfs, [HELLO, "maps"], tmp_path / "out")
    check_ran(merged)
    paths = set(merged.ran.splitlines())
    assert f"{EPREFIX}/lib64/libc.so.6" in paths
    assert all(path.startswith(EPREFIX + "/") for path in paths)


@pytest.mark.parametrize("form", FORMATS)
def test_every_format_merges_where_there_is_no_glibc(
    prefix_to_merge: Prefix, tmp_path: Path, form: str
) -> None:
    target = ROOTS["busybox"](tmp_path / "root")
    made = image(prefix_to_merge, tmp_path / "image", format=form)
    merged = merging.merge_and_run(target, made, [HELLO], tmp_path / "out")
    check_ran(merged)
    assert merged.ran == shipping_prefix.VERSION_SAID + "\n"


def test_what_the_system_has_itself_stays_visible(squashfs: Path, tmp_path: Path) -> None:
    target = ROOTS["busybox"](tmp_path / "root")
    merged = merging.merge_and_run(target, squashfs, ["/bin/ls", "/usr/bin"], tmp_path / "out")
    check_ran(merged)
    assert merged.ran.split() == ["busybox", "cat", "ls", "sh"]


def test_a_prefix_below_opt_is_merged(tmp_path: Path) -> None:
    prefix = shipping_prefix.make(tmp_path / "prefix", eprefix="/opt/hello", name="hello")
    target = ROOTS["busybox"](tmp_path / "root")
    made = image(prefix, tmp_path / "image", format="ext4")
    merged = merging.merge_and_run(target, made, ["/opt/hello/usr/bin/hello"], tmp_path / "out")
    check_ran(merged)
    assert merged.ran == shipping_prefix.VERSION_SAID + "\n"


def test_an_image_for_flatcar_merges_there_and_nowhere_else(
    prefix_to_merge: Prefix, tmp_path: Path
) -> None:
    made = image(
        prefix_to_merge, tmp_path / "image", format="ext4", os_id="flatcar", sysext_level="1.0"
    )
    there = merging.merge_and_run(
        merging.flatcar_root(tmp_path / "flatcar"), made, [HELLO], tmp_path / "out"
    )
    check_ran(there)
    elsewhere = merging.merge_and_run(
        ROOTS["busybox"](tmp_path / "busybox"), made, [HELLO], tmp_path / "out"
    )
    refused(elsewhere)


def refused(merged: Merged) -> None:
    """The image is not merged, and the program does not exist."""
    assert "hello" not in merged.merged
    assert merged.run_code != 0
    assert "incompatible" in merged.merge_said or "not match" in merged.merge_said
    assert merged.after == merged.before


@pytest.mark.parametrize(
    "options",
    [
        {"os_id": "debian", "version_id": "12"},
        {"os_id": "flatcar", "sysext_level": "2.0"},
        {"os_id": "flatcar", "version_id": "1.0.0"},
    ],
    ids=["another-id", "another-level", "another-version"],
)
def test_systemd_refuses_an_image_for_another_system(
    prefix_to_merge: Prefix, tmp_path: Path, options: dict[str, str]
) -> None:
    made = image(prefix_to_merge, tmp_path / "image", format="ext4", **options)
    target = merging.flatcar_root(tmp_path / "root")
    refused(merging.merge_and_run(target, made, [HELLO], tmp_path / "out"))


def test_systemd_refuses_an_image_for_another_architecture(tmp_path: Path) -> None:
    prefix = shipping_prefix.make(tmp_path / "prefix", board="arm64-usr", name="hello")
    made = image(prefix, tmp_path / "image", format="ext4")
    target = merging.flatcar_root(tmp_path / "root")
    refused(merging.merge_and_run(target, made, [HELLO], tmp_path / "out"))


def test_systemd_refuses_an_image_that_was_renamed(squashfs: Path, tmp_path: Path) -> None:
    """Therefore the output's name determines the name of the release file."""
    renamed = tmp_path / "other.raw"
    shutil.copy(squashfs, renamed)
    target = merging.flatcar_root(tmp_path / "root")
    merged = merging.merge_and_run(target, renamed, [HELLO], tmp_path / "out")
    assert merged.run_code != 0
    assert merged.after == merged.before


def test_units_of_the_prefix_are_seen_by_the_system(
    prefix_to_merge: Prefix, tmp_path: Path
) -> None:
    made = image(prefix_to_merge, tmp_path / "image", format="ext4", units=True)
    target = ROOTS["busybox"](tmp_path / "root")
    unit = "/usr/lib/systemd/system/hello.service"
    merged = merging.merge_and_run(target, made, ["/bin/cat", unit], tmp_path / "out")
    check_ran(merged)
    assert f"ExecStart={HELLO} wait" in merged.ran


@pytest.mark.e2e
def test_the_program_runs_in_a_debian_made_by_debootstrap(squashfs: Path, tmp_path: Path) -> None:
    cache = HERE.parents[1] / ".cache/merge"
    target = merging.debian_root(tmp_path / "root", cache)
    merged = merging.merge_and_run(target, squashfs, [HELLO, "maps"], tmp_path / "out")
    check_ran(merged)
    assert all(path.startswith(EPREFIX) for path in merged.ran.splitlines())


# --- the script for machines that have booted


def on_target(*words: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["sh", HERE / "on-target", *words],
        capture_output=True,
        text=True,
        env={**os.environ, **(env or {})},
    )


def test_on_target_without_an_image_is_wrong_usage() -> None:
    result = on_target()
    assert result.returncode == 2
    assert "usage" in result.stderr


def test_on_target_reports_a_missing_image_as_a_failure() -> None:
    result = on_target("/nonexistent.raw", HELLO)
    assert result.returncode == 1
    assert result.stdout.startswith("Bail out!")


def test_on_target_is_clean_under_shellcheck() -> None:
    if not shutil.which("shellcheck"):
        pytest.skip("shellcheck is not installed")
    subprocess.run(["shellcheck", HERE / "on-target"], check=True)


ON_MACHINE = """\
mount --make-rshared /
mount -t tmpfs tmpfs /run
exec sh "$@"
"""


def test_on_target_merges_runs_and_unmerges_on_this_very_machine(squashfs: Path) -> None:
    """Run it as on a booted machine, in a mount namespace whose /usr can be overlaid."""
    result = subprocess.run(
        ["unshare", "--mount", "sh", "-euc", ON_MACHINE, "sh", HERE / "on-target", squashfs, HELLO],
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stdout + result.stderr
    lines = result.stdout.splitlines()
    assert lines[0].startswith("1..")
    tests = [line for line in lines if line.startswith(("ok", "not ok"))]
    assert len(tests) == int(lines[0][3:])
    assert all(line.startswith("ok") for line in tests)
    assert not Path(HELLO).exists()


def test_on_target_says_what_the_image_hides(squashfs: Path) -> None:
    """On Fedora CoreOS, /usr/local is a link to /var: a directory in an image replaces it."""
    linked = """\
mount -t tmpfs tmpfs /mnt
mkdir /mnt/local /mnt/up /mnt/work
touch /mnt/local/mine
mount -t overlay -o lowerdir=/usr,upperdir=/mnt/up,workdir=/mnt/work overlay /usr
rm -rf /usr/local
ln -s /mnt/local /usr/local
"""
    words = ["unshare", "--mount", "sh", "-euc", linked + ON_MACHINE, "sh"]
    result = subprocess.run(
        [*words, HERE / "on-target", squashfs, HELLO], capture_output=True, text=True
    )
    assert result.returncode == 1, result.stdout + result.stderr
    assert "not ok 8 - the image hides nothing of the system" in result.stdout
    assert "# /usr/local/mine" in result.stdout
    assert "# /usr/local -> /mnt/local" in result.stdout


def test_on_target_says_not_ok_when_the_program_fails(squashfs: Path) -> None:
    result = subprocess.run(
        [
            "unshare",
            "--mount",
            "sh",
            "-euc",
            ON_MACHINE,
            "sh",
            HERE / "on-target",
            squashfs,
            HELLO,
            "exit",
            "3",
        ],
        capture_output=True,
        text=True,
    )
    assert result.returncode == 1
    assert "not ok" in result.stdout
    assert "exit code 3" in result.stdout
