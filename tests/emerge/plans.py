# SPDX-License-Identifier: BSD-3-Clause
"""Compare the plans of ``--pretend`` with the results of the same calls, for generated calls.

    python tests/emerge/plans.py --calls 100

sets up a prefix in a temporary directory, or uses ``--prefix DIRECTORY`` of an earlier run.
Each call runs twice: with ``--pretend``, and for real. The packages, roots and USE flags must
be the same, root by root.
"""

from __future__ import annotations

import argparse
import random
import re
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from hypothesis import HealthCheck, Phase, given, seed, settings, strategies as st
from machine import InUse, Machine, Overlay

OPTIONS = (
    "--update", "--deep", "--newuse", "--oneshot", "--noreplace", "--onlydeps", "--with-bdeps=y",
    "--changed-use", "--rebuilt-binaries", "--usepkg", "--selective=n", "--backtrack=5",
)  # fmt: skip
FLAGS = ("one", "two", "three")
PACKAGES = 14


@dataclass(frozen=True)
class Call:
    """A call of emerge: its arguments, and the USE of the caller."""

    arguments: tuple[str, ...]
    use: str

    def __str__(self) -> str:
        return f"USE={self.use!r} emerge {' '.join(self.arguments)}"


def write_tree(overlay: Overlay) -> None:
    """Write packages with slots, flags and all kinds of dependencies on earlier packages."""
    numbers = random.Random(11)
    for index in range(PACKAGES):
        for version in (1, 2):
            slot = str(version) if index % 5 == 4 else "0"
            depends = {
                name: " ".join(_dependencies(numbers, index)) if numbers.random() < chance else ""
                for name, chance in (
                    ("depend", 0.4), ("rdepend", 0.7), ("bdepend", 0.25), ("idepend", 0.2),
                    ("pdepend", 0.2),
                )
            }  # fmt: skip
            if index == 9 and version == 2:
                depends["rdepend"] += " !test-plan/p2"
            idepend = depends.pop("idepend")
            iuse = " ".join(numbers.sample(FLAGS, index % 3))
            keywords = "~amd64" if index == 7 and version == 2 else "amd64"
            body = f'IDEPEND="{idepend}"\nsrc_install() {{ echo "{version}" >"${{T}}/x" || die; insinto "/usr/share/${{PN}}-${{SLOT}}"; doins "${{T}}/x"; }}\n'
            overlay.ebuild(
                f"test-plan/p{index}-{version}",
                body,
                slot=slot,
                iuse=iuse,
                keywords=keywords,
                **depends,
            )


def _dependencies(numbers: random.Random, index: int) -> Iterator[str]:
    for other in numbers.sample(range(index), min(index, numbers.choice((1, 1, 2)))):
        flag = FLAGS[numbers.randrange(3)]
        yield numbers.choice(
            (
                f"test-plan/p{other}", f"test-plan/p{other}", f">=test-plan/p{other}-2",
                f"test-plan/p{other}:=", f"|| ( test-plan/p{other} test-plan/p0 )",
                f"test-plan/p{other}[{flag}(-)?]",
            )
        )  # fmt: skip


def calls() -> st.SearchStrategy[Call]:
    atom = st.builds(
        lambda form, index: form.format(f"test-plan/p{index}"),
        st.sampled_from(["{}", "{}", "={}-1", ">={}-2", "<{}-2"]),
        st.integers(0, PACKAGES - 1),
    )
    words = st.builds(
        lambda options, atoms: (*options, *atoms),
        st.lists(st.sampled_from(OPTIONS), max_size=3, unique=True),
        st.lists(atom, min_size=1, max_size=3, unique=True),
    )
    use = st.lists(st.sampled_from([*FLAGS, *(f"-{flag}" for flag in FLAGS)]), max_size=2)
    return st.builds(lambda arguments, flags: Call(arguments, " ".join(flags)), words, use)


def prefix_at(base: Path) -> InUse:
    """Return a prefix with the tree; set it up if it is not there."""
    machine = Machine(base / "machine")
    prefix = InUse(machine, "plan", "/usr/local/plan")
    if not prefix.staging_dir.exists():
        overlay = Overlay(base / "overlay", "plan-tests")
        write_tree(overlay)
        prefix = machine.setup("plan", f"--custom_ebuild_overlays={overlay.path}")
        for kind, line in (("staging", "=test-plan/p3-2\n"), ("final", "=test-plan/p5-2\n")):
            (prefix.config(kind) / "package.mask/mine").write_text(line)
    return prefix


Compare = Callable[[Call], str]
"""Runs a call; returns the difference between plan and deed, or an empty string."""

Step = tuple[str, str]
"""A package with its flags, and the directory that it is installed into."""

_SHOWN = re.compile(r"^\[(?:ebuild|binary)[^\]]*\] (\S+?)(?:::\S+)?(?: .*)?$", re.MULTILINE)
_DONE = re.compile(r"::: completed emerge \(\d+ of \d+\) (\S+) to (\S+)")


def shown_in(prefix: InUse, text: str) -> list[Step]:
    """Return the packages and roots of both plans."""
    found = []
    for line in text.splitlines():
        if match := _SHOWN.match(line):
            # The build number of an existing binary package follows the version.
            cpv = re.sub(r"^(test-plan/p\d+-\d+).*", r"\1", match[1])
            to = re.search(r" to (/\S*)", line)
            # Portage names no root for packages of the build host.
            where = to[1].rstrip("/") if to else str(prefix.staging_dir / "host")
            found.append((cpv, where))
    return sorted(found)


def done(prefix: InUse, log_sizes: dict[Path, int]) -> list[Step]:
    found = []
    for log, size in log_sizes.items():
        text = log.read_text()[size:] if log.exists() else ""
        found += [(cpv, where.rstrip("/")) for cpv, where in _DONE.findall(text)]
    return sorted(found)


def compare(prefix: InUse, call: Call) -> str:
    """Run a call; return the difference between the plan and the deed, or an empty string."""
    env = {"USE": call.use, "FEATURES": "-merge-sync", "CLEAN_DELAY": "0"}
    logs = {
        directory / "logs/emerge.log": 0 for directory in (prefix.staging_dir, prefix.final_dir)
    }
    plan = prefix.emerge("--pretend", "--verbose", *call.arguments, env=env)
    logs = {log: log.stat().st_size if log.exists() else 0 for log in logs}
    deed = prefix.emerge(*call.arguments, env=env)
    return difference(
        prefix, call, (plan.returncode, deed.returncode),
        shown_in(prefix, plan.stdout), done(prefix, logs),
        f"{plan.stdout}{plan.stderr}\n---\n{deed.stdout[-3000:]}{deed.stderr}",
    )  # fmt: skip


def difference(
    prefix: InUse,
    call: Call,
    codes: tuple[int, int],
    planned: list[Step],
    carried_out: list[Step],
    output: str,
) -> str:
    """Return how the deed differs from the plan, or an empty string.

    ``codes`` are the exit codes of ``--pretend`` and of the deed. A call that fails in both may
    have built packages in staging, but changes nothing in final.
    """
    if codes == (0, 0) and planned == carried_out:
        return ""
    if all(codes) and not any(w.startswith(str(prefix.final_dir)) for _, w in carried_out):
        return ""
    missing = [step for step in planned if step not in carried_out]
    more = [step for step in carried_out if step not in planned]
    return (
        f"{call}\n--pretend: {codes[0]}, then {codes[1]}\n"
        f"only shown: {missing}\nonly done: {more}\n{output}"
    )


def try_calls(
    description: str, comparing: Callable[[InUse], AbstractContextManager[Compare]]
) -> int:
    """Compare as many generated calls as the command line says; return the exit code.

    ``comparing`` receives the prefix; within its context, its value compares one call.
    """
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--calls", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--prefix", type=Path, help="the directory of an earlier run")
    options = parser.parse_args()
    base = options.prefix or Path(tempfile.mkdtemp(prefix="flatcar-prefix-plans-"))
    prefix = prefix_at(base)
    print(f"the prefix is in {base}", flush=True)
    count = {"same": 0, "different": 0}

    with comparing(prefix) as compare_one:

        @seed(options.seed)
        @settings(
            max_examples=options.calls, deadline=None, database=None, phases=[Phase.generate],
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(calls())
        def try_one(call: Call) -> None:
            found = compare_one(call)
            count["different" if found else "same"] += 1
            print(f"{'DIFFERENT' if found else 'same'}: {found or call}", flush=True)

        try_one()
    print(f"{count['same']} calls the same, {count['different']} different")
    return 1 if count["different"] else 0


if __name__ == "__main__":
    sys.exit(
        try_calls(__doc__.splitlines()[0], lambda prefix: nullcontext(partial(compare, prefix)))
    )
