"""Run as a program: records in forked processes that are killed with signal 9 at random times.

Everything is imported and compiled once; each child has a ring, a sender's assembler and a recorder of its
own. It writes down what was flushed, after each flush, where the parent's kill cannot take it. Prints one
line of JSON a child: the recording, and the frames that had been flushed when it died.
"""

from __future__ import annotations

import json
import mmap
import os
import random
import signal
import struct
import sys
import time
from pathlib import Path

from recorder_tools import Stage, a_series, encoded

from livem.stream.series import Scan

LONGEST_S = 0.15
FRAMES = 4096
PERIOD = 97
"""Payloads of a form: frame i has the one of i modulo this."""
FORMS = (
    {"encoding": "bslz4", "count": FRAMES, "scan": Scan((64, 64))},
    {"encoding": "bslz4", "count": None},
    {"encoding": "raw", "count": FRAMES, "shape": (64, 64), "scan": Scan((16, 16), "positions")},
    {"encoding": "raw", "count": FRAMES, "shape": (1, 1)},
)


def record(folder: Path, number: int, note: mmap.mmap, payloads: list[list[bytes]]) -> None:
    """Body of a child: record one series, until it is killed."""
    form = number % len(FORMS)
    stage = Stage(folder, flush_frames=16)
    note_flushes(stage, note)
    stage.start(a_series(number, **FORMS[form]))
    first = 0
    while first < FRAMES:
        count = min(1 + first % 13, FRAMES - first)
        stage.frames(first, count, [payloads[form][i % PERIOD] for i in range(first, first + count)])
        first += count
        stage.work()
    signal.pause()


def note_flushes(stage: Stage, note: mmap.mmap) -> None:
    """After each flush write down how many frames it covered."""
    keeper = stage.recorder._keeper
    flush = keeper.flush

    def noted() -> bool:
        done = flush()
        note[:8] = struct.pack("<Q", keeper.file.flushed if keeper.file else 0)
        return done

    keeper.flush = noted  # type: ignore[method-assign]


def main(folder: Path, kills: int, seed: int) -> None:
    chance = random.Random(seed)
    payloads = [encoded(a_series(0, **form), 0, PERIOD) for form in FORMS]
    for number in range(kills):
        note = mmap.mmap(-1, 8)  # shared with the child
        pid = os.fork()
        if pid == 0:
            record(folder, number, note, payloads)
        while not any(folder.glob(f"series_{number}_*")):
            time.sleep(0.001)  # the child has yet to make its file: nothing wakes us for that
        time.sleep(chance.uniform(0, LONGEST_S))  # the random moment of the kill: what is tested
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
        (path,) = folder.glob(f"series_{number}_*")
        print(
            json.dumps(
                {"path": str(path), "form": number % len(FORMS), "flushed": struct.unpack("<Q", note[:8])[0]}
            )
        )


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
