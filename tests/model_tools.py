"""Models for tests: TorchScript archives written as text, and small ones made by torch where it is there."""

from __future__ import annotations

import io
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

MANIFEST = """
[model]
name = "{name}"
version = "1"
licence = "CC0-1.0"
training = "none: written by hand"

[input]
{input}

[normalisation]
{normalisation}

[output]
{output}
"""
PICKLE = b"\x80\x02c__torch__\nM\n)\x81}b."
"""An instance of ``__torch__.M`` without attributes."""
HEAD = """class M(Module):
  __parameters__ = []
  __buffers__ = []
"""


def manifest(name: str = "tiny", input: str = "", normalisation: str = "", output: str = "") -> str:
    return MANIFEST.format(name=name, input=input, normalisation=normalisation, output=output)


def code(*lines: str, argument: str = "x: Tensor", returns: str = "Tensor") -> str:
    """A module whose forward has these lines."""
    body = "".join(f"    {line}\n" for line in lines)
    return f"{HEAD}  def forward(self: __torch__.M,\n    {argument}) -> {returns}:\n{body}"


def archive(source: str = "", more: Mapping[str, bytes] | None = None, folder: str = "m") -> bytes:
    """A TorchScript archive with this code, as torch packs it."""
    source = source or code("return torch.relu(x)")
    members = {
        "data.pkl": PICKLE,
        "code/__torch__.py": source.encode(),
        "constants.pkl": b"\x80\x02).",
        "version": b"3\n",
        "byteorder": b"little",
    }
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as file:
        for name, content in (members | dict(more or {})).items():
            file.writestr(f"{folder}/{name}", content)
    return buffer.getvalue()


def write(folder: Path, data: bytes, text: str, name: str = "tiny") -> Path:
    """A model's file with its manifest beside it."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.toml").write_text(text)
    (folder / f"{name}.pt").write_bytes(data)
    return folder / f"{name}.pt"


def saved(torch: Any, module: Any) -> bytes:
    """A module as TorchScript, as a user saves it."""
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(module.eval()), buffer)
    return buffer.getvalue()
