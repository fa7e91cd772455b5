# SPDX-License-Identifier: BSD-3-Clause
"""Count the packages of a checkout that resolve and, with ``--build``, that build and run.

    python benchmarks/real_trees.py CHECKOUT... [--bootstrap KIND]...
    python benchmarks/real_trees.py CHECKOUT --only CATEGORY/NAME [--only ...]
    python benchmarks/real_trees.py CHECKOUT --every 10
    python benchmarks/real_trees.py CHECKOUT --build LIST [--limit SECONDS]

For each checkout and kind of bootstrap, set up a prefix and resolve the best visible
version of each package but acct-* and sec-*, as ``emerge --stage --pretend`` does, all in
one process. Print the rate, the failures by kind with an example of each, and the median
time. Goal: 95 %. ``--every N`` takes each Nth package only. ``--end-after SECONDS`` ends a run
and reports the packages until then.

``--build`` takes a file with an atom per line, and builds, installs, verifies and runs each
with the emerge wrapper of the first prefix. ``--prefix NAME`` uses a prefix that exists.
``--json FILE`` writes all results.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import flatcar_prefix as fp

LEFT_OUT = ("acct-", "sec-")
"""Categories of users, groups and policies, which contain no programs."""

CHANGES = r"changes are necessary to proceed:(?s:.*?)\n(?P<what>[<>=~]+\S+"

KINDS: Sequence[tuple[str, str]] = (
    ("a package does not exist", r"there are no ebuilds to satisfy \"(?P<what>[^\"]+)\""),
    ("USE flags of a dependency", r"built with USE flags to satisfy \"(?P<what>[^\"]+)\""),
    ("REQUIRED_USE", r"REQUIRED_USE flag constraints unsatisfied:|"
     r"(?s:- (?P<what>\S+)::\S+ .{0,2000}?unmet requirements)"),
    ("masked", r"All ebuilds that could satisfy \"(?P<what>[^\"]+)\".* have been masked"),
    ("a changed USE flag is needed", rf"USE {CHANGES} .*)"),
    ("a keyword is needed", rf"keyword {CHANGES})"),
    ("a licence is needed", rf"license {CHANGES})"),
    ("an unmask is needed", rf"mask {CHANGES})"),
    ("a slot conflict", r"instances within a single package slot(?s:.*?)\n\n(?P<what>\S+)"),
    ("a blocked package", r"cannot be installed at the same time|\[blocks B"),
    ("circular dependencies", r"[Cc]ircular dependencies"),
)  # fmt: skip
"""Kinds of failures, by what Portage prints for each; ``what`` is its subject."""


@dataclass(frozen=True)
class Result:
    """The result for one package."""

    package: str
    resolved: bool
    seconds: float
    kind: str = ""
    subject: str = ""
    text: str = ""
    merges: tuple[tuple[str, str], ...] = ()


def classify(text: str) -> tuple[str, str]:
    """Return the kind of a failure and its subject, such as an atom."""
    for kind, pattern in KINDS:
        if found := re.search(pattern, text):
            return kind, (found["what"] if "what" in found.groupdict() else "") or ""
    return "another reason", text.splitlines()[0] if text else "no message"


def packages(prefix: fp.Prefix) -> Iterator[str]:
    """Yield the best visible version of each package of the checkout, as an exact atom."""
    portdb = prefix.staging.portdb
    for name in sorted(portdb.cp_all()):
        if name.startswith(LEFT_OUT):
            continue
        if best := portdb.xmatch("bestmatch-visible", name):
            yield f"={best}"


def resolve_all(prefix: fp.Prefix, only: Sequence[str], every: int) -> Iterator[Result]:
    """Resolve packages in staging, in this process; Portage must not be imported before."""
    from flatcar_prefix.emerge import one_root
    from flatcar_prefix.portage_api import resolution, session

    session.initialise(
        prefix.staging.environment(), owner=True, users=(prefix.username, prefix.groupname)
    )
    config = one_root.load(prefix.staging, ["--pretend", "--oneshot"]).config
    resolution.prepare(config)
    wanted = list(only or packages(prefix))[::every]
    for number, atom in enumerate(wanted, start=1):
        began = time.perf_counter()
        done = resolution.resolve(config, [atom])
        took = time.perf_counter() - began
        kind, subject = ("", "") if done.success else classify(done.text)
        name = atom.lstrip("=")
        text = "" if done.success else done.text
        yield Result(name, done.success, took, kind, subject, text, done.merges)
        if sys.stderr.isatty():
            print(f"\r{number} of {len(wanted)}", end="", file=sys.stderr)


def report(label: str, results: Sequence[Result], *, details: bool) -> None:
    """Print the rate, the failures by kind and the median time."""
    good = [r for r in results if r.resolved]
    share = 100 * len(good) / len(results) if results else 0.0
    median = statistics.median(r.seconds for r in results) if results else 0.0
    print(f"{label}: {len(good)} of {len(results)} resolve ({share:.1f} %), median {median:.2f} s")
    kinds = defaultdict(list)
    for result in results:
        if not result.resolved:
            kinds[result.kind].append(result)
    for kind, failed in sorted(kinds.items(), key=lambda item: -len(item[1])):
        print(f"  {len(failed):4}  {kind}, e.g. {failed[0].package}")
        subjects = Counter(r.subject for r in failed)
        for subject, count in subjects.most_common(None if details else 5):
            example = next(r.package for r in failed if r.subject == subject)
            print(f"          {count:4}  {subject or '(not named)'}, e.g. {example}")


def in_child(name: str, only: Sequence[str], every: int, limit: float | None) -> list[Result]:
    """Resolve in a separate process: Portage reads the build host's place at its import.

    The child writes each result at once. A child that ``limit`` (in seconds) ends gives a part.
    """
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        argv = [sys.executable, __file__, "--child", name, "--json", file.name]
        argv += ["--every", str(every), *(word for atom in only for word in ("--only", atom))]
        try:
            subprocess.run(argv, check=True, timeout=limit)
        except subprocess.TimeoutExpired:
            print(f"{name}: ended after {limit:.0f} s", file=sys.stderr)
        lines = Path(file.name).read_text().splitlines()
        return [Result(**json.loads(line)) for line in lines if line.endswith("}")]


def build_one(prefix: fp.Prefix, atom: str, limit: float) -> dict[str, object]:
    """Build, install, verify and run one package; return the last good step, and the failure."""
    began = time.perf_counter()
    emerge = os.fspath(prefix.wrapper("emerge").path)
    argv = ["timeout", "--kill-after=10", str(int(limit)), emerge, "--oneshot", "--quiet-build=y",
            "--color=n", atom]  # fmt: skip
    done = subprocess.run(
        argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False
    )
    found: dict[str, object] = {"package": atom, "seconds": round(time.perf_counter() - began, 1)}
    if done.returncode:
        slow = done.returncode in (124, 137)
        return found | {"reached": "no", "why": "the time limit" if slow else why(done.stdout)}
    final = fp.load(prefix.id).final  # loaded again: the package is new
    if not (cpvs := final.vardb.match(atom)):
        return found | {"reached": "built", "why": "it is not in final"}
    contents = {os.fspath(path) for path in final.contents(cpvs[-1])}
    if errors := faults(prefix, contents, final):
        return found | {"reached": "built", "why": "; ".join(errors[:3])}
    ran, reason = programs(prefix, contents, final)
    return found | {"reached": ran, "why": reason}


def why(output: str) -> str:
    """Return the line of emerge's output that best describes a failure."""
    lines = [line.strip(" *!") for line in output.splitlines()]
    for words in ("Couldn't download", "ERROR: ", "building failed", "no ebuilds to satisfy"):
        if found := [line for line in lines if words in line]:
            return found[-1]
    return lines[-1] if lines else "emerge printed nothing"


def faults(prefix: fp.Prefix, contents: set[str], final: fp.Root) -> list[str]:
    """Return the errors that the audit finds in these files."""
    report = fp.verify(final)
    found = ((f, os.fspath(final.below(f.path))) for f in report.findings if f.level == "error")
    return [f"{f.code}: {f.path}" for f, place in found if place in contents]


def programs(prefix: fp.Prefix, contents: set[str], final: fp.Root) -> tuple[str, str]:
    """Run up to three programs of a package in the sandbox, which contains only the prefix.

    If it has none, load up to three of its libraries.
    """
    places = [os.fspath(final.eroot / name) for name in ("bin", "sbin", "usr/bin", "usr/sbin")]
    paths = sorted(p for p in contents if os.path.dirname(p) in places and os.access(p, os.X_OK))
    failed = []
    for path in paths[:3]:
        target = path.removeprefix(os.fspath(final.path))
        for option in ("--version", "--help", "-V"):
            if in_sandbox(prefix, target, option).returncode in (0, 1, 2):
                return "run", f"{os.path.basename(path)} {option}"
        failed.append(os.path.basename(path))
    if failed:
        return "verified", f"does not run: {', '.join(failed)}"
    return modules(prefix, contents, final) or libraries(prefix, contents, final)


def modules(prefix: fp.Prefix, contents: set[str], final: fp.Root) -> tuple[str, str] | None:
    """Import the Python modules of a package in the prefix's Python, or return ``None``."""
    pattern = r"/(python3\.\d+)/site-packages/((?:[A-Za-z]\w*/)*[A-Za-z]\w*?)(?:/__init__)?\.py$"
    found = {one.groups() for path in contents if (one := re.search(pattern, path))}
    places = {place for _, place in found}
    top = sorted(one for one in found if not any(p in places for p in parents(one[1])))
    if not top:
        return None
    names = [(python, place.replace("/", ".")) for python, place in top]
    for python, name in names:
        target = os.path.join(prefix.eprefix, "usr/bin", python)
        done = in_sandbox(prefix, target, "-c", f"import {name}")
        if done.returncode:
            return "verified", f"import {name}: {done.stderr.strip()[-100:]}"
    return "run", f"imported: {', '.join(name for _, name in names)}"


def parents(place: str) -> Iterator[str]:
    """Yield the directories of a relative path."""
    while "/" in place:
        place = place.rpartition("/")[0]
        yield place


def libraries(prefix: fp.Prefix, contents: set[str], final: fp.Root) -> tuple[str, str]:
    """Load up to three shared libraries, with those that they need, by the prefix's loader."""
    paths = sorted(
        p for p in contents if re.search(r"\.so(\.[0-9]+)*$", p) and not os.path.islink(p)
    )
    if not paths:
        return "verified", "it has no programs and no libraries"
    root, loader = os.fspath(final.path), os.path.join(prefix.eprefix, prefix.board.loader)
    for path in paths[:3]:
        done = in_sandbox(prefix, loader, "--list", path.removeprefix(root))
        if done.returncode:
            return "verified", f"{os.path.basename(path)}: {done.stderr.strip()[:100]}"
    return "run", f"{', '.join(os.path.basename(path) for path in paths[:3])}: loaded"


def in_sandbox(prefix: fp.Prefix, *words: str) -> subprocess.CompletedProcess[str]:
    """Run a command of the prefix in the sandbox."""
    argv = ["timeout", "20", "flatcar-prefix", "run", prefix.id, "--", *words]
    return subprocess.run(  # bzip2 --version compresses its input, too.
        argv,
        capture_output=True,
        text=True,
        errors="replace",
        stdin=subprocess.DEVNULL,
        check=False,
    )


def build(prefix: fp.Prefix, atoms: Sequence[str], limit: float) -> list[dict[str, object]]:
    """Build packages one by one; print each result and the sums."""
    results = []
    for atom in atoms:
        results.append(one := build_one(prefix, atom, limit))
        print(f"{one['reached']:9} {one['seconds']:7} s  {atom}: {one['why']}", flush=True)
    count = Counter(str(one["reached"]) for one in results)
    print(f"{len(results)} tried: " + ", ".join(f"{n} {word}" for word, n in count.items()))
    return results


def set_up(checkout: Path, bootstrap: str, place: Path) -> str:
    """Set up a prefix for a checkout below ``place``; return its name."""
    name = f"{re.sub('[^a-z0-9]', '', checkout.resolve().name.lower()) or 'tree'}-{bootstrap}"
    for variable in ("BUILD", "STATE", "WRAPPER", "FINAL"):
        os.environ.setdefault(f"FLATCAR_PREFIX_{variable}_DIR", os.fspath(place / variable.lower()))
    argv = ["flatcar-prefix", "setup", "--scripts_dir", os.fspath(checkout), "--toolchain=host",
            f"--bootstrap={bootstrap}", name, f"/usr/local/{name}"]  # fmt: skip
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode:
        print(f"{name} could not be set up:\n{done.stderr[-2000:]}", file=sys.stderr)
    return name


def names(args: argparse.Namespace, place: Path) -> Iterator[str]:
    """Yield the name of each prefix to look at."""
    yield from args.prefix
    for checkout in args.checkouts:
        for bootstrap in args.bootstrap or ["import"]:
            yield set_up(checkout, bootstrap, place)


def parser() -> argparse.ArgumentParser:
    """Return the parser of the command line."""
    found = argparse.ArgumentParser(description="How much of a real checkout resolves and builds.")
    found.add_argument("checkouts", nargs="*", type=Path, metavar="CHECKOUT")
    found.add_argument("--prefix", action="append", default=[], help="an existing prefix")
    found.add_argument("--bootstrap", action="append", choices=["source", "import", "none"])
    found.add_argument("--only", action="append", default=[], metavar="ATOM")
    found.add_argument("--every", type=int, default=1, metavar="N", help="each Nth package only")
    found.add_argument("--end-after", type=float, metavar="SECONDS", help="of one prefix's run")
    found.add_argument("--details", action="store_true", help="print each subject of a kind")
    found.add_argument("--build", type=Path, metavar="LIST", help="a file with an atom per line")
    found.add_argument("--limit", type=float, default=600, help="seconds for one build")
    found.add_argument("--json", type=Path, help="a file for all results")
    found.add_argument("--child", help=argparse.SUPPRESS)
    return found


def main() -> None:
    """Do the measurements of the command line."""
    args = parser().parse_args()
    if args.child:
        with args.json.open("w", buffering=1) as file:
            for result in resolve_all(fp.load(args.child), args.only, args.every):
                file.write(json.dumps(asdict(result)) + "\n")
        return
    everything: dict[str, list[object]] = defaultdict(list)
    place = Path(tempfile.mkdtemp(prefix="real-trees-", dir="/var/tmp"))
    try:
        for name in names(args, place):
            if args.build:
                atoms = [line for line in args.build.read_text().splitlines() if line.strip()]
                everything[name] += build(fp.load(name), atoms, args.limit)
                continue
            results = in_child(name, args.only, args.every, args.end_after)
            report(name, results, details=args.details)
            everything[name] += [asdict(r) for r in results]
    finally:
        shutil.rmtree(place, ignore_errors=True)
    if args.json:
        args.json.write_text(json.dumps(everything, indent=1))


if __name__ == "__main__":
    main()
