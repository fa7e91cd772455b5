# SPDX-License-Identifier: BSD-3-Clause
"""Small prefixes to audit."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import verify_objects as objects
from verify_mini import Mini
from verify_objects import EPREFIX


@pytest.fixture(scope="session")
def clean(tmp_path_factory: pytest.TempPathFactory) -> Mini:
    """A prefix without a fault, which tests do not change."""
    mini = Mini(tmp_path_factory.mktemp("clean"))
    objects.loader(mini / "lib64/ld-linux-x86-64.so.2")
    libc = objects.libc(mini / "lib64/libc.so.6")
    foo = objects.library(mini / "usr/lib64/libfoo.so.1", libc)
    objects.program(mini / "usr/bin/foo", foo, libc)
    mini.link("usr/lib64/libfoo.so", "libfoo.so.1")
    mini.write("bin/sh", "\n", 0o755)
    mini.write("usr/bin/script", f"#!{EPREFIX}/bin/sh\n", 0o755)
    mini.write("usr/lib64/pkgconfig/foo.pc", f"prefix={EPREFIX}/usr\n")
    return mini


@pytest.fixture
def mini(clean: Mini, tmp_path: Path) -> Mini:
    """A prefix without a fault, in which tests plant one."""
    shutil.copytree(clean.root, tmp_path / "mini", symlinks=True)
    return Mini(tmp_path / "mini")


@pytest.fixture
def as_user() -> Callable[[Callable[[], None]], None]:
    """Return a function that runs another one as the user nobody, in a separate process."""

    def run(function: Callable[[], None]) -> None:
        child = os.fork()
        if not child:
            try:
                os.setgroups([])
                os.setgid(65534)
                os.setuid(65534)
                function()
                os._exit(0)
            except BaseException as error:
                os.write(2, f"{error!r}\n".encode())
                os._exit(1)
        assert os.waitpid(child, 0)[1] == 0

    return run


EBUILDS = {
    "fine": """
	newbin - fine-script <<< "#!${EPREFIX}/bin/sh"
	fperms +x /usr/bin/fine-script
	insinto /etc
	newins - fine.conf <<< "setting = 1"
	insinto /usr/share/fine
	newins - data <<< "data"
	dosym data /usr/share/fine/link
	exeinto /bin
	newexe - sh <<< ""
""",
    "faulty": """
	newbin - faulty-script <<< "#!/bin/ksh"
	newbin - su <<< ""
	fperms 4755 /usr/bin/su
	dosym nothing /usr/share/link
""",
}


@pytest.fixture(scope="session")
def real(tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    """A prefix of ``setup_prefix``, two packages to build, and a function that runs ebuild(1).

    The QA check is in Portage's directory for such checks.
    """
    import subprocess

    import flatcar_prefix
    from flatcar_prefix.system.places import data_dir

    base = tmp_path_factory.mktemp("real")
    overlay = base / "overlay"
    for name, text in {
        "profiles/repo_name": "verify-test\n",
        "profiles/categories": "app-misc\n",
        "metadata/layout.conf": "masters =\nthin-manifests = true\n",
        **{
            f"app-misc/{name}/{name}-1.ebuild": (
                'EAPI=8\nDESCRIPTION="a test"\nSLOT="0"\nKEYWORDS="amd64"\nS="${WORKDIR}"\n'
                f"src_install() {{{body}}}\n"
            )
            for name, body in EBUILDS.items()
        },
    }.items():
        (overlay / name).parent.mkdir(parents=True, exist_ok=True)
        (overlay / name).write_text(text)
    places = {"BUILD": "build", "CACHE": "cache", "STATE": "state", "WRAPPER": "bin"}
    with pytest.MonkeyPatch.context() as patch:
        for variable, name in places.items():
            patch.setenv(f"FLATCAR_PREFIX_{variable}_DIR", os.fspath(base / name))
        prefix = flatcar_prefix.setup(
            "verify-test",
            "/opt/verify-test",
            final_dir=base / "final",
            custom_ebuild_overlays=[overlay],
            bootstrap="none",
        )
    hooks = prefix.host_dir / "usr/lib/install-qa-check.d"
    hooks.parent.mkdir(parents=True, exist_ok=True)
    if not hooks.exists():
        hooks.symlink_to(data_dir() / "eclass-helpers/install-qa-check.d")

    def ebuild(name: str, *phases: str, **variables: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [
                *(Path(sys.executable).with_name("ebuild"), "--color=n"),
                *(overlay / f"app-misc/{name}/{name}-1.ebuild", "clean", *phases),
            ],
            env={
                "PATH": os.environ["PATH"],
                "HOME": os.fspath(base),
                **prefix.staging.environment(),
                **variables,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )

    merged = ebuild("fine", "merge")
    assert merged.returncode == 0, merged.stdout
    return SimpleNamespace(prefix=prefix, ebuild=ebuild, built=merged.stdout)
