# SPDX-License-Identifier: BSD-3-Clause
"""Unpack wheels into a directory of modules, as "Binary distribution format" describes it."""

import csv
import io
import sys
import zipfile
from pathlib import Path


def left_out(name):
    """Windows' launchers are of no use here."""
    return name.endswith(".exe")


def install(wheel, site):
    with zipfile.ZipFile(wheel) as archive:
        record = next(n for n in archive.namelist() if n.endswith(".dist-info/RECORD"))
        for name in archive.namelist():
            if not name.endswith("/") and not left_out(name) and name != record:
                archive.extract(name, site)
        rows = list(csv.reader(io.StringIO(archive.read(record).decode())))
    installer = record.replace("RECORD", "INSTALLER")
    (site / installer).write_text("pip\n")
    rows = [row for row in rows if row and not left_out(row[0])] + [[installer, "", ""]]
    with (site / record).open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows(rows)


def main(site, *wheels):
    for wheel in wheels:
        install(wheel, Path(site))


if __name__ == "__main__":
    main(*sys.argv[1:])
