# SPDX-License-Identifier: BSD-3-Clause
"""Keep FEATURES that choose a compiler launcher (ccache, distcc, icecream).

``doebuild_environment`` of Portage removes such a feature if the EPREFIX of the package has no
directory of links with the names of compilers on this machine. A prefix needs no such links:
its compiler scripts start the launcher. No public call keeps a feature, from Portage 3.0.63 to
3.0.83.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from flatcar_prefix.portage_api.emerge_hooks import replaced

FEATURES = ("ccache", "distcc", "icecream")


@contextmanager
def kept() -> Iterator[None]:
    """Within, Portage keeps these FEATURES and does not warn about the missing directory."""
    import _emerge.actions  # It imports the modules that call the function.  # noqa: F401
    from portage.package.ebuild.doebuild import doebuild_environment

    keeping = _keeping(doebuild_environment)
    with ExitStack() as stack:
        for module in list(sys.modules.values()):
            if getattr(module, "__dict__", {}).get("doebuild_environment") is doebuild_environment:
                stack.enter_context(replaced(module, "doebuild_environment", keeping))
        yield


def _keeping(original: Callable[..., Any]) -> Callable[..., Any]:
    def doebuild_environment(*args: Any, **kwargs: Any) -> Any:
        settings = kwargs["settings"] if "settings" in kwargs else args[3]
        chosen = [feature for feature in FEATURES if feature in settings.features]
        for feature in chosen:
            settings.features.remove(feature)
        try:
            return original(*args, **kwargs)
        finally:
            for feature in chosen:
                settings.features.add(feature)

    return doebuild_environment
