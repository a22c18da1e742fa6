"""The benchmark of models on a tiny network: it gives its table, nothing is asked of speed."""

from __future__ import annotations

import pytest

from livem.benchmarks import SUITE, models
from livem.benchmarks.models import Plans
from livem.errors import MissingDependencyError


def test_it_is_in_the_suite():
    assert SUITE["models"] == "livem.benchmarks.models:run"


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_its_table():
    pytest.importorskip("torch", reason="models need the extra [torch]")
    measured = models.measure(Plans((16,), 2, 2, (2, 2, 2)))
    assert [row["way"] for row in measured["rows"]] == ["bare frozen call", "consumer torchscript"]
    assert len(measured["gates"]) == 2


def test_without_torch_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "torch", None)
    with pytest.raises(MissingDependencyError, match=r"livem\[torch\]"):
        models.run(True)
