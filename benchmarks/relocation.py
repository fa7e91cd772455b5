#!/usr/bin/env python3
# SPDX-License-Identifier: BSD-3-Clause
"""Compare the relocation of a tree with Portage's chpathtool.py, both in one run.

    benchmarks/relocation.py [--tree DIR --old EPREFIX] [--repeat N] [--no-chpathtool]

DIR holds EPREFIX, as ROOT does. Without it, the benchmark makes a tree from this machine's
Python, in which one file of thirty names the EPREFIX of a pool. Each run gets a fresh copy of
the tree, and each program is a process of its own, as in an installation. All times are processor
times, which other work on the machine changes little. Goals: 200 MB/s, and memory that does not
depend on the tree.

The benchmark also measures the start of Python with modules that name the EPREFIX: byte code
that the relocation has rewritten, byte code that Python has compiled at the new path, and byte
code that does not match its source.
"""

from __future__ import annotations

import argparse
import compileall
import os
import shutil
import statistics
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

TOP = Path(__file__).resolve().parents[1]
sys.path.insert(0, os.fspath(TOP))

from flatcar_prefix.relocate.eprefix import pool_eprefix
from flatcar_prefix.relocate.tree import relocate_tree

NEW = "/opt/ab"
POOL = pool_eprefix("benchmark")
NAMES_IT = 30
MODULES = 200


def stand_in(base: Path, eprefix: str) -> Path:
    """Make a tree with this machine's Python; return its root."""
    root = base / "stand-in"
    library = Path(sysconfig.get_path("stdlib"))
    target = root / eprefix[1:] / "usr/lib" / library.name
    shutil.copytree(library, target, symlinks=True, ignore_dangling_symlinks=True)
    programs = root / eprefix[1:] / "usr/bin"
    programs.mkdir()
    shutil.copy(os.path.realpath(sys.executable), programs / "python")
    files = [p for p in sorted(root.rglob("*")) if p.is_file() and not p.is_symlink()]
    for path in files[::NAMES_IT]:
        with path.open("ab") as file:
            file.write(f"\n# {eprefix}/lib\n".encode())
    return root


def measure(argv: list[str]) -> tuple[float, float]:
    """Run a command; return its processor time in seconds and the peak of its memory in MiB."""
    process = subprocess.Popen(argv, stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if status:
        raise SystemExit(f"{argv[0]} failed")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def copied(root: Path, base: Path) -> Path:
    """Return a fresh copy of the tree, whose files are in the page cache."""
    target = Path(tempfile.mkdtemp(dir=base))
    subprocess.run(["cp", "-a", f"{root}/.", target], check=True)
    return target


def relocation(root: Path, old: str, base: Path) -> tuple[float, float]:
    information = Path(tempfile.mkdtemp(dir=base))
    tree = copied(root, base)
    launch = TOP / "flatcar_prefix/launch.py"
    argv = [sys.executable, "-I", os.fspath(launch), "relocate", f"--image={tree}"]
    result = measure([*argv, f"--information={information}", old, NEW])
    shutil.rmtree(tree)
    return result


def chpathtool(root: Path, old: str, base: Path) -> tuple[float, float]:
    import portage

    tree = copied(root, base)
    program = Path(portage.const.PORTAGE_BIN_PATH) / "chpathtool.py"
    result = measure([sys.executable, os.fspath(program), os.fspath(tree), old, NEW])
    shutil.rmtree(tree)
    return result


def modules(base: Path) -> Path:
    """Make modules that name the EPREFIX of a pool, with byte code; return their root."""
    root = base / "modules"
    library = root / POOL[1:] / "lib"
    library.mkdir(parents=True)
    body = "".join(f"def f{n}(a, b=1):\n    return [a, b, {POOL!r}, {n}]\n" for n in range(60))
    for number in range(MODULES):
        (library / f"m{number}.py").write_text(body)
    compileall.compile_dir(library, quiet=2, stripdir=root)
    return root


def start(library: Path) -> float:
    """Return the processor time of a start of Python that imports all modules, in seconds."""
    code = f"import sys; sys.path[:0] = [{str(library)!r}]\n"
    code += "".join(f"import m{number}\n" for number in range(MODULES))
    return measure([sys.executable, "-B", "-I", "-c", code])[0]


def starts(base: Path, repeat: int) -> None:
    root = modules(base)
    moved = copied(root, base)
    relocate_tree(moved, POOL, NEW)
    rewritten = moved / NEW[1:] / "lib"
    compiled, stale = base / "compiled", base / "stale"
    for target in (compiled, stale):
        shutil.copytree(rewritten, target)
        shutil.rmtree(target / "__pycache__")
    compileall.compile_dir(compiled, quiet=2)
    shutil.copytree(root / POOL[1:] / "lib/__pycache__", stale / "__pycache__")
    times: dict[str, list[float]] = {}
    for _ in range(repeat):
        for name, library in (("rewritten", rewritten), ("compiled", compiled), ("stale", stale)):
            times.setdefault(name, []).append(start(library))
    medians = {name: statistics.median(values) for name, values in times.items()}
    print(f"start of Python with {MODULES} modules that name the EPREFIX:")
    for name, value in medians.items():
        ratio = value / medians["compiled"]
        print(f"  {name:<12}{value * 1000:8.0f} ms   {ratio:5.2f} of compiled at the new path")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tree", type=Path, help="a directory that holds EPREFIX")
    parser.add_argument("--old", default=POOL, help="the EPREFIX in the tree")
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--no-chpathtool", action="store_true", help="it takes minutes")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="relocation-") as directory:
        base = Path(directory)
        root = options.tree or stand_in(base, options.old)
        files = [p for p in root.rglob("*") if p.is_file() and not p.is_symlink()]
        size = sum(path.stat().st_size for path in files) / 1e6
        print(f"{len(files)} files, {size:.1f} MB, from {options.old} to {NEW}")
        results = [relocation(root, options.old, base) for _ in range(options.repeat)]
        seconds = statistics.median(time for time, _ in results)
        memory = max(memory for _, memory in results)
        print(f"  relocate    {seconds:8.2f} s {size / seconds:8.0f} MB/s {memory:6.0f} MiB memory")
        if not options.no_chpathtool:
            other, memory = chpathtool(root, options.old, base)
            print(f"  chpathtool  {other:8.2f} s {size / other:8.2f} MB/s {memory:6.0f} MiB memory")
            print(f"  relocate / chpathtool: 1/{other / seconds:.0f}")
        starts(base, options.repeat)


if __name__ == "__main__":
    main()
