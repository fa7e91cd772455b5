# SPDX-License-Identifier: BSD-3-Clause
"""From final to a system extension: audit, selection, image, and what lies beside it."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flatcar_prefix.errors import PrefixError, UsageError, of_system
from flatcar_prefix.image import manifest, sbom, sha256sums, sysupdate, units, work_dirs
from flatcar_prefix.image.extension_release import ANY, Release, check
from flatcar_prefix.image.formats.job import Job
from flatcar_prefix.image.formats.table import FORMATS, Format
from flatcar_prefix.image.formats.tree import TREE
from flatcar_prefix.image.publish import publish, write_text
from flatcar_prefix.image.selection import MERGED, RULES, Entry, Selection, select
from flatcar_prefix.prefix.model import Prefix
from flatcar_prefix.system import process
from flatcar_prefix.system.signals import interruptible

if TYPE_CHECKING:
    from flatcar_prefix.audit.findings import Report


_REGULAR = 0o100644


_TOLD = 3
"""Errors of the audit that are told one by one."""


@dataclass(frozen=True)
class Options:
    """What the caller wants of an image; see ``flatcar-prefix sysext --help``."""

    format: str = "squashfs"
    os_id: str = ANY
    sysext_level: str = ""
    version_id: str = ""
    reload_manager: bool = False
    units: bool = False
    keep: tuple[str, ...] = ()
    """Names of rules that do not apply: ``portage``, ``devel``, ``docs``, ``cache``."""
    exclude: tuple[str, ...] = ()
    sbom: str = ""
    """``spdx`` or ``cyclonedx``; empty for none."""
    sysupdate: str = ""
    """URL of the directory from which systems download images; empty for none."""
    image_version: str = ""
    epoch: int | None = None
    """SOURCE_DATE_EPOCH: no file of the image is newer. By default the newest file's time."""
    verify: bool = True
    level: int | None = None


def sysext(
    prefix: Prefix,
    output: Path | str | None = None,
    *,
    options: Options | None = None,
    progress: Callable[[str], None] | None = None,
    warn: Callable[[str], None] | None = None,
    **more: Any,
) -> Path:
    """Make the system extension image of ``prefix`` and return where it is.

    ``output`` (default ``<name>.raw`` in the working directory) names the image and the
    extension. ``more`` are fields of :class:`Options`, in place of ``options`` or on top of
    it. ``progress`` is told of each step, ``warn`` of what may not be meant. Beside the image
    come its manifest, SHA256SUMS, and what else was asked for. Nothing appears before all of
    it is done, and nothing is left behind when it cannot be.
    :class:`PrefixError` when the audit finds errors or a tool fails; :class:`UsageError`
    for what cannot be a system extension.
    """
    wanted = replace(options or Options(), **more)
    say = progress or (lambda _: None)
    form = _format(wanted.format)
    target = _output(prefix, output, form)
    release = _release(prefix, wanted, _stem(target, form))
    _check(prefix, wanted)
    say("choosing files")
    chosen = choose(prefix, release, wanted)
    selection, epoch = chosen.selection, chosen.epoch
    for foreign in chosen.foreign:
        (warn or (lambda _: None))(str(foreign))
    audit = _audit(prefix, wanted, selection, say)
    with (
        _told_of(target),
        interruptible(),
        work_dirs.workplace(target.parent, _start(target)) as work,
    ):
        image = work / target.name
        scratch = work / ".scratch"
        scratch.mkdir()
        say(f"writing {form.name}")
        link_dir = prefix.final.tmpdir if prefix.final.tmpdir.is_dir() else None
        if link_dir:
            work_dirs.sweep(link_dir, TREE)
        job = Job(selection, epoch, image, scratch, link_dir, wanted.level)
        form.make(job)
        shutil.rmtree(scratch)
        if image.is_dir():
            process.run(["sync", "--file-system", image])
        say("writing the manifest")
        _beside(prefix, wanted, release, job, audit, chosen.foreign)
        publish(work, target)
    return target


@contextmanager
def _told_of(target: Path) -> Iterator[None]:
    """Within, what the system refuses is told of ``target``, not of files that are gone."""
    try:
        yield
    except OSError as error:
        if os.fsdecode(error.filename or "").startswith(os.fspath(target.parent / _start(target))):
            error.filename = None
        raise of_system(error, doing=f"{target} cannot be made") from error


def _format(name: str) -> Format:
    try:
        return FORMATS[name]
    except KeyError:
        raise UsageError(
            f"unknown format {name!r}", hint=f"Choose one of: {', '.join(FORMATS)}."
        ) from None


def _output(prefix: Prefix, output: Path | str | None, form: Format) -> Path:
    path = Path(output) if output is not None else Path(prefix.name + form.suffix)
    if path.is_dir() and form.suffix:
        path = path / (prefix.name + form.suffix)
    if form.suffix and path.suffix != form.suffix:
        raise UsageError(
            f"{path.name} is not the name of a {form.name} image",
            hint=f"Name it {path.stem}{form.suffix}: systemd finds images by their suffix.",
        )
    if not path.parent.is_dir():
        raise PrefixError(
            f"there is no directory {path.parent}", hint="Make it, or give another -o FILE."
        )
    if not form.suffix and path.exists():
        raise PrefixError(
            f"{path} exists already", hint="Remove it first, or give another -o DIRECTORY."
        )
    return Path(os.path.abspath(path))


def _stem(target: Path, form: Format) -> str:
    return target.name.removesuffix(form.suffix) if form.suffix else target.name


def _release(prefix: Prefix, wanted: Options, name: str) -> Release:
    return check(
        Release(
            name=name,
            architecture=prefix.board.systemd_arch,
            os_id=wanted.os_id,
            sysext_level=wanted.sysext_level,
            version_id=wanted.version_id,
            reload_manager=wanted.reload_manager,
        )
    )


def _check(prefix: Prefix, wanted: Options) -> None:
    """Raise what can be said without reading the prefix."""
    if prefix.eprefix.split("/")[1] not in MERGED:
        raise UsageError(
            f"{prefix.eprefix} would not appear on any system: only /usr and /opt are merged",
            hint=f"Set the prefix up again below them, such as at /opt{prefix.eprefix}.",
        )
    _check_level(FORMATS[wanted.format], wanted.level)
    if unknown := set(wanted.keep) - {rule.name for rule in RULES}:
        raise UsageError(
            f"there is no rule {', '.join(sorted(unknown))}",
            hint=f"Rules are: {', '.join(rule.name for rule in RULES)}.",
        )
    if wanted.sbom and wanted.sbom not in sbom.SBOMS:
        raise UsageError(
            f"unknown bill of materials {wanted.sbom!r}",
            hint=f"Choose one of: {', '.join(sbom.SBOMS)}.",
        )
    if wanted.image_version:
        sysupdate.check_version(wanted.image_version)
    if wanted.sysupdate:
        sysupdate.check_url(wanted.sysupdate)
        if FORMATS[wanted.format].suffix != ".raw":
            raise UsageError(
                f"systemd-sysupdate transfers no {wanted.format}",
                hint="Choose a format that makes an image, such as squashfs.",
            )
    if not prefix.final.eroot.is_dir():
        raise PrefixError(
            f"there is nothing in {prefix.final.eroot}",
            hint=f"Install something first, such as: emerge-prefix-{prefix.id} sys-apps/grep",
        )


def _check_level(form: Format, level: int | None) -> None:
    if level is None or level in form.levels:
        return
    if not form.levels:
        raise UsageError(f"{form.name} is not compressed", hint="Leave out --compression-level.")
    raise UsageError(
        f"{form.name} has no compression level {level}",
        hint=f"Choose one from {form.levels[0]} to {form.levels[-1]}.",
    )


def _audit(
    prefix: Prefix, wanted: Options, selection: Selection, say: Callable[[str], None]
) -> dict[str, Any]:
    """Audit what of final is shipped, as if there were nothing else; return what it says."""
    if not wanted.verify:
        return {"run": False}
    from flatcar_prefix.audit.api import verify

    say("verifying")
    report = verify(prefix.final, shipped=[f"/{entry.path}" for entry in selection.entries])
    if not report.ok:
        raise PrefixError(
            f"the image would not be self-contained: {_errors(report)}",
            hint=_advice(prefix, wanted) + " Or ship it all the same with --no-verify.",
        )
    return {"run": True, "findings": dict(report.counts)}


def _errors(report: Report) -> str:
    from flatcar_prefix.audit.reporters import printable

    errors = [finding for finding in report.findings if finding.level == "error"]
    told = [f"{printable(each.path)} {printable(each.message)}" for each in errors[:_TOLD]]
    count = f"{len(errors)} error{'s' if len(errors) > 1 else ''}"
    return f"{count}: {'; '.join(told)}{'; ...' if len(errors) > _TOLD else ''}"


def _advice(prefix: Prefix, wanted: Options) -> str:
    see = f"flatcar-prefix verify {prefix.id}"
    if wanted.exclude:
        return f"Leave out less by --exclude, and see {see}."
    return f"See them with: {see}."


@dataclass(frozen=True)
class Chosen:
    """What goes into an image."""

    selection: Selection
    epoch: int
    """The time of everything that has none of its own."""
    foreign: list[units.Foreign] = field(default_factory=list)
    """Programs of the system that the units offered to it start."""


def choose(prefix: Prefix, release: Release, wanted: Options) -> Chosen:
    """Return what goes into the image."""
    root, eprefix = prefix.final.path, prefix.eprefix
    selection = select(root, eprefix, keep=wanted.keep, exclude=wanted.exclude)
    text = release.text().encode()
    more = [Entry(release.path, _REGULAR, len(text), content=text)]
    foreign: list[units.Foreign] = []
    if wanted.units:
        offered, foreign = units.offered(selection, eprefix)
        if not offered:
            raise PrefixError(
                f"the prefix has no units, sysusers.d or tmpfiles.d in {eprefix}/usr/lib",
                hint="Leave out --units.",
            )
        more += [entry for entry in offered if entry.path not in selection.by_path]
    epoch = selection.newest() if wanted.epoch is None else wanted.epoch
    selection = selection.with_files(more).at(epoch, clamp=wanted.epoch is not None)
    return Chosen(selection, epoch, foreign)


def _beside(
    prefix: Prefix,
    wanted: Options,
    release: Release,
    job: Job,
    audit: Mapping[str, Any],
    foreign: Sequence[units.Foreign],
) -> None:
    """Write the files that go beside the image, next to it in the workplace."""
    work, contents = job.output.parent, manifest.contents(prefix.final, job.selection)
    image: dict[str, Any] = {
        "name": release.name,
        "file": job.output.name,
        "format": wanted.format,
        "epoch": job.epoch,
        "content": job.uuid,
        "files": sum(not entry.is_dir for entry in job.selection.entries),
        "unpacked_size": job.selection.size,
    }
    if job.output.is_file():
        image |= {"size": job.output.stat().st_size, "sha256": sha256sums.sha256(job.output)}
    document = manifest.manifest(
        root=prefix.final,
        release=release,
        contents=contents,
        selection=job.selection,
        image=image,
        audit=audit,
        foreign=[vars(each) for each in foreign],
        options={"keep": sorted(wanted.keep), "exclude": list(wanted.exclude)},
    )
    write_text(work / f"{release.name}.manifest.json", manifest.to_json(document))
    if wanted.sbom:
        suffix, maker = sbom.SBOMS[wanted.sbom]
        places = [repository.location for repository in prefix.repositories]
        bill = maker(image, contents.packages, epoch=job.epoch, repositories=places)
        write_text(work / f"{release.name}{suffix}", manifest.to_json(bill))
    if wanted.sysupdate:
        version = wanted.image_version or sysupdate.version_at(job.epoch)
        url = sysupdate.check_url(wanted.sysupdate)
        text = sysupdate.transfer(release.name, url, release.architecture)
        write_text(work / f"{release.name}.conf", text)
        os.link(
            job.output, work / sysupdate.image_name(release.name, version, release.architecture)
        )


def _start(target: Path) -> str:
    """Return what the name of a workplace begins with."""
    return f".{target.name}.part-"
