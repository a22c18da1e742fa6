"""The two texts of a Merlin: what an acquisition is (HDR), and what one frame is (MQ1). Bytes in, values out.

Knows no socket, no pixels and no series. Nothing here raises for what a detector sent.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from ...messages import DEFAULT_LIMITS, Fault, Limits, Reason
from ...series import MAX_DIM, Scan

FIXED_BYTES = 96
"""The fields of a frame up to its chip mask are 52 bytes; sequence numbers of ten digits are four more."""
_SEQUENCE = re.compile(
    rb"MQ1,(\d{1,10}),"
    rb"((\d{1,6}),(\d{1,3}),(\d{1,5}),(\d{1,5}),([A-Z]\d\d), {0,8}([1-9N]x\d{1,2}G?),[0-9A-Fa-f]{1,8},)"
)
_EXTENSION = re.compile(rb"MQ1A,(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?Z?,")
_DEPTH = re.compile(rb"(\d{1,18})ns,(\d{1,3})[,\s\0]*$")
_NUMBER = re.compile(r"\d{1,10}")
_SHOWN = 200
"""Characters of a text that the user is shown."""


@dataclass(frozen=True, slots=True)
class FrameHeader:
    """One frame's MQ1 text."""

    sequence: int
    """Number of the frame in its acquisition, from 1."""
    header_bytes: int
    """Bytes of the text, from "MQ1" to the first pixel."""
    chips: int
    width: int
    height: int
    """As read out; four raw chips stand side by side, whatever their assembly."""
    kind: str
    """U08, U16, ...: big-endian integers; R64: the chips' own order."""
    layout: str
    """1x1, 2x2, 2x2G (with the gap between the chips), Nx1, ..."""
    depth: int | None
    """Bits of a counter: 1, 6, 12 or 24; None without the MQ1A part."""
    time_ns: int | None
    """Detector's clock, ns since the Unix epoch; None without the MQ1A part."""
    exposure_s: float | None
    identity: bytes
    """The text from the header's length to the chip mask: frames that share it are read alike."""

    @property
    def index(self) -> int:
        """0-based frame number."""
        return self.sequence - 1


@dataclass(frozen=True, slots=True)
class AcquisitionHeader:
    """What the HDR text announces."""

    count: int | None
    """Frames; None = until stopped."""
    scan: Scan | None
    """Only where the numbers leave no doubt."""
    fields: Mapping[str, str] = field(default_factory=dict)

    def meta(self) -> dict[str, Any]:
        """The part of Series.meta that is known before the first frame."""
        known = {name: self.fields[key][:_SHOWN] for key, name in _META.items() if self.fields.get(key)}
        return {"detector": "Quantum Detectors Merlin", **known}


_META = {
    "Chip ID": "chips",
    "Assembly Size (NX1, 2X2)": "assembly",
    "Chip Mode  (SPM, CSM, CM, CSCM)": "chip_mode",
    "Counter Depth (number)": "counter_depth",
    "Gain": "gain",
    "Active Counters": "active_counters",
    "Thresholds (keV)": "thresholds_keV",
    "Gap Fill Mode": "gap_fill",
    "Flat Field File": "flat_field_file",
    "Frames per Trigger (Number)": "frames_per_trigger",
    "Trigger Start (Positive, Negative, Internal)": "trigger_start",
    "Trigger Stop (Positive, Negative, Internal)": "trigger_stop",
    "Sensor Bias (V)": "sensor_bias",
    "Software Version": "software",
    "Time and Date Stamp (day, mnth, yr, hr, min, s)": "started",
}
MOST_LINES = 256
"""Of an acquisition header; real ones have thirty."""
COUNT_KEY = "Frames in Acquisition (Number)"
PER_TRIGGER_KEY = "Frames per Trigger (Number)"


def parse_acquisition(text: bytes, limits: Limits = DEFAULT_LIMITS) -> AcquisitionHeader | Fault:
    """Read an HDR text (latin-1, ``Key:<tab>value`` lines up to ``End``).

    Parameters
    ----------
    text : bytes
    limits : Limits, optional
        ``max_scan_pixels`` bounds the scan.

    Returns
    -------
    AcquisitionHeader or Fault
        A fault where the number of frames is missing or no number.
    """
    fields = _fields(text.decode("latin-1"))
    if _NUMBER.fullmatch(fields.get(COUNT_KEY, "")) is None:
        return Reason.BAD_COUNT, f"{COUNT_KEY!r} is {fields.get(COUNT_KEY, '')[:40]!r}; it must be a number"
    count = int(fields[COUNT_KEY]) or None
    return AcquisitionHeader(count, _scan(fields, count, limits), fields)


def _fields(text: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    for line in text.split("\n", MOST_LINES)[1:MOST_LINES]:
        if line.strip(" \t\r\0") == "End":
            break
        key, tab, value = line.partition("\t")
        if not tab:
            key, _, value = line.partition(":")
        fields.setdefault(key.rstrip(": "), value.strip(" \t\r\0"))
    return fields


def _scan(fields: Mapping[str, str], count: int | None, limits: Limits) -> Scan | None:
    """ScanX and ScanY where whole scans make up the acquisition, else lines of one trigger each.

    Frames beyond ScanX * ScanY (seen: 28 x 20 with 580 frames) may be flyback or may not: no scan then.
    """
    nx, ny, per_trigger = (_positive(fields, key) for key in ("ScanX", "ScanY", PER_TRIGGER_KEY))
    if nx and ny:
        whole = count is None or count % (nx * ny) == 0
        repeats = 0 if count is None else count // (nx * ny)
        return _bounded(Scan((ny, nx), repeats=repeats), limits) if whole else None
    if count and 1 < per_trigger < count and count % per_trigger == 0:
        return _bounded(Scan((count // per_trigger, per_trigger)), limits)
    return None


def _positive(fields: Mapping[str, str], key: str) -> int:
    text = fields.get(key, "")
    return int(text) if _NUMBER.fullmatch(text) else 0


def _bounded(scan: Scan, limits: Limits) -> Scan | None:
    ny, nx = scan.shape
    return scan if max(ny, nx) <= MAX_DIM and ny * nx <= limits.max_scan_pixels else None


def header_bytes_of(text: bytes) -> int | Fault:
    """Length of a frame's text, from its first FIXED_BYTES."""
    match = _SEQUENCE.match(text)
    if match is None:
        return Reason.BAD_HEADER, f"{text[:60]!r} is no MQ1 header"
    size = int(match[3])
    if size < match.end():
        return Reason.BAD_HEADER, f"an MQ1 header of {match.end()} bytes and more says that it has {size}"
    return size


def parse_frame(text: bytes) -> FrameHeader | Fault:
    """Read a frame's whole MQ1 text."""
    match = _SEQUENCE.match(text)
    if match is None:
        return Reason.BAD_HEADER, f"{text[:60]!r} is no MQ1 header"
    time_ns, exposure_ns, depth = _extension(text)
    return FrameHeader(
        sequence=int(match[1]),
        header_bytes=int(match[3]),
        chips=int(match[4]),
        width=int(match[5]),
        height=int(match[6]),
        kind=match[7].decode(),
        layout=match[8].decode(),
        depth=depth,
        time_ns=time_ns,
        exposure_s=None if exposure_ns is None else exposure_ns * 1e-9,
        identity=match[2],
    )


def _extension(text: bytes) -> tuple[int | None, int | None, int | None]:
    """(time ns, exposure ns, counter depth) of the MQ1A part."""
    begin = text.rfind(b"MQ1A,")
    if begin < 0:
        return None, None, None
    time_ns = time_in(text[begin:])
    rest = text[begin + len(b"MQ1A,") :].partition(b",")[2]
    match = _DEPTH.match(rest)
    return time_ns, *((None, None) if match is None else (int(match[1]), int(match[2])))


def time_in(text: bytes) -> int | None:
    """Detector's clock in a frame's text, ns since the Unix epoch; None where there is none."""
    match = _EXTENSION.search(text)
    if match is None:
        return None
    seconds = _seconds(match[1])
    return None if seconds is None else seconds * 1_000_000_000 + int((match[2] or b"0").ljust(9, b"0"))


@functools.lru_cache(maxsize=8)
def _seconds(text: bytes) -> int | None:
    """``2020-05-18T14:51:49`` as seconds since the Unix epoch; kept, since many frames share one second."""
    try:
        moment = datetime.strptime(text.decode(), "%Y-%m-%dT%H:%M:%S").replace(tzinfo=UTC)
    except ValueError:
        return None
    return int(moment.timestamp()) if moment.year >= 1970 else None
