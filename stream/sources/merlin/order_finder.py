"""Finds the order of the halves of raw 24-bit counts from the counts themselves. Knows no socket, no series.

An order is never chosen because its picture is likely; the others are ruled out, and a frame that leaves more
than one, or none, decides nothing. What rules an order out:

- Words that its counters cannot hold: beyond 12 bits of a half, beyond 24 of a number.
- Counts that are calmer than electrons are. A count of mean n scatters by at least sqrt(n) (Poisson), so that
  of a pixel with 2^bits counts and more the low half is noise: it is nearer than sqrt(n) / 4 to its
  neighbour's, whatever that one is, with a probability of 2 (1/4) / sqrt(2 pi) = 0.20 at most (0.26 where
  sqrt(n) comes near the range of the low half, the circle of 2^bits that differences are taken on). Where a
  wrong order takes the low half of one pixel for the high half of another, what it takes for low halves are
  plain counts of neighbouring pixels, or zeros: as near to each other as electrons are, a hundredth of that.

An order is ruled out where more than half of its pixels with 2^bits counts and more are so calm, out of
LEAST or more. The right one is with a probability of at most exp(-LEAST D), D = 1/2 ln(0.5 / 0.26) +
1/2 ln(0.5 / 0.74) = 0.13 (Chernoff's bound; pixel after pixel, its neighbours given): 2e-29 a frame with
both neighbours that are looked at, and that for any specimen. Were electrons half as noisy (a detector near
its largest rate) the share would be 0.4 and the bound 3e-5 for 512 pixels, 1e-18 for 2,000. Counts at the end
of the range do not scatter and are left out. A wrong order is only chosen if the right one is ruled out or is
none of `orders.ORDERS`; a test pattern without any noise rules out all.

A frame whose outer chip rows are empty leaves "halves" possible, which sees the first of two readouts there.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from ...messages import Fault, Reason
from .orders import ORDERS, Order
from .pixels import Bytes, PixelFormat

LEAST = 512
"""Pixels with large counts that an order is ruled out by: 0.2 % of four chips, more than are defective."""
IMPOSSIBLE = 64
"""Words beyond the counters that rule an order out: a few bytes may be spoiled."""
TOP = (1 << 24) - 1


def orders_that_fit(form: PixelFormat, pixels: Bytes) -> tuple[Order, ...]:
    """The orders that a frame's counts do not rule out; see the module.

    Parameters
    ----------
    form : of a frame that needs an order.
    pixels : (wire_bytes,) uint8
    """
    return tuple(order for order in ORDERS.values() if not _is_ruled_out(order, form, pixels))


def _is_ruled_out(order: Order, form: PixelFormat, pixels: Bytes) -> bool:
    counts = form.ordered(order).read_out(pixels, np.zeros(1, np.int64))[0]
    beyond, large, *calm = _weigh(counts, order.bits)
    if not order.whole_words:
        beyond = int(np.count_nonzero(pixels.view(">u2") >= 1 << order.bits))
    return bool(beyond >= IMPOSSIBLE or (large >= LEAST and 2 * max(calm) > large))


@njit("int64(int64, int64, int64)", nogil=True, cache=True)
def _apart(count: Any, other: Any, span: Any) -> Any:
    """Square of the distance of two low halves on their circle."""
    step = abs(count - other) % span
    step = min(step, span - step)
    return step * step


@njit("UniTuple(int64, 4)(uint32[::1], int64)", nogil=True, cache=True)
def _weigh(counts: Any, bits: Any) -> Any:
    """Of pixels in the order of their readout: how many are beyond the counters, how many have a high half,
    how many of these a low half within a quarter of sqrt(count) of the next pixel's, and of the one's after
    that: a number that is taken for two halves has zeros between its neighbours."""
    beyond = large = calm = calm_over_next = np.int64(0)
    span = np.int64(1) << bits
    widest = span * span // 64  # (span / 8)^2: differences on a circle are half a span at most
    for i in range(len(counts) - 2):
        count = np.int64(counts[i])
        beyond += count > TOP
        if span <= count < TOP:
            large += 1
            near = min(count // span * span // 16, widest)
            calm += _apart(count, np.int64(counts[i + 1]), span) < near
            calm_over_next += _apart(count, np.int64(counts[i + 2]), span) < near
    return beyond, large, calm, calm_over_next


class OrderFinder:
    """The order of one connection's frames: told by the user, or found and then kept.

    Parameters
    ----------
    told : Order or None
        None: the counts say it.
    """

    def __init__(self, told: Order | None = None) -> None:
        self._told = told
        self._compared = False
        self.order = told
        """None while it is not known."""
        self.note = ""
        """For the user; empty where nothing is to be said."""

    def forget(self) -> None:
        """Another connection: what was found has to be found again."""
        self.order, self._compared, self.note = self._told, False, ""

    @property
    def known(self) -> str:
        """The order in words, for a series' metadata."""
        if self.order is None:
            return "not known at the first frame"
        return f"{self.order}, {'found' if self._told is None else 'as the url says'}"

    def look(self, form: PixelFormat, pixels: Bytes, index: int) -> Fault | None:
        """Learn from a frame; a fault where it cannot be read.

        Parameters
        ----------
        form, pixels : see `orders_that_fit`.
        index : of the frame, for messages.
        """
        if not pixels.any() or (self.order is not None and self._compared):
            return None
        fit = orders_that_fit(form, pixels)
        if self._told is not None:
            self._compare(self._told, fit)
            return None
        if len(fit) == 1:
            (self.order,), self._compared = fit, True
            self.note = f"raw 24-bit order found: {self.order}"
            return None
        detail = f"raw 24-bit counts of frame {index} fit {_listed(fit)}: {_NEXT}"
        self.note = f"waiting for a frame that tells the order of raw 24-bit halves: {detail}"
        return Reason.UNKNOWN_ORDER, detail

    def _compare(self, told: Order, fit: tuple[Order, ...]) -> None:
        """The user's word holds; where the counts say otherwise he is told."""
        self._compared = len(fit) == 1
        if told not in fit:
            self.note = f"raw24={told.name} was asked for, but the counts fit {_listed(fit)}: check it"


_NEXT = (
    "light the whole detector with some counts a pixel, or write raw24= to the url if the order is known, or "
    "switch the detector to processed pixels"
)


def _listed(orders: tuple[Order, ...]) -> str:
    return ", ".join(order.name for order in orders) or "none of the known orders"
