# SPDX-License-Identifier: BSD-3-Clause
"""Input of mksquashfs and debugfs: a file name is never interpreted as a command."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
from pathlib import Path

import pytest
import shipping_prefix
from hypothesis import given, strategies as st

from flatcar_prefix.errors import PrefixError
from flatcar_prefix.image.build import sysext
from flatcar_prefix.image.formats import debugfs
from flatcar_prefix.image.formats.job import Job
from flatcar_prefix.image.formats.squashfs import squashfs_definitions
from flatcar_prefix.image.formats.table import FORMATS
from flatcar_prefix.image.selection import Entry, Selection, in_order, select
from flatcar_prefix.prefix.model import Prefix
from flatcar_prefix.system import process

INSIDE = shipping_prefix.EPREFIX.lstrip("/")
IMAGES = ("squashfs", "erofs", "ext4", "btrfs")

ANYTHING = st.characters(exclude_categories=("Cc", "Cs"), exclude_characters="/\x7f")
NAMES = st.one_of(
    st.text(ANYTHING, min_size=1, max_size=12),
    st.text(alphabet="ab\"\\ #$`'(){};|&*?\udcff", min_size=1, max_size=12),
).filter(lambda name: name not in (".", ".."))
TARGETS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)


def links(pairs: dict[str, str]) -> Selection:
    mode = stat.S_IFLNK | 0o777
    return Selection(in_order(Entry(path, mode, target=to) for path, to in pairs.items()))


def words_of_debugfs(line: str) -> list[str]:
    """Split a line as libss does: two quotation marks within a word are one."""
    assert "\n" not in line
    words: list[str] = []
    for quoted, plain in re.findall(r'"((?:[^"]|"")*)"(?: |$)|([^ "]+)(?: |$)', line):
        words.append(plain or quoted.replace('""', '"'))
    return words


@given(pairs=st.dictionaries(NAMES, TARGETS, max_size=5))
def test_debugfs_reads_each_name_and_target_as_it_is(pairs: dict[str, str]) -> None:
    lines = debugfs.commands(
        links(pairs), epoch=0, content=lambda e, n: "", capability=lambda e, n: ""
    )
    made = [words for line in lines if (words := words_of_debugfs(line))[0] == "symlink"]
    assert {path[1:]: target for _, path, target in made} == pairs
    known = ("rmdir", "symlink", "sif")
    assert all(
        line.partition(" ")[0] in known and len(words_of_debugfs(line)) < 5 for line in lines
    )


@given(pairs=st.dictionaries(NAMES, TARGETS, max_size=5))
def test_mksquashfs_reads_each_name_and_target_as_it_is(pairs: dict[str, str]) -> None:
    job = Job(links(pairs), 0, Path("x"), Path("x"))
    try:
        _, *lines = squashfs_definitions(job)
    except PrefixError:
        assert any(to.startswith(" ") or to.endswith("\\") for to in pairs.values())
        return
    found = {}
    for line in lines:
        assert "\n" not in line
        match = re.fullmatch(r"((?:[^\\ ]|\\.)+) S 0 0777 0 0 ([^ ].*)", line, re.DOTALL)
        assert match
        found[re.sub(r"\\(.)", r"\1", match[1])] = match[2]
    assert found == pairs


@pytest.mark.parametrize("form", FORMATS)
def test_a_symlink_target_cannot_bring_a_line_of_its_own(
    own_prefix: Prefix, tmp_path: Path, form: str
) -> None:
    proof = tmp_path / "proof"
    link = own_prefix.final.eroot / "usr/share/hello/x"
    link.symlink_to(f"a\n/usr/x f 0644 0 0 touch {proof}")
    with pytest.raises(PrefixError, match=r"symlink target .* has control characters") as error:
        sysext(own_prefix, tmp_path / f"t{FORMATS[form].suffix}", format=form, verify=False)
    assert "--exclude" in error.value.hint
    assert not proof.exists()
    assert not any(tmp_path.glob("t*"))


def test_what_is_refused_can_be_left_out(own_prefix: Prefix, tmp_path: Path) -> None:
    (own_prefix.final.eroot / "usr/share/hello/x").symlink_to("a\nb")
    (own_prefix.final.eroot / "usr/share/hello/line\nbreak").write_text("x")
    exclude = ("usr/share/hello/x", "usr/**/line*")
    sysext(own_prefix, tmp_path / "t.tar", format="tar", verify=False, exclude=exclude)


@pytest.mark.parametrize("target", [" blank", "backslash\\"])
def test_squashfs_refuses_a_target_that_it_would_change(
    own_prefix: Prefix, tmp_path: Path, target: str
) -> None:
    (own_prefix.final.eroot / "usr/share/hello/x").symlink_to(target)
    with pytest.raises(PrefixError, match="mksquashfs cannot read") as error:
        sysext(own_prefix, tmp_path / "t.raw", verify=False)
    assert "another format" in error.value.hint


def test_names_too_long_for_a_line_of_debugfs_are_refused() -> None:
    entries = links({"/".join(["n" * 250] * 15) + str(n): "t" * 4000 for n in range(2)})
    names = {"content": lambda e, n: "", "capability": lambda e, n: ""}
    assert debugfs.commands(entries, epoch=0, **names)
    with pytest.raises(PrefixError, match="too long for ext4"):
        debugfs.commands(links({"/".join(["n" * 250] * 16): '"' * 4000}), epoch=0, **names)


ODD = {
    "usr/share/hello/to quote": 'a "quoted" target',
    "usr/share/hello/to backslash": "a\\b \\ c",
    "usr/share/hello/to blank": "in the middle  and at the end ",
    "usr/share/hello/to bytes": os.fsdecode(b"\xff\xfe"),
    'usr/share/hello/"': '"',
    "usr/share/hello/$(touch x)": "`touch x`",
}


@pytest.mark.needs_root
@pytest.mark.parametrize("form", IMAGES)
def test_odd_names_and_targets_arrive_in_an_image_wherever_it_is_made(
    own_prefix: Prefix, tmp_path: Path, form: str
) -> None:
    odd = tmp_path / 'a "quoted"\nplace'
    odd.mkdir()
    prefix = shipping_prefix.copied(own_prefix, odd / "prefix")
    for path, target in ODD.items():
        (prefix.final.eroot / path).symlink_to(target)
    (prefix.final.eroot / 'usr/share/hello/file "x" \\').write_text("quoted\n")
    image = sysext(prefix, odd / "test.raw", format=form, verify=False)
    script = 'mount -o ro,loop "$1" "$2"; cp -a "$2/$3" "$4"'
    mount, out = tmp_path / "mnt", tmp_path / "found"
    mount.mkdir()
    subprocess.run(
        [
            "unshare",
            "-m",
            "sh",
            "-euc",
            script,
            "sh",
            image,
            mount,
            f"{INSIDE}/usr/share/hello",
            out,
        ],
        check=True,
    )
    for path, target in ODD.items():
        assert os.readlink(out / Path(path).name) == target
    assert (out / 'file "x" \\').read_text() == "quoted\n"


@pytest.mark.parametrize("form", IMAGES)
def test_a_tool_s_complaint_is_of_its_image_and_leaves_nothing(
    own_prefix: Prefix, tmp_path: Path, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The tool can succeed although its output does not exist."""
    tool = {
        "squashfs": "mksquashfs",
        "erofs": "mkfs.erofs",
        "ext4": "mke2fs",
        "btrfs": "mkfs.btrfs",
    }
    programs = tmp_path / "own/programs"
    programs.mkdir(exist_ok=True)
    (programs / tool[form]).write_text("#!/bin/sh\necho out of luck >&2\nexit 3\n")
    (programs / tool[form]).chmod(0o755)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    with pytest.raises(PrefixError, match=f"{re.escape(tool[form])} .*3: out of luck"):
        sysext(own_prefix, tmp_path / "t.raw", format=form, verify=False)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["own"]


# --- modes


@pytest.mark.parametrize("eprefix", ["/usr/local/shipped", "/opt/some/where"])
def test_directories_that_the_target_shares_are_open_to_everyone(
    tmp_path: Path, eprefix: str
) -> None:
    """A directory that a strict umask restricted would also restrict the target's own directory."""
    prefix = shipping_prefix.make(tmp_path, eprefix=eprefix, compiled=False)
    closed = prefix.final.eroot
    while closed != prefix.final.path:
        closed.chmod(0o700)
        closed = closed.parent
    (prefix.final.eroot / "usr/share/hello").chmod(0o2750)
    image = sysext(prefix, tmp_path / "t", format="directory", verify=False)
    parts = Path(eprefix.lstrip("/"))
    for shared in [parts, *list(parts.parents)[:-1]]:
        assert stat.S_IMODE((image / shared).stat().st_mode) == 0o755, shared
    assert stat.S_IMODE((image / parts / "usr/share/hello").stat().st_mode) == 0o2750
    modes = {e.path: e.permissions for e in select(prefix.final.path, eprefix).entries}
    assert modes[os.fspath(parts)] == modes[os.fspath(parts.parent)] == 0o755


def test_all_tools_run_in_the_scratch_directory(
    own_prefix: Prefix, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[tuple[str, str]] = []
    real = process.run

    def run(argv: list[str], **options: object) -> object:
        seen.append((os.path.basename(str(options["cwd"])), " ".join(map(str, argv))))
        return real(argv, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(process, "run", run)
    for form in ("squashfs", "ext4"):
        sysext(own_prefix, tmp_path / "t.raw", format=form, verify=False)
    assert {cwd for cwd, _ in seen} == {".scratch"}
    assert not any(os.fspath(tmp_path) in argv for _, argv in seen)
    shutil.rmtree(tmp_path / "own")
