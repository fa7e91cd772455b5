# SPDX-License-Identifier: BSD-3-Clause
"""The complete text of every generated file, for each board, for review.

``pytest --update-golden tests/config/test_golden.py`` writes the present texts.
"""

from __future__ import annotations

import difflib
from dataclasses import replace
from pathlib import Path

import pytest
from machine import CHECKOUT

from flatcar_prefix.boards import BOARDS, board
from flatcar_prefix.config import build_host, make_conf
from flatcar_prefix.config.helpers import bashrc
from flatcar_prefix.config.machine_packages import Package
from flatcar_prefix.config.root import config_files, shared
from flatcar_prefix.prefix.environment import repository_variables
from flatcar_prefix.prefix.model import Prefix, Toolchain
from flatcar_prefix.prefix.record import from_record, to_record
from flatcar_prefix.prefix.repository import Repository, repos_conf
from flatcar_prefix.toolchain import find as toolchains
from flatcar_prefix.toolchain.tools import HOST_TOOLS, Layout, tool_scripts

GOLDEN = CHECKOUT / "tests/config/golden"
LAUNCHER = ("/opt/venv/bin/python3", "-I", "/opt/flatcar-prefix/launch.py")
FEATURES = ("-sandbox", "-usersandbox")
SCRIPTS = Path("/srv/scripts")


def prefix_of(name: str) -> Prefix:
    """Return a prefix that does not depend on the machine."""
    the_board = board(name)
    triplet = the_board.host_triplets[0]
    return Prefix(
        name="my-stuff",
        eprefix="/usr/local/my-stuff",
        board=the_board,
        staging_dir=Path(f"/build/prefix-{name}/my-stuff"),
        final_dir=SCRIPTS / "__prefix__" / name / "my-stuff",
        repositories=(
            Repository(
                "gentoo-subset", SCRIPTS / "repos/gentoo-subset", aliases=("portage-stable",)
            ),
            Repository("flatcar-overlay", SCRIPTS / "repos/flatcar-overlay", ("gentoo-subset",)),
            Repository(
                "prefix-overlay", SCRIPTS / "repos/prefix-overlay", ("gentoo-subset",), 1000
            ),
            Repository("mine", Path("/home/me/over lay"), ("gentoo-subset",), 1001),
        ),
        main_repo="gentoo-subset",
        distdir=Path("/var/cache/flatcar-prefix/distfiles"),
        depcachedir=Path("/var/cache/flatcar-prefix/depcache"),
        toolchain=Toolchain(
            kind="host",
            cc=f"/usr/bin/{triplet}-gcc",
            cxx=f"/usr/bin/{triplet}-g++",
            binutils_prefix=f"/usr/bin/{triplet}-",
            sysroot="",
            version=f"{triplet}-gcc (Debian 12.2.0-14) 12.2.0",
            libc_version="2.36",
            cbuild="x86_64-pc-linux-gnu",
        ),
        profile=f"gentoo-subset:{the_board.profiles[0]}",
    )


def generated(prefix: Prefix) -> dict[str, str]:
    """Return every generated text, by its path."""
    texts: dict[str, str] = {}
    for root in (prefix.staging, prefix.final):
        files = config_files(root, jobs=8, launcher=LAUNCHER, features=FEATURES)
        for name, text in sorted(files.items()):
            texts[f"{root.config_dir}/{name}"] = text
        texts[f"{root.config_dir}/make.conf.user"] = make_conf.make_conf_user(root)
        for name, target in shared(root).items():
            texts[f"{root.config_dir}/{name}"] = f"-> {target}\n"
    host = prefix.host_dir / "etc/portage"
    texts[f"{host}/make.conf"] = build_host.host_make_conf(
        prefix, features=FEATURES, python="3.11", launcher=LAUNCHER
    )
    texts[f"{host}/repos.conf/00-flatcar-prefix"] = repos_conf(
        prefix.repositories, main_repo=prefix.main_repo
    )
    provided = (Package("dev-lang/perl", "5.36.0", "0/5.36"), Package("dev-build/make", "4.3", "0"))
    texts[f"{host}/profile/package.provided/00-flatcar-prefix"] = build_host.package_provided(
        provided
    )
    gcc = Layout(Path("/usr/lib/gcc/x/12"), ("/usr/include/c++/12", "/usr/include/x/c++/12"))
    exec_prefix = f"{prefix.tools_dir.parent}/gcc/lib/gcc/"
    for name, text in sorted(tool_scripts(prefix, gcc, exec_prefix).items()):
        texts[f"{prefix.tools_dir}/{name}"] = text
    return texts


def as_one(texts: dict[str, str]) -> str:
    """Return all texts in one; for a copied file, name the original instead of the text."""
    helpers = {
        path.read_text(): path.relative_to(CHECKOUT)
        for path in sorted((CHECKOUT / "eclass-helpers").rglob("*"))
        if path.is_file()
    }
    # With its list of variables, which test_helpers.py looks at.
    helpers[bashrc()] = Path("eclass-helpers/bashrc")
    parts = []
    for name, text in texts.items():
        body = f"(the same as {helpers[text]})\n" if text in helpers else text
        parts.append(f"==> {name} <==\n{body}")
    return "\n".join(parts)


@pytest.fixture
def no_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Find every program at Debian's path, and only under GNU's own name."""
    missing = set(HOST_TOOLS)

    def which(name: str, *_args: object, **_options: object) -> str | None:
        if name in missing:
            return None
        return name if name.startswith("/") else f"/usr/bin/{name}"

    monkeypatch.setattr(toolchains.shutil, "which", which)


@pytest.mark.parametrize("bootstrap", ["source", "import"])
@pytest.mark.parametrize("name", sorted(BOARDS))
@pytest.mark.usefixtures("no_machine")
def test_what_is_generated_is_what_was_reviewed(
    name: str, bootstrap: str, request: pytest.FixtureRequest
) -> None:
    text = as_one(generated(replace(prefix_of(name), bootstrap=bootstrap)))
    golden = GOLDEN / f"{name}-{bootstrap}.txt"
    if request.config.getoption("--update-golden"):
        golden.parent.mkdir(exist_ok=True)
        golden.write_text(text)
    known = golden.read_text() if golden.exists() else ""
    difference = difflib.unified_diff(
        known.splitlines(), text.splitlines(), str(golden), "generated now", lineterm=""
    )
    assert known == text, "\n".join(["--update-golden accepts this:", *difference])


def test_a_build_host_of_another_checkout_keeps_its_own_repositories(
    tmp_path: Path,
) -> None:
    prefix = replace(prefix_of("amd64-usr"), native_host=True)
    main = next(r.location for r in prefix.repositories if r.name == prefix.main_repo)
    inside = main / "profiles/default"
    (tmp_path / "own").symlink_to(inside)
    (tmp_path / "other").symlink_to("/var/elsewhere/profiles/default")
    own, other = (
        repository_variables(prefix.repositories, prefix.main_repo, profile=tmp_path / name)
        for name in ("own", "other")
    )
    told = own["PORTAGE_REPOSITORIES"]
    assert f"[gentoo-subset]\nlocation = {main}\n" in told
    assert other == {}
    foreign = replace(prefix, native_host=False)
    assert "PORTAGE_REPOSITORIES" not in foreign.staging.environment()


def test_locales_are_in_the_record_and_in_make_conf() -> None:
    names = ("de_DE.UTF-8", "sr_RS.UTF-8@latin")
    prefix = replace(prefix_of("amd64-usr"), locales=names)
    text = make_conf.make_conf(prefix.staging, jobs=2, launcher=LAUNCHER)
    assert f'FLATCAR_PREFIX_LOCALES="{" ".join(names)}"\n' in text
    assert from_record(to_record(prefix)).locales == names
