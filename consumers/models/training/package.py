"""A trained network as the files of a shipped model: NAME.pt, NAME.toml and NAME.sha256."""

from __future__ import annotations

import hashlib
import io
import warnings
from importlib import import_module
from pathlib import Path
from typing import Any

from ..manifest import Manifest
from ..scan import scan

MOST_BYTES = 2 << 20
"""Of a shipped model's file."""


def write(folder: Path, name: str, network: Any, inputs: int, manifest: str, side: int = 64) -> str:
    """Trace, look at it as at any model, and write it; the SHA-256 of NAME.pt.

    What torch adds for debugging, paths of this machine among it, is left out.

    Parameters
    ----------
    network : for (n, inputs, H, W), in evaluation mode, on the CPU.
    manifest : TOML.
    side : px of the frame that it is traced with, which it must take.

    Raises
    ------
    ModelError
        A network that could not be loaded again, or a manifest that says too little.
    ValueError
        A file of more than MOST_BYTES.
    """
    torch: Any = import_module("torch")
    buffer = io.BytesIO()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # TorchScript is deprecated, and what is loaded fastest
        torch.jit.save(torch.jit.trace(network, torch.zeros(1, inputs, side, side)), buffer)
    archive = scan(f"{name}.pt", buffer.getvalue(), ".pt").archive
    if len(archive) > MOST_BYTES:
        raise ValueError(f"{name}.pt has {len(archive):,} bytes; a shipped model may have {MOST_BYTES:,}")
    Manifest.parse(f"{name}.toml", manifest)
    folder.mkdir(parents=True, exist_ok=True)
    files = {f"{name}.pt": archive, f"{name}.toml": manifest.encode()}
    hashes = {file: hashlib.sha256(content).hexdigest() for file, content in files.items()}
    for file, content in files.items():
        (folder / file).write_bytes(content)
    lines = [f"{sha256}  {file}\n" for file, sha256 in hashes.items()]
    (folder / f"{name}.sha256").write_text("".join(lines), encoding="ascii")
    return hashes[f"{name}.pt"]
