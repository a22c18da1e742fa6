"""Options and kinds of values that several commands share, checked while the command line is read."""

from __future__ import annotations

import math
import re
from pathlib import Path
from typing import Any

import click

MAX_SIDE = 65_536


class PositiveNumber(click.ParamType):  # type: ignore[type-arg]  # generic from click 8.4 on only
    """A number above 0; ``inf`` where it is allowed, never ``nan``."""

    name = "number"

    def __init__(self, unit: str, *, endless: bool = False) -> None:
        self.unit, self.endless = unit, endless

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if number > 0 and (self.endless or math.isfinite(number)):
            return number
        also = ", or inf" if self.endless else ""
        self.fail(f"{value!r} must be a number of {self.unit} above 0{also}", param, ctx)


class ScanSize(click.ParamType):  # type: ignore[type-arg]
    """``NYxNX`` scan pixels."""

    name = "NYxNX"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if isinstance(value, tuple):
            return value
        match = re.fullmatch(r"(\d{1,6})[x×](\d{1,6})", str(value))
        size = (int(match[1]), int(match[2])) if match else (0, 0)
        if all(1 <= side <= MAX_SIDE for side in size):
            return size
        self.fail(
            f"{value!r} must be NYxNX scan pixels, each from 1 to {MAX_SIDE}, as in 256x256", param, ctx
        )


class Settings(click.ParamType):  # type: ignore[type-arg]
    """``key=value,key=value`` for a detector's control port; empty = none."""

    name = "settings"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        settings: dict[str, str] = {}
        for part in value.split(",") if value else []:
            key, equals, text = (piece.strip() for piece in part.partition("="))
            if not key or not equals or not text or key in settings:
                self.fail(f"{part!r} must be key=value, each key once, as in trigger_mode=exte", param, ctx)
            settings[key] = text
        return settings


SECONDS = PositiveNumber("seconds")
RATE = PositiveNumber("frames per second", endless=True)
WHOLE = click.IntRange(min=1)
DIRECTORY = click.Path(file_okay=False, path_type=Path)
FILE = click.Path(dir_okay=False, path_type=Path)

as_json = click.option("--json", "as_json", is_flag=True, help="One JSON object on stdout, nothing else.")
headless = click.option("--headless", is_flag=True, help="No window, even where there is a display.")
serve = click.option(
    "--serve", is_flag=True, help="No window of its own, wait for ever: others attach, and end it."
)
rate = click.option(
    "--rate", type=RATE, metavar="F", help="Frames per second; inf = as fast as possible. Default: its own."
)
batch = click.option("--batch", type=WHOLE, metavar="N", help="Frames per message.")
fault = click.option(
    "--fault",
    default="",
    metavar="SPEC",
    help="Faults to inject, as in drop=0.01,reorder=8,stall=2s@500,kill@1000,seed=7.",
)
arm = click.option(
    "--arm",
    type=Settings(),
    is_flag=False,
    flag_value="",
    metavar="[KEY=VALUE,...]",
    help="Arm the detector over its control port, with these settings beside [arm] of the pipeline file.",
)
record = click.option("--record", type=DIRECTORY, metavar="DIR", help="Keep the stream there, losslessly.")
karabo_out = click.option(
    "--karabo-out", metavar="ADDRESS", help="Offer results to karabo-bridge clients at tcp://HOST:PORT."
)
insecure_bind = click.option(
    "--insecure-bind", is_flag=True, help="Allow a bind beyond this machine (a private detector network)."
)
