"""Sets a Merlin up and starts it: its control port (6341), a text command and a reply at a time.

Blocking, for a thread of its own, called when everything that receives is ready. Knows no frames.
"""

from __future__ import annotations

import re
import socket as bsd
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches

from ...errors import SourceError
from .base import CancelledError

CONTROL_PORT = 6341
TIMEOUT_S = 10.0
"""A reply comes within milliseconds; a counter depth that is changed takes seconds."""
LOOK_S = 0.05
"""How often who waits for a reply looks whether he still should."""
MAX_REPLY = 65_536
START, STOP = "STARTACQUISITION", "STOPACQUISITION"

CODES = {
    1: "the detector is busy: wait until its present acquisition has ended, or stop it",
    2: "the detector does not know this command: its software may be older; leave the setting out",
    3: "the value is out of the detector's range",
}
"""What a reply's last number says; 0 is success."""


@dataclass(frozen=True, slots=True)
class Setting:
    """What a setting may be."""

    meaning: str
    low: float = 0.0
    high: float = 1e9
    whole: bool = True
    choices: tuple[int, ...] = ()

    def fault(self, text: str) -> str:
        """What is wrong with a value; empty when nothing is."""
        pattern = r"-?\d{1,10}" if self.whole else r"-?(\d{1,10}(\.\d{0,9})?|\.\d{1,9})(E[+-]?\d{1,2})?"
        if re.fullmatch(pattern, text, re.IGNORECASE) is None:
            return f"is no {'whole number' if self.whole else 'number'}"
        if self.choices and int(text) not in self.choices:
            return f"is none of {', '.join(map(str, self.choices))}"
        if not self.low <= float(text) <= self.high:
            return f"is not from {self.low:g} to {self.high:g}"
        return ""


_TRIGGER = "0 internal, 1 rising, 2 falling, 3 rising LVDS, 4 falling LVDS, 5 software"
_SWITCH = (0, 1)
SETTINGS: Mapping[str, Setting] = {
    "counterdepth": Setting("bits of a counter", choices=(1, 6, 12, 24)),
    "continuousrw": Setting("1: count while reading out", choices=_SWITCH),
    "colourmode": Setting("1: eight thresholds", choices=_SWITCH),
    "chargesumming": Setting("1: charge summing mode", choices=_SWITCH),
    "enablecounter1": Setting("1: the second threshold's counter too", choices=(0, 1, 2)),
    "gain": Setting("0 SLGM, 1 LGM, 2 HGM, 3 SHGM", choices=(0, 1, 2, 3)),
    "polarity": Setting("0 negative, 1 positive", choices=_SWITCH),
    "fillmode": Setting("gap between chips: 0 none, 1 zeros, 2 distribute, 3 interpolate", 0, 9),
    "operatingenergy": Setting("keV", 0, 1000, whole=False),
    **{f"threshold{i}": Setting("keV", 0, 1000, whole=False) for i in range(8)},
    "acquisitiontime": Setting("ms a frame", 0, 1e9, whole=False),
    "acquisitionperiod": Setting("ms from frame to frame", 0, 1e9, whole=False),
    "numframestoacquire": Setting("frames of the acquisition; 0 = until stopped"),
    "numframespertrigger": Setting("frames of a trigger", 1),
    "triggerstart": Setting(_TRIGGER, choices=(0, 1, 2, 3, 4, 5)),
    "triggerstop": Setting(_TRIGGER, choices=(0, 1, 2, 3, 4, 5)),
    "roirows": Setting("rows that are read out", 1, 256),
    "runheadless": Setting("1: no picture on the detector's own screen, which is faster", choices=_SWITCH),
    "fileenable": Setting("1: the detector's own computer writes files too", choices=_SWITCH),
    "fileformat": Setting("0 processed, 2 raw", choices=(0, 2)),
}
"""What may be set from here, and in this order, since later ones depend on earlier. The sensor's high voltage
is not among them: that stays in the hands of whoever stands beside the detector."""


class RefusedError(SourceError):
    """A command that the detector has understood and will not follow."""


class MerlinArmer:
    """A Merlin's control port.

    Parameters
    ----------
    host : str
    port : int
    settings : Mapping[str, str]
        By SETTINGS' names, in any case of letters; times in ms, thresholds in keV, as the detector takes
        them.
    timeout_s : float
        For connecting and for each reply.

    Raises
    ------
    SourceError
        A setting that there is not, or a value that it cannot have.
    """

    def __init__(
        self,
        host: str,
        port: int = CONTROL_PORT,
        settings: Mapping[str, str] | None = None,
        *,
        timeout_s: float = TIMEOUT_S,
    ) -> None:
        self._host, self._port, self._timeout_s = host, port, timeout_s
        given = {name.lower(): value.strip() for name, value in (settings or {}).items()}
        for name, value in given.items():
            _require(name, value)
        self._settings = {name: given[name] for name in SETTINGS if name in given}
        self._socket: bsd.socket | None = None
        self._turn = threading.Lock()  # one conversation at a time
        self._sending = threading.Lock()  # nothing goes out between looking at _cancelled and sending
        self._cancelled = self._started = False

    def __str__(self) -> str:
        return f"Merlin at {self._host}:{self._port}"

    def arm(self) -> str:
        """Make the settings and start the acquisition, which then waits for its trigger.

        Returns
        -------
        str
            What was done, for the user.

        Raises
        ------
        SourceError
            A detector that is not there, does not answer, or refuses; the message names the command.
        """
        with self._turn:
            for name, value in self._settings.items():
                self._ask("SET", name.upper(), value)
            self._start()
        made = ", ".join(f"{name}={value}" for name, value in self._settings.items())
        return f"{self} started" + (f" with {made}" if made else "")

    def _start(self) -> None:
        before = self._started
        try:
            self._ask("CMD", START)
        except RefusedError:  # what runs, if anything does, is not ours to stop
            self._started = before
            raise

    @property
    def armed(self) -> bool:
        """Whether an acquisition that was started from here may still run."""
        return self._started

    def cancel(self) -> None:
        """Send nothing more but to stop, whatever ``arm`` is doing in another thread."""
        with self._sending:
            self._cancelled = True

    def trigger(self) -> None:
        """Send the software trigger (for triggerstart=5). Raises SourceError like ``arm``."""
        self._ask("CMD", "SOFTTRIGGER")

    def disarm(self) -> None:
        """Stop the acquisition that was started from here, if it still runs, and hang up.

        Also one whose start was never answered, over a new connection where the old one is gone. Raises
        SourceError when the detector has gone; one that says it has nothing to stop is believed.
        """
        with self._turn:
            try:
                if self._started:
                    self._stop()
            finally:
                self.close()

    def _stop(self) -> None:
        """Over the connection that is there, since a detector follows its commands in their order."""
        try:
            if self._socket is None or not self._stopped_here():
                self._ask("CMD", STOP)
        except RefusedError:
            pass
        self._started = False

    def _stopped_here(self) -> bool:
        """Whether the present connection could be used to stop."""
        try:
            self._ask("CMD", STOP)
        except RefusedError:
            raise
        except SourceError:
            return False
        return True

    def get(self, name: str) -> str:
        """A value of the detector's, by its own name (DETECTORSTATUS, say). Raises SourceError."""
        return self._ask("GET", name.upper())

    def close(self) -> None:
        """Hang up; may be called twice."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _ask(self, kind: str, name: str, value: str | None = None) -> str:
        """One command and its reply; the value of a GET, else an empty text."""
        said = ",".join([kind, name, *([] if value is None else [value])])
        self._check(said)
        try:
            socket = self._connected()
            self._send(socket, said)
            reply = _reply(socket, kind, name, time.monotonic() + self._timeout_s, lambda: self._check(said))
        except TimeoutError as error:
            self.close()
            raise SourceError(
                f"{self} has not answered {said} within {self._timeout_s:g} s: check that its software runs "
                "and that nobody else holds its control port"
            ) from error
        except OSError as error:
            self.close()
            why = error.strerror or error
            raise SourceError(
                f"{self} cannot be reached for {said}: {why}; check host, control port and its software"
            ) from error
        code = int(reply["code"])
        if code:
            why = CODES.get(code, f"it answered with code {code}")
            raise RefusedError(f"{self} refused {said}: {why}")
        return (reply["value"] or b"").decode("latin-1").strip(", ")

    def _send(self, socket: bsd.socket, said: str) -> None:
        with self._sending:
            self._check(said)
            self._started |= said.endswith(START)
            socket.sendall(b"MPX,%010d,%s" % (len(said) + 1, said.encode()))

    def _check(self, said: str) -> None:
        """Raises CancelledError where this is to be said no more, or its reply of no interest any more."""
        if self._cancelled and not said.endswith(STOP):
            raise CancelledError(f"{self}: {said} was given up, since the session has ended")

    def _connected(self) -> bsd.socket:
        if self._socket is None:
            self._socket = bsd.create_connection((self._host, self._port), self._timeout_s)
        return self._socket


def _require(name: str, value: str) -> None:
    if name not in SETTINGS:
        near = get_close_matches(name, SETTINGS, 1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(SETTINGS)}"
        raise SourceError(f"a Merlin has no setting {name!r} that livem sets; {hint}")
    fault = SETTINGS[name].fault(value)
    if fault:
        raise SourceError(f"Merlin: {name} = {value!r} {fault} ({SETTINGS[name].meaning})")


def _reply(
    socket: bsd.socket, kind: str, name: str, deadline: float, check: Callable[[], None]
) -> re.Match[bytes]:
    """Receive until the reply is whole; one to an earlier command may lie before it.

    Raises TimeoutError and other OSErrors, and whatever ``check`` raises. The length that a reply announces
    counts the comma behind the number with a detector, and does not with LiberTEM's simulator: so the code
    at its end decides.
    """
    pattern = re.compile(
        rb"MPX,(?P<size>\d{10}),%s,%s(?P<value>,.*)?,(?P<code>\d{1,3})\s*\Z" % (kind.encode(), name.encode()),
        re.IGNORECASE | re.DOTALL,
    )
    received = b""
    while True:
        match = pattern.search(received)
        if match is not None and len(received) >= match.start() + 14 + int(match["size"]):
            return match
        received += _receive(socket, deadline, check, received)
        if len(received) > MAX_REPLY:
            raise ConnectionError(f"its reply has more than {MAX_REPLY:,} bytes")


def _receive(socket: bsd.socket, deadline: float, check: Callable[[], None], received: bytes) -> bytes:
    """The next piece, once there is one."""
    while (left := deadline - time.monotonic()) > 0:
        check()
        socket.settimeout(min(left, LOOK_S))
        try:
            piece = socket.recv(4096)
        except TimeoutError:
            continue
        if not piece:
            raise ConnectionError(f"it hung up after {received[:60]!r}")
        return piece
    raise TimeoutError
