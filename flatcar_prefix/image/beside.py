# SPDX-License-Identifier: BSD-3-Clause
"""The files beside an image: the manifest, and those that the options request."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from flatcar_prefix.image import butane, gpg, manifest, provenance, sha256sums, sysupdate
from flatcar_prefix.image.components import Component, components
from flatcar_prefix.image.extension_release import Release
from flatcar_prefix.image.formats.job import Job
from flatcar_prefix.image.options import Options
from flatcar_prefix.image.publish import write_text
from flatcar_prefix.image.sbom.document import Bill
from flatcar_prefix.image.sbom.table import SBOMS, maker
from flatcar_prefix.image.selection import Selection
from flatcar_prefix.image.service_files import Foreign
from flatcar_prefix.prefix.model import Prefix, Root
from flatcar_prefix.sandbox.confinement import confined


@dataclass(frozen=True)
class Facts:
    """What the accompanying files say about the packages of an image."""

    contents: manifest.Contents
    components: tuple[Component, ...] = ()
    recorder: provenance.Recorder | None = None

    def with_statements(self, selection: Selection) -> Selection:
        """Return a selection with the provenance of each package, if it is requested."""
        if self.recorder is None:
            return selection
        return selection.with_files(self.recorder.packages(self.components))


def gather(root: Root, selection: Selection, wanted: Options) -> Facts:
    """Return the facts that the options request, from the VDB and the repositories."""
    found = manifest.contents(root, selection)
    if not (wanted.sbom or wanted.provenance):
        return Facts(found)
    recorder = provenance.Recorder(root, wanted.provenance) if wanted.provenance else None
    # Portage sources an ebuild whose metadata are not cached.
    with confined(root.prefix):
        return Facts(found, components(root, selection, found.packages), recorder)


def names(name: str) -> list[str]:
    """Return the names of the files that describe the image ``name``, if they are requested."""
    return [name + suffix for suffix in (*SBOMS.values(), provenance.SUFFIX, butane.SUFFIX)]


def write(
    prefix: Prefix,
    wanted: Options,
    release: Release,
    job: Job,
    facts: Facts,
    audit: Mapping[str, Any],
    foreign: Sequence[Foreign],
    signed: Mapping[str, str],
) -> None:
    """Write the accompanying files of the image into the image's temporary directory."""
    work = job.output.parent
    image = _image(wanted, release, job, signed)
    document = manifest.manifest(
        root=prefix.final,
        release=release,
        contents=facts.contents,
        selection=job.selection,
        image=image,
        audit=audit,
        foreign=[vars(each) for each in foreign],
        options={"keep": sorted(wanted.keep), "exclude": list(wanted.exclude)},
    )
    write_text(work / f"{release.name}.manifest.json", manifest.to_json(document))
    if wanted.sbom:
        bill = maker(wanted.sbom)(_bill(prefix, job, facts, image))
        write_text(work / f"{release.name}{SBOMS[wanted.sbom]}", manifest.to_json(bill))
    if facts.recorder:
        subject = {"name": job.output.name, "sha256": image["sha256"]}
        statement = facts.recorder.image(subject, _options(wanted), facts.components)
        write_text(work / f"{release.name}{provenance.SUFFIX}", manifest.to_json(statement))
    if wanted.sysupdate:
        _for_sysupdate(work, wanted, release, job)


def _image(
    wanted: Options, release: Release, job: Job, signed: Mapping[str, str]
) -> dict[str, Any]:
    """Return the manifest's entry about the image."""
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
    return image | ({"verity": dict(signed)} if signed else {})


def _bill(prefix: Prefix, job: Job, facts: Facts, image: Mapping[str, Any]) -> Bill:
    owned = {entry.path for component in facts.components for entry in component.entries}
    rest = [e for e in job.selection.entries if e.is_file and e.path not in owned]
    places = [Path(repository.location) for repository in prefix.repositories]
    return Bill(image, facts.components, rest, job.epoch, places)


def _options(wanted: Options) -> dict[str, Any]:
    """Return the options that shape the image, without those of the build machine."""
    local = {"sign_key", "sign_cert", "gpg_key", "provenance", "verify", "butane"}
    found = {key: value for key, value in asdict(wanted).items() if value and key not in local}
    if wanted.selinux:  # The file lies on the build machine.
        found["selinux"] = f"sha256:{sha256sums.sha256(Path(wanted.selinux))}"
    return found


def _for_sysupdate(work: Path, wanted: Options, release: Release, job: Job) -> None:
    """Write the transfer files, and give the image and its description a versioned name."""
    version = wanted.image_version or sysupdate.version_at(job.epoch)
    url = sysupdate.check_url(wanted.sysupdate)
    text = sysupdate.transfer(release.name, url, release.architecture, signed=bool(wanted.gpg_key))
    for suffix in sysupdate.SUFFIXES:
        write_text(work / f"{release.name}{suffix}", text)
    versioned = sysupdate.image_name(release.name, version, release.architecture)
    os.link(job.output, work / versioned)
    for path in list(work.glob(f"{release.name}.*.json")):
        suffix = path.name.removeprefix(release.name)
        os.link(path, work / f"{versioned.removesuffix('.raw')}{suffix}")
    if wanted.butane:
        machine = butane.Machine(
            name=release.name,
            os_id=wanted.os_id,
            url=url,
            image=versioned,
            sha256=sha256sums.sha256(job.output),
            transfers={f"{release.name}{suffix}": text for suffix in sysupdate.SUFFIXES},
            keyring=gpg.public_key(wanted.gpg_key) if wanted.gpg_key else b"",
            certificate=butane.certificate_of(wanted.sign_cert) if wanted.sign_cert else "",
        )
        write_text(work / f"{release.name}{butane.SUFFIX}", butane.configuration(machine))
