"""Compressed frames reduced as they are, and one in 256 held against the ordinary way.

The ordinary way is a decoder that is not ours (dectris-compression) and the kernel on pixels. bslz4 has no
checksum: two independent ways that agree are the only word on a stream while it is live.
"""

from __future__ import annotations

from dataclasses import fields, replace

import numpy as np
import numpy.typing as npt

from ...kernels.bslz4 import Status, decode_into
from ...kernels.encoded.plan import EncodedPlan
from ...kernels.reduce import Reduction, Regions, reduce_block
from ..base import Encoded, SelfCheckError

EVERY = 256
"""One frame of so many: 60 us each, 0.25 us a frame."""


def reduce_encoded(
    plan: EncodedPlan, regions: Regions, encoded: Encoded
) -> tuple[Reduction, npt.NDArray[np.int8]]:
    """The reduction of the frames that can be decoded, and (n,) the status code of all.

    Raises
    ------
    SelfCheckError
        When one of the frames that are compared differs from the ordinary way.
    """
    n, d = len(encoded), len(plan)
    sums = np.zeros((n, d), np.uint64 if plan.dtype == np.uint32 else np.int64)
    moments = np.zeros((n, d, 2), np.int64)
    status = np.zeros(n, np.int8)
    plan.run(encoded.payload, encoded.offsets, sums, moments, status)
    reduction = plan.reduction(sums, moments)
    for place in np.flatnonzero((encoded.indices % EVERY == 0) & (status == 0)).tolist():
        _compare(encoded, regions, reduction, place)
    good = status == 0
    if not good.all():
        reduction = replace(
            reduction, **{f.name: getattr(reduction, f.name)[good] for f in fields(reduction)}
        )
    return reduction, status


def _compare(encoded: Encoded, regions: Regions, reduction: Reduction, place: int) -> None:
    series = encoded.series
    frame = np.empty((1, *series.shape), series.numpy_dtype)
    blob = encoded.payload[encoded.offsets[place] : encoded.offsets[place + 1]]
    if decode_into(blob, frame[0]) is not Status.OK:
        return  # damage where no detector looks: nothing to compare
    usual = reduce_block(frame, regions)
    if (usual.sums[0] == reduction.sums[place]).all() and np.array_equal(
        usual.com[0], reduction.com[place], equal_nan=True
    ):
        return
    raise SelfCheckError(
        f"frame {encoded.indices[place]} of series {series.key.number}: sums from the compressed frame are "
        f"{reduction.sums[place].tolist()}, from its pixels {usual.sums[0].tolist()}; frames are "
        "decoded by dectris-compression from now on (slower): please report this with the recording"
    )
