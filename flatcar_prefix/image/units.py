# SPDX-License-Identifier: BSD-3-Clause
"""Copies of a prefix's units, and of the files that services need, in /usr of the system.

systemd and its helpers read these files below /usr and not below EPREFIX.
"""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from flatcar_prefix.image import unit_files
from flatcar_prefix.image.selection import Entry, Selection
from flatcar_prefix.image.service_files import Foreign, rewritten

SYSTEM = "usr/lib/systemd/system"

LIBDIRS = ("usr/lib", "lib")
"""The prefix's lib directories, relative to EPREFIX; the first file with a name wins."""

OFFERED = (
    "systemd/system",
    "systemd/user",
    "sysusers.d",
    "tmpfiles.d",
    "sysctl.d",
    "udev/rules.d",
)
"""Directories that the image offers to the system, below the lib directories."""

SHARED = ("dbus-1/system.d", "dbus-1/system-services")
"""The same below usr/share."""

NOT_OFFERED = {
    "systemd/system-preset": "systemd reads presets only at the first boot of a system",
    "systemd/user-preset": "systemd reads presets only at the first boot of a system",
    "systemd/network": "systemd-networkd is set up by the system",
    "modules-load.d": "an image has no kernel modules",
    "modprobe.d": "an image has no kernel modules",
    "binfmt.d": "it would change how the system starts programs",
    "environment.d": "it would change the environment of the system's own services",
    "udev/hwdb.d": "the system's hardware database is compiled, and an image cannot change it",
}
"""Directories below the lib directories that stay in the prefix, and why."""

_ACCOUNTS = ("usr/lib/sysusers.d/acct-user-", "usr/lib/sysusers.d/acct-group-")

_WANTED = re.compile(
    rf"{SYSTEM}/(?P<target>[^/]+\.target)\.wants/(?P<unit>[^/]+\.(?:service|socket|timer|path))"
)
_VALUE = re.compile(r"^[ \t]*(Type|RemainAfterExit)[ \t]*=[ \t]*(\S*)[ \t]*$", re.MULTILINE)

PATH = ("usr/bin", "bin", "usr/sbin", "sbin")
"""The search path, relative to EPREFIX, for a unit's programs without a directory."""


@dataclass(frozen=True)
class Offer:
    """What an image offers to the system."""

    entries: list[Entry]
    foreign: list[Foreign]
    """Files of the system that the copies name."""
    restart: tuple[str, ...] = ()
    """The units that run, for ``EXTENSION_RESTART_UNITS``."""


def offered(selection: Selection, eprefix: str, name: str = "") -> Offer:
    """Return the files for /usr, and the files of the system that they name.

    The files are copies and not symlinks, because they must name the prefix's files. If the
    prefix does not have a file, the copy keeps the system's. ``name`` is that of the extension.
    """
    found: dict[str, Entry] = {}
    foreign: list[Foreign] = []
    for path, entry in _sources(selection, eprefix):
        if path not in found:
            found[path], more = _copy(path, entry, selection, eprefix)
            foreign += more
    if not found:
        return Offer([], [])
    added = {entry.path: entry for entry in [*_upheld(found), *_prepared(found, name)]}
    upheld = [each for path in added if (each := _upheld_unit(added[path]))]
    return Offer(
        [*found.values(), *(e for p, e in added.items() if p not in found)],
        foreign,
        tuple(sorted(set(upheld))),
    )


def not_offered(selection: Selection, eprefix: str) -> Iterator[str]:
    """Yield a message for each directory with files that the image does not offer."""
    inside = eprefix.strip("/")
    for libdir in LIBDIRS:
        for directory, why in NOT_OFFERED.items():
            start = f"{inside}/{libdir}/{directory}"
            if any(e.path.startswith(f"{start}/") and not e.is_dir for e in selection.entries):
                yield f"/{start} stays in the prefix: {why}"


def handle(name: str) -> str:
    """Return the unit of an extension that all its services are part of."""
    return f"sysext-{re.sub(r'[^A-Za-z0-9:_.-]', '_', name)}.service"


def _prepared(found: Mapping[str, Entry], name: str) -> Iterator[Entry]:
    """Yield the unit that makes users and directories, and a drop-in for each service and socket.

    systemd does that at boot before it merges images. The unit starts with the image. Its restart
    restarts the services, because they are part of it.
    """
    unit = handle(name)
    lines = [
        "[Unit]",
        f"Description=Users, directories and settings of the extension {name}",
        "DefaultDependencies=no",
        "After=local-fs.target systemd-sysext.service systemd-sysusers.service",
        "Conflicts=shutdown.target",
        "Before=shutdown.target",
        "",
        "[Service]",
        "Type=oneshot",
        "RemainAfterExit=yes",
        *(f"ExecStart=-{command}" for command in _commands(found)),
    ]
    yield _text(f"{SYSTEM}/{unit}", "\n".join([*lines, ""]))
    yield _text(f"{SYSTEM}/multi-user.target.d/05-{unit.removesuffix('.service')}.conf",
                f"[Unit]\nUpholds={unit}\n")  # fmt: skip
    for path in found:
        if re.fullmatch(rf"{SYSTEM}/[^/]+\.(?:service|socket)", path) and not found[path].is_link:
            text = f"[Unit]\nWants={unit}\nAfter={unit}\nPartOf={unit}\n"
            yield _text(f"{path}.d/05-{unit.removesuffix('.service')}.conf", text)


def _commands(found: Mapping[str, Entry]) -> Iterator[str]:
    """Yield the commands that apply the offered files; the names have no spaces or are left out."""
    for directory, command in (
        ("sysusers.d", "/usr/bin/systemd-sysusers"),
        ("tmpfiles.d", "/usr/bin/systemd-tmpfiles --create"),
        ("sysctl.d", "/usr/lib/systemd/systemd-sysctl"),
    ):
        files = [f"/{path}" for path in sorted(found) if path.startswith(f"usr/lib/{directory}/")]
        if files := [file for file in files if re.fullmatch(r"[\w./:@+-]+", file, re.ASCII)]:
            yield f"{command} {' '.join(files)}"
    if any(path.startswith("usr/lib/udev/") for path in found):
        yield "/usr/bin/udevadm control --reload"
    if any(path.startswith("usr/share/dbus-1/") for path in found):
        yield "/usr/bin/busctl call org.freedesktop.DBus / org.freedesktop.DBus ReloadConfig"
    if any(path.startswith(f"{SYSTEM}/") for path in found):
        # A oneshot service needs a command.
        yield "/usr/bin/true"


def _text(path: str, text: str) -> Entry:
    content = text.encode()
    return Entry(path, stat.S_IFREG | 0o644, len(content), content=content)


def _upheld_unit(entry: Entry) -> str:
    match = re.fullmatch(rb"\[Unit\]\nUpholds=(\S+)\n", entry.content)
    return match[1].decode() if match else ""


def accounts(selection: Selection, eprefix: str) -> list[Entry]:
    """Return the files for /usr/lib of the users and groups of acct-user and acct-group.

    A prefix has no users of its own: its programs run as the target's. The packages install
    sysusers.d(5) files, from which systemd creates the accounts.
    """
    return [
        _copy(path, entry, selection, eprefix)[0]
        for path, entry in _sources(selection, eprefix)
        if path.startswith(_ACCOUNTS)
    ]


def _upheld(found: Mapping[str, Entry]) -> Iterator[Entry]:
    """Yield a drop-in with ``Upholds=`` for each unit that a target wants.

    systemd loads the targets before it merges images, so a link in ``.wants`` alone does not
    start a unit at boot. A target that is active starts a unit that it upholds as soon as systemd
    has read the drop-in. It would also start a oneshot service again and again.
    """
    for path in list(found):
        match = _WANTED.fullmatch(path)
        if match and not _ends_by_itself(found.get(f"{SYSTEM}/{_template(match['unit'])}")):
            name = f"{SYSTEM}/{match['target']}.d/10-{match['unit'].rpartition('.')[0]}.conf"
            yield _text(name, f"[Unit]\nUpholds={match['unit']}\n")


def _template(unit: str) -> str:
    """Return the name of the file of a unit, which may be an instance of a template."""
    return re.sub(r"@[^@]*(?=\.[a-z]+\Z)", "@", unit)


def _ends_by_itself(unit: Entry | None) -> bool:
    """Return whether a unit is a oneshot service that does not stay active, or unknown."""
    if unit is None or unit.is_link:
        return unit is None
    values = dict(_VALUE.findall(unit.read().decode("utf-8", "replace")))
    stays = values.get("RemainAfterExit", "").lower() in ("yes", "true", "on", "1")
    return values.get("Type") == "oneshot" and not stays


def _places(eprefix: str) -> Iterator[tuple[str, str]]:
    """Yield the directories of the prefix with files to offer, and those of the system."""
    inside = eprefix.strip("/")
    for libdir in LIBDIRS:
        for directory in OFFERED:
            yield f"{inside}/{libdir}/{directory}/", f"usr/lib/{directory}/"
    for directory in SHARED:
        yield f"{inside}/usr/share/{directory}/", f"usr/share/{directory}/"


def _sources(selection: Selection, eprefix: str) -> Iterator[tuple[str, Entry]]:
    for start, there in _places(eprefix):
        for entry in selection.entries:
            if entry.path.startswith(start) and not entry.is_dir:
                yield there + entry.path[len(start) :], entry


def _copy(
    path: str, entry: Entry, selection: Selection, eprefix: str
) -> tuple[Entry, list[Foreign]]:
    if entry.is_link:
        return replace(entry, path=path, target=_target(entry, eprefix), source=None), []
    text = entry.read().decode("utf-8", "surrogateescape")
    foreign: list[Foreign] = []
    if "/systemd/" in f"/{path}":
        text, kept = with_programs_of(selection, eprefix, text)
        foreign = [Foreign(f"/{path}", key, program) for key, program in kept]
    text, more = rewritten(path, text, lambda file: _own(selection, eprefix, file))
    content = text.encode("utf-8", "surrogateescape")
    return Entry(path, stat.S_IFREG | 0o644, len(content), content=content), foreign + more


def _own(selection: Selection, eprefix: str, file: str) -> str:
    """Return the prefix's file for a path of a system without a prefix, or an empty text."""
    if file.startswith(f"{eprefix}/"):
        return file if selection.holds(file) else ""
    return f"{eprefix}{file}" if selection.holds(f"{eprefix}{file}") else ""


def _target(link: Entry, eprefix: str) -> str:
    """Return the target of a copied link: the copy of its target, or the original target."""
    if not link.target.startswith("/"):
        absolute = os.path.normpath(os.path.join("/", os.path.dirname(link.path), link.target))
    else:
        absolute = os.path.normpath(link.target)
    for start, there in _places(eprefix):
        if absolute.startswith(f"/{start}"):
            return f"/{there}{absolute[len(start) + 1 :]}"
    return absolute


def with_programs_of(
    selection: Selection, eprefix: str, text: str
) -> tuple[str, list[unit_files.Started]]:
    """Return a unit's text with the prefix's programs, and the system's programs it starts.

    The original text names a program with its path on a system without a prefix, or without
    a directory.
    """

    def find(program: str) -> str:
        if program.startswith(f"{eprefix}/"):
            return program
        paths = [program] if "/" in program else [f"/{directory}/{program}" for directory in PATH]
        own = (f"{eprefix}{path}" for path in paths if path.startswith("/"))
        return next((path for path in own if selection.holds(path)), program)

    text, kept = unit_files.replaced(text, find)
    inside = f"{eprefix}/"
    return text, [
        started
        for started in kept
        if not (started.program.startswith(inside) and selection.holds(started.program))
    ]
