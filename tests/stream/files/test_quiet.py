"""Logs are off while any reader needs it, and on again after the last."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from livem.stream.files.quiet import logs_off


@pytest.fixture(autouse=True)
def _logs_on() -> Iterator[None]:
    before = logging.root.manager.disable
    logging.disable(logging.NOTSET)
    yield
    logging.disable(before)


def test_two_readers_that_overlap_leave_the_logs_on() -> None:
    """The second begins before the first ends, and ends after it: as on two threads."""
    first, second = logs_off(), logs_off()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    assert logging.root.manager.disable == logging.CRITICAL
    second.__exit__(None, None, None)
    assert logging.root.manager.disable == logging.NOTSET


def test_an_error_turns_them_on_again() -> None:
    with pytest.raises(OSError, match="gone"), logs_off():
        raise OSError("gone")
    assert logging.root.manager.disable == logging.NOTSET
