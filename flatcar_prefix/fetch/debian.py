# SPDX-License-Identifier: BSD-3-Clause
"""Upstream's release tarballs, out of the distribution's source packages.

apt does the work, with directories, a list of sources and a configuration of its own:
nothing of the machine's apt is written to. The list is derived from the machine's own
entries, which seldom include sources.
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
from flatcar_prefix.system import process

LISTS_ARE_FRESH = 24 * 60 * 60
"""Seconds for which lists that were fetched once are taken to be true."""

_OPTIONS = {"signed-by": "Signed-By", "trusted": "Trusted"}
_SUITES = ("stable", "oldstable", "oldoldstable", "testing", "unstable", "sid")


@dataclass(frozen=True)
class Entry:
    """One archive in apt's list of sources: a URI, a suite, its components."""

    uri: str
    suite: str
    components: tuple[str, ...] = ()
    options: tuple[tuple[str, str], ...] = ()
    """Of those only that say which keys are trusted, by their names in deb822 style."""


@dataclass(frozen=True)
class Source:
    """One version of a source package."""

    name: str
    version: str
    files: tuple[str, ...]


# Reading the machine's lists, as sources.list(5) describes them


def parse_one_line(text: str) -> list[Entry]:
    """Return the entries of a ``.list`` file; lines that make no sense are passed over."""
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

    The further lines of a field are joined by newlines; comments are left out.
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
    """Return the entries that are the distribution's own, each once.

    Others hold no sources of what the distribution has, and apt would complain of them.
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
        # A key given in the file itself goes over several lines, an empty one being a dot.
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
    match = re.search(r"^VERSION_CODENAME=[\"']?([^\"'\n]*)", os_release, re.MULTILINE)
    return match[1] if match else ""


# From the name of a tarball to the package that may have it


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

    Debian renames upstream's tarball to ``<source>_<version>.orig.tar.<ext>`` and leaves
    it as it is. One that had to be repacked has another version, and so is not found.
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
            f"{uri!r} names no file of a source package",
            hint="Write debian://<source package>/<file>.",
        )
    return match[1], match[2]


def pool_path(source: str, file: str) -> str:
    """Return where in an archive a file of a source package lies."""
    letters = source[:4] if source.startswith("lib") else source[:1]
    return f"pool/main/{letters}/{source}/{quote(file)}"


def parse_sources(text: str) -> list[Source]:
    """Return what ``apt-cache showsrc`` printed."""
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
    """Return the packages that have a wanted file, with that file, in the order wanted."""
    known = list(sources)
    return [
        (source, file)
        for name, file in wanted
        for source in known
        if source.name == name and file in source.files
    ]


# Asking apt


@dataclass(frozen=True)
class Archive:
    """The distribution's source packages, by way of apt, with its state in ``cache``."""

    cache: Path
    entries: tuple[Entry, ...]

    def get(self, wanted: Sequence[tuple[str, str]], destination: Path) -> str:
        """Bring the first wanted file that there is to ``destination``.

        Return what was got, as ``<file> of <source> <version>``. :class:`PrefixError`
        when there is none.
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
                    hint=f"Looked into: {names}. Put the file into DISTDIR by hand.",
                )
            return self._download(found, destination)

    @contextmanager
    def _lock(self) -> Iterator[None]:
        """Portage fetches several files at once; apt's directories are for one."""
        self.cache.mkdir(parents=True, exist_ok=True)
        with (self.cache / "lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _stale(self) -> bool:
        stamp = self.cache / "stamp"
        if not stamp.exists() or stamp.read_text() != sources_file(self.entries):
            return True
        return time.time() - stamp.stat().st_mtime > LISTS_ARE_FRESH

    def _refresh(self) -> bool:
        """Fetch the lists of source packages."""
        for directory in ("lists/partial", "archives/partial"):
            (self.cache / directory).mkdir(parents=True, exist_ok=True)
        (self.cache / "debian.sources").write_text(sources_file(self.entries))
        (self.cache / "apt.conf").write_text(_apt_conf(self.cache, _proxies()))
        result = self._apt("apt-get", "update", check=False)
        if result.returncode or not any((self.cache / "lists").glob("*Sources*")):
            said = (result.stderr or result.stdout).strip().splitlines()
            raise PrefixError(
                f"the lists of source packages cannot be had: {said[0] if said else 'no answer'}",
                hint="See that the machine reaches the servers in its apt sources.",
            )
        (self.cache / "stamp").write_text(sources_file(self.entries))
        return True

    def _find(self, wanted: Sequence[tuple[str, str]]) -> list[tuple[Source, str]]:
        names = dict.fromkeys(name for name, _ in wanted)
        # Its exit code says that one of them is unknown, which most of them are.
        shown = self._apt("apt-cache", "showsrc", "--only-source", *names, check=False)
        return choose(parse_sources(shown.stdout), wanted)

    def _download(self, found: Sequence[tuple[Source, str]], destination: Path) -> str:
        said = ""
        with tempfile.TemporaryDirectory(dir=destination.parent, prefix=".debian-") as directory:
            for source, file in found:
                # The tarball alone: of an older version, the rest may be gone.
                package = f"{source.name}={source.version}"
                argv = ("apt-get", "source", "--download-only", "--tar-only", package)
                result = self._apt(*argv, cwd=Path(directory), check=False)
                if (got := Path(directory) / file).is_file() and not result.returncode:
                    got.replace(destination)
                    return f"{file} of {source.name} {source.version}"
                said = (result.stderr.strip() or result.stdout.strip()).rpartition("\n")[2]
        raise PrefixError(
            f"{found[0][1]} cannot be downloaded: {said or 'apt-get did not bring it'}",
            hint="See that the machine reaches the servers in its apt sources.",
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


def _proxies() -> str:
    """Return the lines of the machine's apt configuration that say how to reach servers."""
    dump = process.run(["apt-config", "dump"], capture=True, package="apt").stdout
    wanted = re.compile(r"Acquire::(?:https?|ftp|Retries|ForceIPv|Proxy)", re.IGNORECASE)
    return "".join(f"{line}\n" for line in dump.splitlines() if wanted.match(line))


def _apt_conf(cache: Path, proxies: str) -> str:
    """Return a configuration under which apt touches nothing outside ``cache``.

    The machine's own is left out but for ``proxies``: it may have commands that run
    after an update, to clean up where we were not.
    """
    return (
        f'{proxies}Dir::Etc::main "/dev/null";\n'
        f'Dir::Etc::parts "/dev/null";\n'
        f'Dir::Etc::sourcelist "{cache}/debian.sources";\n'
        f'Dir::Etc::sourceparts "/dev/null";\n'
        f'Dir::State::lists "{cache}/lists/";\n'
        f'Dir::Cache "{cache}/";\n'
        f'Dir::Cache::archives "{cache}/archives/";\n'
        f'Acquire::Languages "none";\n'
        # The caller owns the directories; apt's own user may not enter them.
        f'APT::Sandbox::User "";\n'
    )


def archive(cache: Path, *, apt: Path = Path("/etc/apt"), os_release: str) -> Archive:
    """Return the source packages of this machine's distribution.

    :class:`PrefixError` on a machine that has no apt, or no entries of its distribution.
    """
    if not shutil.which("apt-get"):
        raise PrefixError(
            "this machine has no apt to take source packages from",
            hint="Put the file into DISTDIR by hand, or name a mirror with --mirror.",
        )
    entries = machine_entries(apt, codename=codename_of(os_release))
    if not entries:
        raise PrefixError(
            f"no list of sources below {apt} names the distribution's own archive",
            hint="Add its entry to the machine's apt sources, or name a mirror with --mirror.",
        )
    return Archive(cache, tuple(entries))
