"""``livem pattern``: plans, files and back, maps, warnings, wrong usage."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image

from livem.cli import main
from livem.errors import SessionError, SourceError
from livem.kernels.scan_patterns import PATTERNS, plan
from livem.scan_files import RECORD, Scale, read_path, write_path


def pattern(*args: object) -> Result:
    return CliRunner().invoke(main, ["pattern", *map(str, args)])


def told(*args: object) -> dict:
    done = pattern(*args, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


@pytest.mark.parametrize("name", PATTERNS)
def test_each_pattern_is_planned_and_named_in_the_help(name: str) -> None:
    facts = told(name, "--shape", "32x48", "--fraction", "0.25")
    assert (facts["pattern"], facts["shape"], facts["samples"]) == (name, [32, 48], 384)
    assert f"{name} " in pattern("--help").stdout.replace("\n", " ")


@pytest.mark.parametrize("suffix", [".csv", ".npy", ".npz"])
def test_a_path_comes_back_from_its_file(suffix: str, tmp_path: Path) -> None:
    file = tmp_path / f"path{suffix}"
    args = ("jittered", "--shape", "20x30", "--dwell", "250ns", "--settle", "2us", "--seed", "4")
    assert pattern(*args, "--out", file).exit_code == 0
    expected = plan("jittered", (20, 30), 150, 250e-9, seed=4, settle=2e-6)
    back = read_path(file, None if suffix != ".npy" else (20, 30))
    assert np.array_equal(back.positions, expected.positions)
    assert np.array_equal(back.dwell, expected.dwell)
    assert np.array_equal(back.wait, expected.wait)
    assert back.shape == (20, 30)
    shape = ("--shape", "20x30") if suffix == ".npy" else ()
    facts, first = told(file, *shape), told(*args)
    assert {**facts, "pattern": ""} == {**first, "pattern": ""}


def test_a_csv_says_its_units_and_has_those_of_the_generator(tmp_path: Path) -> None:
    file = tmp_path / "r.csv"
    pattern("raster", "--shape", "4x8", "--fraction", "1", "--fov", "4nm", "--out", file)
    text = file.read_text(encoding="utf-8")
    assert "# field: 4 x 8 px (y, x), 32 samples" in text
    assert "1 px = 0.5 nm" in text
    header = next(line for line in text.splitlines() if not line.startswith("#"))
    assert header == "y_px,x_px,dwell_s,wait_s,y_nm,x_nm"
    table = np.loadtxt(file, delimiter=",", skiprows=text.splitlines().index(header) + 1)
    assert table[0].tolist() == [0, 0, 1e-6, 0, -0.75, -1.75]
    pattern("raster", "--shape", "4x8", "--fraction", "1", "--volts", "5V", "--out", file)
    assert file.read_text(encoding="utf-8").splitlines()[-1] == "3,7,1e-06,0.0,1.875,4.375"


def test_coverage_as_a_map_and_as_a_picture(tmp_path: Path) -> None:
    done = pattern("random", "--shape", "16x24", "--coverage", tmp_path / "c.npy")
    assert "25.0% of the pixels" in done.stdout
    visits = np.load(tmp_path / "c.npy")
    assert (visits.shape, visits.dtype, visits.sum()) == ((16, 24), np.float32, 96)
    pattern("random", "--shape", "16x24", "--coverage", tmp_path / "c.png")
    blue = np.all(np.asarray(Image.open(tmp_path / "c.png")) == (40, 40, 70), axis=-1)
    assert np.array_equal(blue, visits == 0)


def test_a_path_that_is_too_fast_is_a_warning() -> None:
    done = pattern("raster", "--shape", "64x64", "--fraction", "1", "--limit", "2kHz")
    assert done.exit_code == 0
    assert "15,503 Hz" in done.stderr
    assert "2,000 Hz" in done.stderr
    assert "beyond the limit 100% of the time" in done.stdout
    facts = told("raster", "--shape", "64x64", "--dwell", "100us", "--limit", "2kHz")
    assert facts["warning"] is None
    assert told("spiral", "--shape", "64x64", "--back")["samples"] == 2048


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (["sprial"], "did you mean 'spiral'?"),
        (["nowhere.csv"], "nowhere.csv cannot be read"),
        (["raster", "--fraction", "0"], "above 0"),
        (["raster", "--fraction", "inf"], "above 0"),
        (["raster", "--fraction", "900"], "67108864"),
        (["raster", "--fraction", "1", "--samples", "9"], "give one of them"),
        (["raster", "--dwell", "1h"], "must be a number above 0 in s, ms, us"),
        (["raster", "--dwell", "-1us"], "must be a number above 0"),
        (["raster", "--dwell", "e"], "must be a number above 0"),
        (["random", "--jump", "3"], "random has no option 'jump'"),
        (["spiral", "--reach", "moon"], "corners or edges"),
        (["raster", "--shape", "8x8", "--fov", "1nm", "--volts", "1"], "give one of them"),
        (["raster", "--shape", "8x8", "--out", "x.txt"], ".csv, .npy, .npz"),
        (["raster", "--shape", "8x8", "--coverage", "x.txt"], ".npy or .png"),
    ],
)
def test_wrong_usage_is_one_line_and_code_2(args: list[str], words: str) -> None:
    done = pattern(*args)
    assert done.exit_code == 2
    (line,) = done.stderr.splitlines()
    assert words in line


def test_a_place_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for option, name in (("--out", "p.csv"), ("--coverage", "p.png")):
        done = pattern("raster", "--shape", "8x8", option, tmp_path / "file" / name)
        assert done.exit_code == 1
        assert "cannot be written" in done.stderr
    with pytest.raises(SessionError):
        write_path(tmp_path / "file" / "p.npz", plan("raster", (4, 4), 16, 1e-6))


# -- files from elsewhere ----------------------------------------------------------------------------------


def test_positions_of_another_program(tmp_path: Path) -> None:
    np.save(tmp_path / "p.npy", np.array([[0, 1], [2, 3]]))
    path = read_path(tmp_path / "p.npy", (4, 4), 1e-6)
    assert path.positions.tolist() == [[0, 1], [2, 3]]
    assert path.wait.tolist() == [0, 0]
    (tmp_path / "p.csv").write_text("x_px,y_px\n1,0\n3,2\n")
    assert read_path(tmp_path / "p.csv", (4, 4), 1e-6).positions.tolist() == [[0, 1], [2, 3]]
    facts = told(tmp_path / "p.npy", "--shape", "4x4", "--dwell", "1ms")
    assert facts["seconds"] == pytest.approx(2e-3)


TEXTS = ("bytes", "header", "none", "words", "short", "columns", "nan", "outside", "huge", "missing")
DAMAGED = [
    *(f"{name}.csv" for name in TEXTS),
    *(f"{name}.npy" for name in ("empty", "other", "record", "none", "object")),
    *("other.npz", "no.npz", "path.txt"),
]


def damaged(folder: Path, name: str) -> Path:
    """Files that are no paths."""
    file = folder / name
    match name:
        case "bytes.csv":
            file.write_bytes(b"\xff\xfe\0x" * 9)
        case "header.csv":
            file.write_text("# field: 4 x 4 px\n")
        case "none.csv":
            file.write_text("y_px,x_px\n")
        case "words.csv":
            file.write_text("y_px,x_px\n1,a\n")
        case "short.csv":
            file.write_text("y_px,x_px,dwell_s\n1,2\n")
        case "columns.csv":
            file.write_text("a,b\n1,2\n")
        case "nan.csv":
            file.write_text("# field: 4 x 4 px\ny_px,x_px,dwell_s\nnan,2,1\n")
        case "outside.csv":
            file.write_text("# field: 4 x 4 px\ny_px,x_px,dwell_s\n4,2,1\n")
        case "huge.csv":
            file.write_text("# field: 999999999 x 4 px\ny_px,x_px,dwell_s\n4,2,1\n")
        case "empty.npy":
            file.write_bytes(b"")
        case "other.npy":
            np.save(file, np.zeros((3, 3)))
        case "record.npy":
            np.save(file, np.zeros(3, [("a", "f4")]))
        case "none.npy":
            np.save(file, np.zeros(0, RECORD))
        case "object.npy":
            np.save(file, np.array([{}, 1], object))
        case "other.npz":
            np.savez(file, a=1)
        case "no.npz":
            file.write_bytes(b"PK\3\4" + bytes(30))
    return file


@pytest.mark.parametrize("name", DAMAGED)
def test_a_file_that_is_no_path_is_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=name.partition(".")[0]):
        read_path(damaged(tmp_path, name), (4, 4), 1e-6)


def test_what_a_file_does_not_say_must_be_given(tmp_path: Path) -> None:
    np.save(tmp_path / "p.npy", np.zeros((2, 2)))
    with pytest.raises(SourceError, match="--shape"):
        read_path(tmp_path / "p.npy", None, 1e-6)
    with pytest.raises(SourceError, match="--dwell"):
        read_path(tmp_path / "p.npy", (4, 4))
    done = pattern(tmp_path / "p.npy", "--shape", "4x4", "--dwell", "1us", "--turns", "3")
    assert "--turns changes a pattern" in done.stderr


def test_what_a_file_says_otherwise_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "p.csv"
    assert pattern("raster", "--shape", "8x9", "--dwell", "3us", "--out", file).exit_code == 0
    assert told(file, "--shape", "8x9", "--dwell", "3us")["shape"] == [8, 9]
    for args, words in (
        (("--shape", "9x8"), "p.csv has 8x9 px"),
        (("--dwell", "2us"), "--dwell 2 µs: p.csv says itself how long, at first 3 µs"),
    ):
        done = pattern(file, *args)
        assert (done.exit_code, words in done.stderr) == (2, True)


@pytest.mark.parametrize(("unit", "per_px"), [("nm", 0.0), ("nm", float("nan")), ("a,b", 1.0), ("", 1.0)])
def test_a_scale_that_is_none(unit: str, per_px: float) -> None:
    with pytest.raises(ValueError, match="scale"):
        Scale(unit, per_px)
