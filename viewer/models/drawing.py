"""How values become colours, picture by picture: what the user chose, and what there is. Knows no window.

All maps but the cyclic ones change evenly in lightness (Kovesi, arXiv:1509.03700; Nunez et al., PLoS ONE 13
(2018) e0199239), so that no step is seen where the values have none. "turbo" and "jet" do not, and are not
here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, Literal, get_args

from ..colour import GAMMAS, TRANSFERS, Transfer

Meaning = Literal["values", "signed", "directions"]
"""What a picture shows: numbers, numbers about 0, vectors."""
MEANINGS: tuple[Meaning, ...] = get_args(Meaning)
TRANSFERS_OFFERED: Mapping[Transfer, str] = {
    "linear": "Linear",
    "gamma 0.7": "Gamma 0.7",
    "sqrt": "Square root (gamma 0.5)",
    "gamma 0.3": "Gamma 0.3",
    "log": "Logarithm, 3 decades",
    "gamma 1.5": "Gamma 1.5",
}
CYCLIC: Mapping[str, str] = {
    "CET-C6": "Six colours",
    "CET-C2": "Four colours",
    "CET-C1": "Magenta, yellow, green, blue",
    "CET-CBC1": "Safe for red-green blindness",
}
"""For angles and phases: both ends are one colour."""
MAPS: Mapping[Meaning, Mapping[str, Mapping[str, str]]] = {
    "values": {
        "Even in lightness": {
            "grey": "Grey",
            "grey reversed": "Grey, dark on white",
            "viridis": "Viridis",
            "cividis": "Cividis, safe for red-green blindness",
            "inferno": "Inferno",
            "magma": "Magma",
            "plasma": "Plasma",
        },
        "Cyclic, for angles and phases": {**CYCLIC, "CET-C5": "Grey"},
    },
    "signed": {
        "About zero": {
            "CET-D1A": "Blue, white, red",
            "CET-CBD1": "Safe for red-green blindness",
            "CET-D2": "Green, white, violet",
        }
    },
    "directions": {"Wheel of directions": CYCLIC},
}


@dataclass(frozen=True, slots=True)
class Drawing:
    """What the user chose for one picture; empty: what suits it."""

    values: str = ""
    signed: str = ""
    directions: str = ""
    transfer: str = ""

    def map_of(self, meaning: Meaning) -> str:
        """The chosen colour map of pictures that mean this."""
        return str(getattr(self, meaning))

    def with_map(self, meaning: Meaning, name: str) -> Drawing:
        """With another one; "" = what suits it."""
        return replace(self, **{meaning: name})

    def as_plain(self) -> dict[str, str]:
        """What was chosen, as a layout's file has it."""
        return {one.name: value for one in fields(self) if (value := getattr(self, one.name))}

    @classmethod
    def parse(cls, part: Any) -> Drawing:
        """From a layout's file; what is not known here is left out."""
        chosen = part if isinstance(part, dict) else {}
        known = {meaning: str(chosen.get(meaning, "")) for meaning in MEANINGS}
        maps = {meaning: name for meaning, name in known.items() if name in names_of(meaning)}
        transfer = str(chosen.get("transfer", ""))
        return cls(**maps, transfer=transfer if transfer in GAMMAS or transfer in TRANSFERS else "")


def names_of(meaning: Meaning) -> Iterator[str]:
    """Of the colour maps for pictures that mean this."""
    return (name for group in MAPS[meaning].values() for name in group)


def after(name: str, meaning: Meaning) -> str:
    """The colour map after one, through all of them."""
    names = list(names_of(meaning))
    return names[(names.index(name) + 1) % len(names)] if name in names else names[0]


class Drawings:
    """What was chosen, by pane; a picture that comes later is drawn so too."""

    def __init__(self) -> None:
        self._chosen: dict[str, Drawing] = {}

    def of(self, pane: str) -> Drawing:
        """For this pane."""
        return self._chosen.get(pane, Drawing())

    def choose(self, pane: str, drawing: Drawing) -> None:
        """From now on."""
        self._chosen[pane] = drawing

    @property
    def chosen(self) -> Mapping[str, Drawing]:
        """All that differ from what suits them."""
        return {pane: drawing for pane, drawing in self._chosen.items() if drawing != Drawing()}

    def take_up(self, chosen: Mapping[str, Drawing]) -> None:
        """These and no others."""
        self._chosen = dict(chosen)
