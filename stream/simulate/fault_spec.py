"""What faults to inject: ``"drop=0.01,reorder=8,stall=2s@500,kill@1000,seed=7"`` as a frozen value."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields
from difflib import get_close_matches
from typing import Literal, NoReturn

from ...errors import SourceError

SHARES = ("drop", "duplicate", "corrupt", "truncate", "shape")
MAX_WINDOW = 10_000


@dataclass(frozen=True, slots=True)
class FaultSpec:
    """Faults of one sender. Shares are of wire messages, not of frames."""

    drop: float = 0.0
    """Share of the messages that are never sent."""
    duplicate: float = 0.0
    """Share that is sent twice."""
    corrupt: float = 0.0
    """Share with random bytes in the header, or inside one encoded payload. Neither raw pixels nor msgpack
    carry a checksum, and no receiver could tell a changed pixel or index from a right one: so the header is
    always damaged beyond decoding, and raw pixels are left alone."""
    truncate: float = 0.0
    """Share whose header or payload is cut, or whose payload is missing."""
    shape: float = 0.0
    """Share whose frames are half as large as announced."""
    reorder: int = 0
    """A message may be overtaken by up to so many later ones."""
    stalls: tuple[tuple[float, int], ...] = ()
    """(seconds, frame): pause before the message that holds the frame."""
    kills: tuple[int, ...] = ()
    """Frames before whose message the sender kills itself."""
    restarts: tuple[int, ...] = ()
    """Frames before whose message the sender begins the series again under a new epoch."""
    on: Literal["frames", "all"] = "frames"
    """Whether starts and ends are hit too."""
    seed: int = 0

    @classmethod
    def parse(cls, text: str) -> FaultSpec:
        """Read ``key=value``, ``kill@FRAME``, ``restart@FRAME`` and ``stall=2s@FRAME``, separated by commas.

        Raises
        ------
        SourceError
            An unknown key, a value out of range, or shares that add up to more than 1.
        """
        values: dict[str, object] = {}
        lists: dict[str, list[object]] = {"stalls": [], "kills": [], "restarts": []}
        for entry in filter(None, (part.strip() for part in text.split(","))):
            _read_entry(entry, values, lists)
        values.update({name: tuple(entries) for name, entries in lists.items()})
        spec = cls(**values)  # type: ignore[arg-type]
        total = sum(getattr(spec, name) for name in SHARES)
        if total > 1:
            raise SourceError(
                f"fault: {' + '.join(SHARES)} is {total:g}; a message meets at most one, so at most 1"
            )
        return spec


def _read_entry(entry: str, values: dict[str, object], lists: dict[str, list[object]]) -> None:
    if moment := re.fullmatch(r"(kill|restart)@(\d{1,15})", entry):
        lists[moment[1] + "s"].append(int(moment[2]))
    elif stall := re.fullmatch(r"stall=(\d{1,6}(?:\.\d{1,6})?)s?@(\d{1,15})", entry):
        lists["stalls"].append((float(stall[1]), int(stall[2])))
    else:
        key, _, text = entry.partition("=")
        values[key] = _value(entry, key, text)


def _value(entry: str, key: str, text: str) -> object:
    if key in SHARES:
        if not re.fullmatch(r"\d*\.?\d+(e-\d+)?", text) or float(text) > 1:
            raise SourceError(
                f"fault {entry!r}: {key} is a share of the messages, from 0 to 1, as in {key}=0.01"
            )
        return float(text)
    if key in ("reorder", "seed"):
        high = MAX_WINDOW if key == "reorder" else 2**31
        if not re.fullmatch(r"\d{1,10}", text) or int(text) > high:
            raise SourceError(f"fault {entry!r}: {key} is a whole number from 0 to {high}, as in {key}=8")
        return int(text)
    if key == "on":
        if text not in ("frames", "all"):
            raise SourceError(f"fault {entry!r}: on is 'frames' or 'all' (starts and ends too)")
        return text
    _unknown(entry, key.partition("@")[0])


def _unknown(entry: str, key: str) -> NoReturn:
    forms = {"stall": "stall=2s@500", "kill": "kill@1000", "restart": "restart@2000"}
    if key in forms:
        raise SourceError(f"fault {entry!r} cannot be read; write for example {forms[key]}")
    known = [field.name for field in fields(FaultSpec) if not field.name.endswith("s")] + list(forms)
    near = get_close_matches(key, known, 1)
    hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(known)}"
    raise SourceError(f"there is no fault {key!r}; {hint}")
