"""The page of what proves what names tests that are there."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parent
NAMED = re.compile(r"`((?:\w+/)*test_\w+\.py)(?:::(\w+))?`")


def test_every_test_that_the_page_names_is_there() -> None:
    named = NAMED.findall((TESTS.parent / "docs/evidence.md").read_text(encoding="utf-8"))
    assert len(named) > 200
    missing = [
        (path, name)
        for path, name in named
        if not (file := TESTS / path).is_file()
        or not re.search(rf"(?:def|class) {name or '[tT]est'}", file.read_text(encoding="utf-8"))
    ]
    assert not missing
