# SPDX-License-Identifier: BSD-3-Clause
"""The page of a report, as a real browser shows it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import Browser

from flatcar_prefix.image.selection import Tally
from flatcar_prefix.report.charts import layers, treemap, without_gaps
from flatcar_prefix.report.data import Build, Data, Finding, Package, builds
from flatcar_prefix.report.page import page

sys.path.insert(0, os.fspath(Path(__file__).resolve().parents[1] / "image"))
import itertools

import shipping_prefix  # its directory had to be named first

WIDE, NARROW = 1280, 380


def data(count: int) -> Data:
    """Return a prefix of ``count`` packages, each of which needs one or two before it."""
    names = [f"cat-{n % 7}/package-with-number-{n}" for n in range(count)]
    packages = tuple(
        Package(name, f"1.{n}", "MIT", "MIT", "repo", f'"Quoted" <{n}>', 40_000 * (n + 1) ** 2, n + 1,
                tuple({names[n // 3], names[n // 2]} - {name}), f"{n:064x}")
        for n, name in enumerate(names)
    )  # fmt: skip
    start = 1_700_000_000
    return Data(
        name="many", eprefix="/opt/many", board="amd64-usr", packages=packages, unowned=66,
        left_out={"docs": Tally(3, 4_000_000)}, kernel="3.2.0", cpu="x86-64",
        findings=(Finding("warning", "script-interpreter", "/opt/many/<b>x</b>", "a & b", "Fix it."),),
        builds=tuple(Build(f"{name}-1", start + 9000 * n, start + 9000 * n + 30) for n, name in enumerate(names)),
    )  # fmt: skip


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    with Browser(tmp_path_factory.mktemp("profile")) as browser:
        yield browser


@pytest.fixture(scope="module", params=[3, 60])
def shown(request: Any, tmp_path_factory: pytest.TempPathFactory) -> tuple[int, Path]:
    file = tmp_path_factory.mktemp("report") / "report.html"
    file.write_text(page(data(request.param)), encoding="utf-8")
    return request.param, file


BOXES = """
[...document.querySelectorAll('#treemap > svg')].map(cell => {
    const box = cell.querySelector('rect').getBoundingClientRect();
    return [cell.querySelector('title').textContent, box.x, box.y, box.width, box.height];
})
"""

CONTRAST = """
(() => {
    const light = text => {
        const [r, g, b] = text.match(/[\\d.]+/g).map(v => v / 255)
            .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const ratio = (a, b) => {
        const [x, y] = [light(a), light(b)].sort((p, q) => q - p);
        return (x + 0.05) / (y + 0.05);
    };
    const found = [];
    for (const text of document.querySelectorAll('.cell text, .node text'))
        found.push(ratio(getComputedStyle(text).fill,
                         getComputedStyle(text.parentNode.querySelector('rect')).fill));
    const back = getComputedStyle(document.body).backgroundColor;
    for (const element of document.querySelectorAll('p, td, h1, h2, code'))
        found.push(ratio(getComputedStyle(element).color, back));
    return Math.min(...found);
})()
"""


@pytest.mark.parametrize("width", [WIDE, NARROW])
@pytest.mark.parametrize("dark", [False, True])
def test_it_is_readable(browser: Browser, shown: tuple[int, Path], width: int, dark: bool) -> None:
    count, file = shown
    browser.show(file, width=width, dark=dark)
    # Nothing exceeds the width of the page: wide parts scroll in separate boxes.
    assert browser.ask("document.documentElement.scrollWidth") <= width
    assert browser.ask(CONTRAST) >= 4.5
    back = browser.ask("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", back))) < 120) == dark
    # A label is as large as the text around it, and begins in its cell.
    assert browser.ask("getComputedStyle(document.querySelector('.cell text')).fontSize") == "12px"
    assert browser.ask("document.querySelectorAll('.cell text').length") > 0
    assert browser.ask("document.querySelectorAll('#packages tr').length") == count + 1
    assert len(browser.picture()) > 10_000


def test_the_treemap_fills_its_place_in_proportion(
    browser: Browser, shown: tuple[int, Path]
) -> None:
    count, file = shown
    browser.show(file, width=WIDE)
    boxes = browser.ask(BOXES)
    assert len(boxes) == count
    whole = browser.ask("(r => [r.x, r.y, r.width, r.height])"
                        "(document.querySelector('#treemap').getBoundingClientRect())")  # fmt: skip
    area, total = whole[2] * whole[3], sum(p.size for p in data(count).packages)
    sizes = {package.name: package.size for package in data(count).packages}
    for title, x, y, wide, high in boxes:
        assert wide * high / area == pytest.approx(
            sizes[title.split()[0]] / total, rel=0.02, abs=2e-5
        )
        assert x >= whole[0] - 1 and x + wide <= whole[0] + whole[2] + 1
        assert y >= whole[1] - 1 and y + high <= whole[1] + whole[3] + 1


def test_the_graph_leads_from_left_to_right_and_nothing_overlaps(
    browser: Browser, shown: tuple[int, Path]
) -> None:
    count, file = shown
    browser.show(file, width=WIDE)
    nodes = browser.ask("""[...document.querySelectorAll('#graph > .node')].map(node =>
        [node.querySelector('title').textContent, +node.getAttribute('x'), +node.getAttribute('y')])""")
    assert len({(x, y) for _, x, y in nodes}) == len(nodes) == count
    left = {name: x for name, x, _ in nodes}
    for package in data(count).packages:
        for other in package.needs:
            assert left[package.name] < left[other]
    edges = sum(len(package.needs) for package in data(count).packages)
    assert browser.ask("document.querySelectorAll('#graph .edge').length") == edges


def test_builds_lie_one_after_the_other_without_the_idle_times(
    browser: Browser, shown: tuple[int, Path]
) -> None:
    count, file = shown
    browser.show(file, width=WIDE)
    bars = browser.ask("""[...document.querySelectorAll('.bar')].map(bar =>
        [bar.getBoundingClientRect().x, bar.getBoundingClientRect().width])""")
    assert len(bars) == count
    for (x, wide), (following, _) in itertools.pairwise(bars):
        assert following >= x + wide - 0.5
        assert following - x < 2 * wide, "an idle time is shown"


def test_nothing_is_loaded_and_no_text_is_markup(browser: Browser, shown: tuple[int, Path]) -> None:
    _, file = shown
    browser.requests.clear()
    browser.errors.clear()
    browser.show(file, width=WIDE)
    assert set(browser.requests) <= {file.as_uri()}
    assert browser.errors == []
    assert browser.ask("document.querySelector('#audit').textContent.includes('<b>x</b>: a & b')")
    assert browser.ask("document.querySelectorAll('b').length") == 0


def test_the_command_writes_a_page_of_a_real_prefix(browser: Browser, tmp_path: Path) -> None:
    prefix = shipping_prefix.make(tmp_path / "own")
    prefix.staging.logdir.mkdir(parents=True, exist_ok=True)
    (prefix.staging.logdir / "emerge.log").write_text(LOG)
    file = tmp_path / "report.html"
    subprocess.run(
        [sys.executable, "-m", "flatcar_prefix", "report", prefix.staging_dir, "-o", file],
        check=True,
    )
    browser.show(file, width=WIDE)
    text = browser.ask("document.body.innerText")
    for word in ("app-misc/hello", "sys-libs/glibc", "1.2-r3", "Licences", "LGPL-2.1-or-later",
                 "Not in the image", "sys-libs/glibc-2.36", "1 min 40 s"):  # fmt: skip
        assert word in text, word


LOG = """\
1700000000: Started emerge on: Nov 14, 2023
1700000000:  >>> emerge (1 of 2) sys-libs/glibc-2.36 to /build/root/
1700000100:  ::: completed emerge (1 of 2) sys-libs/glibc-2.36 to /build/root/
1700000100:  >>> emerge (2 of 2) app-misc/failed-1 to /build/root/
1700009000:  >>> emerge (1 of 1) app-misc/hello-1.2-r3 to /build/root/
1700009003:  ::: completed emerge (1 of 1) app-misc/hello-1.2-r3 to /build/root/
"""


def test_builds_are_read_from_the_log_of_portage(tmp_path: Path) -> None:
    (tmp_path / "emerge.log").write_text(LOG)
    assert list(builds(tmp_path / "emerge.log")) == [
        Build("sys-libs/glibc-2.36", 1700000000, 1700000100),
        Build("app-misc/hello-1.2-r3", 1700009000, 1700009003),
    ]
    assert list(builds(tmp_path / "none")) == []


def test_a_treemap_of_nothing_and_of_one() -> None:
    assert treemap([]) == treemap([0]) == []
    (cell,) = treemap([5])
    assert (cell.x, cell.y, cell.width, cell.height) == pytest.approx((0, 0, 1, 1))


def test_packages_that_need_each_other_have_places_all_the_same() -> None:
    columns = layers({"a": ["b"], "b": ["c"], "c": ["b", "gone"], "d": []})
    assert sorted(name for column in columns for name in column) == ["a", "b", "c", "d"]
    assert "a" in columns[0]


def test_builds_at_the_same_time_stay_at_the_same_time() -> None:
    places = without_gaps([(100, 200), (150, 160), (900, 910)])
    assert (places[100], places[150], places[160], places[200], places[900]) == (
        0,
        50,
        60,
        100,
        102,
    )
