# SPDX-License-Identifier: BSD-3-Clause
"""``python -m flatcar_prefix`` is ``flatcar-prefix``."""

import sys

from flatcar_prefix.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
