# SPDX-License-Identifier: BSD-3-Clause
"""The emerge wrapper runs this: ``<staging directory> [--stage|--install|...] [argument ...]``."""

import sys

from flatcar_prefix.emerge.command import main

if __name__ == "__main__":
    arguments, sys.argv[:] = sys.argv[1:], ["emerge", *sys.argv[2:]]
    sys.exit(main(arguments))
