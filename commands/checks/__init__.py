"""The checks of ``livem doctor``: each looks at one thing of this machine and says what it means.

They change nothing. A check that cannot be made on a platform gives no finding.
"""

from __future__ import annotations

from .finding import Finding


def all_findings() -> list[Finding]:
    """Every check, in the order in which a person would ask."""
    from . import gpu, machine, memory, network, numba_cache, packages, qt

    modules = (machine, packages, qt, memory, network, numba_cache, gpu)
    return [finding for module in modules for finding in module.findings()]
