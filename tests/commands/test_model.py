"""``livem model``: add, list, show, remove; wrong usage."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from model_tools import archive, code, manifest, write

from livem.cli import main
from livem.consumers.models import shipped
from livem.consumers.models.store import VARIABLE


@pytest.fixture(autouse=True)
def _own_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "store"))
    monkeypatch.setattr(shipped, "FOLDER", tmp_path / "shipped")


def model(*args: object) -> Result:
    return CliRunner().invoke(main, ["model", *map(str, args)])


def test_a_model_comes_and_goes(tmp_path: Path) -> None:
    file = write(tmp_path, archive(), manifest())
    assert "no models in" in model("list").stdout
    added = json.loads(model("add", file, "--json").stdout)
    assert model("list").stdout.split() == ["tiny", "1", "image", added["sha256"][:12]]
    shown = model("show", "tiny").stdout
    assert added["sha256"] in shown
    assert "none: written by hand" in shown
    assert json.loads(model("list", "--json").stdout)["models"] == [added]
    assert model("remove", "tiny").exit_code == 0
    assert json.loads(model("list", "--json").stdout)["models"] == []


def test_a_hostile_model_is_refused_in_one_line(tmp_path: Path) -> None:
    file = write(tmp_path, archive(code('torch.save(x, "/tmp/stolen")', "return x")), manifest())
    done = model("add", file)
    assert done.exit_code == 2
    assert done.stderr.startswith("livem: error: tiny.pt: code/__torch__.py: calls 'save'")
    assert "no models" in model("list").stdout


@pytest.mark.parametrize("args", [("show", "x"), ("remove", "x"), ("add", "nowhere.pt"), ("fit",)])
def test_wrong_usage_is_one_line(args: tuple[str, ...]) -> None:
    assert model(*args).exit_code == 2


def test_a_session_is_asked_to_keep_what_its_model_has_learnt(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[dict[str, object]] = []
    monkeypatch.setattr(
        "livem.stream.control.ControlClient.request", lambda self, request, timeout: asked.append(request)
    )
    done = model("keep", "clean", "mine", "tcp://127.0.0.1:9", "--json")
    assert json.loads(done.stdout) == {"kept": "mine", "consumer": "clean"}
    assert asked == [{"do": "set", "consumer": "clean", "name": "keep", "value": "mine"}]
    assert "kept" in model("keep", "clean", "mine", "tcp://127.0.0.1:9").stdout
