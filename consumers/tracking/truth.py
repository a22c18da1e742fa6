"""Tracks beside the truth of a simulation: how many particles are followed, how exactly, how often mixed up.

CLEAR MOT (Bernardin & Stiefelhagen, EURASIP J. Image Video Process. 2008, 246309), counted while frames come.
Knows files and rows of tracks; no detector.
"""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.spatial import cKDTree

from ...errors import PipelineError
from ...kernels.tracking.tracks import Rows
from ..base import Output

Places = npt.NDArray[np.float64]
GATE = 3.0
"""px between a particle and what is taken for it."""
RIM = 10.0
"""px along the edges of the frame in which neither particles nor tracks count: discs are cut off there."""
IDENTITIES = ("particle", "id")


@dataclass(frozen=True, slots=True, eq=False)
class TrueParticles:
    """Rows of all frames, by frame."""

    first: npt.NDArray[np.int64]
    """(frames + 1,) of each frame's rows."""
    ids: npt.NDArray[np.int64]
    places: Places
    """(n, 2) px (y, x)."""

    @classmethod
    def load(cls, where: str, path: Path) -> TrueParticles:
        """From a .csv with ``frame``, ``particle`` (or ``id``), ``y``, ``x``; lines that begin with # are not
        read. PipelineError where it has none of these."""
        with path.open(encoding="utf-8", newline="") as file:
            table = list(csv.DictReader(line for line in file if not line.startswith("#")))
        names = set(table[0]) if table else set()
        identity = next((name for name in IDENTITIES if name in names), "")
        if not identity or not {"frame", "y", "x"} <= names:
            there = ", ".join(sorted(names)) or "none"
            raise PipelineError(
                f"{where}: truth {str(path)!r} has the columns {there}; it must have frame, particle, y and x"
            )
        try:
            values = np.array([[float(row[n]) for n in ("frame", identity, "y", "x")] for row in table])
        except (TypeError, ValueError) as error:
            raise PipelineError(
                f"{where}: truth {str(path)!r} has a row that is no numbers: {error}"
            ) from error
        values = values[np.argsort(values[:, 0], kind="stable")]
        frames = values[:, 0].astype(np.int64)
        first = np.searchsorted(frames, np.arange(frames[-1] + 2))
        return cls(first, values[:, 1].astype(np.int64), values[:, 2:])

    def of(self, index: int) -> tuple[npt.NDArray[np.int64], Places]:
        """Those of a frame; of more frames than are known, which are played back and forth."""
        count = len(self.first) - 1
        cycle = max(2 * count - 2, 1)
        at = min(index % cycle, cycle - index % cycle) if count > 1 else 0
        rows = slice(int(self.first[at]), int(self.first[at + 1]))
        return self.ids[rows], self.places[rows]


@dataclass(slots=True, eq=False)
class TruthScore:
    """What tracks are worth so far.

    Parameters
    ----------
    where, path : in errors, and the file of `TrueParticles`; one that is not there yet is looked for again.
    shape : (h, w) of the frames, px.
    """

    where: str
    path: Path
    shape: tuple[int, int]
    frames: int = 0
    true: int = 0
    matched: int = 0
    false: int = 0
    switches: int = 0
    """How often a particle is followed by another track than before."""
    square: float = 0.0
    """px^2, sum of squared distances."""
    newest: tuple[int, int, int] = (-1, 0, 0)
    """Frame, particles in it, and how many of them are matched."""
    _last: dict[int, int] = field(default_factory=dict)
    """Track of each particle when it was matched last."""
    _truth: TrueParticles | None = None

    def add(self, frame: int, rows: Rows) -> None:
        """Take the final rows of a frame."""
        if self._truth is None:
            if not self.path.is_file():
                return
            self._truth = TrueParticles.load(self.where, self.path)
        ids, true = self._truth.of(frame)
        found = np.column_stack([rows["y"], rows["x"]])
        is_true, is_found = self._inside(true), self._inside(found)
        ids, true = ids[is_true], true[is_true]
        tracks, found = rows["particle"][is_found], found[is_found]
        pairs = self._pairs(ids, true, tracks, found)
        for i, j, distance in pairs:
            particle, track = int(ids[i]), int(tracks[j])
            self.switches += self._last.get(particle, track) != track
            self._last[particle] = track
            self.square += distance**2
        self.frames += 1
        self.true += len(true)
        self.matched += len(pairs)
        self.false += len(found) - len(pairs)
        self.newest = frame, len(true), len(pairs)

    def output(self, said: dict[str, Any], hz: float) -> Output:
        """One row."""
        missed = self.true - self.matched
        either = 2 * self.matched + missed + self.false
        figures: dict[str, float] = {
            "f1": 2 * self.matched / either if either else math.nan,
            "mota": 1 - (missed + self.false + self.switches) / self.true if self.true else math.nan,
            "error": math.sqrt(self.square / self.matched) if self.matched else math.nan,
        }
        counts = {
            "frames": self.frames, "particles": self.true, "matched": self.matched, "missed": missed,
            "false": self.false, "switches": self.switches, "newest_frame": self.newest[0],
            "newest_particles": self.newest[1], "newest_matched": self.newest[2],
        }  # fmt: skip
        columns: dict[str, npt.NDArray[Any]] = {name: np.array([n], np.int64) for name, n in counts.items()}
        columns |= {name: np.array([value]) for name, value in figures.items()}
        return Output("score", "table", columns, {"error": "px"}, {**said, "gate": GATE, "rim": RIM}, hz=hz)

    def _inside(self, places: Places) -> npt.NDArray[np.bool_]:
        far = np.array(self.shape) - 1 - RIM
        return np.asarray(((places >= RIM) & (places <= far)).all(axis=1))

    def _pairs(
        self, ids: npt.NDArray[np.int64], true: Places, tracks: npt.NDArray[np.int64], found: Places
    ) -> list[tuple[int, int, float]]:
        """Who is whom, at most once each: first those that were so before, then the nearest."""
        if not len(true) or not len(found):
            return []
        near = cKDTree(true).sparse_distance_matrix(cKDTree(found), GATE, output_type="ndarray")
        stays = np.array([self._last.get(int(ids[i]), -1) for i in near["i"]], np.int64) == tracks[near["j"]]
        taken_i, taken_j, pairs = set(), set(), []
        for k in np.lexsort((near["v"], ~stays)).tolist():
            i, j, distance = (near[name][k].item() for name in ("i", "j", "v"))
            if i not in taken_i and j not in taken_j:
                taken_i.add(i)
                taken_j.add(j)
                pairs.append((i, j, distance))
        return pairs


def truth_path(where: str, value: object) -> Path | None:
    """Of ``truth``; None for "". PipelineError for what is no .csv."""
    if not isinstance(value, str) or (value and not value.endswith(".csv")):
        raise PipelineError(f"{where}: truth = {value!r}; it must be the path of a .csv file")
    return Path(value) if value else None
