"""The small networks: sizes, what a pixel sees, and that TorchScript takes them."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

torch: Any = pytest.importorskip("torch", reason="models need the extra [torch]")

from livem.consumers.models.training.networks import UNet  # noqa: E402 - it imports torch


def test_its_size_is_what_it_says():
    assert sum(p.numel() for p in UNet(1, 1, 16, 2).parameters()) == pytest.approx(0.12e6, rel=0.03)


@pytest.mark.parametrize("depth", [0, 1, 2])
def test_a_pixel_sees_no_further_than_the_halo(depth):
    network = UNet(2, 3, 4, depth).eval()
    with torch.no_grad():
        for weights in network.parameters():
            weights.abs_()  # so that nothing cancels
    far = 0
    for place in range(40, 48):
        values = torch.ones(1, 2, 96, 96, requires_grad=True)
        output = network(values)
        assert output.shape == (1, 3, 96, 96)
        output[0, :, place, place].sum().backward()
        seen = values.grad[0].abs().sum(0).nonzero()
        far = max(far, int((seen - place).abs().max()))
    assert network.halo - (1 << depth) <= far <= network.halo


def test_scripted_and_traced_it_is_the_same():
    network, values = UNet(2, 1, 4, 2).eval(), torch.rand(2, 2, 24, 16)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for made in (torch.jit.script(network), torch.jit.trace(network, torch.zeros(1, 2, 8, 8))):
            torch.testing.assert_close(made(values), network(values))
