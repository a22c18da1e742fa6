"""The messages with which a DECTRIS v1 series begins, collected part by part.

Detectors send one message of many parts, the simulator of LiberTEM-live the header and the configuration as
two; so where a message ends means nothing here. Knows no image.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy.typing as npt

from ...messages import COUNTRATE, Reason
from ...wire_fields import Refusal, refuse
from .simplon_json import (
    PIXELS,
    TableWords,
    htype_of,
    image_shape,
    is_table,
    json_object,
    series_number,
    table,
    table_words,
)
from .simplon_series import frames_announced

MAX_TEXT = 4096
"""Characters of an appendix that is no JSON."""
MAX_LOOSE_PARTS = 2
"""Parts of a message that can continue a header: a table with its words. An image has four."""
OTHER_KINDS = ("dheader", "dseries_end", "dimage")
"""What the htype of a message that stands for itself begins with."""


@dataclass(slots=True)
class SeriesHeader:
    """What is known of a series before its first image."""

    number: int
    detail: str = ""
    configuration: Mapping[str, Any] = field(default_factory=dict)
    appendix: Any = field(default_factory=dict)
    tables: dict[str, npt.NDArray[Any]] = field(default_factory=dict)
    faults: list[Refusal] = field(default_factory=list)
    """What of the header could not be read, and is still to be told; the series goes on without it."""
    _configured: bool = False
    _appended: bool = False
    _awaited: TableWords | None = None
    """The table whose bytes come next."""

    @classmethod
    def of(cls, parts: Sequence[memoryview]) -> SeriesHeader:
        """From the message that begins with ``dheader``; raises Refusal when its first part is no good."""
        words = json_object(parts[0])
        detail = words.get("header_detail")
        header = cls(series_number(words), detail if type(detail) is str else "")
        header._configured = header.detail == "none"
        header.take(parts[1:])
        return header

    def continues(self, parts: Sequence[memoryview]) -> bool:
        """Whether a message belongs to this header: it has no kind of its own and is no image.

        One that has is never taken for the bytes of a table, which may have been lost.
        """
        if len(parts) > MAX_LOOSE_PARTS:
            return False
        htype = htype_of(parts[0])
        if htype is not None and htype.startswith(OTHER_KINDS):
            return False
        return is_table(htype) or self._awaited is not None or htype == ""

    def take(self, parts: Sequence[memoryview]) -> None:
        """Go on with these parts; what cannot be read is noted in ``faults``."""
        for part in parts:
            try:
                self._take(part)
            except Refusal as refusal:
                self.faults.append(refusal)

    def _take(self, part: memoryview) -> None:
        awaited, self._awaited = self._awaited, None
        if awaited is not None:
            if awaited.name:
                self.tables[awaited.name] = table(awaited, part)
        elif is_table(htype_of(part)):
            self._configured = True
            self._awaited = table_words(part)
        elif not self._configured:
            self._configured = True
            self.configuration = json_object(part)
        elif self._appended:
            raise Refusal(Reason.BAD_HEADER, "a part behind the header's appendix: left out")
        else:
            self._appended = True
            self.appendix = _appendix(part)

    def told(self) -> list[Refusal]:
        """The faults so far, once."""
        faults, self.faults = self.faults, []
        return faults

    # -- what it says of the images --------------------------------------------------------------------

    @property
    def shape(self) -> tuple[int, int] | None:
        """(h, w) of an image; None when the header does not say.

        With a region of interest the detector's own size, which SIMPLON goes on to name, is not the image's.
        """
        if self.configuration.get("roi_mode") not in (None, "", "disabled"):
            return None
        sizes = [self.configuration.get(f"{axis}_pixels_in_detector") for axis in "yx"]
        return image_shape(sizes)

    @property
    def dtype(self) -> str | None:
        depth = self.configuration.get("bit_depth_image")
        return next((name for name, bits in PIXELS.items() if type(depth) is int and bits == depth), None)

    @property
    def compression(self) -> str | None:
        """ "bslz4", "lz4", "none", or None when the header does not say."""
        said = self.configuration.get("compression")
        return said if said in ("bslz4", "lz4", "none") else None

    @property
    def count(self) -> int | None:
        """Images announced: of each trigger, times triggers. None = until stopped, or not said."""
        return frames_announced(self.configuration.get("nimages"), self.configuration.get("ntrigger"))

    @property
    def is_sufficient(self) -> bool:
        """Whether a series can be announced before an image of it has come."""
        return None not in (self.shape, self.dtype, self.compression)

    def tables_of(self, shape: tuple[int, int]) -> dict[str, npt.NDArray[Any]]:
        """The tables that fit images of this shape; the others are noted in ``faults``."""
        fitting = {}
        for name, values in self.tables.items():
            if name == COUNTRATE or values.shape == shape:
                fitting[name] = values
            else:
                self.faults.append(
                    Refusal(
                        Reason.BAD_SHAPE,
                        f"table {name!r} is {values.shape}, the images are {shape}: left out",
                    )
                )
        return fitting


def _appendix(part: memoryview) -> Any:
    if htype_of(part) is not None:
        return json_object(part)
    text = bytes(part[: 4 * MAX_TEXT]).decode("utf-8", "replace")[:MAX_TEXT]
    if not text:
        refuse(Reason.BAD_HEADER, "the header appendix", text, "JSON or text")
    return text
