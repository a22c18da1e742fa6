"""Weights on their way between processes."""

from __future__ import annotations

import msgpack
import numpy as np
import pytest

from livem.consumers.models.weights import Weights
from livem.errors import ModelError

TENSORS = {"a.weight": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.float32(7).reshape(())}


def test_weights_come_back_as_they_were():
    packed = Weights.of(TENSORS).packed()
    found = Weights.unpacked(packed)
    assert found.sha256 == Weights.of(TENSORS).sha256
    assert list(found.tensors()) == list(TENSORS)
    for name, array in found.tensors().items():
        np.testing.assert_array_equal(array, TENSORS[name])
    other = Weights.of(TENSORS | {"b": np.float32(8).reshape(())})
    assert other.sha256 != found.sha256


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "cannot be read"),
        (msgpack.packb([1, 2, 3]), "cannot be read"),
        (msgpack.packb([[["a", [2]]], b"1234"]), "do not fit"),
        (msgpack.packb([[["a", [1]]], "1234"]), "do not fit"),
        (msgpack.packb([[["a", [1]]], np.float32(np.nan).tobytes()]), "not finite"),
    ],
)
def test_what_is_no_weights_is_refused(data, said):
    with pytest.raises(ModelError, match=said):
        Weights.unpacked(data)
