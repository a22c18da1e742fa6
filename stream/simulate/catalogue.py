"""Acquisitions by name: simulators (``sim:4dstem?...``) and files; the one place that knows all of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from difflib import get_close_matches
from functools import partial
from typing import Any

from ...errors import SourceError
from ..files.acquisition import Acquisition
from ..files.open_file import open_file
from .options import parse_options


def open_acquisition(spec: str) -> Acquisition:
    """Open ``sim:NAME?key=value&...`` or a file (see files/); ``FILE#key`` chooses one array of several.

    Raises
    ------
    SourceError
        An unknown simulator, key or value; a file that is missing, unreadable or empty.
    """
    if not spec.startswith("sim:"):
        return open_file(spec)
    return check_simulator(spec)()


def check_simulator(spec: str) -> Callable[[], Acquisition]:
    """What opens ``sim:NAME?key=value&...``; name, keys and values are good, nothing is simulated yet.

    Raises SourceError as ``open_acquisition`` does.
    """
    name, _, query = spec.removeprefix("sim:").partition("?")
    known = simulators()
    if name not in known:
        near = get_close_matches(name, list(known), 1)
        hint = f"did you mean sim:{near[0]}?" if near else f"there are: {', '.join(known)}"
        raise SourceError(f"there is no simulator {name!r}; {hint}")
    kind, options = known[name]
    return partial(kind, parse_options(options, f"sim:{name}", query))


def simulators() -> Mapping[str, tuple[Callable[[Any], Acquisition], type[Any]]]:
    """Simulators by name: what makes one, and the dataclass of its options."""
    from .four_d_stem import FourDStem, FourDStemOptions
    from .in_situ import InSitu, InSituOptions
    from .sparse_scan import SparseScan, SparseScanOptions

    return {
        "4dstem": (FourDStem, FourDStemOptions),
        "sparse": (SparseScan, SparseScanOptions),
        "insitu": (InSitu, InSituOptions),
    }
