"""An ONNX file (.onnx): a graph and its weights in one Protocol Buffers message; looked at, and written anew.

ONNX's own readers open files that a tensor names, and runtimes load libraries for domains of their own: of
that, of functions, and of whatever the tables here do not know, nothing is taken over. Field numbers are
those of onnx.proto (IR version 13). Runs nothing, imports no runtime.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ...errors import ModelError
from .archive import MOST_BYTES
from .operators import ONNX
from .protobuf import Field, Message, Reader, Schema, write

MANIFEST_KEY = "livem.toml"
"""Of the file's metadata: how it may bring its manifest."""
MOST_NODES = 100_000
MOST_DIMENSIONS = 8
DOMAINS = ("", "ai.onnx")
_EXTERNAL = 1
_BYTES_OF = {1: 4, 2: 1, 3: 1, 4: 2, 5: 2, 6: 4, 7: 8, 9: 1, 10: 2, 11: 8, 12: 4, 13: 8, 16: 2}
"""Bytes of a value of the types of tensors that may be had: no texts, nothing complex, no half bytes."""
_VALUES = {
    "float_data": {1},
    "int32_data": {2, 3, 4, 5, 6, 9, 10, 16},
    "int64_data": {7},
    "double_data": {11},
    "uint64_data": {12, 13},
}
"""Fields in which the values of these types may lie, beside ``raw_data``."""
_ATTRIBUTES = {1: "f", 2: "i", 3: "s", 4: "t", 5: "g", 6: "floats", 7: "ints", 8: "strings"}
"""Field of each type of attribute that may be had."""
FLOAT32 = 1


def _left_out(*names: str) -> list[Field]:
    return [Field(name, "left out") for name in names]


_DOC, _TOLD = _left_out("doc_string", "metadata_props")
SCHEMAS: Mapping[str, Schema] = {
    "model": {
        1: Field("ir_version", "int"),
        **dict(
            zip(range(2, 7), _left_out("producer", "version", "domain", "model_version", "doc"), strict=True)
        ),
        7: Field("graph", "message", of="graph"),
        8: Field("opset_import", "message", many=True, of="opset"),
        14: Field("metadata_props", "message", many=True, of="entry"),
        20: Field("training_info", "refused"),
        25: Field("functions", "refused"),
        26: Field("configuration", "refused"),
    },
    "opset": {1: Field("domain", "text"), 2: Field("version", "int")},
    "entry": {1: Field("key", "text"), 2: Field("value", "bytes")},
    "graph": {
        1: Field("node", "message", many=True, of="node"),
        2: Field("name", "text"),
        5: Field("initializer", "message", many=True, of="tensor"),
        10: _DOC,
        11: Field("input", "message", many=True, of="value"),
        12: Field("output", "message", many=True, of="value"),
        13: Field("value_info", "left out"),
        14: Field("quantization_annotation", "left out"),
        15: Field("sparse_initializer", "refused"),
        16: _TOLD,
    },
    "node": {
        1: Field("input", "text", many=True),
        2: Field("output", "text", many=True),
        3: Field("name", "text"),
        4: Field("op_type", "text"),
        5: Field("attribute", "message", many=True, of="attribute"),
        6: _DOC,
        7: Field("domain", "text"),
        8: Field("overload", "text"),
        9: _TOLD,
    },
    "attribute": {
        1: Field("name", "text"),
        2: Field("f", "f4"),
        3: Field("i", "int"),
        4: Field("s", "text"),
        5: Field("t", "message", of="tensor"),
        6: Field("g", "message", of="graph"),
        7: Field("floats", "f4", many=True),
        8: Field("ints", "int", many=True),
        9: Field("strings", "text", many=True),
        13: _DOC,
        20: Field("type", "int"),
    },
    "tensor": {
        1: Field("dims", "int", many=True),
        2: Field("data_type", "int"),
        4: Field("float_data", "f4", many=True),
        5: Field("int32_data", "int", many=True),
        7: Field("int64_data", "int", many=True),
        8: Field("name", "text"),
        9: Field("raw_data", "bytes"),
        10: Field("double_data", "f8", many=True),
        11: Field("uint64_data", "int", many=True),
        12: _DOC,
        13: Field("external_data", "message", many=True, of="entry"),
        14: Field("data_location", "int"),
        16: _TOLD,
    },
    "value": {1: Field("name", "text"), 2: Field("type", "message", of="type"), 3: _DOC, 4: _TOLD},
    "type": {1: Field("tensor_type", "message", of="tensor type"), 6: Field("denotation", "left out")},
    "tensor type": {1: Field("elem_type", "int"), 2: Field("shape", "message", of="shape")},
    "shape": {1: Field("dim", "message", many=True, of="dimension")},
    "dimension": {
        1: Field("dim_value", "int"),
        2: Field("dim_param", "text"),
        3: Field("denotation", "left out"),
    },
}


def clean_onnx(where: str, data: bytes) -> tuple[bytes, str | None]:
    """The same graph, of what is allowed alone, and the manifest in its metadata.

    Raises
    ------
    ModelError
        Tensors in other files, operators that are not in `operators`, other domains, functions, other inputs
        than one of float32 (n, c, h, w), or a file that is none.
    """
    if len(data) > MOST_BYTES:
        raise ModelError(f"{where}: {len(data) >> 20} MiB; a model may have {MOST_BYTES >> 20} MiB")
    model = Reader(where, SCHEMAS).read(data, "model")
    if "graph" not in model or "ir_version" not in model:
        raise ModelError(f"{where}: no graph; save it with torch.onnx.export, weights in the same file")
    _Check(where).model(model)
    told = {entry.get("key", ""): entry.get("value", b"") for entry in model.pop("metadata_props", [])}
    manifest = told.get(MANIFEST_KEY)
    try:
        return write(model, SCHEMAS, "model"), None if manifest is None else manifest.decode()
    except UnicodeDecodeError as error:
        raise ModelError(f"{where}: {MANIFEST_KEY} in its metadata is no text: {error}") from error


class _Check:
    """One look at a whole model; every method raises ModelError."""

    def __init__(self, where: str) -> None:
        self._where, self._nodes = where, 0

    def model(self, model: Message) -> None:
        opsets = model.get("opset_import", [])
        model["opset_import"] = [one for one in opsets if one.get("domain", "") in DOMAINS]
        graph = model["graph"]
        self.graph(graph)
        inputs, outputs = self._inputs(graph), graph.get("output", [])
        if len(inputs) != 1 or len(outputs) != 1:
            raise ModelError(
                f"{self._where}: {len(inputs)} inputs and {len(outputs)} outputs; a model has one of each"
            )
        kind = inputs[0].get("type", {}).get("tensor_type", {})
        shape = kind.get("shape", {}).get("dim", [])
        if kind.get("elem_type") != FLOAT32 or len(shape) != 4:
            raise ModelError(
                f"{self._where}: its input is of type {kind.get('elem_type')} with {len(shape)} dimensions; "
                "it must be float32 (n, c, h, w)"
            )

    def graph(self, graph: Message) -> None:
        """Nodes and tensors, of graphs within it too."""
        nodes = graph.get("node", [])
        self._nodes += len(nodes)
        if self._nodes > MOST_NODES:
            raise ModelError(f"{self._where}: more than {MOST_NODES:,} nodes")
        for tensor in graph.get("initializer", []):
            self._tensor(tensor)
        for node in nodes:
            self._domain(node.get("domain", ""))
            name = node.get("op_type", "")
            if name not in ONNX or node.get("overload"):
                raise ModelError(f"{self._where}: the operator {name} is refused")
            for attribute in node.get("attribute", []):
                self._attribute(f"{name}.{attribute.get('name', '')}", attribute)

    def _inputs(self, graph: Message) -> list[Message]:
        """Those that no weight fills."""
        filled = {tensor.get("name") for tensor in graph.get("initializer", [])}
        return [one for one in graph.get("input", []) if one.get("name") not in filled]

    def _domain(self, domain: str) -> None:
        if domain not in DOMAINS:
            raise ModelError(
                f"{self._where}: operators of {domain[:80]!r} are refused; export it with those of ONNX alone"
            )

    def _attribute(self, name: str, attribute: Message) -> None:
        held = _ATTRIBUTES.get(attribute.get("type", 0))
        others = attribute.keys() - {"name", "type", held}
        if held is None or others:
            raise ModelError(
                f"{self._where}: the attribute {name} of type {attribute.get('type', 0)} is refused"
            )
        if held == "t" and "t" in attribute:
            self._tensor(attribute["t"])
        if held == "g" and "g" in attribute:
            self.graph(attribute["g"])

    def _tensor(self, tensor: Message) -> None:
        """Its values are here, and as many as its shape says."""
        name = f"the tensor {tensor.get('name', '')!r}"
        if tensor.get("external_data") or tensor.get("data_location", 0) == _EXTERNAL:
            raise ModelError(
                f"{self._where}: {name} lies in another file; save the model with its weights in one file"
            )
        kind, dims = tensor.get("data_type", 0), tensor.get("dims", [])
        if kind not in _BYTES_OF:
            raise ModelError(f"{self._where}: {name} is of type {kind}, which is refused")
        if len(dims) > MOST_DIMENSIONS or any(not 0 <= n <= MOST_BYTES for n in dims):
            raise ModelError(f"{self._where}: {name} has the shape {dims[:9]}")
        if _count(tensor, kind) != (count := math.prod(dims)):
            raise ModelError(f"{self._where}: {name} says {count} values and has others")


def _count(tensor: Message, kind: int) -> int:
    """Values that a tensor has; -1 where they lie in no field, or in two."""
    counts = list(_counts(tensor, kind))
    return counts[0] if len(counts) == 1 else 0 if not counts else -1


def _counts(tensor: Message, kind: int) -> Iterator[int]:
    if raw := tensor.get("raw_data"):
        yield -1 if len(raw) % _BYTES_OF[kind] else len(raw) // _BYTES_OF[kind]
    for name, kinds in _VALUES.items():
        held: Sequence[Any] | None = tensor.get(name)
        if held:
            width = {"float_data": 4, "double_data": 8}.get(name, 1)
            yield len(held) // width if kind in kinds else -1
