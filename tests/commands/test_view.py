"""``livem view`` without a session, and the viewer as a process of a session."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from livem.cli import main
from livem.commands import viewing
from livem.stream import session_directory


def test_no_session_on_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session_directory, "running", list)
    done = CliRunner().invoke(main, ["view", "--headless"])
    assert done.exit_code == 1
    assert "no session runs on this machine" in done.stderr
    assert "livem live" in done.stderr


def test_nobody_answers_at_the_address() -> None:
    done = CliRunner().invoke(main, ["view", "tcp://127.0.0.1:1", "--headless"])
    assert done.exit_code == 1
    assert "no session answers at tcp://127.0.0.1:1" in done.stderr


def test_headless_runs_have_a_viewer_only_for_its_picture(tmp_path: Path) -> None:
    plan = viewing.plan_viewer(headless=True, snapshot=None)
    assert (plan.window, plan.make, plan.note) == (False, None, "")
    plan = viewing.plan_viewer(headless=True, snapshot=tmp_path / "s.png")
    assert plan.make is not None
    spec = plan.make("tcp://127.0.0.1:5")
    assert (spec.name, spec.restart) == ("viewer", False)
    assert spec.args == ("tcp://127.0.0.1:5", True, tmp_path / "s.png")
    assert spec.body is viewing.view_process


def test_no_display_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(viewing, "has_display", lambda: False)
    plan = viewing.plan_viewer(headless=False, snapshot=None)
    assert not plan.window
    assert "DISPLAY" in plan.note


def test_a_missing_extra_is_said_with_its_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(viewing, "find_spec", lambda name: None if name == "PySide6" else object())
    plan = viewing.plan_viewer(headless=False, snapshot=tmp_path / "s.png")
    assert (plan.window, plan.make) == (False, None)
    assert 'pip install "livem[viewer]"' in plan.note


def test_a_display_means_a_window(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(viewing, "has_display", lambda: True)
    plan = viewing.plan_viewer(headless=False, snapshot=tmp_path / "s.png")
    assert plan.window
    assert plan.make is not None
    assert plan.make("tcp://127.0.0.1:5").args == ("tcp://127.0.0.1:5", False, None)
