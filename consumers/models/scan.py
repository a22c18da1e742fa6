"""A model's file looked at before anything of it runs: what is allowed is kept, and packed anew.

Knows formats by their suffix; runs nothing, needs no torch.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ...errors import ModelError
from .archive import Members, pack, unpack
from .exported import clean_exported
from .onnx_graph import clean_onnx
from .script_code import check_code
from .script_pickle import check_pickle

SUFFIXES = (".pt", ".pt2", ".onnx")
MANIFEST = "extra/livem.toml"
"""The member in which an archive brings its manifest."""
_SCRIPT_MEMBERS = re.compile(
    r"code/.+\.py|data\.pkl|constants\.pkl|(data|constants)/\d+|(\.data/)?version|byteorder"
)
_LEFT_OUT = re.compile(
    r"extra/.+|traced_inputs.*|code/.+\.debug_pkl|\.format_version|\.storage_alignment|\.data/(?!version).+"
)
"""What a model runs without."""


@dataclass(frozen=True, slots=True)
class Scanned:
    """A model that may be loaded."""

    archive: bytes
    """Packed anew: what was looked at, and nothing else."""
    manifest: str | None
    """TOML from the archive's extra files, or a graph's metadata."""


def scan(where: str, data: bytes, suffix: str) -> Scanned:
    """Look at the bytes of a model's file.

    Parameters
    ----------
    where : for messages: which file.
    data : all of the file.
    suffix : ".pt" (TorchScript), ".pt2" (torch.export) or ".onnx".

    Raises
    ------
    ModelError
        Another format, a damaged archive, or anything that a model has no use for.
    """
    if suffix not in SUFFIXES:
        raise ModelError(
            f"{where}: {suffix or 'no suffix'}; models are .pt (TorchScript), .pt2 (torch.export) or .onnx"
        )
    if suffix == ".onnx":
        return Scanned(*clean_onnx(where, data))
    members = unpack(where, data)
    kept = _script(where, members) if suffix == ".pt" else clean_exported(where, members)
    return Scanned(pack(kept), _text(where, members[MANIFEST]) if MANIFEST in members else None)


def _script(where: str, members: Members) -> Members:
    if "data.pkl" not in members or not any(name.startswith("code/") for name in members):
        raise ModelError(
            f"{where}: no TorchScript module (weights alone have no graph); save it with torch.jit.save"
        )
    kept = {name: content for name, content in members.items() if not _LEFT_OUT.fullmatch(name)}
    for name in kept:
        if not _SCRIPT_MEMBERS.fullmatch(name):
            raise ModelError(f"{where}: member {name!r}, which TorchScript modules have not")
        if name.endswith(".pkl"):
            check_pickle(f"{where}: {name}", kept[name])
    code = {name: _text(f"{where}: {name}", kept[name]) for name in kept if name.endswith(".py")}
    check_code(where, code)
    return kept


def _text(where: str, content: bytes) -> str:
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise ModelError(f"{where}: is no text: {error}") from error
