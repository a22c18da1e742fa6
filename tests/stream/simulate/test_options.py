"""What ``sim:NAME?key=value`` accepts, and what its errors say."""

from __future__ import annotations

import pytest

from livem.errors import SourceError
from livem.stream.simulate.catalogue import open_acquisition, simulators
from livem.stream.simulate.four_d_stem import FourDStemOptions
from livem.stream.simulate.options import describe_options, parse_options


def test_every_kind_of_value_is_read() -> None:
    options = parse_options(FourDStemOptions, "sim:4dstem", "shape=32x48&fps=1e3&order=serpentine&skip=2")
    assert options == FourDStemOptions(shape=(32, 48), fps=1000.0, order="serpentine", skip=2)


def test_without_parameters_the_defaults_hold() -> None:
    assert parse_options(FourDStemOptions, "sim:4dstem", "") == FourDStemOptions()


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("sim:4dstm", "did you mean sim:4dstem"),
        ("sim:", "there are: 4dstem, sparse, insitu"),
        ("sim:4dstem?shap=32x32", "did you mean 'shape'"),
        ("sim:4dstem?zzz=1", "it has: dead, dose, fps"),
        ("sim:4dstem?shape=32", "shape=32 is not HEIGHTxWIDTH"),
        ("sim:4dstem?shape=0x32", "out of range; it must be from 1 to 8192"),
        ("sim:4dstem?scan=4097x1", "out of range; it must be from 1 to 4096"),
        ("sim:4dstem?fps=0", "out of range"),
        ("sim:4dstem?fps=nan", "fps=nan is not a number"),
        ("sim:4dstem?seed=1.5", "not a whole number"),
        ("sim:4dstem?order=spiral", "not one of raster, serpentine"),
        ("sim:4dstem?fps", "'fps' is not key=value"),
        ("sim:4dstem?fps=1&fps=2", "given twice"),
        ("sim:4dstem?scan=8x8&frames=65", "more than the scan's 64"),
        ("sim:sparse?pattern=zigzag", "not one of raster, serpentine, spiral, spiral_angular, lissajous"),
        ("sim:sparse?scan=4096x4096&fraction=4&repeats=2", "more than the limit"),
        ("sim:sparse?scan=8x8&frames=17", "more than the 16 samples"),
        ("sim:insitu?shape=16x64", "at least 32x32"),
        ("sim:insitu?shape=64x64&particles=500", "too crowded"),
    ],
)
def test_a_wrong_spec_names_the_value_and_the_limit(spec: str, words: str) -> None:
    with pytest.raises(SourceError, match=words.replace("(", r"\(").replace("?", r"\?")):
        open_acquisition(spec)


def test_every_parameter_is_described() -> None:
    assert set(simulators()) == {"4dstem", "sparse", "insitu"}
    for key, default, meaning in describe_options(FourDStemOptions):
        assert key
        assert default
        assert meaning
