# SPDX-License-Identifier: BSD-3-Clause
"""Unmodified checkouts of flatcar/scripts in the container.

``FLATCAR_PREFIX_TEST_SCRIPTS=DIR:... ./run-tests -m e2e tests/sdk/test_real_trees.py`` runs them,
and fetches the tarball of bzip2.
"""

from __future__ import annotations

import re
import shutil
import sys

import pytest
from furnishing import REAL_TREES, machine_provides, main_repository, system_python
from machine import CHECKOUT, Overlay
from sdk_container import LAYOUTS, SCRIPTS, Container, add_portage

from flatcar_prefix.boards import BOARDS

pytestmark = [
    pytest.mark.needs_root,
    pytest.mark.needs_namespaces,
    pytest.mark.e2e,
    pytest.mark.by_hand,
    pytest.mark.timeout(3600),
    pytest.mark.parametrize("real_container", REAL_TREES, indirect=True, ids=lambda p: p.name),
]

PACKAGE = "app-portage/flatcar-prefix"

STAGE = {"sys-apps/systemd": "255", "sys-apps/util-linux": "2.39.3"}
"""Packages of every SDK, which need each other to be built."""

COMPLAINTS = re.compile(r"^(?:!!!|WARNING|Traceback).*", re.MULTILINE)


def setup(container: Container, name: str, *args: str) -> None:
    if not container.here(f"/usr/local/bin/emerge-prefix-{name}").exists():
        container.setup(*args, name, f"/usr/local/{name}", user="sdk")


@pytest.mark.parametrize("board", BOARDS)
def test_configuration_is_written_and_no_portage_command_warns(
    real_container: Container, board: str
) -> None:
    real_container.setup("--bootstrap=none", f"--board={board}", "--force", "x", "/usr/local/x")
    for tool, *args in (
        ("emerge", "--info"),
        ("portageq", "best_visible", "/", "dev-lang/python"),
        ("emerge", "--stage", "--pretend", "app-arch/bzip2"),
    ):
        said = real_container.ok(f"/usr/local/bin/{tool}-prefix-x-{board}", *args)
        assert not COMPLAINTS.findall(said.stdout + said.stderr)
        if tool == "portageq":
            assert re.fullmatch(r"dev-lang/python-3\.\d+\.\S+\n", said.stdout)


@pytest.mark.parametrize("board", BOARDS)
@pytest.mark.parametrize("wanted", ["dev-lang/python", "app-misc/jq", "@system"])
def test_it_resolves(real_container: Container, board: str, wanted: str) -> None:
    name = f"r{board[:5]}"
    if not real_container.here(f"/usr/local/bin/emerge-prefix-{name}").exists():
        args = ("--bootstrap=none", f"--board={board}", name, f"/usr/local/{name}")
        real_container.setup(*args)
    wrapper = f"/usr/local/bin/emerge-prefix-{name}"
    said = real_container.ok(wrapper, "--pretend", "--emptytree", wanted)
    into_staging = re.findall(r"^\[ebuild.* to /build/", said.stdout, re.MULTILINE)
    assert len(into_staging) > 10
    assert not COMPLAINTS.findall(said.stdout + said.stderr)


@pytest.mark.parametrize("kind", ["sdk", "board"])
def test_the_rate_of_resolution_is_that_of_other_machines(
    real_container: Container, kind: str
) -> None:
    """The rate and the failures by reason are printed: run pytest with -s."""
    setup(real_container, kind, "--bootstrap=import", f"--toolchain={kind}")
    rates = CHECKOUT / "benchmarks/real_trees.py"
    said = real_container.ok(sys.executable, rates, "--prefix", kind, "--details")
    print(said.stdout)
    good, count = map(int, re.findall(r"(\d+) of (\d+) resolve", said.stdout)[0])
    assert (count > 500, good / count > 0.9) == (True, True), said.stdout


@pytest.fixture
def real_sdk(real_container: Container, tmp_path_factory: pytest.TempPathFactory) -> Container:
    """The checkout in an SDK with a Portage of its own and the checkout's SDK profile.

    This program's package is in an overlay. The machine's own programs provide the build
    dependencies that they correspond to.
    """
    if system_python() != str(sys.version_info[:2]):
        pytest.skip("the machine's own Python is another than that of the tests")
    tree = real_container.real_scripts
    assert tree is not None
    layout = "repos" if (tree / main_repository("repos")).is_dir() else "third_party"
    place, names = LAYOUTS[layout]
    here = {role: f"{SCRIPTS}/{place}/{directory}" for role, (directory, _) in names.items()}
    container = Container(tmp_path_factory.mktemp("sdk"), real_scripts=tree)
    overlay = Overlay(container.base / "mnt/host/source/programs", "programs")
    masters = f"masters = {names['gentoo-subset'][1]}\n"
    overlay.write("metadata/layout.conf", f"{masters}thin-manifests = true\n")
    shutil.copytree(CHECKOUT / "repos/flatcar-overlay" / PACKAGE, overlay.path / PACKAGE)
    overlay.write("profiles/categories", PACKAGE.partition("/")[0] + "\n")
    add_portage(
        container,
        profile=f"{here['flatcar-overlay']}/profiles/coreos/amd64/sdk",
        provided="".join(f"{k}-{v}\n" for k, v in STAGE.items()) + machine_provides(),
        repositories={
            **{names[r][1]: here[r] for r in ("gentoo-subset", "flatcar-overlay")},
            "programs": "/mnt/host/source/programs",
        },
    )
    return container


def test_the_sdk_has_all_that_this_programs_package_needs(real_sdk: Container) -> None:
    code = "import sys; from _emerge.main import emerge_main; sys.exit(emerge_main(sys.argv[1:]))"
    emerge = ("/usr/bin/python3", "-c", code, "--pretend", "--verbose", "--quiet-build")
    said = real_sdk.run(*emerge, PACKAGE, path="/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
    assert said.returncode == 0, said.stdout + said.stderr
    planned = set(re.findall(r"^\[ebuild[^]]*\] (\S+/\S+?)-\d", said.stdout, re.MULTILINE))
    assert {PACKAGE, "dev-python/lxml", "dev-python/packaging", "sys-apps/bubblewrap"} <= planned


@pytest.mark.parametrize("kind", ["sdk", "board"])
def test_an_unmodified_package_is_built_installed_and_runs(
    real_container: Container, kind: str
) -> None:
    setup(real_container, kind, "--bootstrap=import", f"--toolchain={kind}")
    emerge = f"/usr/local/bin/emerge-prefix-{kind}"
    real_container.ok(emerge, "app-arch/bzip2", user="sdk")
    run = real_container.fp_command("run", kind, "--")
    said = real_container.ok(
        "sh", "-c", 'echo portable | "$@" bzip2 -c | "$@" bzip2 -dc', "sh", *run, user="sdk"
    )
    assert said.stdout == "portable\n"
    report = real_container.fp("verify", kind).stdout
    errors = set(re.findall(r"error: (\S+)", report))
    # Its scripts need a shell, which is not in this prefix.
    assert errors <= {"script-interpreter"}, report
    assert (
        real_container.scripts.exists()
        and not (
            real_container.real_scripts / "__prefix__"  # type: ignore[operator]
        ).exists()
    ), f"{SCRIPTS} must not change"
