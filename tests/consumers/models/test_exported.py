"""Exported graphs (.pt2): what torch would unpickle, evaluate or compile is refused or left out."""

from __future__ import annotations

import copy
import io
import json
import zipfile
from typing import Any

import pytest

from livem.consumers.models.archive import unpack
from livem.consumers.models.scan import scan
from livem.errors import ModelError

SPEC = '[1, {"type": "builtins.tuple", "context": "null", "children_spec": []}]'


def graph() -> dict[str, Any]:
    node = {
        "target": "torch.ops.aten.relu.default",
        "inputs": [{"name": "self", "arg": {"as_tensor": {"name": "x"}}, "kind": 1}],
        "outputs": [{"as_tensor": {"name": "relu"}}],
        "metadata": {"stack_trace": 'File "somewhere.py", line 1'},
    }
    return {
        "graph_module": {
            "graph": {"nodes": [node], "sym_int_values": {}, "custom_obj_values": {}},
            "module_call_graph": [{"fqn": "", "signature": {"in_spec": SPEC, "out_spec": SPEC}}],
            "metadata": {},
            "treespec_namedtuple_fields": {},
        },
        "range_constraints": {},
        "guards_code": [],
        "torch_version": "2.13.0+cpu",
    }


def packed(model: Any, **more: bytes) -> bytes:
    buffer = io.BytesIO()
    members = {"models/model.json": json.dumps(model).encode(), "archive_format": b"pt2"}
    with zipfile.ZipFile(buffer, "w") as file:
        for name, content in (members | more).items():
            file.writestr(f"m/{name}", content)
    return buffer.getvalue()


def changed(path: str, value: Any) -> dict[str, Any]:
    model = copy.deepcopy(graph())
    *way, last = path.split(".")
    place: Any = model
    for step in way:
        place = place[int(step) if step.isdigit() else step]
    place[int(last) if last.isdigit() else last] = value
    return model


def test_a_plain_graph_passes_without_traces_and_pickles():
    more = {"data/sample_inputs/model.pt": b"cos\nsystem\n(S'id'\ntR.", "extra/livem.toml": b"[model]"}
    scanned = scan("m.pt2", packed(graph(), **more), ".pt2")
    members = unpack("again", scanned.archive)
    assert members["data/sample_inputs/model.pt"] == b""
    assert b"somewhere.py" not in members["models/model.json"]
    assert scanned.manifest == "[model]"


NODE = "graph_module.graph.nodes.0"


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (f"{NODE}.target", "torch.ops.aten.from_file.default"),
        (f"{NODE}.target", "torch.ops.higher_order.cond"),
        (f"{NODE}.target", "torch.ops.aten.relu.default.__class__"),
        (f"{NODE}.target", "os.system"),
        (f"{NODE}.target", None),
        (f"{NODE}.inputs.0.arg", {"as_string": "/etc/hostname"}),
        (f"{NODE}.inputs.0.arg", {"as_sym_int": {"as_name": "s0"}}),
        (f"{NODE}.inputs.0.name", "x'] + __import__('os').system('id') #"),
        (f"{NODE}.outputs.0", {"as_custom_obj": {"name": "x"}}),
        ("guards_code", ["__import__('os')"]),
        ("range_constraints", {"s0": {"min_val": 1}}),
        ("graph_module.graph.sym_int_values", {"s0": {"as_expr": {"expr_str": "__import__('os')"}}}),
        ("graph_module.graph.custom_obj_values", {"x": {}}),
        ("graph_module.module_call_graph.0.signature.in_spec", SPEC.replace("builtins.tuple", "os.system")),
        ("graph_module.module_call_graph.0.signature.out_spec", SPEC.replace('"null"', '"[\\"a b\\"]"')),
        ("graph_module.module_call_graph.0.signature.in_spec", "["),
        ("torch_version", "2'); import os; ('"),
        ("elsewhere", {"in_spec": "not checked?"}),
        ("graph_module", None),
    ],
)
def test_graphs_that_do_more_are_refused(path, value):
    with pytest.raises(ModelError, match=r"m\.pt2"):
        scan("m.pt2", packed(changed(path, value)), ".pt2")


@pytest.mark.parametrize(
    "more",
    [
        {"data/weights/model_weights_config.json": b'{"config": {"w": {"use_pickle": true}}}'},
        {"data/constants/model_constants_config.json": b'{"config": {"w": {"path_name": "../w"}}}'},
        {"data/aotinductor/model/model.so": b"\x7fELF"},
        {"data/constants/custom_obj_0": b""},
        {"models/other.json": b"{}"},
        {"models/model.json": b"no json"},
        {"models/model.json": b"[]"},
    ],
)
def test_members_that_are_no_plain_weights_are_refused(more):
    with pytest.raises(ModelError, match=r"m\.pt2"):
        scan("m.pt2", packed(graph(), **more), ".pt2")
