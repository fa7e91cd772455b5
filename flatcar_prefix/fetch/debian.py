# SPDX-License-Identifier: BSD-3-Clause
"""Fetch upstream's release tarballs from the distribution's source packages.

apt does the work with its own directories, list of sources and configuration, so the
machine's apt does not change. This module derives the list from the machine's own entries,
which seldom include sources.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from subprocess import CompletedProcess
from urllib.parse import quote

from flatcar_prefix.errors import PrefixError
from flatcar_prefix.fetch import sources_index
from flatcar_prefix.fetch.manifest import Dist
from flatcar_prefix.system import process

LISTS_ARE_FRESH = 24 * 60 * 60
"""The age in seconds at which the lists are fetched again."""

FAILED_RECENTLY = 5 * 60
"""The time in seconds after a failed transfer in which the lists are not fetched again."""

NEWER_SUITES = {"debian": ("stable", "testing", "unstable")}
"""Suites that may have newer versions than the machine's, by ID in os-release."""

_OPTIONS = {"signed-by": "Signed-By", "trusted": "Trusted"}
_SUITES = ("stable", "oldstable", "oldoldstable", "testing", "unstable", "sid")


@dataclass(frozen=True)
class Entry:
    """One archive in apt's list of sources: a URI, a suite, its components."""

    uri: str
    suite: str
    components: tuple[str, ...] = ()
    options: tuple[tuple[str, str], ...] = ()
    """The options that choose trusted keys, with their names in deb822 style; no others."""


@dataclass(frozen=True)
class Source:
    """One version of a source package."""

    name: str
    version: str
    files: tuple[str, ...]


# Read the machine's lists, see sources.list(5).


def parse_one_line(text: str) -> list[Entry]:
    """Return the entries of a ``.list`` file; ignore invalid lines."""
    entries = []
    for line in text.splitlines():
        match = re.fullmatch(
            r"\s*deb(?:-src)?\s+(?:\[(?P<options>[^\]]*)\]\s+)?(?P<rest>[^#]*?)\s*(?:#.*)?", line
        )
        words = match["rest"].split() if match else []
        if match and len(words) >= 2:
            pairs = (word.partition("=") for word in (match["options"] or "").split())
            options = {_OPTIONS[k.lower()]: v for k, _, v in pairs if k.lower() in _OPTIONS}
            entries.append(Entry(words[0], words[1], tuple(words[2:]), tuple(options.items())))
    return entries


def parse_deb822(text: str) -> list[Entry]:
    """Return the entries of a ``.sources`` file, one for each pair of URI and suite."""
    entries = []
    for fields in parse_stanzas(text):
        if fields.get("enabled", "yes").strip().lower() in ("no", "false", "0"):
            continue
        options = {name: fields[key] for key, name in _OPTIONS.items() if fields.get(key)}
        entries += [
            Entry(uri, suite, tuple(fields.get("components", "").split()), tuple(options.items()))
            for uri in fields.get("uris", "").split()
            for suite in fields.get("suites", "").split()
        ]
    return entries


def parse_stanzas(text: str) -> list[dict[str, str]]:
    """Return the stanzas of a deb822 file, with field names in lower case.

    Newlines join the lines of a field. Comments are left out.
    """
    stanzas: list[dict[str, str]] = []
    for block in re.split(r"\n[ \t]*(?:\n|$)", text.replace("\r\n", "\n")):
        fields: dict[str, str] = {}
        name = ""
        for line in block.split("\n"):
            if line.startswith("#") or not line.strip():
                continue
            if line[0] in " \t":
                if name:
                    fields[name] = f"{fields[name]}\n{line.strip()}".lstrip("\n")
            elif ":" in line:
                name, _, value = line.partition(":")
                name = name.strip().lower()
                fields[name] = value.strip()
        if fields:
            stanzas.append(fields)
    return stanzas


def of_distribution(entries: Iterable[Entry], *, codename: str) -> list[Entry]:
    """Return the distribution's own entries, each once.

    Other entries do not have the distribution's sources, and apt could print errors for them.
    """
    kept = []
    for entry in entries:
        own = entry.suite == codename or entry.suite.startswith((f"{codename}-", f"{codename}/"))
        if not own and entry.suite.partition("-")[0] not in _SUITES:
            continue
        if "main" in entry.components and entry.uri.startswith(("http://", "https://", "file:")):
            kept.append(replace(entry, components=("main",)))
    return list(dict.fromkeys(kept))


def sources_file(entries: Iterable[Entry]) -> str:
    """Return a ``.sources`` file that names the sources of ``entries``."""
    return "\n".join(_stanza(entry) for entry in entries)


def _stanza(entry: Entry) -> str:
    options = "".join(
        # An inline key has several lines, each of which must start with a space.
        f"{name}: {value.replace(chr(10), chr(10) + ' ')}\n"
        for name, value in entry.options
    )
    return (
        f"Types: deb-src\nURIs: {entry.uri}\nSuites: {entry.suite}\n"
        f"Components: {' '.join(entry.components)}\n{options}"
    )


def machine_entries(apt: Path, *, codename: str) -> list[Entry]:
    """Return the distribution's entries in the lists below ``apt`` (``/etc/apt``)."""
    entries: list[Entry] = []
    for path in [apt / "sources.list", *sorted((apt / "sources.list.d").glob("*"))]:
        if path.suffix in (".list", ".sources") and path.is_file():
            parse = parse_one_line if path.suffix == ".list" else parse_deb822
            entries += parse(path.read_text(encoding="utf-8", errors="replace"))
    return of_distribution(entries, codename=codename)


def codename_of(os_release: str) -> str:
    """Return VERSION_CODENAME from the text of os-release, or an empty string."""
    return _os_release(os_release, "VERSION_CODENAME")


def _os_release(text: str, name: str) -> str:
    match = re.search(rf"^{name}=[\"']?([^\"'\n]*)", text, re.MULTILINE)
    return match[1] if match else ""


def newer_entries(entries: Iterable[Entry], *, os_release: str) -> list[Entry]:
    """Return entries for newer suites of the archives that have the machine's own suite."""
    codename = codename_of(os_release)
    suites = NEWER_SUITES.get(_os_release(os_release, "ID"), ())
    own = list(entries)
    known = {(entry.uri, entry.suite) for entry in own}
    return [
        replace(entry, suite=suite)
        for entry in dict.fromkeys(own)
        if entry.suite == codename
        for suite in suites
        if (entry.uri, suite) not in known
    ]


# Guess source packages from the name of a tarball.


def split_distfile(name: str) -> tuple[str, str, str] | None:
    """Return ("bzip2", "1.0.8", "tar.gz") for ``bzip2-1.0.8.tar.gz``; None for other files."""
    match = re.fullmatch(
        r"(.+?)[-_]v?(\d[^-_]*?)\.(tar\.(?:gz|bz2|xz|lzma|zst)|tgz|tbz2|txz)", name
    )
    if not match:
        return None
    extension = {"tgz": "tar.gz", "tbz2": "tar.bz2", "txz": "tar.xz"}.get(match[3], match[3])
    return match[1], match[2], extension


def guesses(distfile: str) -> list[tuple[str, str]]:
    """Return the pairs of source package and file under which Debian may have a tarball.

    Debian renames upstream's tarball to ``<source>_<version>.orig.tar.<ext>`` and does not
    change its contents. A repacked tarball has another version, so no pair matches it.
    """
    parts = split_distfile(distfile)
    if not parts:
        return []
    name, version, extension = parts
    lower = name.lower()
    bare = lower.removeprefix("lib")
    major, _, rest = version.partition(".")
    minor = rest.partition(".")[0]
    series = f"{major}.{minor}" if minor else major
    dashed = lower.replace("_", "-")
    sources = [lower, bare, f"lib{bare}", f"{lower}{series}", f"{lower}{major}"]
    sources += [f"{lower}-{series}", dashed, f"python-{dashed}"]
    return [
        (source, f"{source}_{version}.orig.{extension}")
        for source in dict.fromkeys(sources)
        if _is_source(source)
    ]


def _is_source(name: str) -> bool:
    return re.fullmatch(r"[a-z0-9][a-z0-9+.-]+", name) is not None


def parse_uri(uri: str) -> tuple[str, str]:
    """Return source package and file of ``debian://<source>/<file>``."""
    match = re.fullmatch(r"debian:(?://)?([a-z0-9][a-z0-9+.-]+)/([A-Za-z0-9][\w.+~-]+)", uri)
    if not match:
        raise PrefixError(
            f"{uri!r} is not a file of a source package",
            hint="Write it as debian://<source package>/<file>.",
        )
    return match[1], match[2]


def pool_path(source: str, file: str) -> str:
    """Return the path of a source package's file in an archive."""
    letters = source[:4] if source.startswith("lib") else source[:1]
    return f"pool/main/{letters}/{source}/{quote(file)}"


def parse_sources(text: str) -> list[Source]:
    """Return the source packages in the output of ``apt-cache showsrc``."""
    return [
        Source(
            name=fields["package"],
            version=fields["version"],
            files=tuple(
                words[2]
                for line in fields.get("checksums-sha256", fields.get("files", "")).splitlines()
                if len(words := line.split()) == 3
            ),
        )
        for fields in parse_stanzas(text)
        if "package" in fields and "version" in fields
    ]


def choose(
    sources: Iterable[Source], wanted: Sequence[tuple[str, str]]
) -> list[tuple[Source, str]]:
    """Return the packages that have a wanted file, with that file, in the order of ``wanted``."""
    known = list(sources)
    return [
        (source, file)
        for name, file in wanted
        for source in known
        if source.name == name and file in source.files
    ]


# Run apt.

_HELPER = "/usr/lib/apt/apt-helper"
"""apt's program that downloads a file with apt's settings."""


@dataclass(frozen=True)
class Archive:
    """The distribution's source packages in apt, whose state is in ``cache``."""

    cache: Path
    entries: tuple[Entry, ...]
    any_age: bool = False
    """Whether to accept lists whose Valid-Until has passed. Lists that only lead to files with
    known checksums need not be recent."""

    def get(self, wanted: Sequence[tuple[str, str]], destination: Path) -> str:
        """Download the first existing file of ``wanted`` to ``destination``.

        Return its origin, ``<file> of <source> <version>``. Raise :class:`PrefixError` if
        none exists.
        """
        with self._lock():
            refreshed = self._refresh() if self._stale() else False
            found = self._find(wanted)
            if not found and not refreshed:
                self._refresh()
                found = self._find(wanted)
            if not found:
                names = ", ".join(dict.fromkeys(name for name, _ in wanted))
                raise PrefixError(
                    f"no source package of this distribution has {wanted[0][1]}",
                    hint=f"Put the file into DISTDIR by hand (searched packages: {names}).",
                )
            return self._download(found, destination)

    def get_listed(self, dist: Dist, destination: Path) -> str:
        """Download the file that the lists have with the size and the checksums of ``dist``.

        Return its origin. Raise :class:`PrefixError` if the lists do not have it, or if it
        cannot be downloaded.
        """
        with self._lock():
            found = self.listed(dist.size)
            reason = f"no file of {dist.size} bytes"
            for listed in found:
                if not (reason := self._download_listed(listed, dist, destination)):
                    return f"{listed} ({listed.uri})"
        raise PrefixError(
            f"source packages of {self.suites}: {reason}", hint="Put the file into DISTDIR by hand."
        )

    @property
    def suites(self) -> str:
        """The names of the suites, for messages."""
        return ", ".join(dict.fromkeys(entry.suite for entry in self.entries))

    def find_size(self, size: int) -> list[sources_index.Listed]:
        """Return the files of ``size`` bytes; fetch the lists if they are old."""
        with self._lock():
            return self.listed(size)

    def listed(self, size: int) -> list[sources_index.Listed]:
        """Do :meth:`find_size` while the lock is held."""
        if self._stale():
            self._refresh()
        query = ["apt-get", "indextargets", "--format", "$(FILENAME)|$(REPO_URI)",
                 "Created-By: Sources"]  # fmt: skip
        lines = self._apt(*query, check=False).stdout.splitlines()
        found: dict[str, sources_index.Listed] = {}
        for path, _, uri in (line.partition("|") for line in lines):
            if uri and Path(path).is_file():
                found |= {one.sha256: one for one in sources_index.find(Path(path), uri, size)}
        return list(found.values())

    def _download_listed(self, listed: sources_index.Listed, dist: Dist, destination: Path) -> str:
        """Download a file; return an empty string, or the reason of the failure."""
        with tempfile.TemporaryDirectory(dir=destination.parent, prefix=".debian-") as directory:
            got = Path(directory) / "file"
            # apt's method "file" does not copy.
            uri = re.sub("^file:", "copy:", listed.uri)
            argv = [_HELPER, "download-file", uri, os.fspath(got), f"SHA256:{listed.sha256}"]
            result = self._apt(*argv, check=False)
            if result.returncode or not got.is_file():
                said = (result.stderr.strip() or result.stdout.strip()).rpartition("\n")[2]
                return f"cannot download {listed}: {said}"
            if not dist.matches(got):
                return f"{listed} has the size of {dist.name}, but other checksums"
            got.replace(destination)
        return ""

    @contextmanager
    def _lock(self) -> Iterator[None]:
        """Lock apt's directories: Portage fetches several files at once."""
        self.cache.mkdir(parents=True, exist_ok=True)
        with (self.cache / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _stale(self) -> bool:
        stamp = self.cache / "stamp"
        if not stamp.exists() or stamp.read_text() != self._stamp():
            return True
        return time.time() - stamp.stat().st_mtime > LISTS_ARE_FRESH

    def _stamp(self) -> str:
        """Return what the lists depend on: apt's files also name the directory of the cache."""
        return f"# {self.cache}\n{sources_file(self.entries)}"

    def _refresh(self) -> bool:
        """Fetch the lists of source packages.

        One suite is enough: a machine may not have the keys of the others.
        """
        self._refuse_after_failure()
        for directory in ("lists/partial", "archives/partial"):
            (self.cache / directory).mkdir(parents=True, exist_ok=True)
        (self.cache / "debian.sources").write_text(sources_file(self.entries))
        (self.cache / "apt.conf").write_text(
            _apt_conf(self.cache, _settings(), any_age=self.any_age)
        )
        result = self._apt("apt-get", "update", check=False)
        if not any((self.cache / "lists").glob("*Sources*")):
            (self.cache / "failed").touch()
            said = (result.stderr or result.stdout).strip().splitlines()
            raise PrefixError(
                f"cannot fetch the lists of source packages: {said[0] if said else 'no answer'}",
                hint="Check that this machine can reach the servers in its apt sources.",
            )
        (self.cache / "stamp").write_text(self._stamp())
        (self.cache / "failed").unlink(missing_ok=True)
        return True

    def _refuse_after_failure(self) -> None:
        """Raise :class:`PrefixError` if the lists could not be fetched a short time ago."""
        failed = self.cache / "failed"
        try:
            passed = time.time() - failed.stat().st_mtime
        except OSError:
            return
        if 0 <= passed < FAILED_RECENTLY:
            raise PrefixError(
                f"source packages of {self.suites}: the lists could not be fetched"
                f" {passed:.0f} s ago",
                hint="Check that this machine can reach the servers in its apt sources.",
            )

    def _find(self, wanted: Sequence[tuple[str, str]]) -> list[tuple[Source, str]]:
        names = dict.fromkeys(name for name, _ in wanted)
        # The exit code is an error if one name is unknown, and most names are.
        shown = self._apt("apt-cache", "showsrc", "--only-source", *names, check=False)
        return choose(parse_sources(shown.stdout), wanted)

    def _download(self, found: Sequence[tuple[Source, str]], destination: Path) -> str:
        said = ""
        with tempfile.TemporaryDirectory(dir=destination.parent, prefix=".debian-") as directory:
            for source, file in found:
                # Only the tarball: an archive may lack the other files of an older version.
                package = f"{source.name}={source.version}"
                argv = ("apt-get", "source", "--download-only", "--tar-only", package)
                result = self._apt(*argv, cwd=Path(directory), check=False)
                if (got := Path(directory) / file).is_file() and not result.returncode:
                    got.replace(destination)
                    return f"{file} of {source.name} {source.version}"
                said = (result.stderr.strip() or result.stdout.strip()).rpartition("\n")[2]
        raise PrefixError(
            f"cannot download {found[0][1]}: {said or 'apt-get did not fetch it'}",
            hint="Check that this machine can reach the servers in its apt sources.",
        )

    def _apt(
        self, *argv: str, cwd: Path | None = None, check: bool = True
    ) -> CompletedProcess[str]:
        env = {
            "APT_CONFIG": os.fspath(self.cache / "apt.conf"),
            "LC_ALL": "C",
            "PATH": "/usr/sbin:/usr/bin:/sbin:/bin",
        }
        return process.run(argv, env=env, cwd=cwd, check=check, capture=True, package="apt")


def _settings() -> str:
    """Return the settings of the network and of validity in the machine's apt configuration."""
    dump = process.run(["apt-config", "dump"], capture=True, package="apt").stdout
    wanted = re.compile(r"Acquire::(?:https?|ftp|Retries|ForceIPv|Proxy|Check-)", re.IGNORECASE)
    return "".join(f"{line}\n" for line in dump.splitlines() if wanted.match(line))


def _apt_conf(cache: Path, settings: str, *, any_age: bool) -> str:
    """Return a configuration with which apt writes only below ``cache``.

    It contains ``settings`` and nothing else of the machine's configuration, which may have
    commands that run after an update and clean other directories up.
    """
    age = 'Acquire::Check-Valid-Until "false";\n' if any_age else ""
    return (
        # A server that does not answer delays each package. Settings of the machine override it.
        'Acquire::http::Timeout "8";\nAcquire::https::Timeout "8";\nAcquire::Retries "1";\n'
        f'{settings}{age}Dir::Etc::main "/dev/null";\n'
        f'Dir::Etc::parts "/dev/null";\n'
        f'Dir::Etc::sourcelist "{cache}/debian.sources";\n'
        f'Dir::Etc::sourceparts "/dev/null";\n'
        f'Dir::State::lists "{cache}/lists/";\n'
        f'Dir::Cache "{cache}/";\n'
        f'Dir::Cache::archives "{cache}/archives/";\n'
        f'Acquire::Languages "none";\n'
        # apt's own user may not be able to enter the caller's directories.
        f'APT::Sandbox::User "";\n'
    )


def archive(cache: Path, *, apt: Path = Path("/etc/apt"), os_release: str) -> Archive:
    """Return the source packages of this machine's distribution.

    Raise :class:`PrefixError` on a machine without apt, or without entries of its
    distribution.
    """
    if not shutil.which("apt-get"):
        raise PrefixError(
            "cannot search source packages: apt-get is not installed",
            hint="Put the file into DISTDIR by hand, or choose a mirror with --mirror.",
        )
    entries = machine_entries(apt, codename=codename_of(os_release))
    if not entries:
        raise PrefixError(
            f"no list of sources below {apt} has an entry of the distribution's own archive",
            hint="Add an entry to the machine's apt sources, or choose a mirror with --mirror.",
        )
    return Archive(cache, tuple(entries))
