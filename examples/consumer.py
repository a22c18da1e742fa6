"""A live analysis of your own: the brightest value that each detector pixel has seen."""

import numpy as np

from livem.consumers.base import Consumer, Frames, Output
from livem.stream.series import Series


class Brightest(Consumer[np.ndarray]):
    type_name = "brightest"

    def open(self, series: Series) -> None:
        """A series begins."""
        self.image = np.zeros(series.shape)

    def process(self, frames: Frames) -> np.ndarray:
        """The heavy part, on a block of frames (n, h, w): changes nothing in self."""
        return frames.data.max(axis=0, initial=0)

    def merge(self, partial: np.ndarray) -> list[Output]:
        """The light part: take the block into the picture, and show it."""
        self.image = np.maximum(self.image, partial)
        return [Output("image", "image", {"image": self.image}, {"image": "counts"})]
