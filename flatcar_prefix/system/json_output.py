# SPDX-License-Identifier: BSD-3-Clause
"""The JSON that commands print with ``--json``.

``flatcar_prefix/cli/schemas`` has a JSON Schema for each. Each object of the first level has the
key ``format``.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

FORMAT = 1
"""The version of the format; a change that breaks a reader raises it."""


def to_json(data: Mapping[str, Any] | Sequence[Any]) -> str:
    """Return the text of an object, or of a list of objects or texts, with its line end."""
    whole = _marked(data) if isinstance(data, Mapping) else [_marked(one) for one in data]
    return json.dumps(whole, indent=2, default=os.fspath) + "\n"


def _marked(data: Any) -> Any:
    return {"format": FORMAT, **data} if isinstance(data, Mapping) else data
