# SPDX-License-Identifier: BSD-3-Clause
"""Every tool in a prefix: declarations in ``wrappers/`` become scripts in the wrapper directory.

:mod:`~flatcar_prefix.wrappers.declaration` reads what a small file says of a tool,
:mod:`~flatcar_prefix.wrappers.script` makes the text of its wrapper,
:mod:`~flatcar_prefix.wrappers.files` writes, checks and removes the files, and
:mod:`~flatcar_prefix.wrappers.cli` is ``flatcar-prefix wrappers``.
"""

from __future__ import annotations

from flatcar_prefix.cli.wrappers import (
    add_arguments as add_arguments,
    is_changing as is_changing,
    listed as listed,
    run_cli as run_cli,
)
from flatcar_prefix.wrappers.declaration import (
    DeclarationError as DeclarationError,
    Tool as Tool,
    tools as tools,
)
from flatcar_prefix.wrappers.files import (
    Finding as Finding,
    Wrapper as Wrapper,
    check as check,
    find_wrapper as find_wrapper,
    generate as generate,
    missing as missing,
    refuse_blocked as refuse_blocked,
    remove as remove,
    wrappers as wrappers,
)
