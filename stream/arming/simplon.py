"""Sets a DECTRIS detector up and arms it: the SIMPLON control unit's REST interface, a request at a time.

Blocking, for a thread of its own, called when everything that receives is ready. Knows no frames.
"""

from __future__ import annotations

import contextlib
import json
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from http.client import HTTPConnection, HTTPException
from typing import Any, Literal
from urllib.parse import quote

from ...errors import SourceError
from .base import CancelledError

CONTROL_PORT = 80
TIMEOUT_S = 10.0
"""A setting takes milliseconds; a threshold or an energy a few seconds."""
ARM_TIMEOUT_S = 120.0
"""As other clients allow: a large detector calculates its corrections first."""
ARM, DISARM = "detector/command/arm", "detector/command/disarm"
MAX_REPLY = 65_536
MAX_VALUE = 1024

Module = Literal["detector", "stream"]


@dataclass(frozen=True, slots=True)
class Setting:
    """What a setting may be, and where it belongs."""

    module: Module = "detector"
    kind: type[str] | type[int] | type[float] | type[bool] = str
    choices: tuple[str, ...] = ()
    parameter: str = ""
    """The control unit's own name; empty = the setting's."""

    def value(self, name: str, text: str) -> str | int | float | bool:
        """What is to be sent. Raises SourceError for a value of the wrong kind."""
        kind, pattern = _KINDS[self.kind]
        if self.choices and text not in self.choices:
            near = get_close_matches(text, self.choices, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(self.choices)}"
            raise SourceError(f"{name}={text}: {text!r} is none of its values; {hint}")
        if len(text) > MAX_VALUE or re.fullmatch(pattern, text) is None:
            raise SourceError(f"{name}={text[:60]}: {name} is {kind}")
        return text == "true" if self.kind is bool else self.kind(text)


_KINDS: Mapping[type, tuple[str, str]] = {
    str: (f"text of at most {MAX_VALUE} characters", r"(?s).*"),
    int: ("a whole number from 1 to 2,000,000,000, as in ntrigger=16384", r"0*[1-9]\d{0,8}|0*1\d{9}|0*20{9}"),
    float: ("a number, as in frame_time=0.001", r"(\d{1,9}(\.\d{0,12})?|\.\d{1,12})([eE][+-]?\d{1,2})?"),
    bool: ("true or false", r"true|false"),
}
_SWITCH = Setting(kind=bool)
SETTINGS: Mapping[str, Setting] = {
    "photon_energy": Setting(kind=float),
    "incident_energy": Setting(kind=float),
    "threshold_energy": Setting(kind=float),
    "threshold/1/energy": Setting(kind=float),
    "threshold/1/mode": Setting(choices=("enabled", "disabled")),
    "threshold/2/energy": Setting(kind=float),
    "threshold/2/mode": Setting(choices=("enabled", "disabled")),
    "roi_mode": Setting(),
    "auto_summation": _SWITCH,
    "counting_mode": Setting(choices=("normal", "retrigger")),
    "countrate_correction_applied": _SWITCH,
    "flatfield_correction_applied": _SWITCH,
    "pixel_mask_applied": _SWITCH,
    "virtual_pixel_correction_applied": _SWITCH,
    "compression": Setting(choices=("bslz4", "lz4", "none")),
    "trigger_mode": Setting(choices=("exte", "exts", "inte", "ints")),
    "frame_time": Setting(kind=float),
    "count_time": Setting(kind=float),
    "nimages": Setting(kind=int),
    "ntrigger": Setting(kind=int),
    "stream_mode": Setting("stream", choices=("enabled", "disabled"), parameter="mode"),
    "stream_format": Setting("stream", choices=("legacy", "cbor"), parameter="format"),
    "header_detail": Setting("stream", choices=("all", "basic", "none")),
    "header_appendix": Setting("stream"),
    "image_appendix": Setting("stream"),
}
"""What may be set from here, and in this order, since later ones depend on earlier. Energies in eV, times in
s. The high voltage is not among them: that stays in the hands of whoever looks after the detector."""
OWN = "control_port"
"""The one setting that is ours: where the control unit listens, if not on port 80."""


class SimplonArmer:
    """A DECTRIS detector's control unit.

    Parameters
    ----------
    host : str
    port : int
        A setting ``control_port`` goes before it.
    settings : Mapping[str, str]
        By SETTINGS' names.
    timeout_s : float
        For each request but that to arm.

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
        given = {name: text.strip() for name, text in (settings or {}).items()}
        self._host, self._port = host, _port(given.pop(OWN, str(port)))
        self._timeout_s = timeout_s
        for name in given:
            _require(name)
        self._values = {
            name: setting.value(name, given[name]) for name, setting in SETTINGS.items() if name in given
        }
        self._version = ""
        self._turn = threading.Lock()  # held as long as arming lasts
        self._sending = threading.Lock()  # nothing goes out between looking at _cancelled and sending
        self._cancelled = self._armed = False

    def __str__(self) -> str:
        return f"DECTRIS control unit at {self._host}:{self._port}"

    def arm(self) -> str:
        """Make the settings, see that the stream is on, and arm.

        Returns
        -------
        str
            Which series was armed and how, for the user.

        Raises
        ------
        SourceError
            A control unit that is not there or does not answer; a request that it refuses, in its own words.
        """
        with self._turn:
            self._make_settings()
            answer = self._arm()
        said = answer if isinstance(answer, dict) else {}
        number = said.get("sequence id", said.get("series id"))
        return f"series {number if type(number) is int else '(unnamed)'} armed: {self._summary()}"

    def _make_settings(self) -> None:
        for name, value in self._values.items():
            setting = SETTINGS[name]
            self._put(f"{setting.module}/config/{setting.parameter or name}", {"value": value})
        if "stream_mode" not in self._values and self._read("stream/config/mode") == "disabled":
            self._put("stream/config/mode", {"value": "enabled"})

    def _arm(self) -> Any:
        before = self._armed
        try:
            return self._put(ARM, None, ARM_TIMEOUT_S)
        except RefusedError as error:
            if not error.in_doubt:  # what is armed, if anything is, is not ours to disarm
                self._armed = before
            raise

    @property
    def armed(self) -> bool:
        """Whether the detector may be armed on our word."""
        return self._armed

    def cancel(self) -> None:
        """Send nothing more but to disarm, whatever ``arm`` is doing in another thread."""
        with self._sending:
            self._cancelled = True

    def trigger(self, exposure_s: float | None = None) -> None:
        """Send a trigger, in the modes ints and inte (with its exposure). Raises SourceError as ``arm``."""
        body = None if exposure_s is None else {"value": exposure_s}
        self._put("detector/command/trigger", body, ARM_TIMEOUT_S)

    def disarm(self) -> None:
        """Disarm what was armed from here, or may have been. Raises SourceError like ``arm``.

        While a request to arm is still unanswered, which can be for two minutes, it asks at once, in case
        this process has no such time, and again behind the answer, in case the first came too early.
        """
        if not self._armed:
            return
        if not self._turn.acquire(blocking=False):
            with contextlib.suppress(SourceError):  # the second one tells
                self._put(DISARM)
            self._turn.acquire()
        try:
            if self._armed:
                self._put(DISARM)
                self._armed = False
        finally:
            self._turn.release()

    def _summary(self) -> str:
        """How it is armed, as far as the control unit says."""
        mode, triggers, images, compression = (
            self._read(f"detector/config/{name}")
            for name in ("trigger_mode", "ntrigger", "nimages", "compression")
        )
        words = [str(mode)] if mode is not None else []
        if type(triggers) is int:
            words.append(f"{triggers} trigger{'s' if triggers != 1 else ''}")
        if type(images) is int and images != 1:
            words.append(f"{images} images each")
        return ", ".join(words + ([str(compression)] if compression is not None else [])) or "as it is set up"

    # -- requests --------------------------------------------------------------------------------------

    def _read(self, path: str) -> Any:
        """A parameter's value; None when this control unit does not tell it."""
        try:
            answer = self._request("GET", self._versioned(path))
        except RefusedError:
            return None
        return answer.get("value") if isinstance(answer, dict) else None

    def _put(self, path: str, body: Mapping[str, Any] | None = None, timeout_s: float | None = None) -> Any:
        return self._request("PUT", self._versioned(path), body, timeout_s)

    def _versioned(self, path: str) -> str:
        """``detector/config/x`` as ``/detector/api/1.8.0/config/x``."""
        if not self._version:
            answer = self._request("GET", "/detector/api/version/")
            value = answer.get("value") if isinstance(answer, dict) else None
            if type(value) is not str or re.fullmatch(r"\d{1,4}(\.\d{1,4}){1,3}", value) is None:
                raise SourceError(
                    f"{self} names no version of its interface: is it DECTRIS? Check the host and {OWN}"
                )
            self._version = value
        module, rest = path.split("/", 1)
        return f"/{module}/api/{self._version}/{rest}"

    def _request(
        self, method: str, path: str, body: Mapping[str, Any] | None = None, timeout_s: float | None = None
    ) -> Any:
        """The answer's JSON; None when there is none."""
        timeout = timeout_s or self._timeout_s
        connection = HTTPConnection(self._host, self._port, timeout=timeout)
        try:
            with contextlib.closing(connection):
                self._send(connection, method, path, body)
                reply = connection.getresponse()
                status, reason, text = reply.status, reply.reason, reply.read(MAX_REPLY)
        except (OSError, HTTPException) as error:
            raise self._unreachable(error, f"{method} {path}", timeout) from error
        if status >= 300:
            raise self._refused(status, text, reason, f"{method} {path}", body)
        try:
            return json.loads(text) if text.strip() else None
        except (ValueError, RecursionError) as error:
            raise SourceError(f"{self} answered {method} {path} with no JSON: {text[:80]!r}") from error

    def _send(
        self, connection: HTTPConnection, method: str, path: str, body: Mapping[str, Any] | None
    ) -> None:
        """Send the request, unless it is to be sent no more."""
        self._check(method, path)
        connection.connect()
        with self._sending:
            self._check(method, path)
            self._armed |= path.endswith("/command/arm")
            data = None if body is None else json.dumps(body).encode()
            headers = {"Content-Type": "application/json", "Connection": "close"}
            connection.request(method, quote(path), data, headers)

    def _check(self, method: str, path: str) -> None:
        """Raises CancelledError where this is to be sent no more."""
        if self._cancelled and not path.endswith("/command/disarm"):
            raise CancelledError(f"{self}: {method} {path} was given up, since the session has ended")

    def _refused(
        self, status: int, text: bytes, reason: str, what: str, body: Mapping[str, Any] | None
    ) -> RefusedError:
        said = " ".join(re.sub(r"<[^>]*>", " ", text.decode("utf-8", "replace")).split())[:200]
        value = "" if body is None else f" {json.dumps(dict(body))}"
        return RefusedError(
            f"{self} refused {what}{value}: HTTP {status}, {said or reason}; check the value, and "
            "that the detector is initialised and idle",
            in_doubt=status >= 500,
        )

    def _unreachable(self, error: Exception, what: str, timeout: float) -> SourceError:
        if isinstance(error, TimeoutError):
            return SourceError(
                f"{self} has not answered {what} within {timeout:g} s: check host and network, and "
                "that nobody else has it arm or initialise"
            )
        said = getattr(error, "strerror", None) or error
        return SourceError(
            f"{self} cannot be reached for {what}: {said}; check the host, {OWN}, and that it is on"
        )


class RefusedError(SourceError):
    """A request that the control unit has understood and will not follow.

    ``in_doubt``: it has failed over it (HTTP 5xx), and how far it came is not known.
    """

    def __init__(self, text: str, *, in_doubt: bool = False) -> None:
        super().__init__(text)
        self.in_doubt = in_doubt


def _require(name: str) -> None:
    if name not in SETTINGS:
        near = get_close_matches(name, (*SETTINGS, OWN), 1)
        hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(SETTINGS)}, {OWN}"
        raise SourceError(f"a DECTRIS detector has no setting {name!r}; {hint}")


def _port(text: str) -> int:
    if re.fullmatch(r"\d{1,5}", text) is None or not 0 < int(text) < 65_536:
        raise SourceError(f"{OWN}={text[:20]}: a port is a whole number from 1 to 65535")
    return int(text)
