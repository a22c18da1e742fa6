"""ONNX graphs in their process, by ONNX Runtime. Imports it when it is made; knows no pipe and no frames."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

import numpy as np

from .engine import WARM_UP_CALLS, Manner, Values, checked, inbox_for

CPU, CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
_SILENT = 4
"""Only what is fatal is written to the process's own stderr; the rest is raised."""


class OnnxEngine:
    """An `Engine`. Raises RuntimeError where CUDA is wanted and the runtime has none."""

    def __init__(self, suffix: str, cores: int, manner: Manner, runtime: Any = None) -> None:
        del suffix
        self._runtime: Any = import_module("onnxruntime") if runtime is None else runtime
        self._cores, self._manner = cores, manner
        self.providers = choose(self._runtime, manner.device)
        self.limits_memory = CUDA not in self.providers
        self._archive = b""
        self._session: Any = None

    def load(self, archive: bytes, weights: bytes = b"") -> None:
        """See `Engine`; the graph is read later, since that runs operators on constants."""
        if weights:
            raise ValueError("an ONNX graph keeps its own weights")
        self._archive = archive

    def settle(self) -> None:
        """See `Engine`."""
        options = self._runtime.SessionOptions()
        options.intra_op_num_threads, options.inter_op_num_threads = self._cores, 1
        options.log_severity_level = _SILENT
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = self._runtime.InferenceSession(self._archive, options, providers=self.providers)
        self._archive = b""

    def ready(self, shape: tuple[int, ...]) -> OnnxCall:
        """See `Engine`."""
        call = OnnxCall(self._session, shape)
        if self._manner.precision == "half":
            call.notes.append('precision = "half": an ONNX graph runs in the precision that it was saved in')
        if CUDA in self.providers and CUDA not in self._session.get_providers():
            call.notes.append("ONNX Runtime could not use its CUDA provider: the CPU is used")
        return call


class OnnxCall:
    """A `Call`."""

    def __init__(self, session: Any, shape: tuple[int, ...]) -> None:
        self.notes: list[str] = []
        self.inbox: Values = inbox_for(shape)
        self._session, self._feed = session, {session.get_inputs()[0].name: self.inbox}
        first = session.get_providers()[0].removesuffix("ExecutionProvider")
        self.runs_on = f"{first.lower()}, ONNX Runtime"
        for _ in range(WARM_UP_CALLS):
            self()

    def __call__(self) -> Values:
        """See `Call`."""
        (output,) = self._session.run(None, self._feed)
        checked("ndarray", output)
        if output.dtype.kind not in "buif":
            raise TypeError(f"the model returns {output.dtype}; it must return real numbers")
        return np.ascontiguousarray(output, np.float32)


def choose(runtime: Any, wanted: str) -> Sequence[str]:
    """Providers, the first is tried first. Raises RuntimeError where CUDA is wanted and there is none."""
    there = wanted != "cpu" and CUDA in runtime.get_available_providers()
    if wanted == "cuda" and not there:
        raise RuntimeError(
            'device = "cuda", and this ONNX Runtime has no CUDA provider: pip install onnxruntime-gpu, or '
            'say device = "auto"'
        )
    return [CUDA, CPU] if there else [CPU]
