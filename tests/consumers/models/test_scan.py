"""Hostile models are refused before anything of them runs, by text alone: no test here needs torch."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model_tools import HEAD, PICKLE, archive, code

from livem.consumers.models import script_code
from livem.consumers.models.archive import unpack
from livem.consumers.models.scan import scan
from livem.errors import ModelError

READ = 'torch.from_file("/etc/hostname", False, 16)'
SUB = (
    "class Sub(Module):\n  __parameters__ = []\n  __buffers__ = []\n"
    "  def forward(self: __torch__.Sub,\n    x: Tensor) -> Tensor:\n    return torch.add(x, {read})\n"
)
GOOD = {
    "relu": code("return torch.relu(x)"),
    "words": code("y = annotate(List[int], [])", "_0 = torch.append(y, torch.size(x, 0))", "return x"),
    "numbered attribute": HEAD
    + '  __annotations__["0"] = __torch__.Sub\n  def forward(self: __torch__.M,\n    x: Tensor) -> Tensor:\n'
    + '    _0 = getattr(self, "0")\n    return (_0).forward(x, )\n'
    + SUB.format(read="x"),
    "function": code("_0 = __torch__.helper", "return _0(x, )")
    + "def helper(x: Tensor) -> Tensor:\n  return x\n",
    "raises": code('ops.prim.RaiseException("no", "builtins.ValueError")', "return x"),
    "loop": code("for i in range(3):", "  x0 = torch.add(x, i)", "return x"),
}
BAD = {
    "file read": code(f"return torch.add(x, {READ})"),
    "file write": code('torch.save(x, "/tmp/stolen")', "return x"),
    "by its namespace": code('ops.aten.save(x, "/tmp/stolen")', "return x"),
    "in a submodule": code("return x") + SUB.format(read=READ),
    "under an alias": code("f = torch.from_file", 'return f("/etc/hostname", False, 16)'),
    "namespace under an alias": code("f = torch", "return f.relu(x)"),
    "half a name": code("f = ops.aten", "return f.relu(x)"),
    "as a method of a text": code('y = ("/etc/hostname").from_file(False, 16)', "return y"),
    "as a method of a tensor": code('(x).save("/tmp/stolen")', "return x"),
    "spaced": code('(x) . save ("/tmp/stolen")', "return x"),
    "as an attribute by name": code('f = getattr("/etc/hostname", "from_file")', "return f(False, 16)"),
    "by an escaped name": code('f = getattr("/etc/hostname", "\\x66rom_file")', "return f(False, 16)"),
    "while it is loaded": code("return x")
    + f"  def __setstate__(self: __torch__.M,\n    state: int) -> NoneType:\n    y = {READ}\n",
    "a file's own word for it": HEAD
    + "  def from_file(self: __torch__.M,\n    x: Tensor) -> Tensor:\n    return x\n",
    "an attribute of a refused name": HEAD + "  save : Tensor\n",
    "network": code('_0 = ops.prim.rpc_sync("host", "f", (x, ))', "return x"),
    "other namespace": code("return ops.symm_mem.one_shot_all_reduce(x)"),
    "unknown operator": code("return torch.frobnicate(x)"),
    "views without checks": code("return torch.as_strided(x, [999], [1], 0)"),
    "prints": code('print("x")', "return x"),
    "compiled class": code("_0 = __torch__.torch.classes.dist.Store", "return x"),
    "thread": code("_0 = fork(x)", "return x"),
    "torch renamed": code("torch = x", "return torch"),
    "as a default": HEAD
    + f"  def forward(self: __torch__.M,\n    x: Tensor={READ}) -> Tensor:\n    return x\n",
    "as a type": HEAD + "  def forward(self: __torch__.M,\n    x: Tensor) -> torch.save:\n    return x\n",
    "as an argument by name": code(f"return torch.add(x, x, alpha={READ})"),
    "in a class": HEAD + f"  a : Final[int] = {READ}\n",
    "in a class's annotations": HEAD + f"  __annotations__[{READ}] = 3\n",
    "through the archive's own name": code('return __torch__.from_file("a")'),
    "all of the archive": code("y = __torch__", "return (y).relu(x)"),
    "class in a function": code("class A:", "  pass", "return x"),
    "walrus": code("return (y := x)"),
    "texts put together": code('return getattr(x, "sa" "ve")'),
    "two statements": code('y = x; torch.save(y, "a")', "return x"),
    "interface": "class M(Interface):\n  pass\n",
    "lambda": code("f = lambda y: y", "return x"),
    "import": "import os\n" + code("return x"),
    "decorator": "@something\n" + code("return x"),
    "statement at the top": "x = 1\n" + code("return x"),
    "comment": code("return x  # type: Tensor"),
    "other letters": code("ｘ = x", "return x"),
    "joined lines": code("return torch.\\\n      relu(x)"),
    "no code": "this is no code\n",
    "nested too deep": code("return " + "(" * 3000 + "x" + ")" * 3000),
    "bare comprehension": code("y = [z for z in x]", "return x"),
    "unbound name": code("return eval"),
}


@pytest.mark.parametrize("source", GOOD.values(), ids=GOOD)
def test_what_torch_writes_passes(source):
    members = unpack("again", scan("m.pt", archive(source), ".pt").archive)
    assert members["code/__torch__.py"] == source.encode()


@pytest.mark.parametrize("source", BAD.values(), ids=BAD)
def test_what_a_model_has_no_use_for_is_refused(source):
    with pytest.raises(ModelError, match=r"m\.pt"):
        scan("m.pt", archive(source), ".pt")


@pytest.mark.parametrize("source", BAD.values(), ids=BAD)
def test_the_syntax_alone_is_enough_to_refuse_it(source, monkeypatch):
    """The words that are looked for in the text are a second wall, not the first."""
    monkeypatch.setattr(script_code, "REFUSED_CALL", re.compile("(?!)"))
    with pytest.raises(ModelError, match=r"m\.pt"):
        scan("m.pt", archive(source), ".pt")


@pytest.mark.parametrize("where", ["code/__torch__/deep/er.py", "code/__torch__/torch/nn/modules/conv.py"])
def test_every_file_of_code_is_read(where):
    with pytest.raises(ModelError, match="from_file"):
        scan("m.pt", archive(more={where: SUB.format(read=READ).encode()}), ".pt")


@pytest.mark.parametrize(
    "content",
    [
        b"cos\nsystem\n(S'id'\ntR.",
        b"\x80\x02cos\nsystem\nX\x02\x00\x00\x00id\x85R.",
        b"\x80\x04\x8c\x02os\x8c\x06system\x93.",
        b"\x80\x02c__torch__.torch.classes.dist\nStore\n)\x81.",
        b"\x80\x02ctorch._utils\n_rebuild_anything\n.",
        PICKLE + b"more",
        PICKLE[:-1],
        b"",
        b"\xff",
    ],
)
@pytest.mark.parametrize("name", ["data.pkl", "constants.pkl"])
def test_pickles_that_build_more_than_tensors_are_refused(name, content):
    with pytest.raises(ModelError, match=name):
        scan("m.pt", archive(more={name: content}), ".pt")


def test_what_a_model_runs_without_is_left_out():
    more = {"code/__torch__.py.debug_pkl": b"cos\nsystem\n.", "extra/livem.toml": b"[model]", "extra/x": b"1"}
    scanned = scan("m.pt", archive(more=more), ".pt")
    assert scanned.manifest == "[model]"
    assert set(unpack("again", scanned.archive)) == set(unpack("m.pt", archive()))


@pytest.mark.parametrize(
    ("data", "suffix", "said"),
    [
        (archive(more={"bytecode.pkl": b""}), ".pt", "bytecode.pkl"),
        (archive(), ".h5", r"models are \.pt"),
        (archive(), ".onnx", "field 10 in model is refused"),
        (archive(), "", "no suffix"),
        (archive(), ".pt2", "torch.export.save"),
        (archive(b"\xff\xff".decode("latin-1")), ".pt", "characters"),
    ],
)
def test_other_formats_are_named(data, suffix, said):
    with pytest.raises(ModelError, match=said):
        scan("m", data, suffix)


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.data())
def test_whatever_is_cut_or_changed_in_a_file_is_refused_or_harmless(data):
    whole = archive(code(f"return torch.add(x, {READ})"))
    place = data.draw(st.integers(0, len(whole) - 1))
    byte = data.draw(st.integers(0, 255))
    with pytest.raises(ModelError):
        scan("m.pt", whole[:place] + bytes([byte]) + whole[place + 1 :], ".pt")


@settings(max_examples=150, deadline=None, derandomize=True)
@given(st.text("torchs.ave(x)\n \"'#[]=:,_", max_size=60))
def test_no_text_makes_it_raise_anything_else(text):
    try:
        scan("m.pt", archive(code(text)), ".pt")
    except ModelError:
        pass
