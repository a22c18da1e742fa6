"""The images of all detectors of a series: those that began together are placed together.

A detector that is changed begins anew in a layer of its own, and nothing of the others is touched. Knows
values by column; not what a detector is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ...stream.series import IndexArray, Scan
from .accumulators import Accumulator, Arrays, MeanImages, Values, accumulator


@dataclass(frozen=True, slots=True)
class Channel:
    """One detector's columns in the values of a block."""

    name: str
    version: int
    """A changed detector has another one: values of a former one are stale."""
    columns: slice
    is_vector: bool
    is_total: bool
    """Visits are added up (dose) and not replaced."""


@dataclass(frozen=True, slots=True, eq=False)
class Layout:
    """All columns of (n, c) values, vectors first. Compared by identity: another plan has another one."""

    channels: Mapping[str, Channel]

    @property
    def count(self) -> int:
        return max((channel.columns.stop for channel in self.channels.values()), default=0)

    def columns(self, channels: Sequence[Channel]) -> IndexArray | None:
        """Where values of this layout have these channels; None unless all are there and of one age."""
        found = [self.channels.get(channel.name) for channel in channels]
        if any(a is None or a.version != b.version for a, b in zip(found, channels, strict=True)):
            return None
        return _columns([channel for channel in found if channel is not None])


class _Layer:
    """Channels that began together."""

    def __init__(self, channels: Sequence[Channel], state: Accumulator) -> None:
        self.state = state
        self._set(channels)

    def _set(self, channels: Sequence[Channel]) -> None:
        self.channels = tuple(channels)
        self.columns = _columns(channels)
        """In the values of the present layout."""
        ends = np.cumsum([0, *(_width(channel) for channel in channels)]).tolist()
        self.places = {channel.name: slice(ends[i], ends[i + 1]) for i, channel in enumerate(channels)}
        """Of each channel in the state."""

    def follow(self, layout: Layout) -> bool:
        """Keep what the new layout still has of this layer; False when that is nothing."""
        kept = [layout.channels.get(channel.name) for channel in self.channels]
        still = [
            new for new, old in zip(kept, self.channels, strict=True) if new and new.version == old.version
        ]
        if len(still) < len(self.channels) and still:
            places = [np.arange(place.start, place.stop) for place in map(self._place, still)]
            self.state.keep(np.concatenate(places))
        if still:
            self._set(still)
        return bool(still)

    def _place(self, channel: Channel) -> slice:
        return self.places[channel.name]


class Images:
    """State of every detector over one series."""

    def __init__(self, scan: Scan | None, mean: bool) -> None:
        self._scan, self._mean = scan, mean
        self._layers: list[_Layer] = []
        self._layout = Layout({})
        self.after: Mapping[str, int] = {}
        """Of some totals: frames up to this one do not count (the dose was reset then)."""

    def adopt(self, layout: Layout) -> None:
        """Take another set of channels: what is known of those that stay is kept, others begin anew."""
        self._layers = [layer for layer in self._layers if layer.follow(layout)]
        known = {channel.name for layer in self._layers for channel in layer.channels}
        for total in (False, True):
            new = [c for c in layout.channels.values() if c.name not in known and c.is_total == total]
            if new:
                self._layers.append(self._layer(new, total))
        self._layout = layout

    def add(self, layout: Layout, indices: IndexArray, pixels: IndexArray | None, values: Values) -> None:
        """Place (n, c) values that came of a layout, this one or a former one."""
        for layer in self._layers:
            columns = layer.columns if layout is self._layout else layout.columns(layer.channels)
            if columns is not None:
                layer.state.add(indices, pixels, self._counted(layer, indices, values[:, columns]))

    def channel(self, name: str) -> Channel | None:
        """Of a detector as it is now."""
        return self._layout.channels.get(name)

    def arrays(self, name: str, part: int | None = None) -> Arrays:
        """What is known of a detector, or of one of its columns; views."""
        layer = self._layer_of(name)
        place = layer.places[name]
        if part is not None:
            place = slice(place.start + part, place.start + part + 1)
        return layer.state.arrays(place)

    def attrs(self, name: str) -> Mapping[str, Any]:
        return self._layer_of(name).state.attrs()

    def totals(self, name: str) -> tuple[Values, npt.NDArray[np.int32]] | None:
        """(pixels,) sums over all visits and their number; None without a scan."""
        layer = self._layer_of(name)
        state = layer.state
        return state.totals(layer.places[name].start) if isinstance(state, MeanImages) else None

    def clear(self, name: str) -> None:
        """Begin the totals of a channel at 0, without seeing its frames again."""
        layer = self._layer_of(name)
        if isinstance(layer.state, MeanImages):
            layer.state.clear(layer.places[name].start)

    def _counted(self, layer: _Layer, indices: IndexArray, values: Values) -> Values:
        """NaN, which totals leave out, in place of what came before a reset."""
        for name, after in self.after.items():
            if name in layer.places and isinstance(layer.state, MeanImages):
                values[indices <= after, layer.places[name]] = np.nan
        return values

    def _layer(self, channels: Sequence[Channel], total: bool) -> _Layer:
        count = sum(_width(channel) for channel in channels)
        vectors = sum(_width(channel) for channel in channels if channel.is_vector)
        return _Layer(channels, accumulator(self._scan, count, vectors, self._mean or total))

    def _layer_of(self, name: str) -> _Layer:
        return next(layer for layer in self._layers if name in layer.places)


def _width(channel: Channel) -> int:
    return int(channel.columns.stop - channel.columns.start)


def _columns(channels: Sequence[Channel]) -> IndexArray:
    found = [np.arange(channel.columns.start, channel.columns.stop) for channel in channels]
    return np.concatenate(found) if found else np.empty(0, np.int64)
