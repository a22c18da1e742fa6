"""Small networks that TorchScript takes, traced or scripted. The one module that needs torch to be imported.

They know no normalisation and no data: values in, values out, of one scale.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional


class UNet(nn.Module):
    """(n, inputs, H, W) to (n, outputs, H, W): features by levels of half the size, joined on the way back.

    Ronneberger, Fischer & Brox, MICCAI 2015 (LNCS 9351, 234), with padded convolutions. H and W divide by
    2^depth. An output pixel sees those within `halo` px.

    Parameters
    ----------
    inputs, outputs : channels.
    width : channels of the finest level; each level below has twice as many.
    depth : levels below the finest. ``UNet(1, 1, 16, 2)`` has 0.12 million parameters.
    """

    def __init__(self, inputs: int, outputs: int, width: int, depth: int) -> None:
        super().__init__()
        widths = [width << level for level in range(depth + 1)]
        before = [inputs, *widths[:-1]]
        self.depth = depth
        self.down = nn.ModuleList(_pair(a, b) for a, b in zip(before, widths, strict=True))
        rising = list(zip(widths[:0:-1], widths[-2::-1], strict=True))
        self.up = nn.ModuleList(nn.ConvTranspose2d(a, b, 2, stride=2) for a, b in rising)
        self.join = nn.ModuleList(_pair(2 * b, b) for _, b in rising)
        self.out = nn.Conv2d(width, outputs, 1)

    @property
    def halo(self) -> int:
        """px of a tile's rim that may differ from the whole frame: the receptive field's radius."""
        return sum((2 if level == self.depth else 4) << level for level in range(self.depth + 1)) + (
            1 << self.depth
        )

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        kept: list[torch.Tensor] = []
        for level, pair in enumerate(self.down):
            x = pair(functional.max_pool2d(x, 2) if level else x)
            kept.append(x)
        for level, (up, join) in enumerate(zip(self.up, self.join, strict=True)):
            x = join(torch.cat([up(x), kept[self.depth - 1 - level]], 1))
        return self.out(x)


class MovieDenoiser(nn.Module):
    """(n, frames, H, W) stabilised counts, the newest frame last, to (n, 1, H, W): the newest without noise.

    The frames' mean, smoothed over `SMOOTH` px, is taken away and added again: what the UNet sees has one
    scale at every dose, and its padding of zeros is the level of the field. It works on pixels in blocks
    of 2 x 2 as channels (Shi et al., CVPR 2016, 1874, the other way round), for a wide view at little cost.
    H and W divide by SMOOTH.
    """

    SMOOTH = 16

    def __init__(self, frames: int, width: int, depth: int) -> None:
        super().__init__()
        self.unet = UNet(4 * frames, 4, width, depth)

    @property
    def halo(self) -> int:
        """px, as of `UNet`; the level is that of a square and of those beside it."""
        return 2 * self.unet.halo + 2 * self.SMOOTH

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        mean = functional.avg_pool2d(x.mean(1, keepdim=True), self.SMOOTH)
        level = functional.interpolate(mean, scale_factor=float(self.SMOOTH), mode="bilinear")
        return level + functional.pixel_shuffle(self.unet(functional.pixel_unshuffle(x - level, 2)), 2)


def _pair(before: int, after: int) -> nn.Sequential:
    first, second = nn.Conv2d(before, after, 3, padding=1), nn.Conv2d(after, after, 3, padding=1)
    return nn.Sequential(first, nn.ReLU(), second, nn.ReLU())
