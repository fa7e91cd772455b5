# SPDX-License-Identifier: BSD-3-Clause
"""Compare the wrappers with the real tools, call by call.

    python tests/differential [portageq] [emerge] [equery] [tools]

``portageq`` and ``emerge`` compare with the same Portage in the same root, ``equery`` with
gentoolkit, if a checkout is given. ``tools`` runs every declared tool in both roots, as root and
as an ordinary user. Each allowed difference has its reason in the file of its comparison. The exit
code is 1 if there is another one. ``./run-tests --portage VERSION -- -m e2e tests/differential``
runs everything with another Portage.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

_TESTS = Path(__file__).resolve().parents[1]
sys.path[:0] = [
    str(_TESTS),
    str(_TESTS / "differential"),
    str(_TESTS / "equery"),
    str(_TESTS.parent),
]

import emerge_calls
import portageq_calls
import tools
from comparing import Checkouts


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", nargs="*", help="portageq, emerge, equery, tools; default: all")
    parser.add_argument("--gentoolkit", type=Path, help="a checkout")
    parser.add_argument("--portage-utils", type=Path, help="a checkout in which q is built")
    parser.add_argument("--only", default="", help="only calls that contain this text")
    parser.add_argument("--prefix", type=Path, help="the directory of an earlier run")
    options = parser.parse_args()
    what = options.what or ["portageq", "emerge", "equery", "tools"]
    base = options.prefix or Path(tempfile.mkdtemp(prefix="flatcar-prefix-differential-"))
    base.mkdir(parents=True, exist_ok=True)
    base.chmod(0o755)
    print(f"the prefix is in {base}", flush=True)
    wrong = 0
    if "portageq" in what:
        wrong += portageq_calls.run(base, only=options.only)
    if "emerge" in what:
        wrong += emerge_calls.run(base, only=options.only)
    if "equery" in what and options.gentoolkit:
        import parity
        from fixture_prefix import Fixture, build

        there = base / "equery"
        fixture = Fixture(there) if there.exists() else build(there)
        wrong += parity.run(options.gentoolkit, fixture, only=options.only)
    if "tools" in what:
        wrong += tools.run(base, Checkouts(options.gentoolkit, options.portage_utils))
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
