"""The training loop: seeded, on CPU or CUDA, the best weights kept. Knows neither data nor networks.

Torch is imported when a loop runs.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from importlib import import_module
from typing import Any

from ....errors import MissingDependencyError


@dataclass(frozen=True, slots=True)
class Plan:
    """How long and how fast."""

    steps: int
    """Without a limit of time, the same weights come out each time on one kind of processor."""
    minutes: float = math.inf
    """Wall time after which the schedule ends, too."""
    rate: float = 2e-3
    """Adam's, at its highest."""
    rising: int = 100
    """Steps in which the rate rises to it; from then on it falls as a cosine does."""
    half: float = 0.0
    """Share of the steps in bfloat16, where the processor computes in it; 1.7 times as fast."""
    checks: int = 10
    """How often the network is judged on examples that it does not learn from."""
    seed: int = 0
    device: str = "cpu"
    threads: int = 1


@dataclass(frozen=True, slots=True)
class Outcome:
    """What training came to; the network holds the best weights."""

    steps: int
    figure: float
    """Of the best weights."""


def train(
    network: Callable[[], Any],
    examples: Iterator[Any],
    loss: Callable[[Any, Any], Any],
    figure: Callable[[Any], float],
    plan: Plan,
    tell: Callable[[str], None] = lambda line: None,
) -> tuple[Any, Outcome]:
    """A network with the weights that were best on held-out examples, on the CPU, ready to be traced.

    Adam (Kingma & Ba, ICLR 2015) with a cosine schedule (Loshchilov & Hutter, ICLR 2017), gradients of a
    norm above 1 shortened.

    Parameters
    ----------
    network : makes it; called once the seed is set.
    examples : without end.
    loss : of the network and an example; a tensor of one number.
    figure : of the network, on examples of its own; the higher the better.
    tell : is given a line at each check.

    Raises
    ------
    MissingDependencyError
        No torch.
    FloatingPointError
        A loss that is not finite.
    """
    torch = _torch()
    with _steady(torch, plan):
        return _train(torch, network(), examples, loss, figure, plan, tell)


def _train(
    torch: Any,
    network: Any,
    examples: Iterator[Any],
    loss: Callable[[Any, Any], Any],
    figure: Callable[[Any], float],
    plan: Plan,
    tell: Callable[[str], None],
) -> tuple[Any, Outcome]:
    model = network.to(plan.device, memory_format=torch.channels_last).train()
    optimiser = torch.optim.Adam(model.parameters(), plan.rate)
    half = plan.half if plan.device != "cpu" or torch.ops.mkldnn._is_mkldnn_bf16_supported() else 0.0
    best, kept = -math.inf, model.state_dict()
    began, step, share, checked, mean = time.monotonic(), 0, 0.0, 0, 0.0
    while share < 1:
        optimiser.param_groups[0]["lr"] = _rate(plan, step, share)
        narrow = torch.autocast(plan.device.partition(":")[0], torch.bfloat16)
        with narrow if share < half else nullcontext():
            value = loss(model, next(examples))
        optimiser.zero_grad()
        value.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimiser.step()
        if not math.isfinite(value.item()):
            raise FloatingPointError(f"the loss of step {step} is {value.item()}; take a lower rate")
        step += 1
        mean += (value.item() - mean) / min(step, 200)
        share = max(step / plan.steps, (time.monotonic() - began) / (60 * plan.minutes))
        if share * plan.checks >= checked + 1:
            checked = int(share * plan.checks)
            found = _judged(model, figure)
            tell(f"step {step:,} of {plan.steps:,}: loss {mean:.4g}, held out {found:.4g}")
            if found > best:
                best, kept = found, {key: w.detach().cpu().clone() for key, w in model.state_dict().items()}
    model = model.cpu().eval()
    model.load_state_dict(kept)
    return model, Outcome(step, best)


@contextmanager
def _steady(torch: Any, plan: Plan) -> Iterator[None]:
    """Seeded, with this many threads, in an order that is always the same; as it was before afterwards."""
    threads, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    torch.set_num_threads(plan.threads)
    torch.manual_seed(plan.seed)
    torch.use_deterministic_algorithms(plan.device == "cpu")
    try:
        yield
    finally:
        torch.set_num_threads(threads)
        torch.use_deterministic_algorithms(strict)


def _rate(plan: Plan, step: int, share: float) -> float:
    return plan.rate * min(1.0, (step + 1) / plan.rising) * 0.5 * (1 + math.cos(math.pi * min(share, 1.0)))


def _judged(model: Any, figure: Callable[[Any], float]) -> float:
    model.eval()
    found = figure(model)
    model.train()
    return found


def _torch() -> Any:
    try:
        return import_module("torch")
    except ImportError as error:
        raise MissingDependencyError('training needs torch: pip install "livem[torch]"') from error
