"""Series that are over: their last results awaited, their account closed, both written down.

Knows accounts and files; starts no process and opens no socket.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import LivemError, RingError
from ..outputs import write_results, write_summary
from ..stream.accounting import Account, Accounts
from ..stream.results import Result
from ..stream.series import SeriesKey

SETTLE_S = 10.0
"""How long the last results of an edge that may skip frames are awaited after the end of a series."""
STALLED_S = 60.0
"""How long a lossless consumer may stand still: while it processes frames it is waited for without limit."""
RESULTS_S = 5.0
"""How long results that a worker has sent may be on their way."""
ACCOUNTS_KEPT = 10_000
"""Accounts of the newest series, 2 kB each, that the summary lists; older ones are on disk under --out."""


@dataclass(slots=True)
class _Wait:
    """What is known of the wait for one series' last results."""

    over_at: float
    """When the series was found to be over."""
    final_at: float | None = None
    """When every consumer had given its last word, or was no longer waited for."""
    progress: dict[str, tuple[int, float]] = field(default_factory=dict)
    """Frames that a consumer has looked at, and since when it is so many."""
    overdue: set[str] = field(default_factory=set)
    """Consumers that are no longer waited for."""


class Settling:
    """Takes the series of a session in their order, each once its last results are in.

    Parameters
    ----------
    accounts : Accounts
    out : Path, optional
        Where results and summaries are written.
    working : callable
        Names of the consumers whose last word is awaited, and whether their edge is lossless.
    on_error : callable
        Told of files that could not be written.
    on_alarm : callable
        Told what a series had to be written down without.
    clock : callable
        Seconds that never go back.
    passed : callable
        Names of the consumers that hang, and that the ring goes on without.
    refused : callable
        The first refusal of each reason in a series, in words.
    """

    def __init__(
        self,
        accounts: Accounts,
        out: Path | None,
        working: Callable[[], Mapping[str, bool]],
        on_error: Callable[[LivemError], None],
        on_alarm: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
        passed: Callable[[], Collection[str]] = frozenset,
        refused: Callable[[SeriesKey], Mapping[str, str]] = lambda key: {},
    ) -> None:
        self._accounts, self._out, self._passed, self._clock = accounts, out, passed, clock
        self._refused = refused
        self._working, self._on_error, self._on_alarm = working, on_error, on_alarm
        self._results: dict[SeriesKey, dict[str, Result]] = {}
        self._promised: dict[int, dict[str, set[str]]] = {}
        self._files: dict[int, list[str]] = {}
        self._wait: _Wait | None = None
        self._settled: dict[tuple[str, int], Account] = {}
        self._epoch_of: dict[int, str] = {}
        self._next = self._count = self._missed = 0
        accounts.note_settled(0)

    @property
    def settled(self) -> list[Account]:
        """Accounts of the series that are written down, the newest last."""
        return list(self._settled.values())

    @property
    def done(self) -> bool:
        """Whether every series that began is written down."""
        return self._next >= self._accounts.series_count()

    @property
    def series(self) -> int:
        """Distinct series written down."""
        return self._count

    def recordings(self, report: Mapping[str, object]) -> list[str]:
        """Files that may hold frames of the last settled series, or (says the recorder) a later one."""
        last = next(reversed(self._settled.values()), {}).get("recordings") or []
        return [*last, *([str(report["file"])] if report.get("file") else [])]

    def take(self, result: Result) -> None:
        """Keep a result if it is the last of its kind, of a series that is not written down yet."""
        if result.series is not None and result.final and result.series in self._expected():
            self._results.setdefault(result.series, {})[result.topic] = result

    def _expected(self) -> set[SeriesKey]:
        known = map(self._accounts.series, range(self._next, self._accounts.series_count()))
        return {series.key for series in known if series is not None}

    def promise(self, consumer: str, serial: int, topics: Sequence[str], files: Sequence[str] = ()) -> None:
        """A consumer says which last results of a series it has sent; they may be on their way.

        ``files``: where the recorder has kept the series.
        """
        if self._next <= serial < self._accounts.series_count():
            self._files.setdefault(serial, []).extend(files)
            self._promised.setdefault(serial, {})[consumer] = set(topics)

    def step(self, *, hurry: bool = False) -> None:
        """Write down what is ready; with ``hurry`` whatever there is."""
        missed = 0
        while not self.done:
            series = self._accounts.series(self._next)
            if series is None:
                missed += 1
            elif not hurry and not self._ready(self._next, series.key):
                break
            else:
                missed += not self._write_down(self._next, series.key)
            self._promised.pop(self._next, None)
            self._files.pop(self._next, None)
            self._wait = None
            self._next += 1
            self._accounts.note_settled(self._next)
        if missed:
            self._pass_over(missed)

    def _pass_over(self, missed: int) -> None:
        """Series that left the ring's table of 32 before they could be written down."""
        self._missed += missed
        expected = self._expected()
        self._results = {key: kept for key, kept in self._results.items() if key in expected}
        self._on_alarm(
            f"{self._missed} series so far ended faster than they could be written down: "
            "they are not in the summary"
        )

    # -- waiting -------------------------------------------------------------------------------------

    def _ready(self, serial: int, key: SeriesKey) -> bool:
        if not self._accounts.is_over(serial):
            return False
        now, working = self._clock(), self._working()
        wait = self._wait = self._wait or _Wait(now)
        pending = [name for name in working if not self._accounts.is_final(serial, [name])]
        if [name for name in pending if self._waited_for(serial, name, working[name], wait, now)]:
            return False
        wait.final_at = now if wait.final_at is None else wait.final_at
        heard = self._promised.get(serial, {}).keys() | wait.overdue
        all_here = heard >= working.keys() and not self._missing(serial, key)
        return all_here or now - wait.final_at > RESULTS_S

    def _waited_for(self, serial: int, name: str, lossless: bool, wait: _Wait, now: float) -> bool:
        """Whether a consumer that has not given its last word may still do so."""
        since, limit = wait.over_at, SETTLE_S
        if lossless:
            seen, limit = self._accounts.looked_at(serial, name), STALLED_S
            former = wait.progress.get(name)
            if former is None or former[0] != seen:
                wait.progress[name] = seen, now
            since = wait.progress[name][1]
        if now - since <= limit:
            return True
        if name not in wait.overdue:
            wait.overdue.add(name)
            self._on_alarm(
                f"consumer {name!r} hangs: no last result {limit:g} s after the series had ended; "
                "the series is written down without it"
            )
        return False

    def _missing(self, serial: int, key: SeriesKey) -> set[str]:
        """Topics of last results that were sent and are not here."""
        promised: set[str] = set().union(*self._promised.get(serial, {}).values())
        return promised - self._results.get(key, {}).keys()

    def _say_what_is_missing(self, serial: int, key: SeriesKey) -> None:
        if missing := self._missing(serial, key):
            self._on_alarm(f"last results of series {key.number} never came: {', '.join(sorted(missing))}")
        said = self._wait.overdue if self._wait is not None else set()
        for name in self._working().keys() - self._promised.get(serial, {}).keys() - said:
            self._on_alarm(f"consumer {name!r} gave no last results of series {key.number}")

    # -- writing -------------------------------------------------------------------------------------

    def _write_down(self, serial: int, key: SeriesKey) -> bool:
        """False when the series has just left the ring's table."""
        try:
            account = self._accounts.of(serial)
        except RingError:
            return False
        self._say_what_is_missing(serial, key)
        _close(account, self._passed())
        former = self._settled.pop(key_of(account), None)
        self._count += former is None
        results = self._results_of(serial, key)
        account["results"] = {**(former or {}).get("results", {}), **dict.fromkeys(sorted(results), "")}
        if refused := self._refused(key):
            account["refused"] = dict(refused)
        if files := [*(former or {}).get("recordings", []), *self._files.get(serial, [])]:
            account["recordings"] = list(dict.fromkeys(files))
        if self._out is not None:
            self._write_files(self._out / self._directory(account), account, results)
        self._settled[key_of(account)] = account
        if len(self._settled) > ACCOUNTS_KEPT:
            del self._settled[next(iter(self._settled))]
        return True

    def _results_of(self, serial: int, key: SeriesKey) -> dict[str, Result]:
        """Last results of a series; kept where it goes on under the next serial, which has the same ones."""
        following = self._accounts.series(serial + 1) if serial + 1 < self._accounts.series_count() else None
        if following is not None and following.key == key:
            return self._results.get(key, {})
        return self._results.pop(key, {})

    def _write_files(self, directory: Path, account: Account, results: dict[str, Result]) -> None:
        try:
            account["results"].update(write_results(directory, results))
            write_summary(directory, account)
        except LivemError as error:
            self._on_error(error)

    def _directory(self, account: Account) -> str:
        """``<series>``, or with the epoch behind it when another sender has used that number already."""
        number, epoch = account["series"], account["epoch"]
        first = self._epoch_of.setdefault(number, epoch)
        return str(number) if first == epoch else f"{number}-{epoch}"


def _close(account: Account, passed: Collection[str]) -> None:
    """What nobody came to is dropped, because the session or its patience ended; nothing stays open."""
    if account["state"] == "open":
        account["state"], account["reason"] = "incomplete", account["reason"] or "the session was stopped"
    for name, edge in account["edges"].items():
        if edge["in_flight"]:
            why, dropped = "passed" if name in passed else "stopped", edge["dropped"]
            dropped[why] = dropped.get(why, 0) + edge["in_flight"]
            edge["in_flight"] = 0


def key_of(account: Account) -> tuple[str, int]:
    """(epoch, series) of an account."""
    return account["epoch"], account["series"]
