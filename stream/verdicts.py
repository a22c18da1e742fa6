"""What is said of a series whose numbers do not agree: announcements and ledgers, in words for the user."""

from __future__ import annotations

from .ledger import SeriesLedger
from .messages import Reason, Rejected
from .series import Series, SeriesKey


def scan_misfit(series: Series) -> str:
    """What is wrong with the scan's size for the frames that are announced; empty when they agree.

    Nothing is refused for it: what belongs to a pixel is shown there, and no frame is moved to another.
    """
    frames = None if series.scan is None else series.scan.frame_count
    if series.scan is None or frames is None or series.count in (None, frames):
        return ""
    ny, nx = series.scan.shape
    head = f"series {series.key.number}: {series.count} frames announced, the scan {ny}x{nx} takes {frames}: "
    if series.count > frames:
        beyond = series.count - frames
        what = "1 frame belongs" if beyond == 1 else f"{beyond} frames belong"
        return f"{head}{what} to no pixel; check --scan or [scan]"
    return f"{head}its last {frames - series.count} will not come, and stay empty; check --scan or [scan]"


def why_incomplete(ledger: SeriesLedger) -> str:
    parts = []
    if ledger.lost:
        parts.append(f"{ledger.lost} frames lost")
    if skipped := ledger.rejected.get(Reason.NOT_REPLAYED, 0):
        parts.append(f"played from frame {skipped} on")
    if rejected := sum(ledger.rejected.values()) - skipped:
        parts.append(f"{rejected} rejected")
    if ledger.announced is not None and ledger.sent is not None and ledger.sent < ledger.announced:
        parts.append(f"ended after {ledger.sent} of {ledger.announced} announced frames")
    return ", ".join(parts)


def never_began(key: SeriesKey) -> Rejected:
    return Rejected(
        Reason.UNKNOWN_SERIES,
        f"frames of series {key.number} came without its start: the next series is waited for",
        key,
    )


def after_end(key: SeriesKey) -> Rejected:
    return Rejected(Reason.AFTER_END, f"frames of series {key.number} came after its end", key)


def started_twice(key: SeriesKey) -> Rejected:
    return Rejected(Reason.DUPLICATE_START, f"series {key.number} was announced twice", key)


def too_large_to_begin(series: Series, limit: int) -> Rejected:
    """A series whose frames do not fit a block of the ring; ``limit`` in bytes of a frame."""
    h, w = series.shape
    return Rejected(
        Reason.FRAME_TOO_LARGE,
        f"a frame of {h} x {w} {series.dtype} has {series.frame_bytes:,} bytes, this ring takes {limit:,}",
        series.key,
        advice="give the ring more memory: bytes under [ring] in the pipeline file",
    )
