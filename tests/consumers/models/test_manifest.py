"""What a model says of itself, and what it may not say."""

from __future__ import annotations

import pytest
from model_tools import manifest

from livem.consumers.models.manifest import Input, Manifest, Normalisation, Out
from livem.errors import ModelError


def parsed(**tables: str) -> Manifest:
    return Manifest.parse("m.toml", manifest(**tables))


def test_a_whole_manifest():
    found = parsed(
        input="frames = 5\nmultiple_of = 8\nhalo = 32\ntile = 256",
        normalisation='kind = "anscombe"\noffset = 2\nscale = 0.5',
        output='kind = "heat_map"\nchannels = 2\nunits = "probability"',
    )
    assert found.input == Input(5, multiple_of=8, halo=32, tile=256)
    assert found.normalisation == Normalisation("anscombe", 2.0, 0.5)
    assert found.output == Out("heat_map", 2, "probability")
    assert (found.name, found.version, found.licence) == ("tiny", "1", "CC0-1.0")


@pytest.mark.parametrize(
    "tables", [{}, {"input": "height = 64\nwidth = 96"}, {"output": 'kind = "mask"\nunits = "\\u007f\\"p"'}]
)
def test_what_is_written_is_read_again(tables):
    found = parsed(**tables)
    assert Manifest.parse("again", found.toml()) == found


def test_a_fixed_size_is_the_tile():
    y, x = parsed(input="height = 64\nwidth = 96\nhalo = 8").input.tilings
    assert (y.side, x.side, y.fixed) == (64, 96, True)


@pytest.mark.parametrize(
    ("tables", "said"),
    [
        ({"input": "frame = 5"}, "did you mean 'frames'"),
        ({"input": "frames = 0"}, "whole number from 1 to 64"),
        ({"input": "frames = true"}, "whole number"),
        ({"input": "height = 64"}, "give both"),
        ({"input": "height = 64\nwidth = 64\ntile = 64"}, "leave it out"),
        ({"input": "tile = 100\nmultiple_of = 8"}, "no multiple of 8"),
        ({"input": "tile = 64\nhalo = 32"}, "nothing left between halos"),
        ({"normalisation": "scale = 0"}, "above 0"),
        ({"normalisation": "offset = nan"}, "must be a number"),
        ({"normalisation": 'kind = "log"'}, "one of: linear, anscombe"),
        ({"output": 'kind = "picture"'}, "one of: image, mask, heat_map, vector"),
        ({"output": "channels = 3"}, "an image has 1"),
        ({"output": "units = 3"}, "must be a text"),
        ({"name": "../up"}, "letters, digits"),
        ({"input": "["}, "not TOML"),
    ],
)
def test_mistakes_name_the_key_and_the_limit(tables, said):
    with pytest.raises(ModelError, match=said):
        parsed(**tables)


def test_what_every_model_must_say():
    for key in ("name", "version", "licence", "training"):
        lines = [line for line in manifest().splitlines() if not line.startswith(key)]
        with pytest.raises(ModelError, match=key):
            Manifest.parse("m.toml", "\n".join(lines))
    with pytest.raises(ModelError, match="must be a table"):
        Manifest.parse("m.toml", 'model = "x"')
    with pytest.raises(ModelError, match="the manifest"):
        Manifest.parse("m.toml", "[models]")
