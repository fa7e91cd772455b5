# SPDX-License-Identifier: BSD-3-Clause
"""Build a system extension from final: selection, audit, image and accompanying files."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from flatcar_prefix.errors import PrefixError, UsageError, of_system
from flatcar_prefix.image import beside, gpg, path_links, units, verity
from flatcar_prefix.image.extension_release import Release, check as check_release
from flatcar_prefix.image.formats import limits
from flatcar_prefix.image.formats.job import Job
from flatcar_prefix.image.formats.table import Format
from flatcar_prefix.image.formats.tree import TREE
from flatcar_prefix.image.options import (
    OptionFields,
    Options,
    check,
    check_directory,
    format_of,
    hiding,
    ignored,
    signer_of,
)
from flatcar_prefix.image.publish import publish
from flatcar_prefix.image.selection import Entry, Selection, select
from flatcar_prefix.image.service_files import Foreign
from flatcar_prefix.prefix import locks, registry
from flatcar_prefix.prefix.model import Prefix
from flatcar_prefix.prefix.registry import Named
from flatcar_prefix.system import process, work_dirs
from flatcar_prefix.system.near import suggestion
from flatcar_prefix.system.signals import interruptible

if TYPE_CHECKING:
    from typing_extensions import Unpack

    from flatcar_prefix.audit.findings import Report


_REGULAR = 0o100644


_TOLD = 3
"""The number of audit errors that the message quotes."""


def sysext(
    prefix: Named,
    output: Path | str | None = None,
    *,
    options: Options | None = None,
    progress: Callable[[str], object] | None = None,
    warn: Callable[[str], object] | None = None,
    **more: Unpack[OptionFields],
) -> Path:
    """Make the system extension image of ``prefix`` and return its path.

    ``output`` names the image and the extension; the default is ``<name>.raw`` in the working
    directory. ``more`` are fields of :class:`Options` that override ``options``. ``progress``
    is called with each step, and ``warn`` with each warning. The manifest, SHA256SUMS and the
    other requested files appear in the directory of the image. All files appear at the end;
    after an error, none appears.
    Raise :class:`PrefixError` if the audit finds errors or a tool fails, and
    :class:`UsageError` for options or a prefix that cannot make a system extension.
    """
    prefix = registry.load(prefix)
    if unknown := sorted(set(more) - set(OptionFields.__annotations__)):
        raise UsageError(
            f"sysext has no option {unknown[0]!r}",
            hint=f"{suggestion(unknown[0], OptionFields.__annotations__)}See help(sysext).",
        )
    wanted = replace(options or Options(), **more)
    with locks.at_rest(prefix.final):
        return _sysext(prefix, output, wanted, progress or (lambda _: None), warn)


def _sysext(
    prefix: Prefix,
    output: Path | str | None,
    wanted: Options,
    say: Callable[[str], object],
    warn: Callable[[str], object] | None,
) -> Path:
    form = format_of(wanted.format)
    target = _output(prefix, output, form)
    release = _release(prefix, wanted, _stem(target, form))
    check(prefix, wanted)
    check_directory(target.parent, wanted)
    signer = signer_of(wanted)
    if wanted.gpg_key:
        gpg.check_key(wanted.gpg_key)
    say("choosing files")
    chosen = choose(prefix, release, wanted)
    selection, epoch, release = chosen.selection, chosen.epoch, chosen.release
    limits.check(form.name, selection, epoch)
    audit = _audit(prefix, wanted, selection, say)
    facts = beside.gather(prefix.final, selection, wanted)
    selection = facts.with_statements(selection).at(epoch, clamp=wanted.epoch is not None)
    # Only here: an error in the prefix is the only message.
    for text in [*ignored(wanted), *_warnings(prefix, wanted, chosen)]:
        (warn or (lambda _: None))(text)
    with (
        _told_of(target),
        interruptible(),
        work_dirs.workplace(target.parent, _start(target)) as work,
    ):
        # Version 0.1.0 used this name.
        work_dirs.sweep(target.parent, f".{target.name}.part-")
        image = work / target.name
        scratch = work / ".scratch"
        scratch.mkdir()
        say(f"writing {form.name}")
        link_dir = prefix.final.tmpdir if prefix.final.tmpdir.is_dir() else None
        if link_dir:
            work_dirs.sweep(link_dir, TREE)
        labels = Path(wanted.selinux).absolute() if wanted.selinux else None
        job = Job(selection, epoch, image, scratch, link_dir, wanted.level, labels)
        form.make(job)
        signed = {}
        if signer:
            say("signing")
            signed = verity.wrap(job, release.architecture, signer)
        shutil.rmtree(scratch)
        if image.is_dir():
            process.run(["sync", "--file-system", image])
        say("writing the manifest")
        beside.write(prefix, wanted, release, job, facts, audit, chosen.foreign, signed)
        publish(work, target, own=beside.names(release.name), gpg_key=wanted.gpg_key)
    return target


def _warnings(prefix: Prefix, wanted: Options, chosen: Chosen) -> Iterator[str]:
    yield from hiding(prefix.eprefix, wanted.os_id)
    if wanted.units:
        yield from units.not_offered(chosen.selection, prefix.eprefix)
    yield from map(str, chosen.foreign)


@contextmanager
def _told_of(target: Path) -> Iterator[None]:
    """Raise an OSError again as an error about ``target``, without names of temporary files."""
    try:
        yield
    except OSError as error:
        if os.fsdecode(error.filename or "").startswith(os.fspath(target.parent / _start(target))):
            error.filename = None
        doing = f"{target} cannot be made"
        raise of_system(error, doing=doing, place=os.fspath(target.parent)) from error


def _output(prefix: Prefix, output: Path | str | None, form: Format) -> Path:
    path = Path(output) if output is not None else Path(prefix.name + form.suffix)
    if path.is_dir() and form.suffix:
        path = path / (prefix.name + form.suffix)
    if form.suffix and path.suffix != form.suffix:
        raise UsageError(
            f"{path.name}: a {form.name} image must have the suffix {form.suffix}",
            hint=f"Use the name {path.stem}{form.suffix}.",
        )
    if not path.parent.is_dir():
        raise PrefixError(
            f"the directory {path.parent} does not exist",
            hint="Create it, or choose another file with -o.",
        )
    if not form.suffix and path.exists():
        raise PrefixError(
            f"{path} already exists", hint="Remove it, or choose another directory with -o."
        )
    return Path(os.path.abspath(path))


def _stem(target: Path, form: Format) -> str:
    return target.name.removesuffix(form.suffix) if form.suffix else target.name


def _release(prefix: Prefix, wanted: Options, name: str) -> Release:
    return check_release(
        Release(
            name=name,
            architecture=prefix.board.systemd_arch,
            os_id=wanted.os_id,
            sysext_level=wanted.sysext_level,
            version_id=wanted.version_id,
            image_version=wanted.image_version,
            title=wanted.title,
            home_url=wanted.home_url,
            reload_manager=wanted.reload_manager,
        )
    )


def _audit(
    prefix: Prefix, wanted: Options, selection: Selection, say: Callable[[str], object]
) -> dict[str, Any]:
    """Audit only the selected files of final; return the manifest's entry about the audit.

    Raise :class:`PrefixError` if the audit finds errors.
    """
    if not wanted.verify:
        return {"run": False}
    from flatcar_prefix.audit.api import verify

    say("verifying")
    report = verify(prefix.final, shipped=[f"/{entry.path}" for entry in selection.entries])
    if not report.ok:
        raise PrefixError(
            f"the image would not be self-contained: {_errors(report)}",
            hint=_advice(prefix, wanted) + " To skip the audit, pass --no-verify.",
        )
    return {"run": True, "findings": dict(report.counts)}


def _errors(report: Report) -> str:
    from flatcar_prefix.audit.reporters import printable

    errors = [finding for finding in report.findings if finding.level == "error"]
    told = [f"{printable(each.path)} {printable(each.message)}" for each in errors[:_TOLD]]
    count = f"{len(errors)} error{'s' if len(errors) > 1 else ''}"
    return f"{count}: {'; '.join(told)}{'; ...' if len(errors) > _TOLD else ''}"


def _advice(prefix: Prefix, wanted: Options) -> str:
    see = f"flatcar-prefix verify {prefix.id} --as-shipped"
    if wanted.exclude:
        return f"Exclude fewer files with --exclude, and run {see}."
    return f"To list all findings, run: {see}."


@dataclass(frozen=True)
class Chosen:
    """The content of an image."""

    selection: Selection
    epoch: int
    """The time of directories, symlinks and generated files, in seconds since 1970."""
    release: Release
    """The release file, with the units to restart."""
    foreign: list[Foreign] = field(default_factory=list)
    """Files of the system that the prefix's units name."""


def choose(prefix: Prefix, release: Release, wanted: Options) -> Chosen:
    """Return the content of the image.

    Raise :class:`PrefixError` if units are requested and the prefix has none.
    """
    root, eprefix = prefix.final.path, prefix.eprefix
    selection = select(root, eprefix, keep=wanted.keep, exclude=wanted.exclude)
    more: list[Entry] = []
    foreign: list[Foreign] = []
    if wanted.units:
        offer = units.offered(selection, eprefix, release.name)
        if not offer.entries:
            raise PrefixError(
                f"the prefix has no units, sysusers.d or tmpfiles.d in {eprefix}/usr/lib",
                hint="Remove --units, or install a package with units.",
            )
        foreign = offer.foreign
        more += [entry for entry in offer.entries if entry.path not in selection.by_path]
        if wanted.reload_manager:
            release = replace(release, restart_units=offer.restart)
    else:
        accounts = units.accounts(selection, eprefix)
        more += [entry for entry in accounts if entry.path not in selection.by_path]
    text = release.text().encode()
    more.append(Entry(release.path, _REGULAR, len(text), content=text))
    more += path_links.entries(selection, eprefix, wanted.links)
    epoch = selection.newest() if wanted.epoch is None else wanted.epoch
    selection = selection.with_files(more).at(epoch, clamp=wanted.epoch is not None)
    return Chosen(selection, epoch, release, foreign)


def _start(target: Path) -> str:
    """Return the start of the names of temporary directories for ``target``."""
    # systemd-sysext takes a directory for an extension unless its name starts with ".#".
    return f".#{target.name}.part-"
