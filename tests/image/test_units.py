# SPDX-License-Identifier: BSD-3-Clause
"""Units of the prefix on the system: enabled units, and messages about the others."""

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
from flatcar_prefix.image.service_files import rewritten
from flatcar_prefix.prefix.model import Prefix


def manifest_of(directory: Path) -> Any:
    return json.loads((directory / "test.manifest.json").read_text(encoding="utf-8"))


def test_units_are_offered_where_systemd_reads_them(own_prefix: Prefix, tmp_path: Path) -> None:
    program = own_prefix.final.eroot / "usr/bin/hello"
    program.write_text("#!/bin/sh\n")
    image = sysext(own_prefix, tmp_path / "test", format="directory", verify=False, units=True)
    unit = (image / "usr/lib/systemd/system/hello.service").read_text()
    assert f"ExecStart={shipping_prefix.EPREFIX}/usr/bin/hello wait" in unit
    # This program is the system's own, not the prefix's.
    assert "ExecStop=/usr/bin/kill $MAINPID" in unit
    wants = image / "usr/lib/systemd/system/multi-user.target.wants/hello.service"
    assert os.readlink(wants) == "/usr/lib/systemd/system/hello.service"
    assert (image / "usr/lib/sysusers.d/hello.conf").read_text() == 'u hello - "Hello"\n'
    assert (image / "usr/lib/tmpfiles.d/hello.conf").is_file()
    upholds = "/usr/lib/systemd/system/multi-user.target.d/10-hello.conf"
    assert Path(f"{image}{upholds}").read_text() == "[Unit]\nUpholds=hello.service\n"
    assert {"/usr/lib/systemd/system/hello.service", upholds} <= set(manifest_of(tmp_path)["added"])


def test_accounts_of_packages_are_offered_without_units(own_prefix: Prefix, tmp_path: Path) -> None:
    for name in ("acct-user-web.conf", "acct-group-web.conf", "other.conf"):
        (own_prefix.final.eroot / "usr/lib/sysusers.d" / name).write_text("u web 250\n")
    image = sysext(own_prefix, tmp_path / "test", format="directory", verify=False)
    found = sorted(path.name for path in (image / "usr/lib/sysusers.d").iterdir())
    assert found == ["acct-group-web.conf", "acct-user-web.conf"]
    assert not (image / "usr/lib/systemd").exists()


SYSTEM = "usr/lib/systemd/system"


def directory_of(prefix: Prefix, tmp_path: Path, **more: Any) -> Path:
    """Return the image as a directory; its units are offered."""
    return sysext(prefix, tmp_path / "test", format="directory", verify=False, units=True, **more)


def test_users_and_directories_are_made_before_the_service_starts(
    own_prefix: Prefix, tmp_path: Path
) -> None:
    image = directory_of(own_prefix, tmp_path)
    text = (image / SYSTEM / "sysext-test.service").read_text()
    commands = [line.partition("=")[2] for line in text.splitlines() if "Exec" in line]
    assert commands == [
        "-/usr/bin/systemd-sysusers /usr/lib/sysusers.d/hello.conf",
        "-/usr/bin/systemd-tmpfiles --create /usr/lib/tmpfiles.d/hello.conf",
        "-/usr/bin/true",
    ]
    drop_in = image / SYSTEM / "hello.service.d/05-sysext-test.conf"
    assert set(drop_in.read_text().split()) == {
        "[Unit]", "Wants=sysext-test.service", "After=sysext-test.service",
        "PartOf=sysext-test.service",
    }  # fmt: skip
    upholds = image / SYSTEM / "multi-user.target.d/05-sysext-test.conf"
    assert "Upholds=sysext-test.service" in upholds.read_text()


def test_systemd_restarts_the_units_of_an_image(own_prefix: Prefix, tmp_path: Path) -> None:
    image = directory_of(own_prefix, tmp_path, reload_manager=True)
    release = (image / "usr/lib/extension-release.d/extension-release.test").read_text()
    assert 'EXTENSION_RESTART_UNITS="hello.service sysext-test.service"\n' in release
    assert manifest_of(tmp_path)["release"]["EXTENSION_RESTART_UNITS"] == (
        "hello.service sysext-test.service"
    )


def test_files_of_udev_dbus_and_sysctl_are_offered(own_prefix: Prefix, tmp_path: Path) -> None:
    eroot, eprefix = own_prefix.final.eroot, own_prefix.eprefix
    hi = "/usr/bin/hello-script"
    for path, text in {
        "usr/lib/sysctl.d/hello.conf": "kernel.x = 1\n",
        "usr/lib/udev/rules.d/9-hello.rules": f'ACTION=="add", RUN+="{hi} a", PROGRAM="/bin/no"\n',
        "usr/share/dbus-1/system.d/hello.conf": "<busconfig/>\n",
        "usr/share/dbus-1/system-services/hello.service": f"[D-BUS Service]\nExec={hi} b\n",
    }.items():
        (eroot / path).parent.mkdir(parents=True, exist_ok=True)
        (eroot / path).write_text(text)
    said: list[str] = []
    image = directory_of(own_prefix, tmp_path, warn=said.append)
    assert (image / "usr/lib/sysctl.d/hello.conf").read_text() == "kernel.x = 1\n"
    rules = (image / "usr/lib/udev/rules.d/9-hello.rules").read_text()
    assert rules == f'ACTION=="add", RUN+="{eprefix}{hi} a", PROGRAM="/bin/no"\n'
    assert any("PROGRAM starts /bin/no" in text for text in said)
    service = (image / "usr/share/dbus-1/system-services/hello.service").read_text()
    assert service.endswith(f"Exec={eprefix}{hi} b\n")
    commands = (image / SYSTEM / "sysext-test.service").read_text()
    for command in ("systemd-sysctl /usr/lib/sysctl.d/hello.conf", "udevadm", "ReloadConfig"):
        assert command in commands


def test_files_that_are_not_offered_are_told(own_prefix: Prefix, tmp_path: Path) -> None:
    preset = own_prefix.final.eroot / "usr/lib/systemd/system-preset/50-hello.preset"
    preset.parent.mkdir()
    preset.write_text("enable hello.service\n")
    said: list[str] = []
    image = directory_of(own_prefix, tmp_path, warn=said.append)
    assert not (image / "usr/lib/systemd/system-preset").exists()
    assert any("system-preset stays in the prefix: systemd reads presets" in text for text in said)


@pytest.mark.parametrize(
    ("line", "result", "told"),
    [
        ("EnvironmentFile=/etc/hello.conf",
         "EnvironmentFile={0}/etc/hello.conf\nEnvironmentFile=-/etc/hello.conf", ""),
        ("EnvironmentFile=-/etc/hello.conf",
         "EnvironmentFile=-{0}/etc/hello.conf\nEnvironmentFile=-/etc/hello.conf", ""),
        ("EnvironmentFile=/etc/other", "EnvironmentFile=/etc/other", "EnvironmentFile"),
        ("EnvironmentFile=-/etc/other", "EnvironmentFile=-/etc/other", ""),
        ("EnvironmentFile={0}/etc/hello.conf", "EnvironmentFile={0}/etc/hello.conf", ""),
    ],
)  # fmt: skip
def test_an_environment_file_of_the_prefix_comes_before_that_of_the_system(
    shipped: Prefix, line: str, result: str, told: str
) -> None:
    line, result = (f"[Service]\n{text.format(shipped.eprefix)}\nA=b\n" for text in (line, result))
    check_rewritten(shipped, "usr/lib/systemd/system/x.service", line, result, told)


@pytest.mark.parametrize(
    ("line", "result", "told"),
    [
        ("L /run/x - - - - /etc/hello.conf", "L /run/x - - - - {0}/etc/hello.conf", ""),
        ("C+ /run/x 0644 root root 1d /etc/hello.conf",
         "C+ /run/x 0644 root root 1d {0}/etc/hello.conf", ""),
        ("C /etc/no", "C /etc/no", "C"),
        ("L /run/x - - - - /etc/no", "L /run/x - - - - /etc/no", "L"),
        ("L /run/x - - - - ../etc/no", "L /run/x - - - - ../etc/no", ""),
        ("L /run/x - - - - /run/y", "L /run/x - - - - /run/y", ""),
        ("d /etc/hello.conf 0755", "d /etc/hello.conf 0755", ""),
        ("C /etc/issue", "C /etc/issue - - - - {0}/usr/share/factory/etc/issue", ""),
    ],
)  # fmt: skip
def test_the_source_of_a_tmpfiles_line_is_the_prefix_s(
    own_prefix: Prefix, line: str, result: str, told: str
) -> None:
    factory = own_prefix.final.eroot / "usr/share/factory/etc/issue"
    factory.parent.mkdir(parents=True)
    factory.write_text("x")
    line, result = (f"{text.format(own_prefix.eprefix)}\n" for text in (line, result))
    check_rewritten(own_prefix, "usr/lib/tmpfiles.d/x.conf", line, result, told)


def check_rewritten(prefix: Prefix, path: str, text: str, wanted: str, told: str) -> None:
    chosen = select(prefix.final.path, prefix.eprefix)
    found, foreign = rewritten(path, text, lambda file: units._own(chosen, prefix.eprefix, file))
    assert found == wanted
    assert [each.key for each in foreign] == ([told] if told else [])


@pytest.mark.parametrize(
    ("text", "upheld"),
    [
        ("Type=simple\nExecStart=/bin/true\n", True),
        ("Type = oneshot\nExecStart=/bin/true\n", False),
        ("Type=oneshot\nRemainAfterExit=yes\nExecStart=/bin/true\n", True),
    ],
)
def test_a_target_does_not_restart_a_service_that_ends_by_itself(
    own_prefix: Prefix, tmp_path: Path, text: str, upheld: bool
) -> None:
    units_dir = own_prefix.final.eroot / "usr/lib/systemd/system"
    (units_dir / "hello.service").write_text(f"[Service]\n{text}")
    image = sysext(own_prefix, tmp_path / "test", format="directory", verify=False, units=True)
    drop_in = image / "usr/lib/systemd/system/multi-user.target.d/10-hello.conf"
    assert drop_in.exists() is upheld


def test_a_target_upholds_an_instance_of_a_template(own_prefix: Prefix, tmp_path: Path) -> None:
    units_dir = own_prefix.final.eroot / "usr/lib/systemd/system"
    (units_dir / "echo@.service").write_text("[Service]\nExecStart=/bin/sleep 1\n")
    (units_dir / "multi-user.target.wants/echo@1.service").symlink_to("../echo@.service")
    image = sysext(own_prefix, tmp_path / "test", format="directory", verify=False, units=True)
    drop_in = image / "usr/lib/systemd/system/multi-user.target.d/10-echo@1.conf"
    assert drop_in.read_text() == "[Unit]\nUpholds=echo@1.service\n"


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
    assert f"{unit}: ExecStop starts /usr/bin/kill, which is not in the prefix" in warned


@given(st.text(alphabet="ab/\\\"'; \t\n#=-@%$x4", max_size=40))
def test_a_unit_that_names_no_program_of_the_prefix_stays_as_it_is(value: str) -> None:
    text = f"ExecStart={value}"
    assert unit_files.replaced(text, lambda program: program)[0] == text


WORDS = st.text(alphabet="ab/\"'; é\\#%", min_size=1, max_size=8)


@given(st.lists(WORDS, min_size=1, max_size=4))
def test_words_are_split_as_they_were_joined(parts: list[str]) -> None:
    line = " ".join('"' + part.replace("\\", "\\\\").replace('"', '\\"') + '"' for part in parts)
    assert [word.text for word in unit_files.words(line)] == parts
