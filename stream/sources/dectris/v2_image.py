"""One image of DECTRIS stream v2 read in words: any byte order, shuffle and number of channels.

What compiled code does not know comes here; values in, a FrameBatch or a Refusal out.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ...messages import BSLZ4_HEADER, FrameBatch, Reason
from ...series import Encoding
from ...wire_fields import Refusal, integer
from .cbor_values import Numbers
from .unpack import unpack
from .v2_reading import TAGS, Reading
from .v2_series import position_of

Values = Mapping[str, Any]
Bytes = npt.NDArray[np.uint8]


def read_image(reading: Reading, values: Values) -> FrameBatch:
    """The frame of one image, whatever its byte order and shuffle; raises Refusal."""
    series = reading.series
    image_id = integer(values, "image_id", 0, Reason.BAD_INDEX)
    reading.refuse_index(image_id)
    channels = channels_of(values, reading.channels)
    payload = join_channels(reading, channels)
    sizes = None if series.encoding == "raw" else np.array([payload.size], np.int64)
    positions = position_of(values.get("user_data")) if reading.wants_positions else None
    payload.flags.writeable = False
    return FrameBatch(
        series.key, image_id - reading.first_id, 1, _time_of(reading, values), sizes, payload, positions
    )


def channels_of(values: Values, names: Sequence[str]) -> list[Numbers]:
    """The arrays of the channels of one image; raises Refusal."""
    data = values.get("data")
    there = data if isinstance(data, dict) else {}
    found = [channel for name in names if isinstance(channel := there.get(name), Numbers)]
    if len(found) < max(len(names), 1):
        raise Refusal(Reason.BAD_PAYLOAD, f"the image lacks an array of {', '.join(names) or 'any channel'}")
    return found


def pixels_of(
    channel: Numbers, shape: tuple[int, int] | None, dtype: str | None
) -> tuple[tuple[int, int], str]:
    """Shape and type of a channel by its first image, which must be what the start said; raises Refusal."""
    found = channel.shape
    if found is None or len(found) != 2 or (shape is not None and found != shape):
        wanted = "two dimensions" if shape is None else f"{shape[0]} x {shape[1]}"
        raise Refusal(Reason.BAD_SHAPE, f"the first image has the dimensions {found}, must be {wanted}")
    if dtype is not None and channel.dtype.name != dtype:
        raise Refusal(Reason.BAD_DTYPE, f"the first image is {channel.dtype.name}, announced was {dtype}")
    return (found[0], found[1]), channel.dtype.name


def travels_as(channels: Sequence[Numbers]) -> tuple[Encoding, int | None]:
    """The encoding under which an image like this one goes on, and the block size if channels are joined.

    Big-endian pixels and a shuffle that is not the pixel's are decoded here; so are channels that cannot be
    joined block by block, because a block would hold pixels of two of them.
    """
    first = channels[0]
    algorithm, dtype = first.blob.algorithm, first.dtype
    if algorithm == "raw" or first.type_tag != TAGS.get(dtype.name):
        return "raw", None
    if algorithm == "bslz4" and first.blob.element_bytes != dtype.itemsize:
        return "raw", None
    if len(channels) == 1:
        return algorithm, None
    headers = {bytes(channel.blob.data[: BSLZ4_HEADER.size]) for channel in channels}
    alike = len(headers) == 1 and all(_coding(channel) == _coding(first) for channel in channels)
    raw, block = BSLZ4_HEADER.unpack(headers.pop().ljust(BSLZ4_HEADER.size, b"\0")) if alike else (0, 0)
    return (algorithm, block) if alike and block and raw % block == 0 else ("raw", None)


def _coding(channel: Numbers) -> tuple[int, str, int]:
    return channel.type_tag, channel.blob.algorithm, channel.blob.element_bytes


def join_channels(reading: Reading, channels: Sequence[Numbers]) -> Bytes:
    """The payload of one frame as the series' encoding wants it; raises Refusal."""
    for channel in channels:
        _refuse_other_pixels(reading, channel)
    if reading.series.encoding == "raw":
        decoded = [_decoded(reading, channel) for channel in channels]
        return decoded[0] if len(decoded) == 1 else np.concatenate(decoded)
    wanted = reading.series.encoding, reading.block_bytes
    if travels_as(channels) != wanted:
        first = channels[0]
        raise Refusal(
            Reason.BAD_ENCODING,
            f"an image in {first.blob.algorithm} (elements of {first.blob.element_bytes} bytes, tag "
            f"{first.type_tag}); the series began as {reading.series.encoding}",
        )
    payloads = [np.frombuffer(channel.blob.data, np.uint8) for channel in channels]
    if len(payloads) == 1:
        return payloads[0]
    raw, block = BSLZ4_HEADER.unpack_from(channels[0].blob.data)
    header = np.frombuffer(BSLZ4_HEADER.pack(raw * len(channels), block), np.uint8)
    return np.concatenate([header, *(payload[BSLZ4_HEADER.size :] for payload in payloads)])


def _refuse_other_pixels(reading: Reading, channel: Numbers) -> None:
    if channel.shape != reading.channel_shape:
        shape = " x ".join(map(str, channel.shape or ()))
        wanted = " x ".join(map(str, reading.channel_shape))
        raise Refusal(Reason.BAD_SHAPE, f"an image of {shape or 'no shape'}, the series has {wanted}")
    if channel.dtype.name != reading.series.dtype:
        raise Refusal(
            Reason.BAD_DTYPE, f"an image of {channel.dtype.name}, the series has {reading.series.dtype}"
        )


def _decoded(reading: Reading, channel: Numbers) -> Bytes:
    blob = channel.blob
    if blob.raw_bytes != reading.channel_bytes:
        raise Refusal(
            Reason.PAYLOAD_SIZE,
            f"a payload of {blob.raw_bytes:,} bytes, a channel has {reading.channel_bytes:,}",
        )
    pixels = unpack(blob.data, blob.algorithm, blob.element_bytes, channel.dtype, reading.channel_bytes)
    if pixels is None:
        raise Refusal(Reason.BAD_PAYLOAD, f"{len(blob.data):,} bytes of {blob.algorithm} that do not decode")
    return pixels.view(np.uint8)


def _time_of(reading: Reading, values: Values) -> int | None:
    ticks, per_second = start_time(values)
    date = values.get("series_date")
    return reading.time_ns(ticks, per_second, date.encode() if type(date) is str else b"")


def start_time(values: Values) -> tuple[int, int]:
    """(ticks, ticks a second) since the series' date; (0, 0) when the image does not say."""
    value = values.get("start_time")
    if isinstance(value, list) and len(value) == 2 and all(type(part) is int and part >= 0 for part in value):
        return value[0], value[1]
    return 0, 0
