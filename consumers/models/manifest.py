"""What a model says of itself: a TOML file beside it, or the member ``extra/livem.toml`` of its archive."""

from __future__ import annotations

import json
import math
import re
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from difflib import get_close_matches
from typing import Any

from ...errors import ModelError
from .tiles import Tiling

NORMALISATIONS = ("linear", "anscombe")
KINDS = ("image", "mask", "heat_map", "vector")
MOST_FRAMES = 64
MOST_CHANNELS = 64
MOST_SIDE = 8192
MOST_TEXT = 4096
"""Characters of one text."""
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_\-]{0,63}")


@dataclass(frozen=True, slots=True)
class Input:
    """``[input]``: (1, frames, H, W) float32, the newest frame last."""

    frames: int = 1
    """Frames that the model sees, one a channel."""
    height: int | None = None
    """px, where the model takes one size only."""
    width: int | None = None
    multiple_of: int = 1
    """px that both sides must divide by: 2^depth of a UNet."""
    halo: int = 0
    """px of a tile's rim whose output differs from that of the whole frame: the receptive field's radius."""
    tile: int | None = None
    """px, the longer side above which a frame is cut into tiles; None: never, where no size is fixed."""

    @property
    def tilings(self) -> tuple[Tiling, Tiling]:
        """Along y and x."""
        sides = (self.height or self.tile, self.width or self.tile)
        fixed = self.height is not None
        y, x = (Tiling(side, self.halo, self.multiple_of, fixed) for side in sides)
        return y, x


@dataclass(frozen=True, slots=True)
class Normalisation:
    """``[normalisation]``: the model sees (value - offset) / scale."""

    kind: str = "linear"
    """"anscombe": of the counts after `NoiseModel.stabilise`; an image goes the way back."""
    offset: float = 0.0
    scale: float = 1.0


@dataclass(frozen=True, slots=True)
class Out:
    """``[output]``: (1, channels, H, W), or (1, channels) of a vector."""

    kind: str = "image"
    """"image": values like the frame's; "mask", "heat_map": pictures of their own unit; "vector": numbers."""
    channels: int = 1
    units: str = ""
    """Of what is no image; an image has the frame's."""


@dataclass(frozen=True, slots=True)
class Manifest:
    """A whole manifest."""

    name: str
    version: str
    licence: str
    training: str
    """What it was trained on, in words."""
    description: str = ""
    input: Input = Input()
    normalisation: Normalisation = Normalisation()
    output: Out = Out()

    @classmethod
    def parse(cls, where: str, text: str) -> Manifest:
        """From TOML. Raises ModelError with the key, the value and the limit."""
        try:
            data = tomllib.loads(text)
        except tomllib.TOMLDecodeError as error:
            raise ModelError(f"{where}: is not TOML: {error}") from error
        tables = {"input": Input, "normalisation": Normalisation, "output": Out}
        _known(where, data, ("model", *tables), "the manifest")
        model = _table(where, data, "model")
        texts = ("name", "version", "licence", "training", "description")
        _known(where, model, texts, "[model]")
        values: dict[str, Any] = {key: _text(where, model, key, needed=key != "description") for key in texts}
        if not NAME.fullmatch(values["name"]):
            raise ModelError(
                f"{where}: 'name' in [model] is {values['name']!r}; it must be 1 to 64 letters, digits, _, -"
            )
        for key, kind in tables.items():
            table = _table(where, data, key)
            _known(where, table, [one.name for one in fields(kind)], f"[{key}]")
            values[key] = table
        return cls(
            **values
            | {
                "input": _input(where, values["input"]),
                "normalisation": _normalisation(where, values["normalisation"]),
                "output": _output(where, values["output"]),
            }
        )

    def toml(self) -> str:
        """As `parse` reads it."""
        facts = asdict(self)
        tables = {name: facts.pop(name) for name in ("input", "normalisation", "output")}
        return "\n".join(_written(name, table) for name, table in ({"model": facts} | tables).items())


def _written(name: str, table: Mapping[str, Any]) -> str:
    lines = (f"{key} = {_value(value)}\n" for key, value in table.items() if value is not None)
    return f"[{name}]\n{''.join(lines)}"


def _value(value: str | float) -> str:
    """A text of TOML is one of JSON, but for the last of the control characters."""
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def _input(where: str, table: Mapping[str, Any]) -> Input:
    sides = {
        key: _whole(where, table, key, "[input]", 1, MOST_SIDE)
        for key in ("height", "width", "tile")
        if key in table
    }
    one = Input(
        frames=_whole(where, table, "frames", "[input]", 1, MOST_FRAMES, 1),
        multiple_of=_whole(where, table, "multiple_of", "[input]", 1, 1024, 1),
        halo=_whole(where, table, "halo", "[input]", 0, 1024, 0),
        **sides,
    )
    if (one.height is None) != (one.width is None):
        raise ModelError(f"{where}: [input] says one of height and width; give both, or neither")
    if one.height is not None and one.tile is not None:
        raise ModelError(
            f"{where}: [input] says height and width, and tile: the size is the tile; leave it out"
        )
    for key, side in sides.items():
        if side % one.multiple_of:
            raise ModelError(f"{where}: {key} = {side} in [input] is no multiple of {one.multiple_of}")
    try:
        _ = one.tilings
    except ValueError as error:
        raise ModelError(f"{where}: [input]: {error}") from error
    return one


def _normalisation(where: str, table: Mapping[str, Any]) -> Normalisation:
    scale = _number(where, table, "scale", 1.0)
    if scale <= 0:
        raise ModelError(f"{where}: 'scale' in [normalisation] is {scale}; it must be above 0")
    kind = _choice(where, table, "kind", "[normalisation]", NORMALISATIONS)
    return Normalisation(kind, _number(where, table, "offset", 0.0), scale)


def _output(where: str, table: Mapping[str, Any]) -> Out:
    kind = _choice(where, table, "kind", "[output]", KINDS)
    channels = _whole(
        where, table, "channels", "[output]", 1, MOST_CHANNELS if kind != "vector" else 65536, 1
    )
    if kind == "image" and channels != 1:
        raise ModelError(f"{where}: 'channels' in [output] is {channels}; an image has 1")
    return Out(kind, channels, _text(where, table, "units", needed=False))


def _known(where: str, table: Mapping[str, Any], known: Any, place: str) -> None:
    for key in table:
        if key not in known:
            near = get_close_matches(key, known, 1, cutoff=0.5)
            hint = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(known)}"
            raise ModelError(f"{where}: unknown key {key!r} in {place}; {hint}")


def _table(where: str, data: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    table = data.get(name, {})
    if not isinstance(table, dict):
        raise ModelError(f"{where}: {name!r} is {table!r}; it must be a table: [{name}]")
    return table


def _text(where: str, table: Mapping[str, Any], key: str, *, needed: bool) -> str:
    value = table.get(key, "")
    if not isinstance(value, str) or len(value) > MOST_TEXT or (needed and not value.strip()):
        raise ModelError(f"{where}: {key!r} is {value!r}; it must be a text of 1 to {MOST_TEXT} characters")
    return value


def _choice(where: str, table: Mapping[str, Any], key: str, place: str, known: tuple[str, ...]) -> str:
    value = table.get(key, known[0])
    if value not in known:
        raise ModelError(f"{where}: {key!r} in {place} is {value!r}; it must be one of: {', '.join(known)}")
    return str(value)


def _whole(
    where: str, table: Mapping[str, Any], key: str, place: str, low: int, high: int, default: int = 0
) -> int:
    value = table.get(key, default)
    if type(value) is not int or not low <= value <= high:
        raise ModelError(
            f"{where}: {key!r} in {place} is {value!r}; it must be a whole number from {low} to {high}"
        )
    return value


def _number(where: str, table: Mapping[str, Any], key: str, default: float) -> float:
    value = table.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ModelError(f"{where}: {key!r} in [normalisation] is {value!r}; it must be a number")
    return float(value)
