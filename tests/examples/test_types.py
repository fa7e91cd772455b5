# SPDX-License-Identifier: BSD-3-Clause
"""Types hold: a type checker finds a typo in each public call, and so does the call itself."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from machine import CHECKOUT, InUse, Machine

import flatcar_prefix as fp
from flatcar_prefix.errors import in_python
from flatcar_prefix.image.options import OptionFields, Options

WRONG = """\
prefix = fp.setup("a", "/opt/a", bootstarp="none")
prefix = fp.setup("a", "/opt/a", force="yes")
fp.setup()
fp.load(3)
fp.load("a", bord="amd64-usr")
fp.list(script_dir="x")
fp.update(prefix, frist="libc")
fp.uninstall("a", bord="amd64-usr")
fp.verify(prefix, stirct=True)
fp.sysext(prefix, "a.raw", fromat="erofs")
fp.sysext(prefix, "a.raw", reload_manager="yes")
fp.build("recipe.toml", froce=True)
fp.add_overlays(prefix, 3)
fp.remove_overlays(prefix, ["a"], sya=print)
fp.run(prefix, ["grep"], netwrok=True)
fp.run_emerge(prefix, 3)
fp.regen(prefix, job=3)
fp.doctor(script_dir="x")
fp.write_wrappers(prefix, wrapper_dri="x")
fp.no_such_name
prefix.finale
prefix.final.setings
"""

RIGHT = """\
prefix = fp.setup("a", Path("/opt/a"), board="amd64-usr", say=print)
for one in fp.list():
    fp.update(one, say=print)
fp.update("a")
fp.uninstall(prefix)
fp.verify("a", strict=True).ok
fp.verify(prefix.final)
fp.sysext("a", "a.raw", format="erofs", keep=("docs",), progress=print)
fp.run(Path("/build/a"), ["grep", "--version"], network=True)
fp.run_emerge("a", "--pretend", "sys-apps/grep", output=sys.stdout)
fp.regen("a", prefix, jobs=2).failed
fp.add_overlays("a", ["/x", Path("/y")], say=print)
[check.ok for check in fp.doctor(scripts_dir=Path("/x"))]
fp.write_wrappers("a", wrapper_dir="/x").changed
"""


def test_a_type_checker_finds_each_typo(tmp_path: Path) -> None:
    head = "import sys\nfrom pathlib import Path\n\nimport flatcar_prefix as fp\n"
    for name, body in (("wrong", WRONG), ("right", RIGHT)):
        (tmp_path / f"{name}.py").write_text(head + body)
    command = [
        sys.executable,
        "-m",
        "mypy",
        "--no-error-summary",
        "--config-file",
        "pyproject.toml",
    ]
    files = [tmp_path / "wrong.py", tmp_path / "right.py"]
    done = subprocess.run([*command, *files], capture_output=True, text=True, cwd=CHECKOUT)
    assert "right.py" not in done.stdout, done.stdout
    found = {int(number) for number in re.findall(r"wrong\.py:(\d+): error", done.stdout)}
    first = head.count("\n") + 1
    missed = [line for n, line in enumerate(WRONG.splitlines(), start=first) if n not in found]
    assert not missed, done.stdout + done.stderr


def test_a_star_import_replaces_no_built_in() -> None:
    import builtins

    names: dict[str, Any] = {}
    exec("from flatcar_prefix import *", names)
    assert not (set(names) - {"__builtins__"}) & set(vars(builtins))
    assert {"setup", "load", "list_prefixes"} <= set(names)


def test_dir_has_each_public_name() -> None:
    assert {*fp.__all__, "list"} <= set(dir(fp))


def test_the_fields_for_type_checkers_are_those_of_the_options() -> None:
    assert list(OptionFields.__annotations__) == list(Options.__dataclass_fields__)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"bootstrap": "sorce"}, "unknown bootstrap 'sorce'"),
        ({"bootstrap": None}, "bootstrap is None, which is not a text"),
        ({"force": "yes"}, "force is 'yes', which is not True or False"),
        ({"board": 3}, "board is 3, which is not a Board or a text"),
        ({"staging_dir": 3}, "staging_dir is 3"),
        ({"scripts_dir": 3}, "scripts_dir is 3"),
        ({"say": 3}, "say is 3"),
        ({"custom_ebuild_overlays": "/x"}, "is one value, '/x', not a list"),
        ({"first_stage": "lbic"}, "unknown stage"),
        ({"eprefix": 3}, "eprefix is 3"),
    ],
)
def test_a_wrong_value_is_refused_before_anything_is_made(
    monkeypatch: pytest.MonkeyPatch, machine: Machine, options: dict[str, Any], words: str
) -> None:
    for name, place in machine.places.items():
        monkeypatch.setenv(name, place)
    before = set(machine.base.rglob("*"))
    given = {"bootstrap": "none", "eprefix": "/opt/a", **options}
    with pytest.raises(fp.UsageError, match=re.escape(words)) as raised:
        fp.setup("a", **given)
    assert "--" not in raised.value.hint
    assert set(machine.base.rglob("*")) == before


def test_prefixes_and_names_are_accepted_alike(
    monkeypatch: pytest.MonkeyPatch, shared_machine: Machine, empty_prefix: InUse
) -> None:
    for name, place in shared_machine.places.items():
        monkeypatch.setenv(name, place)
    prefix = fp.load("empty")
    assert repr(prefix) == "<Prefix empty-amd64-usr at /usr/local/empty>"
    assert "\n" not in repr(prefix.final)
    for name in (prefix, "empty", shared_machine.staging("empty"), "/usr/local/empty"):
        assert fp.verify(name).counts == fp.verify(prefix.final).counts
        assert not fp.write_wrappers(name).changed
    with pytest.raises(fp.UsageError, match="sysext has no option 'fromat'") as raised:
        fp.sysext("empty", fromat="erofs")  # type: ignore[call-arg]
    assert "Did you mean format?" in raised.value.hint
    for call in (fp.load, fp.update, fp.verify, fp.sysext, fp.write_wrappers):
        with pytest.raises(fp.PrefixError, match="there is no prefix 'emty'"):
            call("emty")
        with pytest.raises(fp.UsageError, match="3 does not name a prefix"):
            call(3)  # type: ignore[arg-type]


def test_emerge_can_be_called(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    shared_machine: Machine,
    empty_prefix: InUse,
    overlay: Any,
) -> None:
    for name, place in shared_machine.places.items():
        monkeypatch.setenv(name, place)
    overlay.ebuild("app-misc/called-1", 'src_install() { die "no luck"; }')
    with (tmp_path / "out").open("w") as out, pytest.raises(fp.BuildError) as raised:
        fp.run_emerge("empty", "--stage", "app-misc/called", output=out)
    error = raised.value
    assert error.package, (tmp_path / "out").read_text()
    assert (error.package, error.phase, error.reason) == ("app-misc/called-1", "install", "no luck")
    assert error.log is not None
    assert "no luck" in error.log.read_text()
    assert "Emerging" in (tmp_path / "out").read_text()


@pytest.mark.parametrize(
    ("hint", "spoken"),
    [
        ("Add --force to recreate it.", "Add force=True to recreate it."),
        ("Choose another --staging-dir.", "Choose another staging_dir."),
        ("Run `flatcar-prefix update x --from libc`, or add --force.",
         "Run `flatcar-prefix update x --from libc`, or add force=True."),
        ("Run: flatcar-prefix wrappers x --list", "Run: flatcar-prefix wrappers x --list"),
        ("Start with --from libc.", "Start with first_stage libc."),
    ],
)  # fmt: skip
def test_hints_of_exceptions_name_arguments_not_flags(hint: str, spoken: str) -> None:
    assert in_python(hint) == spoken
