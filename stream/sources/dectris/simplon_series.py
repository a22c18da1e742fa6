"""What a SIMPLON detector and its user say of a series, put together as the series that the assembler knows.

The same for stream v1 and v2; knows neither's messages.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ... import wire
from ...announcement import NUMBER_META, TEXT_META, read_series
from ...messages import Limits, Reason, Rejected
from ...series import Encoding, Series, SeriesKey
from ...wire_fields import Refusal

ENDLESS = 1 << 30
"""Frames: a detector has no other way to say "until it is stopped" than a very large number of them."""
KNOWN = NUMBER_META | TEXT_META
UM_PER_M = 1e6
LARGEST = 1e15


@dataclass(frozen=True, slots=True)
class Announced:
    """A series before its key and what its user says of it."""

    shape: tuple[int, int]
    dtype: str
    encoding: Encoding
    count: int | None = None
    meta: Mapping[str, Any] = field(default_factory=dict)
    user: Any = None
    """The header appendix (v1) or user_data (v2), already read: ``{"scan": {...}, "meta": {...}}`` and known
    keys of meta are understood, the rest is kept in meta as it is."""
    own: Mapping[str, Any] = field(default_factory=dict)
    """Keys of meta that are ours: a user's word of the same name does not replace them."""


def make_series(announced: Announced, key: SeriesKey, limits: Limits) -> tuple[Series | None, list[Rejected]]:
    """The series, and what of the announcement had to be left out.

    The user's own words come last and go first: where they make no sense, the series begins without them.
    """
    faults: list[Rejected] = []
    user = announced.user if type(announced.user) is dict else {"user_data": announced.user}
    for tried in (user, {}):
        try:
            return _made(announced, tried, key, limits), faults
        except Refusal as refusal:
            faults.append(Rejected(refusal.reason, refusal.detail))
            if not tried:
                break
    return None, faults


def _made(announced: Announced, user: Mapping[str, Any], key: SeriesKey, limits: Limits) -> Series:
    """Raises Refusal, also for what JSON and CBOR hold and a start header cannot (a number of 1,000 digits,
    half a character, a megabyte)."""
    try:
        header = {
            "shape": list(announced.shape),
            "dtype": announced.dtype,
            "encoding": announced.encoding,
            "count": announced.count,
            "scan": user.get("scan"),
            "meta": {**announced.meta, **_users_meta(user), **announced.own},
        }
        series = read_series(header, key, limits)
        passed_on = wire.decode([bytes(wire.encode_start(series)[0])])
    except (OverflowError, ValueError, TypeError) as error:
        raise Refusal(Reason.BAD_META, f"what is said of the series cannot be passed on: {error}") from error
    if isinstance(passed_on, Rejected):
        raise Refusal(passed_on.reason, passed_on.detail)
    return series


def _users_meta(user: Mapping[str, Any]) -> dict[str, Any]:
    said = user.get("meta")
    meta = {} if said is None else said
    if type(meta) is not dict:
        raise Refusal(Reason.BAD_META, "the user's 'meta' is no map")
    known = {name: value for name, value in user.items() if name in KNOWN}
    other = {name: value for name, value in user.items() if name not in (*KNOWN, "scan", "meta")}
    return {**other, **known, **meta}


def frames_announced(images: object, triggers: object = 1) -> int | None:
    """Images times triggers; None when one is not known, or the number means "until stopped"."""
    if type(images) is not int or type(triggers) is not int or images < 1 or triggers < 1:
        return None
    count = images * triggers
    return count if count <= ENDLESS else None


def detector_meta(configuration: Mapping[str, Any]) -> dict[str, Any]:
    """The known keys of ``Series.meta`` from a detector's configuration, with SIMPLON's names.

    ``photon_energy`` is left out: it is the detector's own setting and not the energy of a beam of electrons.
    """
    meta: dict[str, Any] = {}
    for name in ("frame_time", "count_time"):
        _take(meta, name, configuration.get(name))
    _take(meta, "pixel_size", configuration.get("x_pixel_size", configuration.get("pixel_size_x")), UM_PER_M)
    if "pixel_size" in meta:
        meta["pixel_unit"] = "um"
    _take(meta, "beam_energy", configuration.get("incident_energy"), 1e-3)
    cutoff = configuration.get("countrate_correction_count_cutoff", configuration.get("saturation_value"))
    _take(meta, "saturation", cutoff)
    for name, key in (("detector", "description"), ("detector", "detector_description"), ("title", "title")):
        text = configuration.get(key)
        if type(text) is str and text and name not in meta:
            meta[name] = text[:200]
    return meta


def _take(meta: dict[str, Any], name: str, value: object, factor: float = 1) -> None:
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 < value < LARGEST:
        meta[name] = value * factor if factor != 1 else value
