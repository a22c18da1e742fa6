"""Frames that the ring still has, shown again as the live one is; clips of them. In a process of its own.

It reads beside the writer and all edges and has no place in their accounts: nobody waits for it. What it
shows is one whole frame or nothing.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

import zmq

from ...errors import LivemError, PipelineError
from ...kernels.cutouts import Cutout
from ...stream.bus_codec import encode
from ...stream.child import Child
from ...stream.recording.clips import Clips, Wanted
from ...stream.results import Result
from ...stream.ring import HistoryPort
from ...stream.ring_history import Found, RingHistory, Stretch, arrival_of
from ...stream.series import Series, SeriesKey
from ..preview import Preview
from .decode import FrameDecoder
from .rewind import RewindOptions

PATIENCE_S = 0.2


class Pictures:
    """Pictures of single frames, made as a preview of these parameters makes them of the live one."""

    def __init__(self) -> None:
        self._made_for: tuple[SeriesKey, str] | None = None

    def of(
        self, found: Found, consumer: str, look: Mapping[str, Any], part: Cutout | None = None
    ) -> Result | None:
        """The frame's picture, or of a part of it; None where it cannot be decoded.

        Raises PipelineError for parameters that no preview takes, or where the frames are single values.
        """
        series = found.block.series
        if series.shape == (1, 1):
            raise PipelineError("frames of one value have no picture: look at their curve instead")
        self._prepare(series, consumer, look)
        frames, undecodable = self._decoder.decode_range(found.block, found.place, found.place + 1)
        output = None if undecodable else self._preview.output_of(frames, part)
        if output is None:
            return None
        span, topic = (found.index, found.index + 1), f"{consumer}.{output.name}"
        now = time.monotonic_ns()
        return Result(
            topic, output.kind, series.key, span, now, output.arrays, output.units, dict(output.attrs)
        )

    def _prepare(self, series: Series, consumer: str, look: Mapping[str, Any]) -> None:
        wanted = series.key, json.dumps([consumer, dict(look)], sort_keys=True)
        if wanted == self._made_for:
            return
        self._preview = Preview(consumer, **look)
        self._preview.open(series)
        self._decoder = FrameDecoder(series)
        self._made_for = wanted


class Rewind:
    """Answers one question after another; between them it writes at the clip."""

    def __init__(self, options: RewindOptions, port: HistoryPort, child: Child) -> None:
        self._child = child
        self._history = RingHistory(port)
        self._pictures = Pictures()
        self._clips = Clips(options.folder, self._history, options.recording)

    def run(self) -> None:
        """Until told to stop."""
        poller = zmq.Poller()
        poller.register(self._child.link.pollable, zmq.POLLIN)
        self._child.link.ready()
        while not self._child.stopping():
            if not self._clips.step():
                poller.poll(int(1000 * PATIENCE_S))
            self._obey()
        self._clips.close()
        self._history.close()

    def _obey(self) -> None:
        link = self._child.link
        while (command := link.receive()) is not None:
            if command.get("do") == "stop":
                self._child.stop()
                link.reply(command)
                continue
            try:
                if command.get("do") in ("rewind", "pixels"):
                    self._show(command)
                elif command.get("do") == "clip":
                    self._clip(command)
                else:
                    link.reply(command, ok=False, error=f"unknown command {command.get('do')!r}")
            except (LivemError, TypeError) as error:  # parameters come from another process
                link.reply(command, ok=False, error=str(error))

    def _show(self, command: Mapping[str, Any]) -> None:
        key, index = _key(command), int(command["index"])
        toward = int(command.get("toward", 0))
        part = Cutout.parse(command.get("part"))
        if command["do"] == "pixels" and part is None:
            raise PipelineError(
                f"'part' is {str(command.get('part'))[:80]}; it must be [top, left, bottom, right, factor]"
            )
        found = self._history.find(key, index, toward)
        if found is None and toward:
            found = self._history.find(key, index, -toward)
        stretch = self._history.stretch(key)
        if found is None or stretch is None:
            return self._refuse(command, _why_not(key, index, stretch), stretch)
        look, consumer = command.get("look") or {}, str(command.get("consumer") or "preview")
        result = self._pictures.of(found, consumer, look, part)
        if not self._history.is_whole(found.block):
            return self._refuse(command, _gone(key, index), self._history.stretch(key))
        if result is None:
            return self._refuse(command, f"frame {found.index:,} of series {key} is damaged", stretch)
        parts = encode(result)
        said: dict[str, Any] = {"found": True, "index": found.index, "t_ns": arrival_of(stretch, found.index)}
        return self._child.link.reply(command, parts=parts, **said, **_span(stretch))

    def _refuse(self, command: Mapping[str, Any], why: str, stretch: Stretch | None) -> None:
        self._child.link.reply(command, found=False, why=why, index=int(command["index"]), **_span(stretch))

    def _clip(self, command: Mapping[str, Any]) -> None:
        fault = None
        if "first" in command:
            key = _key(command)
            series = self._history.series(key)
            if series is None:
                fault = f"nothing of series {key} is there any more"
            else:
                first, stop = int(command["first"]), int(command.get("stop", 0))
                fault = self._clips.begin(Wanted(series, first, stop, str(command.get("format", "h5"))))
        clip = self._clips.status()
        if fault is None:
            self._child.link.reply(command, clip=clip)
        else:
            self._child.link.reply(command, ok=False, error=fault, clip=clip)


def _key(command: Mapping[str, Any]) -> SeriesKey:
    return SeriesKey(bytes(command["epoch"]), int(command["series"]))


def _span(stretch: Stretch | None) -> dict[str, Any]:
    return {} if stretch is None else {"first": stretch.first, "stop": stretch.stop}


def _why_not(key: SeriesKey, index: int, stretch: Stretch | None) -> str:
    if stretch is None or index < stretch.first:
        return _gone(key, index)
    if index >= stretch.stop:
        return f"frame {index:,} of series {key.number} has not come yet"
    return f"frame {index:,} of series {key.number} was lost on its way"


def _gone(key: SeriesKey, index: int) -> str:
    return (
        f"frame {index:,} of series {key.number} is no longer in the buffer: newer frames have taken its "
        "place; a larger buffer ([ring] bytes) goes further back"
    )
