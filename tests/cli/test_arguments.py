# SPDX-License-Identifier: BSD-3-Clause
"""Options with underscores, as in the shell version: this program's own options only."""

from __future__ import annotations

from hypothesis import given, strategies as st

from flatcar_prefix.cli.main import flatcar_prefix_parser, setup_prefix_parser


def test_arguments_of_a_program_that_is_run_stay_as_they_are() -> None:
    words = ["run", "demo", "grep", "--foo_bar", "--trace_libs", "--a_b=c_d", "--"]
    args = flatcar_prefix_parser("run").parse_args(words)
    assert (args.program, args.trace_libs) == ("grep", False)
    assert args.arguments == words[3:]


def test_our_own_options_are_known_with_underscores_too() -> None:
    words = ["run", "--trace_libs", "--setenv=A=b_c", "demo", "grep"]
    args = flatcar_prefix_parser("run").parse_args(words)
    assert (args.trace_libs, args.setenv) == (True, ["A=b_c"])
    args = flatcar_prefix_parser("sysext").parse_args(
        ["sysext", "demo", "--compression_level", "3", "--no_verify", "--exclude", "a_b"]
    )
    assert (args.compression_level, args.no_verify, args.exclude) == (3, True, ["a_b"])


@given(st.text(alphabet="ab_-/", min_size=1, max_size=8).filter("--".__ne__))
def test_values_keep_their_underscores(value: str) -> None:
    parser = setup_prefix_parser()
    args = parser.parse_args([f"--staging_dir={value}", "a_b", "/opt/a_b"])
    assert (args.staging_dir, args.name, args.eprefix) == (value, "a_b", "/opt/a_b")
