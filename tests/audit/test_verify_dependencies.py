# SPDX-License-Identifier: BSD-3-Clause
"""Dependencies that package.provided names."""

from __future__ import annotations

from types import SimpleNamespace

from flatcar_prefix.audit.api import verify
from flatcar_prefix.prefix.record import read

EPREFIX = "/opt/verify-test"


def test_a_dependency_that_is_only_provided_is_noted(real: SimpleNamespace) -> None:
    staging = read(real.prefix.staging_dir).staging
    entry = staging.eroot / "var/db/pkg/app-misc/fine-1"
    provided = staging.config_dir / "profile/package.provided/zz-user"
    rdepend, before = entry / "RDEPEND", provided.read_text()
    had = rdepend.read_text() if rdepend.exists() else None
    try:
        rdepend.write_text("dev-libs/absent || ( app-misc/fine dev-libs/other ) sys-libs/glibc\n")
        assert verify(read(real.prefix.staging_dir).staging).findings == ()
        provided.write_text("dev-libs/absent-1\ndev-libs/other-1\n")
        report = verify(read(real.prefix.staging_dir).staging)
    finally:
        provided.write_text(before)
        rdepend.unlink()
        if had is not None:
            rdepend.write_text(had)
    (finding,) = report.findings
    assert (finding.code, finding.level) == ("depend-provided", "note")
    assert (finding.path, finding.package) == (
        f"{EPREFIX}/var/db/pkg/app-misc/fine-1",
        "app-misc/fine-1",
    )
    assert "dev-libs/absent" in finding.message
    assert report.ok
