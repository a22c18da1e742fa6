"""What numba does when a process begins, and kernels that are compiled already can do without.

Before it loads the first kernel it imports all that it can compile, and the extensions that other installed
packages have for it: 0.13 s of processor time a process, 0.2 s where such a package (sparse, say) is there.
Whatever it compiles, it asks for all of that again. And it imports a reader of YAML (0.02 s) for a file of
settings that hardly anybody has. Knows no kernel.
"""

from __future__ import annotations

import os
import sys
from typing import Any

from .kernel_cache import is_own

SETTINGS = ".numba_config.yaml"
"""In the working directory."""
NEEDED = ("_load_overload", "_guard_against_spurious_io_errors", "cache_path")
"""Of numba's own cache (0.60 to 0.68 have them); without, kernels load as numba does it."""


def load_lightly() -> None:
    """Import numba, and have it load kernels from livem's own cache without what compiling needs.

    For a process that runs livem's kernels alone: numba functions on types of an extension, ``sparse.COO``
    say, do not compile in it.
    """
    hidden = not os.path.exists(SETTINGS) and sys.modules.setdefault("yaml", None) is None  # type: ignore[arg-type]
    try:
        from numba.core import caching, entrypoints
    finally:
        if hidden:
            del sys.modules["yaml"]
    from numba.core.runtime import rtsys

    entrypoints._already_initialized = True
    load = caching.Cache.load_overload
    if hasattr(load, "__wrapped__") or not all(hasattr(caching.Cache, name) for name in NEEDED):
        return

    def light(self: Any, signature: Any, context: Any) -> Any:
        if not is_own(os.path.dirname(self.cache_path)):
            return load(self, signature, context)
        rtsys.initialize(context)  # what allocates in compiled code
        with self._guard_against_spurious_io_errors():
            return self._load_overload(signature, context)

    light.__wrapped__ = load  # type: ignore[attr-defined]
    caching.Cache.load_overload = light
