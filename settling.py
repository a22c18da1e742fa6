"""Series that are over: their last results awaited, their account closed, both written down.

Knows accounts and files; starts no process and opens no socket.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from .errors import LivemError
from .outputs import write_results, write_summary
from .stream.accounting import Account, Accounts, joined
from .stream.results import Result
from .stream.series import SeriesKey

SETTLE_S = 10.0
"""How long the last results of a series are awaited after its end when nobody works on them."""
RESULTS_S = 5.0
"""How long results that a worker has sent may be on their way."""


@dataclass(slots=True)
class _Finals:
    """Last results of one series, as they come in."""

    results: dict[str, Result] = field(default_factory=dict)
    promised: dict[str, set[str]] = field(default_factory=dict)
    """Topics of the last results that each consumer says it has sent."""
    over_at: float | None = None
    """When the series was found to be over."""
    final_at: float | None = None
    """When the last consumer was found to have given its last word, which may still be on its way."""


class Settling:
    """Takes the series of a session in their order, each once its last results are in.

    Parameters
    ----------
    accounts : Accounts
    out : Path, optional
        Where results and summaries are written.
    working : callable
        Names of the consumers whose last word is awaited.
    on_error : callable
        Told of files that could not be written.
    """

    def __init__(
        self,
        accounts: Accounts,
        out: Path | None,
        working: Callable[[], Sequence[str]],
        on_error: Callable[[LivemError], None],
    ) -> None:
        self.settled: list[Account] = []
        self._accounts, self._out = accounts, out
        self._working, self._on_error = working, on_error
        self._finals: dict[SeriesKey, _Finals] = {}
        self._next = 0

    @property
    def done(self) -> bool:
        """Whether every series that began is written down."""
        return self._next >= self._accounts.series_count()

    @property
    def series(self) -> int:
        """Distinct series written down."""
        return len(self.settled)

    def take(self, result: Result) -> None:
        """Keep a result if it is the last of its kind."""
        if result.series is not None and result.final:
            self._finals.setdefault(result.series, _Finals()).results[result.topic] = result

    def promise(self, consumer: str, serial: int, topics: Sequence[str]) -> None:
        """A consumer says which last results of a series it has sent; they may be on their way."""
        series = self._accounts.series(serial)
        if series is not None and serial >= self._next:
            self._finals.setdefault(series.key, _Finals()).promised[consumer] = set(topics)

    def step(self, *, hurry: bool = False) -> None:
        """Write down what is ready; with ``hurry`` whatever there is."""
        while not self.done:
            series = self._accounts.series(self._next)
            if series is None:
                self._on_error(LivemError("more than 32 series ended at once; the oldest results are lost"))
            elif not hurry and not self._ready(self._next, series.key):
                return
            else:
                self._write_down(self._next, series.key)
            self._next += 1

    def _ready(self, serial: int, key: SeriesKey) -> bool:
        if not self._accounts.is_over(serial):
            return False
        finals = self._finals.setdefault(key, _Finals())
        now, working = time.monotonic(), self._working()
        finals.over_at = finals.over_at or now
        if not self._accounts.is_final(serial, working):
            return now - finals.over_at > SETTLE_S and not working
        finals.final_at = finals.final_at or now
        promised = set().union(*finals.promised.values())
        all_here = finals.promised.keys() >= set(working) and finals.results.keys() >= promised
        return all_here or now - finals.final_at > RESULTS_S

    def _write_down(self, serial: int, key: SeriesKey) -> None:
        account = self._accounts.of(serial)
        for edge in account["edges"].values():
            _close_edge(edge)
        former = next((a for a in self.settled if key_of(a) == key_of(account)), None)
        if former is not None:
            account = joined(former, account)
            self.settled.remove(former)
        results = self._finals.pop(key, _Finals()).results
        account["results"] = dict.fromkeys(sorted(results), "")
        if self._out is not None:
            self._write_files(self._out / _directory(account, self.settled), account, results)
        self.settled.append(account)

    def _write_files(self, directory: Path, account: Account, results: dict[str, Result]) -> None:
        try:
            account["results"] = write_results(directory, results)
            write_summary(directory, account)
        except LivemError as error:
            self._on_error(error)


def _close_edge(edge: Account) -> None:
    """What a consumer never came to is dropped because the session stopped."""
    if edge["in_flight"]:
        edge["dropped"]["stopped"] = edge["dropped"].get("stopped", 0) + edge["in_flight"]
        edge["in_flight"] = 0


def key_of(account: Account) -> tuple[str, int]:
    """(epoch, series) of an account."""
    return account["epoch"], account["series"]


def _directory(account: Account, settled: Sequence[Account]) -> str:
    """``<series>``, or with the epoch behind it when another sender has used that number already."""
    taken = any(a["series"] == account["series"] for a in settled)
    return f"{account['series']}-{account['epoch']}" if taken else str(account["series"])
