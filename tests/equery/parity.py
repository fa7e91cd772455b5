# SPDX-License-Identifier: BSD-3-Clause
"""Compares this equery with gentoolkit's, call by call, on the fixture prefix.

    python tests/equery/parity.py <gentoolkit checkout> [--fixture DIR] [--merge-all]

Needs root (mount namespaces), and a Portage that the gentoolkit still works with beside the
Python that runs this (gentoolkit 0.6.11: 3.0.63 to 3.0.70). gentoolkit runs in the prefix's
view; this equery there and, from outside, by variables (cross). Prints a Markdown table.
Exit code 1 when a difference is not one of those that are explained.
"""

from __future__ import annotations

import argparse
import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parent))
from fixture_prefix import EPREFIX, Fixture, build, in_view

_TOP = Path(__file__).resolve().parents[2]
_HELP = "help texts are our own"
_TERMINAL = {"TERM": "xterm"}
"""This program turns colours off for the terminal ``dumb``; gentoolkit does not."""

# -N: as on a terminal; without it, as in a pipe.
CALLS = r"""
list '*'
-N list '*'
-q list '*'
-C -N list '*'
-N list alpha
list 'app-misc/*'
-N list 'app-misc/fake*'
-N list '*alpha*'
-N list '=app-misc/alpha-1.0'
-N list 'app-misc/alpha:2'
-N list 'alpha::gentoo'
-N list 'alpha::fixture-extra'
-N list '>=app-misc/alpha-1'
-N list fake-alpha
-N list -p beta
-N list -o beta
-N list -po '*'
-N list -Ipo '*'
-N list -Ip beta
-N list --portage-tree --overlay-tree x11-misc/hidden
-N list -d '*'
list -d '*'
-N list -f 'misc/.*alpha-[12]'
-N list -f '^dev-libs/(beta|gamma)'
-N list -f '('
-N list -m -p alpha
-N list -m -Ip masked
list -F '$cp:$slot::$repo' '*'
-N list -F '$cpv $mask2 $location $keywords ${name}_$fullversion $nothing' '*'
-N list -po -F '[$location] [$mask] $cpv:$slot [$repo]' '*'
-N list @mine
-N list @nosuch
-N list nothing
list nothing
-q list nothing
-N list 'a b'
-N list '///'
-N list alpha beta
-N list -b '*'
-N list -e alpha
list -I alpha
-N list -I alpha
-N list -I '*'
-N files alpha
files alpha
-q files alpha
-C -N files alpha
-N files -m alpha
-N files -s beta
-N files -t alpha
files -mst alpha
-N files --tree alpha
files --tree base
-N files --filter=dir,sym alpha
-N files -f obj beta
-N files --filter=fifo alpha
-N files --filter=path base
-N files --filter=cmd base
-N files --filter=conf base
-N files --filter=doc,man,info base
-N files --filter=bogus base
-N files --md5sum --timestamp --type extra
-N files nothing
-N files '*alpha*'
-N files empty
-N belongs /PREFIX/usr/bin/zeta
belongs /PREFIX/usr/bin/zeta
-N belongs base-link
-N belongs /PREFIX/usr/bin/base-link
-N belongs /PREFIX//usr/bin/zeta/
-N belongs usr/bin/zeta alpha0
-N belongs /PREFIX/usr/bin
belongs -n /PREFIX/usr/bin
-N belongs -e /PREFIX/usr/bin
-N belongs -f '.*/usr/bin/.*a$'
belongs -f 'zeta|alpha0'
-N belongs -f 'zeta'
-N belongs -fn '.*alpha' '.*beta'
belongs -f '('
-N belongs '/PREFIX/usr/share/name with space/a file'
-N belongs é
-N belongs /nothing
belongs /nothing
-N belongs --earlyout zeta
-N check '*'
check '*'
-q check '*'
-N check -o '*'
check -o '*'
-N check alpha
-N check -f 'beta|gamma'
check nothing
-N size '*'
size '*'
-N size -b alpha
-N size 'app-misc/*'
-N size -f '^sys'
size nothing
-N depends beta
depends beta
-N depends dev-libs/beta
-N depends '>=dev-libs/beta-1.2'
-N depends '=dev-libs/beta-1.0'
-N depends '<dev-libs/gamma-1'
-N depends 'dev-libs/delta:1'
-N depends -D beta
depends -D beta
-N depends -D --depth=1 sys-apps/base
-N depends --depth=0 -D base
-N depends -a beta
depends -a alpha
-N depends -F '$cp' beta
-N depends --depth=x beta
-N depends nothing
-N depends alpha beta
-N depgraph docs
depgraph docs
-q depgraph docs
-N depgraph alpha
-N depgraph --depth=0 docs
-N depgraph -A docs
-N depgraph -U alpha
-N depgraph -M docs
-N depgraph -l --depth=2 docs
-N depgraph -AUM gone
-N depgraph nothing
-N depgraph --depth=x docs
-N depgraph 'app-misc/*s*'
-N has SLOT 2
has SLOT 2
-N has USE bar foo
-N has repository fixture-extra
-N has EAPI 8
-N has CHOST x86_64-cros-linux-gnu
has NOSUCH thing
-N has -p SLOT 3
-N has -o EAPI 8
-N has -Ipo EAPI 8
has -F '$cp' SLOT 0
-N has SLOT
-N has --package zeta IUSE
-N hasuse foo
hasuse foo
-N hasuse -p foo
-N hasuse -o foo
-N hasuse -poI foo
hasuse -F '$cp:$slot' foo
-N hasuse foo bar
hasuse nosuchflag
-N keywords alpha
keywords alpha
-N keywords -C alpha
-N keywords -C -B alpha
-N keywords -O beta
-N keywords -P alpha
-N keywords -A top alpha
-N keywords -T versionlist alpha
-N keywords -C -B -T versionlist alpha
-N keywords -a amd64,arm64 alpha
-N keywords -S alpha
-N keywords app-misc/docs sys-apps/base
-N keywords gamma
keywords nothing
keywords
-N meta alpha
meta alpha
-q meta alpha
-C -N meta alpha
-N meta -d alpha
meta -d alpha
-N meta -k alpha
-N meta -l docs
-N meta -m alpha
-N meta -kr alpha
-N meta -S alpha
-N meta -u alpha
-N meta -U alpha
-N meta -x alpha
-N meta -H alpha
-N meta beta
-N meta docs
-N meta alpha beta
-N meta nothing
-N uses alpha
uses alpha
-q uses alpha
-C -N uses alpha
-N uses -a alpha
-N uses -f alpha
-N uses -i alpha
-N uses zeta
-N uses docs
uses docs
-N uses plain
-N uses nothing
-N uses alpha delta
-N uses fake-alpha
which alpha
-N which -m alpha
which -e docs
-N which beta
-N which masked
-N which -m masked
-N which plain
which '=app-misc/alpha-1.0'
which fake-alpha
which nothing
l alpha
f zeta
b zeta
k zeta
d zeta
g zeta
a SLOT 2
h test
y zeta
m zeta
s zeta
u zeta
w zeta
--bogus
list --bogus alpha
files -f
nosuch alpha
--version
-h
list -h
list '!@#'
list -f
-N meta '='
-N which '*'
-N uses '='
-N depends '='
depends -F
-N list 'gentoo:0:x'
-q -N list alpha
-N check '@mine'
-N files @mine
--no-pipe --no-color --quiet list alpha
--no-pipe list --full-regex alpha
--no-pipe list --dup '*'
list --nope
-N -q files --tree alpha
-N size base
-N which -e alpha
-N belongs ./usr/bin/zeta
-N hasuse -I foo
has
depends --format='$cp' beta
belongs -h
list
--debug list nothing
-N list 'app-misc/alpha[foo]'
-N list 'app-misc/alpha:0[foo]'
-N list '=app-misc/alpha-1.0[foo]'
keywords ''

""".replace("/PREFIX", EPREFIX)

EXPLAINED = {
    "-N which '*'": "gentoolkit's message names a function of its own",
    "-h": _HELP,
    "list -h": f"{_HELP}; gentoolkit warns of a change of 2008 on standard error",
    "--version": "our own name and version",
    "-N depends --depth=x beta": f"{_HELP}; the error goes to standard error, as everywhere else",
    "keywords ''": "gentoolkit ends in a traceback",
    "belongs -h": "gentoolkit declares -h with an argument there and rejects it",
    "depends --format='$cp' beta": "gentoolkit declares the documented --format=TMPL without one",
    "-N has --package zeta IUSE": "gentoolkit answers, and exits 1 all the same",
    "-N uses fake-alpha": "gentoolkit's order of the choices changes from call to call",
    "which fake-alpha": "gentoolkit's order of the choices changes from call to call",
    "-N files --filter=doc,man,info base": "gentoolkit looks in /usr/share, not the prefix's",
    "-N files --filter=conf base": "gentoolkit looks in /etc, not the prefix's",
    "-N files --filter=cmd base": "gentoolkit knows PATH alone, not the prefix's directories",
}


class Answer(NamedTuple):
    code: int
    out: str
    err: str


def _run(command: list[str], env: dict[str, str], cwd: Path) -> Answer:
    done = subprocess.run(
        command, env=env, cwd=cwd, stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    return Answer(
        done.returncode,
        done.stdout.decode("utf-8", "replace"),
        done.stderr.decode("utf-8", "replace"),
    )


def theirs(fixture: Fixture, checkout: Path, args: list[str]) -> Answer:
    """gentoolkit's answer. Unbuffered: in a pipe it mixes two buffers and swaps lines."""
    env = (
        fixture.view_env()
        | _TERMINAL
        | {"PYTHONPATH": str(checkout / "pym"), "PYTHONUNBUFFERED": "1"}
    )
    command = [sys.executable, str(checkout / "bin" / "equery"), *args]
    return _run(in_view(fixture, command), env, fixture.base)


def ours(fixture: Fixture, args: list[str], *, view: bool) -> Answer:
    command = [sys.executable, "-m", "flatcar_prefix.equery", *args]
    env = (fixture.view_env() if view else fixture.cross_env()) | _TERMINAL
    env["PYTHONPATH"] = str(_TOP)
    return _run(in_view(fixture, command) if view else command, env, fixture.base)


def _parts(one: Answer, other: Answer) -> str:
    names = [n for n, a, b in zip(("exit", "out", "err"), one, other, strict=True) if a != b]
    return ", ".join(names) or "same"


def _show(label: str, answer: Answer) -> None:
    sys.stderr.write(f"--- {label}: exit {answer.code}\n{answer.out}{answer.err}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("checkout", type=Path)
    parser.add_argument("--fixture", type=Path, help="one that exists already")
    parser.add_argument("--merge-all", action="store_true", help="emerge every package")
    parser.add_argument("--only", default="", help="only calls that contain this")
    opts = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        fixture = (
            Fixture(opts.fixture.resolve())
            if opts.fixture
            else build(Path(scratch) / "fixture", merge_all=opts.merge_all)
        )
        return 1 if run(opts.checkout, fixture, only=opts.only) else 0


def run(checkout: Path, fixture: Fixture, *, only: str = "") -> int:
    """Print a row for each call; return the number of differences without an explanation."""
    probe = _run(in_view(fixture, ["true"]), fixture.view_env(), fixture.base)
    if probe.code:
        sys.exit(f"no view here: {probe.err}")
    calls = [call for call in CALLS.splitlines() if call and only in call]
    same = unexplained = 0
    print("| call | exit | view | cross | why different |\n| --- | --- | --- | --- | --- |")
    for call in calls:
        args = shlex.split(call)
        want = theirs(fixture, checkout, args)
        got = {view: ours(fixture, args, view=view) for view in (True, False)}
        verdicts = [_parts(want, got[True]), _parts(want, got[False])]
        equal = verdicts == ["same", "same"]
        why = "" if equal else EXPLAINED.get(call, "")
        if not equal and not why and {want.code, got[True].code, got[False].code} == {2}:
            why = _HELP
        same += equal
        if not equal and not why:
            unexplained += 1
            _show(f"gentoolkit {call}", want)
            _show("ours (view)", got[True])
            _show("ours (cross)", got[False])
        shown = call.replace("|", "\\|").replace(EPREFIX, "<EPREFIX>")
        print(
            f"| `{shown}` | {want.code} | {verdicts[0]} | {verdicts[1]} | "
            f"{'' if equal else why or '**unexplained**'} |",
            flush=True,
        )
    explained = len(calls) - same - unexplained
    print(f"\n{len(calls)} calls: {same} the same, {explained} explained, {unexplained} not.")
    return unexplained


if __name__ == "__main__":
    os.umask(0o022)
    sys.exit(main())
