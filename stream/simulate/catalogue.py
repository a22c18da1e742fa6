"""Acquisitions by name: simulators (``sim:4dstem?...``) and files; the one place that knows all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches

from ...errors import SourceError
from ..files.acquisition import Acquisition
from ..files.open_file import open_file


def open_acquisition(spec: str) -> Acquisition:
    """Open ``sim:NAME?key=value&...`` or a file (see files/); ``FILE#key`` chooses one array of several.

    Raises
    ------
    SourceError
        An unknown simulator, key or value; a file that is missing, unreadable or empty.
    """
    if not spec.startswith("sim:"):
        return open_file(spec)
    name, _, query = spec.removeprefix("sim:").partition("?")
    openers = simulators()
    if name not in openers:
        near = get_close_matches(name, list(openers), 1)
        hint = f"did you mean sim:{near[0]}?" if near else f"there are: {', '.join(openers)}"
        raise SourceError(f"there is no simulator {name!r}; {hint}")
    return openers[name](query)


def simulators() -> Mapping[str, Callable[[str], Acquisition]]:
    """Simulators by name; each opens from the text behind ``?``."""
    from .four_d_stem import FourDStem
    from .in_situ import InSitu
    from .sparse_scan import SparseScan

    return {"4dstem": FourDStem.open, "sparse": SparseScan.open, "insitu": InSitu.open}
