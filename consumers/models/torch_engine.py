"""Models of torch in their process: frozen, in the layout that convolutions like, by CUDA graph on a GPU.

Imports torch when it is made; knows no pipe and no frames.
"""

from __future__ import annotations

import io
import time
from collections.abc import Callable, Iterator
from importlib import import_module
from typing import Any

import numpy as np

from .engine import WARM_UP_CALLS, Manner, Values, checked, first_line, inbox_for
from .operators import NODE_KINDS
from .weights import Weights

TIMED_CALLS = 5
"""Of each precision, by turns, to find which is faster."""
FASTER = 0.9
"""Share of the time of float32 that bfloat16 may take at most to be used."""


class TorchEngine:
    """An `Engine`. Raises RuntimeError where CUDA is wanted and torch has none."""

    def __init__(self, suffix: str, cores: int, manner: Manner, torch: Any = None) -> None:
        self._torch: Any = import_module("torch") if torch is None else torch
        self._suffix, self._manner = suffix, manner
        self._torch.set_num_threads(cores)
        self.device = choose(self._torch, manner.device)
        self.limits_memory = self.device == "cpu"
        for kind in self._kinds():
            look_at_processor(self._torch, device=self.device, dtype=kind)
        self._models: dict[Any, Any] = {}
        """By dtype."""

    def load(self, archive: bytes, weights: bytes = b"") -> None:
        """See `Engine`."""
        for kind in self._kinds():
            self._models[kind] = self._read(archive)
            if weights:
                put(self._torch, self._models[kind], Weights.unpacked(weights))

    def settle(self) -> None:
        """See `Engine`."""
        self._models = {kind: self._made(kind, model) for kind, model in self._models.items()}

    def ready(self, shape: tuple[int, ...]) -> TorchCall:
        """See `Engine`; the precision that fails, or is not faster on a processor, is done without."""
        torch = self._torch
        single = self._models[torch.float32]
        if len(self._models) == 1:
            return TorchCall(torch, single, shape, self.device, torch.float32)
        kind = self._kinds()[-1]
        try:
            half = TorchCall(torch, self._models[kind], shape, self.device, kind)
        except RuntimeError as error:
            call = TorchCall(torch, single, shape, self.device, torch.float32)
            call.notes.append(f'precision = "half" cannot be had ({first_line(error)}): single is used')
            return call
        if self.device != "cpu":
            return half
        return faster(TorchCall(torch, single, shape, self.device, torch.float32), half)

    def _kinds(self) -> list[Any]:
        torch = self._torch
        if self._manner.precision == "single":
            return [torch.float32]
        return [torch.float32, torch.bfloat16 if self.device == "cpu" else torch.float16]

    def _read(self, archive: bytes) -> Any:
        if self._suffix == ".pt":
            return scripted(self._torch, archive)
        return self._torch.export.load(io.BytesIO(archive)).module()

    def _made(self, kind: Any, model: Any) -> Any:
        torch = self._torch
        with torch.inference_mode():
            model = model.to(device=self.device, memory_format=torch.channels_last)
            if kind != torch.float32:
                model = model.to(dtype=kind)
            return torch.jit.freeze(model) if self._suffix == ".pt" else model


class TorchCall:
    """A `Call`. What it needs is made once: fresh memory is mapped page by page, in the middle of a frame."""

    def __init__(self, torch: Any, model: Any, shape: tuple[int, ...], device: str, kind: Any) -> None:
        self.notes: list[str] = []
        self.inbox: Values = inbox_for(shape)
        self._torch, self._model = torch, model
        self._from = torch.from_numpy(self.inbox)
        layout = {"device": device, "dtype": kind, "memory_format": torch.channels_last}
        with torch.inference_mode():
            self._input = torch.empty(shape, **layout)
        self._graph: Any = None
        self._static: Any = None
        self._output: Values | None = None
        for _ in range(WARM_UP_CALLS):
            self()
        if device != "cpu":
            self._capture()
        name = device if device == "cpu" else torch.cuda.get_device_name()
        how = ", CUDA graph" if self._graph is not None else ""
        self.runs_on = f"{name}, {str(kind).removeprefix('torch.')}{how}"

    def __call__(self) -> Values:
        """See `Call`."""
        torch = self._torch
        with torch.inference_mode():
            self._input.copy_(self._from)
            output = self._replayed() if self._graph is not None else self._model(self._input)
            checked("Tensor", output)
            if output.dtype.is_complex:
                raise TypeError(f"the model returns {output.dtype}; it must return real numbers")
            if self._output is None or self._output.shape != tuple(output.shape):
                self._output = np.empty(tuple(output.shape), np.float32)
            torch.from_numpy(self._output).copy_(output)
            return self._output

    def _replayed(self) -> Any:
        self._graph.replay()
        return self._static

    def _capture(self) -> None:
        """The launches of a call as one; a model that waits for its device within a call has none."""
        torch = self._torch
        try:
            with torch.inference_mode():
                side = torch.cuda.Stream()
                side.wait_stream(torch.cuda.current_stream())
                with torch.cuda.stream(side):
                    for _ in range(WARM_UP_CALLS):
                        self._model(self._input)
                torch.cuda.current_stream().wait_stream(side)
                graph = torch.cuda.CUDAGraph()
                with torch.cuda.graph(graph):
                    static = self._model(self._input)
        except RuntimeError as error:
            torch.cuda.synchronize()
            self.notes.append(
                f"it makes no CUDA graph ({first_line(error)}): its parts are launched one by one"
            )
            return
        self._graph, self._static = graph, static


def choose(torch: Any, wanted: str) -> str:
    """ "cpu" or "cuda". Raises RuntimeError where CUDA is wanted and torch has none."""
    if wanted == "cpu":
        return "cpu"
    if torch.cuda.is_available():
        return "cuda"
    if wanted == "cuda":
        raise RuntimeError(
            f'device = "cuda", and torch {torch.__version__} sees no CUDA device; install the torch that is '
            'built for its driver (pytorch.org), or say device = "auto"'
        )
    return "cpu"


def faster(single: TorchCall, half: TorchCall, clock: Callable[[], float] = time.thread_time) -> TorchCall:
    """The half precision if it is faster by `FASTER`, by its least time of several."""
    least = [np.inf, np.inf]
    for _ in range(TIMED_CALLS):
        for k, call in enumerate((single, half)):
            began = clock()
            call()
            least[k] = min(least[k], clock() - began)
    if least[1] <= FASTER * least[0]:
        return half
    single.notes.append(
        f"bfloat16 takes {least[1] / max(least[0], 1e-9):.2f} times as long here: float32 is used"
    )
    return single


def look_at_processor(torch: Any, **kind: Any) -> None:
    """Its libraries do that in files, once: before no file can be opened."""
    torch.nn.functional.conv2d(
        torch.zeros(1, 8, 32, 32, **kind), torch.zeros(8, 8, 3, 3, **kind)
    ).sum().item()


def scripted(torch: Any, archive: bytes) -> Any:
    """A TorchScript model whose graph was looked at; raises ValueError for an operator that is refused."""
    model = torch.jit.load(io.BytesIO(archive), map_location="cpu").eval()
    _check_graph(model)
    return model


def put(torch: Any, model: Any, weights: Weights) -> None:
    """Other weights into a model; raises where names or shapes are not its own."""
    tensors = {name: torch.from_numpy(array.copy()) for name, array in weights.tensors().items()}
    model.load_state_dict(tensors, strict=True)


def _check_graph(model: Any) -> None:
    """What torch made of the code, its calls in line: the last word on what would run."""
    for kind in {node.kind() for node in _nodes(model.inlined_graph)} - NODE_KINDS:
        raise ValueError(f"the operator {kind} is refused")


def _nodes(block: Any) -> Iterator[Any]:
    for node in block.nodes():
        yield node
        for inner in node.blocks():
            yield from _nodes(inner)
