"""A torch.export archive (.pt2): a graph in JSON and weights beside it; looked at, and cleaned.

torch's own reader unpickles what it finds (example inputs), evaluates expressions (sizes that may change) and
compiles texts (guards, names): none of that is taken over. Knows no archive, runs nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from ...errors import ModelError
from .archive import Members
from .operators import ATEN

GRAPH = "models/model.json"
EXAMPLE = "data/sample_inputs/model.pt"
"""A pickle; torch wants the member and takes an empty one."""
_CONFIGS = ("data/weights/model_weights_config.json", "data/constants/model_constants_config.json")
_MEMBERS = re.compile(
    r"data/(?:weights/weight|constants/tensor)_\d+|archive_format|archive_version|byteorder"
    r"|\.data/(?:version|serialization_id)|version"
)
_LEFT_OUT = re.compile(r"extra/.+|\.data/.+|data/sample_inputs/.+")
_TARGET = re.compile(r"torch\.ops\.aten\.([a-z_][A-Za-z0-9_]*)\.[A-Za-z0-9_]+")
_WORD = re.compile(r"[A-Za-z0-9_.]{0,256}")
_VERSION = re.compile(r"[A-Za-z0-9.+]{0,64}")
"""Names and words: torch pastes some of them into code that it compiles."""
_EMPTY = ("range_constraints", "guards_code", "sym_int_values", "sym_bool_values", "sym_float_values")
_ALSO_EMPTY = ("custom_obj_values", "treespec_namedtuple_fields")
_EXPRESSIONS = {
    "as_expr",
    "expr_str",
    "as_sym_int",
    "as_sym_ints",
    "as_custom_obj",
    "as_graph",
    "as_operator",
}
_SPECS = ("in_spec", "out_spec")
_CONTAINERS = {None, "builtins.tuple", "builtins.list", "builtins.dict"}
_CONTEXT = re.compile(r'null|\[\]|\["\w+"(, "\w+")*\]', re.ASCII)


def clean_exported(where: str, members: Members) -> Members:
    """What is needed of the archive to run its graph.

    Raises
    ------
    ModelError
        Operators that are not in `operators`, sizes that may change, pickled weights, or texts that are no
        names.
    """
    if GRAPH not in members:
        raise ModelError(f"{where}: no {GRAPH}; save it with torch.export.save (torch 2.9 or newer)")
    kept: dict[str, bytes] = {EXAMPLE: b""}
    for name, content in members.items():
        if _MEMBERS.fullmatch(name):
            kept[name] = content
        elif name == GRAPH:
            kept[name] = _cleaned_graph(f"{where}: {name}", content)
        elif name in _CONFIGS:
            config = _parsed(f"{where}: {name}", content)
            _check_words(f"{where}: {name}", config)
            kept[name] = json.dumps(config).encode()
        elif not _LEFT_OUT.fullmatch(name):
            raise ModelError(f"{where}: member {name!r}, which exported graphs have not")
    return kept


def _cleaned_graph(where: str, content: bytes) -> bytes:
    graph = _parsed(where, content)
    try:
        _check_graph(where, graph)
    except (KeyError, TypeError, AttributeError) as error:
        raise ModelError(f"{where}: is no exported graph: {error!r}") from error
    return json.dumps(graph).encode()


def _check_graph(where: str, graph: dict[str, Any]) -> None:
    module = graph["graph_module"]
    for table in (graph, module, module["graph"]):
        for key in (*_EMPTY, *_ALSO_EMPTY):
            if table.get(key):
                raise ModelError(f"{where}: {key!r} is not empty: export the model with fixed sizes")
    for node in module["graph"]["nodes"]:
        found = _TARGET.fullmatch(str(node["target"]))
        if not found or found[1] not in ATEN:
            raise ModelError(f"{where}: the operator {node['target']} is refused")
        node["metadata"] = {}
    module["metadata"] = {}
    version, specs = str(graph.pop("torch_version", "")), _taken_specs(module)
    _check_words(where, graph)
    if not _VERSION.fullmatch(version):
        raise ModelError(f"{where}: torch_version {version[:80]!r} is refused")
    graph["torch_version"] = version
    for signature, key, text in specs:
        signature[key] = _cleaned_spec(f"{where}: {key}", text)


def _taken_specs(module: dict[str, Any]) -> list[tuple[dict[str, Any], str, str]]:
    """How inputs and outputs are nested, taken out of the graph: JSON in JSON."""
    signatures = [call["signature"] for call in module["module_call_graph"] if call.get("signature")]
    return [
        (signature, key, signature.pop(key))
        for signature in signatures
        for key in _SPECS
        if signature.get(key)
    ]


def _cleaned_spec(where: str, text: str) -> str:
    """The nesting of inputs or outputs: plain containers only."""
    spec = _parsed(where, text.encode())
    for table in _tables(spec):
        context = table.get("context")
        if table.get("type") not in _CONTAINERS or (context is not None and not _CONTEXT.fullmatch(context)):
            raise ModelError(f"{where}: {table.get('type')!r} is refused; a model takes and gives tensors")
    return json.dumps(spec)


def _check_words(where: str, value: Any) -> None:
    for one in _values(value):
        if isinstance(one, str) and not _WORD.fullmatch(one):
            raise ModelError(f"{where}: {one[:80]!r} is refused; a name is of letters, digits, _ and .")
    for table in _tables(value):
        if table.get("use_pickle") or (found := _EXPRESSIONS & table.keys()):
            what = "pickled weights" if table.get("use_pickle") else min(found)
            raise ModelError(f"{where}: {what} is refused; export plain tensors of fixed sizes")


def _parsed(where: str, content: bytes) -> Any:
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ModelError(f"{where}: is no JSON: {error}") from error


def _values(value: Any) -> Iterator[Any]:
    """Everything in nested lists and tables, keys too."""
    waiting = [value]
    while waiting:
        one = waiting.pop()
        yield one
        if isinstance(one, dict):
            waiting.extend(one)
            waiting.extend(one.values())
        elif isinstance(one, list):
            waiting.extend(one)


def _tables(value: Any) -> Iterator[dict[str, Any]]:
    return (one for one in _values(value) if isinstance(one, dict))
