# SPDX-License-Identifier: BSD-3-Clause
"""The SDK's own Portage and Python: the build host is Gentoo, with its own configuration."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable

import pytest
from furnishing import furnish, machine_provides, main_repository, system_python
from machine import Overlay
from sdk_container import SCRIPTS, Container, Run, add_portage

from flatcar_prefix.boards import BOARDS

pytestmark = [pytest.mark.e2e, pytest.mark.needs_root, pytest.mark.needs_namespaces]

PATH = "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""The environment without this project's virtual environment."""


@pytest.fixture(scope="module")
def native(make_container: Callable[[str], Container]) -> Container:
    if system_python() != str(sys.version_info[:2]):
        pytest.skip("the machine's own Python is another than that of the tests")
    container = furnish(make_container("repos"), "repos")
    profile = BOARDS["amd64-usr"].base_profiles[0]
    main = f"{SCRIPTS}/{main_repository('repos')}"
    add_portage(
        container,
        profile=f"{main}/profiles/{profile}",
        provided=machine_provides(),
        repositories={
            "gentoo-subset": main,
            "flatcar-overlay": f"{SCRIPTS}/repos/flatcar-overlay",
        },
    )
    return container


def run(container: Container, *argv: str) -> Run:
    """Run a command as the SDK's user; it must succeed and print nothing to stderr."""
    done = container.ok(*argv, user="sdk", path=PATH)
    assert done.stderr == ""
    return done


def program(container: Container, *words: str) -> Run:
    return run(container, "/usr/bin/python3", "-m", "flatcar_prefix", *words)


def test_it_is_found(native: Container) -> None:
    checks = {c["name"]: c for c in json.loads(program(native, "doctor", "--json").stdout)}
    assert checks["Portage"]["found"].endswith(", /usr/bin/python3")


@pytest.mark.parametrize("board", BOARDS)
def test_prefixes_are_set_up_and_resolve_without_a_word_too_many(
    native: Container, board: str
) -> None:
    program(native, "setup", "--bootstrap=none", f"--board={board}", "own", "/usr/local/own")
    shown = program(native, "show", f"own-{board}", "--env", "staging").stdout
    assert "PORTAGE_OVERRIDE_EPREFIX" not in shown
    staging = f"/build/prefix-{board}/own"
    assert not (native.here(staging) / "host").exists(), "the build host needs no other"
    wrapper = f"/usr/local/bin/{{}}-prefix-own-{board}"
    said = run(native, wrapper.format("emerge"), "--stage", "--pretend", "app-arch/bzip2")
    assert f"app-arch/bzip2-1.0.8 to {staging}/root/usr/local/own/" in said.stdout
    said = run(native, wrapper.format("portageq"), "best_visible", "/", "dev-lang/python")
    assert said.stdout == "dev-lang/python-3.11.2\n"
    run(native, wrapper.format("equery"), "meta", "sys-apps/grep")
    run(native, wrapper.format("emerge"), "--info")


def test_plain_portage_says_nothing_either_where_it_is_pointed_at_a_root(
    native: Container,
) -> None:
    program(native, "setup", "--bootstrap=none", "plain", "/usr/local/plain")
    shown = program(native, "show", "plain", "--env", "final").stdout
    script = f'set -a\n{shown}\nexec /usr/bin/python3 -c "$@"'
    code = "import sys; from _emerge.main import emerge_main; sys.exit(emerge_main(sys.argv[1:]))"
    said = run(native, "sh", "-c", script, "sh", code, "--info")
    assert "Repositories:" in said.stdout
    assert "/var/db/repos" not in said.stdout


def test_an_overlay_that_is_added_later_is_known_to_every_wrapper(native: Container) -> None:
    overlay = Overlay(native.base / "mnt/host/source/later", "later")
    overlay.ebuild("test-later/only-1")
    program(native, "setup", "--bootstrap=none", "grows", "/usr/local/grows")
    program(native, "overlays", "grows", "add", "/mnt/host/source/later")
    wrapper = "/usr/local/bin/portageq-prefix-grows"
    said = run(native, wrapper, "best_visible", "/", "test-later/only")
    assert said.stdout == "test-later/only-1\n"
    program(native, "wrappers", "grows", "--check")


def test_packages_are_built_and_installed(native: Container) -> None:
    program(native, "setup", "--bootstrap=none", "builds", "/usr/local/builds")
    wrapper = "/usr/local/bin/{}-prefix-builds"
    native.ok(wrapper.format("emerge"), "--nodeps", "sys-apps/baselayout", user="sdk", path=PATH)
    said = run(native, wrapper.format("equery"), "list", "*")
    assert "sys-apps/baselayout-99" in said.stdout
    # It is installed into the prefix, not into the SDK.
    assert list((native.base / "var/db/pkg").iterdir()) == []
