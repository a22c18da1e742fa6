"""The benchmark of tracking on a few frames: it gives its table, nothing is asked of speed."""

import pytest
from session_tools import SHARED

from livem.benchmarks import SUITE, tracking, tracking_end


def test_it_is_in_the_suite_and_says_what_it_lacks():
    assert SUITE["tracking"] == "livem.benchmarks.tracking:run"
    measured = tracking.measure(tracking.QUICK, None)
    assert tracking.FOLDER_VARIABLE in measured["title"]
    assert not measured["gates"]


@pytest.mark.skipif(not (SHARED / "tracking" / "synth_movie.py").is_file(), reason="no generator of movies")
def test_particles_of_the_generator_are_found_as_promised(monkeypatch):
    monkeypatch.setattr(tracking, "_trackpy", lambda diameter: None)
    measured = tracking.measure(tracking.Plan((200,), (2,), 11, 2, 1), SHARED / "tracking")
    assert [row["by"] for row in measured["rows"]] == ["livem"]
    gates = {gate["name"]: gate for gate in measured["gates"]}
    assert gates["N=200, SNR 2: F1"]["value"] > 0.96
    assert gates["N=200, SNR 2: position error in the floor"]["ok"]
    assert gates["N=200, SNR 2: error of the radius, px"]["ok"]


@pytest.mark.skipif(not (SHARED / "tracking" / "synth_movie.py").is_file(), reason="no generator of movies")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # the scorer closes no files
def test_particles_of_the_generator_are_followed_as_promised(monkeypatch):
    """A short movie: all figures but those of events, which take longer to happen."""
    monkeypatch.setattr(tracking_end.importlib.util, "find_spec", lambda name: None)
    folder, plan = SHARED / "tracking", tracking.Plan((200,), (2,), 5, 2, 1)
    end = tracking.EndPlan(20, ((512, 200, 6, 2),), session=False)
    measured = tracking.follow(plan, end, folder, {"gates": []})
    followed, rates = measured["parts"]
    assert [row["by"] for row in followed["rows"]] == ["livem"]
    assert len(rates["rows"]) == 1
    gates = {gate["name"]: gate for gate in measured["gates"]}
    assert float(followed["rows"][0]["F1"]) > 0.96
    for name in ("HOTA", "position error of tracks in the floor"):
        assert gates[f"N=200, SNR 2: {name}"]["ok"], gates
