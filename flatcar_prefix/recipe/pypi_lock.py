# SPDX-License-Identifier: BSD-3-Clause
"""The lock file beside a recipe: the distributions that pip selected, with checksums."""

from __future__ import annotations

import email
import json
import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from flatcar_prefix.boards import Board
from flatcar_prefix.errors import BuildError, PrefixError
from flatcar_prefix.recipe.distfiles import sha256
from flatcar_prefix.recipe.model import lock_file
from flatcar_prefix.system import process, python as own_python
from flatcar_prefix.system.files import write_atomic
from flatcar_prefix.system.places import documentation
from flatcar_prefix.system.progress import Progress

FORMAT = 1

OLDEST_GLIBC, NEWEST_GLIBC = 5, 34
"""Minor versions of glibc 2 whose wheels are accepted; a prefix has 2.36 or newer."""

_PIP_NEEDED = (22, 3)
"""The first pip with ``--dry-run --report``."""


_HOMEPAGES = ("homepage", "home", "source", "source code", "code", "repository", "github")
"""Labels of project URLs, see "Well-known Project URLs in Metadata"."""


@dataclass(frozen=True)
class Locked:
    """One distribution of PyPI."""

    name: str
    """As PEP 503 normalises it."""
    version: str
    file: str
    sha256: str
    url: str
    """Empty if it is from a directory of this machine."""
    requires: tuple[str, ...]
    """Names of the distributions that it needs."""
    licence: str
    summary: str
    homepage: str

    @property
    def is_wheel(self) -> bool:
        return self.file.endswith(".whl")


@dataclass(frozen=True)
class Target:
    """The Python that distributions are for."""

    board: Board
    version: str
    """Such as ``3.11``."""
    provided: frozenset[str] = frozenset()
    """Distributions that the Python package itself contains."""


def locked(
    recipe: Path, requirements: Sequence[str], target: Target, *, anew: bool, say: Progress
) -> tuple[Locked, ...]:
    """Return the distributions that satisfy ``requirements``, for one board.

    Use the lock file if it has the same requirements. Otherwise pip resolves them, and the
    result is written to the lock file. ``anew`` ignores the content of the file.
    Raise :class:`PrefixError` if pip cannot resolve them.
    """
    file = lock_file(recipe)
    document = _read(file)
    asked = {
        "requirements": sorted(requirements),
        "python": target.version,
        "provided": sorted(target.provided),
    }
    found = document["boards"].get(target.board.name, {})
    if anew or {key: found.get(key) for key in asked} != asked:
        say(f"resolving {', '.join(requirements)} for Python {target.version}")
        packages = [asdict(one) for one in _resolve(requirements, target)]
        found = {**asked, "packages": packages}
        document["boards"][target.board.name] = found
        write_atomic(file, json.dumps(document, indent=2, sort_keys=True) + "\n")
    return tuple(Locked(**{**one, "requires": tuple(one["requires"])}) for one in found["packages"])


def _read(file: Path) -> dict[str, Any]:
    if not file.exists():
        return {"format": FORMAT, "boards": {}}
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
        if document["format"] == FORMAT and isinstance(document["boards"], dict):
            return dict(document)
        reason = f"its format is {document['format']}"
    except (ValueError, KeyError, TypeError) as error:
        reason = f"it is damaged ({error})"
    raise PrefixError(
        f"the lock file {file} cannot be used: {reason}",
        hint="Restore it, or delete it to resolve the requirements again.",
    )


def pip(version: str) -> list[str]:
    """Return the command of a pip that runs under a Python of ``version``.

    Requirements have markers, which pip evaluates for the Python that runs it.
    """
    for candidate in (own_python.interpreter(), f"python{version}", "python3"):
        if not shutil.which(candidate):
            continue
        code = "import pip, sys; print('%d.%d' % sys.version_info[:2], pip.__version__)"
        said = process.run([candidate, "-I", "-c", code], check=False, capture=True).stdout.split()
        if len(said) != 2 or said[0] != version:
            continue
        if tuple(map(int, said[1].split(".")[:2])) >= _PIP_NEEDED:
            return [candidate, "-m", "pip", "--disable-pip-version-check", "--no-input"]
    raise PrefixError(
        f"this machine has no Python {version} with pip {'.'.join(map(str, _PIP_NEEDED))} or newer",
        hint=f"Install it: the prefix has Python {version}, and pip resolves for the version"
        " that runs it.",
    )


def _resolve(requirements: Sequence[str], target: Target) -> Iterator[Locked]:
    """Ask pip, for wheels first; then, on a board of this machine, for sdists, too."""
    command = pip(target.version)
    with tempfile.TemporaryDirectory(prefix="flatcar-prefix-") as directory:
        report = Path(directory) / "report.json"
        base = [*command, "install", "--quiet", "--dry-run", "--ignore-installed",
                "--report", os.fspath(report), "--target", directory]  # fmt: skip
        try:
            _run([*base, *wheel_options(target), *requirements])
        except BuildError as error:
            if not target.board.is_native:
                raise PrefixError(
                    str(error),
                    hint="Require versions that have wheels for this architecture: sdists are"
                    f" built on {target.board.uname_machine} machines only. Is there a network?",
                ) from error
            _run([*base, *requirements])
        document = json.loads(report.read_text(encoding="utf-8"))
    yield from _read_report(document, target)


def _run(command: Sequence[str], *, cannot: str = "resolve the requirements") -> None:
    try:
        process.run(command, capture=True)
    except BuildError as error:
        lines = [line for line in str(error).split(" | ") if "ERROR" in line] or [str(error)]
        raise BuildError(
            f"pip cannot {cannot}: {' '.join(lines)}",
            hint="Correct the requirements; is there a network?",
        ) from error


def wheel_options(target: Target) -> list[str]:
    """Return pip's options for wheels that run on the board."""
    machine, digits = target.board.uname_machine, target.version.replace(".", "")
    platforms = [f"manylinux_2_{n}_{machine}" for n in range(NEWEST_GLIBC, OLDEST_GLIBC - 1, -1)]
    platforms += [f"{name}_{machine}" for name in ("manylinux2014", "manylinux2010", "manylinux1")]
    return [
        "--only-binary=:all:", "--implementation=cp", f"--python-version={target.version}",
        f"--abi=cp{digits}", "--abi=abi3", "--abi=none",
        *(f"--platform={name}" for name in platforms),
    ]  # fmt: skip


def _read_report(document: Mapping[str, Any], target: Target) -> Iterator[Locked]:
    """Yield the distributions of pip's installation report, in the order of names."""
    installs = [one for one in document["install"]
                if canonicalize_name(one["metadata"]["name"]) not in target.provided]  # fmt: skip
    names = {canonicalize_name(one["metadata"]["name"]) for one in installs}
    extras = _extras(installs)
    for one in sorted(installs, key=lambda each: canonicalize_name(each["metadata"]["name"])):
        metadata, download = one["metadata"], one["download_info"]
        name, url = canonicalize_name(metadata["name"]), download["url"]
        yield Locked(
            name=name,
            version=metadata["version"],
            file=os.path.basename(unquote(urlsplit(url).path)),
            sha256=_sha256_of(download),
            url=url if urlsplit(url).scheme == "https" else "",
            requires=tuple(sorted(names & set(_requires(metadata, extras.get(name, ()), target)))),
            licence=_licence(metadata),
            summary=metadata.get("summary") or "",
            homepage=_homepage(metadata),
        )


def _sha256_of(download: Mapping[str, Any]) -> str:
    info = download.get("archive_info", {})
    named = info.get("hashes", {}).get("sha256") or info.get("hash", "").removeprefix("sha256=")
    if named:
        return str(named)
    parts = urlsplit(download["url"])
    if parts.scheme == "file":
        return sha256(Path(unquote(parts.path)))
    raise PrefixError(
        f"the index has no SHA-256 of {download['url']}",
        hint="Use an index that has checksums, such as PyPI itself.",
    )


def _environment(target: Target) -> dict[str, str]:
    return {
        "python_version": target.version,
        "python_full_version": f"{target.version}.0",
        "implementation_name": "cpython",
        "platform_python_implementation": "CPython",
        "sys_platform": "linux",
        "platform_system": "Linux",
        "os_name": "posix",
        "platform_machine": target.board.uname_machine,
    }


def _extras(installs: Iterable[Mapping[str, Any]]) -> dict[str, set[str]]:
    """Return the extras that the requirements select for each distribution."""
    found: dict[str, set[str]] = {}
    for one in installs:
        found.setdefault(canonicalize_name(one["metadata"]["name"]), set()).update(
            one.get("requested_extras") or ()
        )
        for text in one["metadata"].get("requires_dist") or ():
            requirement = Requirement(text)
            found.setdefault(canonicalize_name(requirement.name), set()).update(requirement.extras)
    return found


def _requires(metadata: Mapping[str, Any], extras: Iterable[str], target: Target) -> Iterator[str]:
    environment = _environment(target)
    for text in metadata.get("requires_dist") or ():
        requirement = Requirement(text)
        marker = requirement.marker
        if marker is None or any(
            marker.evaluate({**environment, "extra": extra}) for extra in ("", *extras)
        ):
            yield canonicalize_name(requirement.name)


def _licence(metadata: Mapping[str, Any]) -> str:
    """Return the licence as the metadata spells it, which has no fixed form."""
    if expression := metadata.get("license_expression"):
        return str(expression)
    for classifier in metadata.get("classifier") or ():
        parts = [part.strip() for part in classifier.split("::")]
        if parts[0] == "License" and len(parts) > 2:
            return str(parts[-1])
    text = str(metadata.get("license") or "").strip()
    return text if 0 < len(text) <= 40 and "\n" not in text else ""


def _homepage(metadata: Mapping[str, Any]) -> str:
    if page := metadata.get("home_page"):
        return str(page)
    urls = dict(text.partition(", ")[::2] for text in metadata.get("project_url") or ())
    wanted = {name: url for name, url in urls.items() if name.lower() in _HOMEPAGES}
    return str(next(iter([*wanted.values(), *urls.values()]), ""))


def download(one: Locked, directory: Path, version: str) -> Path:
    """Fetch a locked file to ``directory`` with pip, which verifies its checksum; return it.

    From a source distribution pip builds a wheel. :class:`PrefixError` for one that is not
    pure Python: it would be compiled for this machine.
    """
    with tempfile.TemporaryDirectory(prefix="flatcar-prefix-") as scratch:
        listed = Path(scratch) / "requirements.txt"
        where = f"{one.name} @ {one.url}" if one.url else f"{one.name}=={one.version}"
        listed.write_text(f"{where} --hash=sha256:{one.sha256}\n", encoding="utf-8")
        verb = ["download"] if one.is_wheel else ["wheel", "--use-pep517"]
        out = Path(scratch) / "out"
        options = ["--dest" if one.is_wheel else "--wheel-dir", os.fspath(out)]
        foreign = ["--no-deps", "--quiet", "--require-hashes"]
        if one.is_wheel:
            foreign += _tags_of(one.file)
        _run([*pip(version), *verb, *foreign, *options, "--requirement", os.fspath(listed)],
             cannot=f"{'fetch' if one.is_wheel else 'build'} {one.file}")  # fmt: skip
        found = next(out.iterdir())
        if not one.is_wheel and not found.name.endswith("-none-any.whl"):
            raise PrefixError(
                f"{one.name} {one.version} has no wheel and is not pure Python",
                hint="Require a version that has wheels, or write an ebuild that compiles it"
                f" ({documentation('your-own-software.md')}).",
            )
        target = directory / found.name
        shutil.copyfile(found, target.with_name(f".{target.name}.new"))
        target.with_name(f".{target.name}.new").replace(target)
        return target


def licence_of(wheel: Path) -> str:
    """Return License-Expression of a wheel (PEP 639); empty without one.

    The report of an older pip does not have this field.
    """
    with zipfile.ZipFile(wheel) as archive:
        name = next((n for n in archive.namelist() if n.endswith(".dist-info/METADATA")), "")
        text = archive.read(name) if name else b""
    return str(email.message_from_bytes(text).get("License-Expression", ""))


def _tags_of(wheel: str) -> list[str]:
    """Return the options that make pip fetch exactly this wheel, on any machine."""
    python, abi, platform = wheel.removesuffix(".whl").split("-")[-3:]
    options = ["--only-binary=:all:"]
    if platform != "any":
        options += [f"--platform={name}" for name in platform.split(".")]
        options += [f"--abi={name}" for name in abi.split(".")]
        digits = python.split(".")[0].removeprefix("cp")
        options += ["--implementation=cp"] if python.startswith("cp") else []
        options += [f"--python-version={digits}"] if digits.isdigit() else []
    return options
