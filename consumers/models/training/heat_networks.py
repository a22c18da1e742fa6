"""The network that draws heat maps. Needs torch to be imported."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional

from .networks import UNet

GROUND = 32
"""px between the knots of the local mean that is taken off."""
WIDTHS = (0.7, 1.1, 1.8, 2.8, 4.5, 7.0)
"""px of half the resolution; what lies between two of them is a band."""


class HeatMapNetwork(nn.Module):
    """Frames (n, 1, H, W) with noise of variance 1 to heat maps (n, 1, H, W), 0 to 1.

    The local mean is taken off, so that brightness does not matter; strong contrast is compressed by asinh. A
    UNet at half the resolution sees four pixels as four channels, and beside them bands of scale, as matched
    filters would find blobs: it need not learn them, only what to believe.

    Parameters
    ----------
    width, depth : of the UNet. H and W divide by `multiple`.
    coarse : frames are also seen with so many pixels a side binned to one, by the same weights, and the
        higher of both heat maps is shown: bumps up to that many times as wide as what was learnt. 1: not.
    """

    def __init__(self, width: int, depth: int, coarse: int = 1) -> None:
        super().__init__()
        self.coarse = coarse
        self.multiple = coarse * max(GROUND, 2 << depth)
        self.bands = Bands(WIDTHS)
        self.unet = UNet(4 + len(WIDTHS) - 1, 4, width, depth)

    @property
    def halo(self) -> int:
        """px of a tile's rim that may differ from the whole frame."""
        return self.coarse * (2 * (self.unet.halo + self.bands.reach) + 2 * GROUND)

    def logits(self, frames: torch.Tensor) -> torch.Tensor:
        """Before the sigmoid, of frames as they are; what is trained."""
        mean = functional.avg_pool2d(frames, 2 * GROUND, GROUND, GROUND // 2, count_include_pad=False)
        contrast = frames - functional.interpolate(mean, scale_factor=float(GROUND), mode="bilinear")
        bands = self.bands(2 * functional.avg_pool2d(contrast, 2))
        seen = torch.asinh(torch.cat([functional.pixel_unshuffle(contrast, 2), bands], 1) / 2)
        return functional.pixel_shuffle(self.unet(seen), 2)

    def forward(self, frames: torch.Tensor) -> torch.Tensor:
        fine = self.logits(frames)
        if self.coarse > 1:
            binned = self.coarse * functional.avg_pool2d(frames, self.coarse)
            wide = functional.interpolate(
                self.logits(binned), scale_factor=float(self.coarse), mode="bilinear"
            )
            fine = torch.maximum(fine, wide)
        return torch.sigmoid(fine)


class Bands(nn.Module):
    """(n, 1, H, W) to (n, bands, H, W): differences of Gaussians, each of which keeps noise of variance 1."""

    def __init__(self, widths: tuple[float, ...]) -> None:
        super().__init__()
        self.count = len(widths)
        self.reach = int(3 * widths[-1])
        steps = torch.arange(-self.reach, self.reach + 1, dtype=torch.float64)
        taps = torch.stack([torch.exp(-(steps**2) / (2 * width**2)) for width in widths])
        taps = taps / taps.sum(1, keepdim=True)
        planes = taps[:, :, None] * taps[:, None, :]
        gains = (planes[:-1] - planes[1:]).square().sum((1, 2)).rsqrt()
        self.register_buffer("taps", taps.float(), persistent=False)
        self.register_buffer("gains", gains.float()[:, None, None], persistent=False)

    def forward(self, plane: torch.Tensor) -> torch.Tensor:
        rows = functional.conv2d(plane, self.taps[:, None, :, None], padding=(self.reach, 0))
        smooth = functional.conv2d(
            rows, self.taps[:, None, None, :], padding=(0, self.reach), groups=self.count
        )
        return (smooth[:, :-1] - smooth[:, 1:]) * self.gains
