# SPDX-License-Identifier: BSD-3-Clause
"""The output of --json fits its JSON Schema, and the schema describes all of it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from machine import CHECKOUT, InUse, Machine, Overlay

from flatcar_prefix.cli import schema, setup
from flatcar_prefix.prefix import registry
from flatcar_prefix.system.json_output import to_json

DOCUMENT = (CHECKOUT / "docs/ci.md").read_text(encoding="utf-8")


def of(name: str) -> dict[str, Any]:
    """Return a schema that also refuses keys which it does not describe."""
    found: dict[str, Any] = json.loads((schema.SCHEMAS / f"{name}.json").read_text("utf-8"))
    _close(found)
    return found


def _close(node: Any) -> None:
    if isinstance(node, dict):
        if "properties" in node:
            node["additionalProperties"] = False
        for child in node.values():
            _close(child)
    elif isinstance(node, list):
        for child in node:
            _close(child)


@pytest.fixture(scope="module")
def prefix(shared_machine: Machine, overlay: Overlay) -> InUse:
    made = shared_machine.setup("json", f"--custom_ebuild_overlays={overlay.path}")
    overlay.ebuild("app-misc/json-1")
    made.install("--quiet", "app-misc/json")
    return made


def test_each_schema_is_valid_versioned_and_documented() -> None:
    for name in schema.names():
        text = json.loads((schema.SCHEMAS / f"{name}.json").read_text("utf-8"))
        jsonschema.Draft202012Validator.check_schema(text)
        assert text["$id"] == f"urn:flatcar-prefix:{name}:1"
        assert f"`{name}`" in DOCUMENT


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("list", ["list"]),
        ("show", ["show", "json"]),
        ("doctor", ["doctor"]),
        ("verify", ["verify", "json"]),
        ("wrappers", ["wrappers", "json"]),
        ("wrappers-list", ["wrappers", "json", "--list"]),
        ("wrappers-check", ["wrappers", "json", "--check"]),
        ("overlays", ["overlays", "json"]),
        ("sysext", ["sysext", "json", "--no-verify", "--format=directory", "-o", "@"]),
        ("clean", ["clean", "json", "--pretend"]),
        ("regen", ["regen", "json"]),
        ("report", ["report", "json", "-o", "@"]),
        ("update", ["update", "json"]),
    ],
)
def test_the_output_fits_its_schema(
    prefix: InUse, tmp_path: Path, name: str, words: list[str]
) -> None:
    if name in ("wrappers", "wrappers-check"):
        prefix.wrapper("qlist").unlink()
    words = [str(tmp_path / "output") if word == "@" else word for word in words]
    done = prefix.machine.fp(*words, "--json")
    assert done.returncode in (0, 1), done.stderr
    data = json.loads(done.stdout)
    jsonschema.validate(data, of(name))
    assert data, "an empty list would fit every schema"
    first = data[0] if isinstance(data, list) else data
    assert isinstance(first, str) or first["format"] == 1
    if name == "show":
        assert 0 < data["disk"]["packages"] < data["disk"]["staging"]
        assert data["current"] is True
    if name == "wrappers-check":
        prefix.machine.fp("wrappers", "json")


def test_setup_prints_only_the_state_and_uninstall_only_what_is_gone(machine: Machine) -> None:
    """Both spellings of a verb print the same."""
    command = ("--bootstrap=none", "--json", "made", "/usr/local/made")
    first = machine.try_setup(*command)
    made = json.loads(first.stdout)
    jsonschema.validate(made, of("setup"))
    assert (made["state"], made["stages_left"], made["continue"]) == ("complete", [], None)
    assert Path(made["emerge"]).parent == Path(made["wrapper_dir"]) == machine.bin
    again = machine.fp("setup", f"--scripts-dir={machine.scripts}", *command, "--quiet")
    assert again.stdout == first.stdout
    wrappers = {str(path) for path in machine.bin.iterdir()}
    gone = json.loads(machine.try_setup("--uninstall", "made", "--json").stdout)
    jsonschema.validate(gone, of("uninstall"))
    assert gone["prefix"] == "made-amd64-usr"
    assert set(gone["wrappers"]) == wrappers
    assert [Path(one["path"]) for one in gone["directories"]] == [
        machine.final("made"), machine.staging("made"),
    ]  # fmt: skip
    assert all(one["files"] and one["bytes"] and not one["kept"] for one in gone["directories"])
    machine.setup("made")
    assert json.loads(machine.fp("uninstall", "made", "--json").stdout).keys() == gone.keys()


@pytest.mark.parametrize("words", [["uninstall", "no-such"], ["setup", "no-such", "relative"]])
def test_an_error_leaves_standard_output_empty(shared_machine: Machine, words: list[str]) -> None:
    done = shared_machine.fp(*words, "--json")
    assert done.returncode in (1, 2)
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 2


def test_the_state_of_an_unfinished_prefix_names_the_rest(
    prefix: InUse, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, place in prefix.machine.places.items():
        monkeypatch.setenv(name, place)
    done = registry.load("json")
    begun = replace(done, bootstrap="source", stages_done=("baselayout",), complete=False)
    data = json.loads(to_json(setup._state(begun)))
    jsonschema.validate(data, of("setup"))
    assert data["state"] == "incomplete"
    assert data["stages_left"][0] == "os-headers"
    assert data["continue"] == "setup_prefix json /usr/local/json"
    assert data["emerge"] is None


def test_setup_and_update_print_the_same_keys() -> None:
    assert of("setup")["properties"] == of("update")["properties"]


def test_a_binhost_fits_its_schema(prefix: InUse, tmp_path: Path) -> None:
    (tmp_path / "Packages").write_text("")
    where = f"file://{tmp_path}"
    words = ("binhost", "json", "add", where, "--binhost-key=none", "--json")
    data = json.loads(prefix.machine.fp(*words).stdout)
    jsonschema.validate(data, of("binhost"))
    assert [(one["uri"], one["pool"], one["verified"]) for one in data] == [(where, None, False)]
    assert json.loads(prefix.machine.fp("binhost", "json", "--json").stdout) == data
    words = ("binhost", "json", "remove", where, "--json")
    assert json.loads(prefix.machine.fp(*words).stdout) == []


def test_a_broken_prefix_fits_the_schema_of_list(machine: Machine) -> None:
    made = machine.setup("broken")
    (made.staging_dir / "flatcar-prefix.json").write_text("{}")
    data = json.loads(machine.fp("list", "--json").stdout)
    jsonschema.validate(data, of("list"))
    assert data[0]["state"] == "broken"


def test_the_verb_schema_prints_it(shared_machine: Machine) -> None:
    printed = shared_machine.fp("schema", "list").stdout
    assert printed == (schema.SCHEMAS / "list.json").read_text("utf-8")
    refused = shared_machine.fp("schema", "lst")
    assert refused.returncode == 2
    assert "Did you mean list?" in refused.stderr


class TestClean:
    """``flatcar-prefix clean`` removes only what nothing needs."""

    def test_it_says_what_and_how_much_and_asks(self, prefix: InUse) -> None:
        before = sorted(prefix.staging_dir.rglob("*"))
        refused = prefix.machine.fp("clean", "json")
        assert refused.returncode == 2
        assert "logs of builds and stages" in refused.stdout
        assert "Add --yes" in refused.stderr
        assert prefix.machine.fp("clean", "json", "--json").returncode == 2
        assert sorted(prefix.staging_dir.rglob("*")) == before

    def test_it_keeps_installed_packages_and_emerge_log(
        self, prefix: InUse, overlay: Overlay
    ) -> None:
        overlay.ebuild("app-misc/json-2")
        prefix.install("--quiet", "app-misc/json")
        build = prefix.staging_dir / "tmp/portage/app-misc/failed-1/work"
        build.mkdir(parents=True)
        (build / "file").write_text("x" * 100_000)
        assert len(prefix.binaries("app-misc/json-1")) == 1
        prefix.machine.ok(
            *prefix.machine.fp("version").args[:3], "clean", "json", "--packages", "--yes"
        )
        assert build.exists()
        assert not prefix.binaries("app-misc/json-1")
        assert len(prefix.binaries("app-misc/json-2")) == 1
        done = prefix.machine.fp("clean", "json", "--yes")
        assert done.returncode == 0, done.stderr
        assert not build.exists()
        assert [path.name for path in (prefix.staging_dir / "logs").iterdir()] == ["emerge.log"]
        assert "nothing to remove" in prefix.machine.fp("clean", "json", "--yes").stdout
        again = prefix.emerge("--install", "--oneshot", "--quiet", "app-misc/json")
        assert again.returncode == 0, again.stdout + again.stderr
