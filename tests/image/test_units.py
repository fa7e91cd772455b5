# SPDX-License-Identifier: BSD-3-Clause
"""Units of the prefix on the system: what they start, and what is told of the rest."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import shipping_prefix
from hypothesis import given, strategies as st

from flatcar_prefix.errors import PrefixError
from flatcar_prefix.image import unit_files, units
from flatcar_prefix.image.build import sysext
from flatcar_prefix.image.selection import select
from flatcar_prefix.prefix.model import Prefix


def manifest_of(directory: Path) -> Any:
    return json.loads((directory / "test.manifest.json").read_text(encoding="utf-8"))


def test_units_are_offered_where_systemd_reads_them(own_prefix: Prefix, tmp_path: Path) -> None:
    program = own_prefix.final.eroot / "usr/bin/hello"
    program.write_text("#!/bin/sh\n")
    image = sysext(own_prefix, tmp_path / "test", format="directory", verify=False, units=True)
    unit = (image / "usr/lib/systemd/system/hello.service").read_text()
    assert f"ExecStart={shipping_prefix.EPREFIX}/usr/bin/hello wait" in unit
    # Not of the prefix: the system's own.
    assert "ExecStop=/usr/bin/kill $MAINPID" in unit
    wants = image / "usr/lib/systemd/system/multi-user.target.wants/hello.service"
    assert os.readlink(wants) == "/usr/lib/systemd/system/hello.service"
    assert (image / "usr/lib/sysusers.d/hello.conf").read_text() == 'u hello - "Hello"\n'
    assert (image / "usr/lib/tmpfiles.d/hello.conf").is_file()
    assert "/usr/lib/systemd/system/hello.service" in manifest_of(tmp_path)["added"]


def test_units_are_not_offered_unasked(own_prefix: Prefix, tmp_path: Path) -> None:
    image = sysext(own_prefix, tmp_path / "test", format="directory", verify=False)
    assert not (image / "usr/lib/systemd").exists()


def test_asking_for_units_that_are_not_there_is_an_error(
    own_prefix: Prefix, tmp_path: Path
) -> None:
    with pytest.raises(PrefixError, match="no units"):
        sysext(
            own_prefix,
            tmp_path / "t.tar",
            format="tar",
            verify=False,
            units=True,
            exclude=("usr/lib",),
        )


@pytest.mark.parametrize(
    ("line", "result"),
    [
        ("ExecStart=/usr/bin/hi --x /usr/bin/hi", "ExecStart={0}/usr/bin/hi --x /usr/bin/hi"),
        ("ExecStartPre=-+/usr/bin/hi", "ExecStartPre=-+{0}/usr/bin/hi"),
        ("ExecStart={0}/usr/bin/hi", "ExecStart={0}/usr/bin/hi"),
        ("# ExecStart=/usr/bin/hi", "# ExecStart=/usr/bin/hi"),
        ("Environment=A=/usr/bin/hi", "Environment=A=/usr/bin/hi"),
        ('ExecStart="/usr/bin/hi" wait', 'ExecStart="{0}/usr/bin/hi" wait'),
        ("ExecStart=-'/usr/bin/hi'", "ExecStart=-'{0}/usr/bin/hi'"),
        ('ExecStart="-/usr/bin/hi" a', 'ExecStart="-{0}/usr/bin/hi" a'),
        ("ExecStart=@/usr/bin/hi hi;x \\; y", "ExecStart=@{0}/usr/bin/hi hi;x \\; y"),
        (
            "ExecStart=/usr/bin/hi a ; -/usr/bin/hi b",
            "ExecStart={0}/usr/bin/hi a ; -{0}/usr/bin/hi b",
        ),
        ('ExecStart=/usr/bin/hi ";" /usr/bin/hi', 'ExecStart={0}/usr/bin/hi ";" /usr/bin/hi'),
        ("ExecStart=hi wait", "ExecStart={0}/usr/bin/hi wait"),
        ("ExecStart=!!hi", "ExecStart=!!{0}/usr/bin/hi"),
        ("ExecStart=/usr/bin/\\x68i a", 'ExecStart="{0}/usr/bin/hi" a'),
        (
            "ExecStart=\\\n# a remark\n  /usr/bin/hi \\\n a ; \\\n hi",
            "ExecStart=\\\n# a remark\n  {0}/usr/bin/hi \\\n a ; \\\n {0}/usr/bin/hi",
        ),
        ("Environment=a \\\nExecStart=/usr/bin/hi", "Environment=a \\\nExecStart=/usr/bin/hi"),
        ("ExecPaths=/usr/bin/hi", "ExecPaths=/usr/bin/hi"),
        ("ExecStart=", "ExecStart="),
        (
            "ConditionFileIsExecutable=|!/usr/bin/hi",
            "ConditionFileIsExecutable=|!{0}/usr/bin/hi",
        ),
    ],
)
def test_a_unit_starts_the_program_of_the_prefix(shipped: Prefix, line: str, result: str) -> None:
    chosen = select(shipped.final.path, shipped.eprefix)
    line, result = (f"[X]\n{text.format(shipped.eprefix)}\nA=b\n" for text in (line, result))
    assert units.with_programs_of(chosen, shipped.eprefix, line) == (result, [])


@pytest.mark.parametrize(
    "command", ["/usr/bin/other", "other", '"/usr/bin/a b"', "{0}/usr/bin/gone", "%h/bin/x", "$X"]
)
def test_a_program_that_the_prefix_has_not_stays_and_is_told(shipped: Prefix, command: str) -> None:
    command = command.format(shipped.eprefix)
    text = f"[Service]\nExecStart=hi ; -{command} arg\nExecReload={command}"
    chosen = select(shipped.final.path, shipped.eprefix)
    found, kept = units.with_programs_of(chosen, shipped.eprefix, text)
    assert found == text.replace("=hi", f"={shipped.eprefix}/usr/bin/hi")
    program = command.strip('"')
    assert kept == [("ExecStart", program), ("ExecReload", program)]


def test_a_program_reached_through_a_linked_directory_is_the_prefix_s(own_prefix: Prefix) -> None:
    (own_prefix.final.eroot / "bin").symlink_to("usr/bin")
    chosen = select(own_prefix.final.path, own_prefix.eprefix)
    found, kept = units.with_programs_of(chosen, own_prefix.eprefix, "ExecStart=/bin/hello-script")
    assert (found, kept) == (f"ExecStart={own_prefix.eprefix}/bin/hello-script", [])


def test_programs_of_the_system_are_warned_of_and_in_the_manifest(
    own_prefix: Prefix, tmp_path: Path
) -> None:
    warned: list[str] = []
    (own_prefix.final.eroot / "usr/bin/hello").write_text("#!/bin/sh\n")
    sysext(
        own_prefix,
        tmp_path / "test.tar",
        format="tar",
        verify=False,
        units=True,
        warn=warned.append,
    )
    unit = "/usr/lib/systemd/system/hello.service"
    assert manifest_of(tmp_path)["programs_of_the_system"] == [
        {"unit": unit, "key": "ExecStop", "program": "/usr/bin/kill"}
    ]
    assert warned == [f"{unit}: ExecStop starts /usr/bin/kill, which is not of the prefix"]


@given(st.text(alphabet="ab/\\\"'; \t\n#=-@%$x4", max_size=40))
def test_a_unit_that_names_no_program_of_the_prefix_stays_as_it_is(value: str) -> None:
    text = f"ExecStart={value}"
    assert unit_files.replaced(text, lambda program: program)[0] == text


WORDS = st.text(alphabet="ab/\"'; é\\#%", min_size=1, max_size=8)


@given(st.lists(WORDS, min_size=1, max_size=4))
def test_words_are_split_as_they_were_joined(parts: list[str]) -> None:
    line = " ".join('"' + part.replace("\\", "\\\\").replace('"', '\\"') + '"' for part in parts)
    assert [word.text for word in unit_files.words(line)] == parts
