"""ONNX files are looked at before a runtime sees them; the last tests need onnxruntime, the others do not."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model_tools import manifest

from livem.consumers.models.engine import Manner
from livem.consumers.models.host import Limits, ModelHost
from livem.consumers.models.onnx_graph import MANIFEST_KEY, SCHEMAS
from livem.consumers.models.protobuf import Field, Message, Reader, write
from livem.consumers.models.scan import scan
from livem.consumers.models.store import Store
from livem.errors import ModelError

SHAPE = (1, 1, 12, 14)
KERNEL = np.arange(9, dtype=np.float32).reshape(1, 1, 3, 3) / 36
OPEN: dict[str, Any] = {
    name: {
        number: Field(
            field.name, "bytes" if field.kind in ("left out", "refused") else field.kind, field.many, field.of
        )
        for number, field in schema.items()
    }
    for name, schema in SCHEMAS.items()
}
"""As `SCHEMAS`, with what those leave out or refuse."""


def tensor(name: str, values: np.ndarray) -> Message:
    return {
        "name": name,
        "dims": list(values.shape),
        "data_type": 1,
        "raw_data": values.astype("<f4").tobytes(),
    }


def value(name: str, kind: int = 1, rank: int = 4) -> Message:
    dims = [{"dim_param": f"n{k}"} for k in range(rank)]
    return {"name": name, "type": {"tensor_type": {"elem_type": kind, "shape": {"dim": dims}}}}


def node(kind: str, inputs: list[str], output: str, **ints: list[int]) -> Message:
    attributes = [{"name": name, "type": 7, "ints": value} for name, value in ints.items()]
    return {"op_type": kind, "input": inputs, "output": [output], "attribute": attributes}


def a_model(*nodes: Message, weights: tuple[Message, ...] = ()) -> Message:
    """One input x, one output y."""
    graph = {"name": "g", "node": list(nodes), "initializer": list(weights)}
    graph |= {"input": [value("x")], "output": [value("y")]}
    return {"ir_version": 8, "opset_import": [{"domain": "", "version": 17}], "graph": graph}


def smoothing() -> Message:
    """Correlation with `KERNEL`, and something negative to be cut."""
    conv = node("Conv", ["x", "w"], "z", pads=[1, 1, 1, 1])
    return a_model(conv, node("Relu", ["z"], "y"), weights=(tensor("w", KERNEL),))


def packed(model: Message) -> bytes:
    return write(model, OPEN, "model")


def look(model: Message) -> Message:
    return Reader("m", SCHEMAS).read(scan("m.onnx", packed(model), ".onnx").archive, "model")


def test_a_graph_passes_without_what_it_can_do_without():
    model = smoothing()
    told = copy.deepcopy(model)
    told |= {"producer_name": b"someone", "doc": b"words"}
    told["graph"]["value_info"] = b""
    told["graph"]["node"][0]["doc_string"] = b"traceback"
    told["opset_import"].append({"domain": "org.example", "version": 1})
    told["metadata_props"] = [{"key": MANIFEST_KEY, "value": b"[model]"}, {"key": "k", "value": b"\xff"}]
    assert look(told) == look(model)
    assert scan("m.onnx", packed(told), ".onnx").manifest == "[model]"
    assert scan("m.onnx", packed(model), ".onnx").manifest is None


def changed(*path: Any, **what: Any) -> Message:
    """The model with other values in one of its messages."""
    model = smoothing()
    place: Any = model
    for step in path:
        place = place[step]
    place |= what
    return model


WEIGHT = ("graph", "initializer", 0)
INNER = {"name": "i", "node": [node("ReadFile", ["x"], "y")]}
ELSEWHERE = [{"key": "location", "value": b"/etc/passwd"}]
HOSTILE = {
    "weights in another file": (
        changed(*WEIGHT, external_data=ELSEWHERE, data_location=1),
        "in another file",
    ),
    "a place alone": (changed(*WEIGHT, external_data=ELSEWHERE), "in another file"),
    "another domain": (changed("graph", "node", 0, domain="com.example"), "operators of 'com.example'"),
    "an operator of another domain's name": (
        changed("graph", "node", 0, op_type="EPContext"),
        "EPContext is ref",
    ),
    "drawn at random": (changed("graph", "node", 0, op_type="RandomNormal"), "RandomNormal is refused"),
    "an overload": (changed("graph", "node", 0, overload="x"), "Conv is refused"),
    "functions": (changed(functions=b"f"), "functions"),
    "training": (changed(training_info=b""), "training_info in model is refused"),
    "sparse weights": (changed("graph", sparse_initializer=b""), "sparse_initializer in graph"),
    "within a branch": (
        changed("graph", "node", 0, attribute=[{"name": "then_branch", "type": 5, "g": INNER}]),
        "ReadFile is refused",
    ),
    "a constant in another file": (
        changed(
            "graph",
            "node",
            0,
            attribute=[{"name": "value", "type": 4, "t": {"data_type": 1, "data_location": 1}}],
        ),
        "in another file",
    ),
    "two kinds of one attribute": (
        changed("graph", "node", 0, attribute=[{"name": "a", "type": 2, "i": 1, "t": {"data_type": 1}}]),
        "attribute Conv.a",
    ),
    "texts": (changed(*WEIGHT, data_type=8), "of type 8"),
    "fewer values than it says": (changed(*WEIGHT, dims=[1, 1, 300, 300]), "says 90000 values"),
    "a size beyond any": (changed(*WEIGHT, dims=[1 << 40]), "has the shape"),
    "a negative size": (changed(*WEIGHT, dims=[-1, -9]), "has the shape"),
    "values in two fields": (changed(*WEIGHT, float_data=KERNEL.tobytes()), "says 9 values and has others"),
    "two inputs": (changed("graph", input=[value("x"), value("x2")]), "2 inputs and 1 outputs"),
    "another type": (changed("graph", input=[value("x", 10)]), "of type 10 with 4"),
    "another rank": (changed("graph", input=[value("x", rank=3)]), "with 3 dimensions"),
    "a name that is none": (changed("graph", "node", 0, name="a\nb"), "no name"),
}


@pytest.mark.parametrize(("model", "said"), HOSTILE.values(), ids=HOSTILE)
def test_what_a_graph_has_no_use_for_is_refused(model, said):
    with pytest.raises(ModelError, match=said):
        look(model)


def test_two_values_of_one_field_are_refused_since_readers_differ():
    twice = packed(smoothing()) + write({"ir_version": 9}, OPEN, "model")
    with pytest.raises(ModelError, match="two values of 'ir_version'"):
        scan("m.onnx", twice, ".onnx")


def test_graphs_within_graphs_end_somewhere():
    inner: Message = {"name": "i"}
    for _ in range(40):
        inner = {"node": [{"op_type": "If", "attribute": [{"name": "b", "type": 5, "g": inner}]}]}
    with pytest.raises(ModelError, match="deep"):
        look(changed("graph", node=inner["node"]))


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.data())
def test_damaged_bytes_are_refused_or_understood_and_nothing_else(data):
    whole = bytearray(packed(smoothing()))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    cut = bytes(whole[: data.draw(st.integers(0, len(whole)))])
    try:
        archive = scan("m.onnx", cut, ".onnx").archive
    except ModelError:
        return
    assert scan("m.onnx", archive, ".onnx").archive == archive


@settings(max_examples=100, deadline=None, derandomize=True)
@given(
    st.lists(st.integers(-(1 << 63), (1 << 63) - 1), max_size=5),
    st.text(st.characters(categories=["L"]), max_size=9),
    st.binary(max_size=20),
)
def test_messages_come_back_as_they_were_written(numbers, text, raw):
    message = {"name": text, "raw_data": raw, "dims": numbers, "float_data": b"\0\0\x80\x3f"}
    for values in (message, message | {"data_type": -1}):
        assert Reader("m", SCHEMAS).read(write(values, SCHEMAS, "tensor"), "tensor") == values | {
            "dims": numbers
        }


def test_the_manifest_may_lie_in_the_file(tmp_path):
    model = smoothing() | {"metadata_props": [{"key": MANIFEST_KEY, "value": manifest("inside").encode()}]}
    (tmp_path / "m.onnx").write_bytes(packed(model))
    entry = Store(tmp_path / "store").add(tmp_path / "m.onnx")
    assert (entry.name, entry.path.suffix) == ("inside", ".onnx")
    assert entry.load().archive == scan("m.onnx", packed(smoothing()), ".onnx").archive


@pytest.fixture
def host():
    pytest.importorskip("onnxruntime", reason="ONNX models need the extra [onnx]")
    made: list[ModelHost] = []

    def make(model: Message, batch: int = 1, memory: int = 1 << 30, **manner: Any) -> ModelHost:
        data = scan("m.onnx", packed(model), ".onnx").archive
        limits = Limits(seconds=2.0, memory=memory)
        made.append(ModelHost("model 'tiny'", data, ".onnx", limits, Manner(batch=batch, **manner)))
        return made[-1]

    yield make
    for one in made:
        one.stop()


def test_the_runtime_gives_what_the_graph_says_one_by_one_and_together(host):
    from scipy import ndimage

    tiles = np.random.default_rng(0).random((5, *SHAPE[1:]), np.float32) - np.float32(0.3)
    one = host(smoothing(), batch=2, precision="half")
    one.prepare(SHAPE, SHAPE)
    expected = [ndimage.correlate(tile[0], KERNEL[0, 0], mode="constant") for tile in tiles]
    found = one.run(tiles, SHAPE, 5)
    np.testing.assert_allclose(found[:, 0], np.maximum(expected, 0), rtol=1e-5, atol=1e-6)
    assert one.runs_on == "cpu, ONNX Runtime"
    assert "precision that it was saved in" in one.notes[0]
    with pytest.raises(ModelError, match=r"returns \(1, 1, 12, 16\) where"):
        one.prepare((1, 1, 12, 16), SHAPE)
    assert not one.runs


BAD = {
    "not finite": (a_model(node("Log", ["x"], "y")), "not finite"),
    "too much memory": (
        a_model(
            {
                "op_type": "Constant",
                "output": ["s"],
                "attribute": [{"name": "value_ints", "type": 7, "ints": [40_000] * 2}],
            },
            node("ConstantOfShape", ["s"], "z"),
            node("ReduceSum", ["z"], "r"),
            node("Add", ["x", "r"], "y"),
        ),
        "(?i)alloc",
    ),
    "no such argument": (a_model(node("Relu", [], "y")), "fails"),
    "cuda": (smoothing(), "no CUDA provider"),
}


@pytest.mark.parametrize("case", BAD)
def test_graphs_that_cannot_be_used_say_why(host, case):
    model, said = BAD[case]
    one = host(model, device="cuda" if case == "cuda" else "auto")

    def use() -> None:
        one.prepare(SHAPE, SHAPE)
        one.run(np.full(SHAPE, -1, np.float32), SHAPE)

    with pytest.raises(ModelError, match=said):
        use()
    assert not one.runs
