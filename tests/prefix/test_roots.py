# SPDX-License-Identifier: BSD-3-Clause
"""The roots and wrappers of a prefix as Python objects."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from machine import Machine

from flatcar_prefix.errors import PrefixError
from flatcar_prefix.portage_api import session
from flatcar_prefix.prefix import record
from flatcar_prefix.prefix.model import Prefix


@pytest.fixture(scope="module")
def prefix(tmp_path_factory: pytest.TempPathFactory) -> Prefix:
    machine = Machine(tmp_path_factory.mktemp("roots") / "machine")
    return record.read(machine.setup("roots").staging_dir)


def test_a_root_is_the_same_object_at_each_access(prefix: Prefix) -> None:
    assert prefix.final is prefix.final
    assert prefix.root("staging") is prefix.staging


def test_portage_loads_a_root_once(prefix: Prefix, monkeypatch: pytest.MonkeyPatch) -> None:
    loads: list[str] = []
    original = session.load_trees

    def counting(variables: dict[str, str]) -> object:
        loads.append(variables["ROOT"])
        return original(variables)

    monkeypatch.setattr(session, "load_trees", counting)
    fresh = record.read(prefix.staging_dir)
    assert fresh.final.settings["CHOST"] == fresh.board.chost
    assert fresh.final.vardb.cpv_all() == []
    assert fresh.final.portdb.cp_all()
    assert fresh.final.bintree.dbapi.cpv_all() == []
    assert loads == [os.fspath(fresh.final.path)]


def test_a_wrapper_that_does_not_exist_is_named(prefix: Prefix) -> None:
    with pytest.raises(PrefixError, match=r"nothing-prefix-roots-amd64-usr does not exist"):
        prefix.wrapper("nothing")


def test_a_wrapper_runs(prefix: Prefix) -> None:
    done = prefix.wrapper("portageq").run("envvar", "EPREFIX")
    assert done.stdout == f"{prefix.eprefix}\n"
    assert isinstance(prefix.wrapper("portageq").short_path, Path)
