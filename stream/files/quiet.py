"""Readers of others log what they also raise, some of them on stdout: livem says it once, in own words."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def logs_off() -> Iterator[None]:
    """No log message of any package while this lasts; errors are raised as ever."""
    before = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(before)
