"""Marks that change while messages come: against libzmq's rules as numbers, whatever comes between."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from livem.stream.high_water import HighWater

TURNS = st.lists(st.tuples(st.sampled_from(["send", "read", "hear"]), st.integers(1, 300)), max_size=60)


class Pipe:
    """One connection by the rules of libzmq 4.3.5 (pipe.cpp): who knows what of whom."""

    def __init__(self, mark: int) -> None:
        self.mark = self.senders_mark = mark
        self.written = self.read = self.known_read = 0
        self.stopped = False
        self.commands: list[tuple[str, int]] = []
        """On their way to the sender, in order."""

    def set_mark(self, mark: int) -> None:
        self.mark = mark
        self.commands.append(("mark", mark))

    def send(self, most: int) -> None:
        for _ in range(most):
            self.stopped |= self.written - self.known_read >= self.senders_mark
            if self.stopped:
                return
            self.written += 1

    def take(self, most: int) -> int:
        count = min(most, self.written - self.read)
        for _ in range(count):
            self.read += 1
            if self.read % ((self.mark + 1) // 2) == 0:
                self.commands.append(("room", self.read))
        return count

    def hear(self, most: int) -> None:
        for name, value in self.commands[:most]:
            if name == "mark":
                self.senders_mark = value
            else:
                self.known_read, self.stopped = value, False
        del self.commands[:most]


@settings(max_examples=300, deadline=None, derandomize=True)
@given(st.integers(1, 80), st.lists(st.integers(1, 1000), min_size=1, max_size=4), TURNS)
def test_no_change_leaves_both_waiting(first: int, wanted: list[int], turns: list[tuple[str, int]]) -> None:
    water, pipe = HighWater(first), Pipe(first)

    def read(most: int, target: int) -> None:
        room = water.room(target)
        water.read(pipe.take(most if room is None else min(most, room)))
        if water.change(target):
            pipe.set_mark(water.mark)

    for number, target in enumerate(wanted):
        for what, count in turns[number::2]:
            if what == "send":
                pipe.send(count)
            elif what == "hear":
                pipe.hear(count)
            else:
                read(count, target)
    written = []
    for _ in range(60):  # from here on the sender always has more
        pipe.send(2000)
        for _ in range(12):
            read(300, wanted[-1])
        pipe.hear(len(pipe.commands))
        written.append(pipe.written)
    assert written[-1] > written[-2] > written[-3]
    assert water.mark == pipe.senders_mark == wanted[-1]


def test_a_change_anywhere_else_may_leave_both_waiting() -> None:
    """What the class is for: the pipe of these tests stops as libzmq does."""
    pipe = Pipe(1000)
    pipe.send(747)
    pipe.take(747)
    pipe.set_mark(32)
    for _ in range(100):
        pipe.hear(10)
        pipe.send(100)
        pipe.take(100)
    assert pipe.written == 747
