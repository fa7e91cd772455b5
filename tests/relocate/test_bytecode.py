# SPDX-License-Identifier: BSD-3-Clause
"""Byte code of sources that change with the EPREFIX stays valid."""

import marshal
import os
import py_compile
import subprocess
import sys
import types
from importlib.util import MAGIC_NUMBER, cache_from_source

import pytest

from flatcar_prefix.relocate import bytecode
from flatcar_prefix.relocate.eprefix import LENGTH, pool_eprefix
from flatcar_prefix.relocate.tree import relocate_tree

POOL = pool_eprefix("bytecode")
NEW = "/opt/ab"
SOURCE = """
import os, dataclasses
prefix = {path!r}
inside = ("x", {path!r} + "/lib", frozenset([{path!r}]), b"{path}/bytes", 1.5, 2j, 10**40)
long = {path!r} {padding!r}
class A:
    'A {path}/é'
    def m(self, a, *, b={path!r}, **c):
        return [{path!r} for _ in range(a)], lambda: {path!r}, f"{path}/{{a}}"
async def g():
    yield {path!r}
if __name__ == "__main__":
    print(prefix, len(A().m(2)[0][0]))
"""


@pytest.fixture
def root(tmp_path):
    (tmp_path / POOL[1:] / "lib").mkdir(parents=True)
    return tmp_path


def source(path, *, padding=200):
    return SOURCE.format(path=path, padding="p" * padding)


def write(root, text, name="m", **options):
    script = root / POOL[1:] / f"lib/{name}.py"
    script.write_text(text)
    os.utime(script, (10**9, 10**9))
    for level in (0, 1):
        py_compile.compile(
            str(script), dfile=f"{POOL}/lib/{name}.py", optimize=level, doraise=True, **options
        )
    return script


def compiled(root, name="m", optimization=""):
    return root / cache_from_source(f"{NEW[1:]}/lib/{name}.py", optimization=optimization)


def parts(code):
    """Return what a code object does: all but its positions in the source."""
    constants = [parts(c) if isinstance(c, types.CodeType) else c for c in code.co_consts]
    return (
        code.co_code, code.co_names, code.co_varnames, code.co_filename, code.co_name, constants,
        code.co_flags, code.co_freevars, code.co_cellvars, code.co_firstlineno, code.co_argcount,
    )  # fmt: skip


@pytest.mark.parametrize("level", [0, 1])
def test_byte_code_is_that_of_the_new_source(root, level):
    write(root, source(POOL))
    relocate_tree(root, POOL, NEW)
    script = root / f"{NEW[1:]}/lib/m.py"
    assert script.read_text() == source(NEW)
    found = compiled(root, optimization=level or "").read_bytes()
    expected = compile(source(NEW), f"{NEW}/lib/m.py", "exec", optimize=level)
    assert parts(marshal.loads(found[bytecode.HEADER :])) == parts(expected)


def test_a_string_gets_a_short_length_as_python_writes_it(root):
    """marshal writes ASCII strings of up to 255 bytes in another form."""
    text = source(POOL, padding=255 - LENGTH + 40)
    write(root, text)
    relocate_tree(root, POOL, NEW)
    code = marshal.loads(compiled(root).read_bytes()[bytecode.HEADER :])
    assert code.co_consts


@pytest.mark.parametrize(
    "mode",
    [
        py_compile.PycInvalidationMode.TIMESTAMP,
        py_compile.PycInvalidationMode.CHECKED_HASH,
        py_compile.PycInvalidationMode.UNCHECKED_HASH,
    ],
)
def test_python_does_not_compile_the_source_again(root, mode):
    write(root, source(POOL), invalidation_mode=mode)
    write(root, "nothing = 1\n", "plain", invalidation_mode=mode)
    relocate_tree(root, POOL, NEW)
    lib = root / f"{NEW[1:]}/lib"
    result = subprocess.run(
        [sys.executable, "-v", "-c", "import m, plain; print(m.prefix)"],
        cwd=lib, capture_output=True, text=True, env={"PYTHONDONTWRITEBYTECODE": "1"}, check=True,
    )  # fmt: skip
    assert result.stdout.strip() == NEW
    for name in ("m", "plain"):
        assert f"code object from {lib}/{name}.py" not in result.stderr
        assert f"{lib}/__pycache__/{name}.cpython" in result.stderr
        assert f"wrote '{lib}" not in result.stderr


def test_byte_code_of_an_unknown_version_is_padded_and_valid(root):
    write(root, source(POOL))
    path = compiled(root)
    old = root / cache_from_source(f"{POOL[1:]}/lib/m.py")
    data = old.read_bytes()
    old.write_bytes(b"\x01\x02" + data[2:])
    relocate_tree(root, POOL, NEW)
    found = path.read_bytes()
    assert len(found) == len(data)
    assert found[16:] == data[16:].replace(POOL.encode(), NEW.ljust(LENGTH, "/").encode())
    assert bytecode.is_current(found, 10**9, len(source(NEW).encode()))


def test_byte_code_that_was_not_valid_does_not_become_valid(root):
    script = write(root, source(POOL))
    os.utime(script, (10**9 + 5, 10**9 + 5))
    relocate_tree(root, POOL, NEW)
    found = compiled(root).read_bytes()
    assert not bytecode.is_current(found, 10**9 + 5, len(source(NEW).encode()))


def test_the_whole_standard_library_can_be_rewritten():
    count = 0
    for directory in ("encodings", "json", "asyncio"):
        top = os.path.join(os.path.dirname(os.__file__), directory)
        for name in sorted(os.listdir(top)):
            if name.endswith(".py"):
                with open(os.path.join(top, name), "rb") as file:
                    code = compile(file.read(), name, "exec")
                data = MAGIC_NUMBER + bytes(bytecode.HEADER - 4) + marshal.dumps(code)
                assert bytecode.rewritten(data, lambda text: text) == data
                count += 1
    assert count > 50


@pytest.mark.parametrize("cut", [17, 40, -1])
def test_damaged_byte_code_is_refused(root, cut):
    write(root, source(POOL))
    data = (root / cache_from_source(f"{POOL[1:]}/lib/m.py")).read_bytes()
    with pytest.raises(bytecode.Unknown):
        bytecode.rewritten(data[:cut], lambda text: text)
    with pytest.raises(bytecode.Unknown):
        bytecode.rewritten(data + b"a", lambda text: text)
