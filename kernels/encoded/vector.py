"""Memory and vectors as numba does not offer them: loads and stores at any address, byte shuffles.

Addresses are int64 (`address` gives that of an array). Nothing here checks anything: whoever calls has made
sure that the bytes are there. Knows no format.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils, codegen, config
from numba.core.datamodel import models
from numba.extending import intrinsic, register_model

I8, I32, I64 = ir.IntType(8), ir.IntType(32), ir.IntType(64)


class Lanes(types.Type):
    """A vector of ``count`` bytes, held in registers."""

    def __init__(self, count: int) -> None:
        self.count = count
        super().__init__(name=f"Lanes({count})")


@register_model(Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager: Any, lanes: Lanes) -> None:
        super().__init__(manager, lanes, bytes_type(lanes.count))


LANES16, LANES64 = Lanes(16), Lanes(64)


def bytes_type(count: int) -> Any:
    """The LLVM type of ``count`` bytes."""
    return ir.VectorType(I8, count)


def load(builder: Any, at: Any, kind: Any) -> Any:
    """Emit an unaligned load of an LLVM type from an address."""
    return builder.load(builder.inttoptr(at, kind.as_pointer()), align=1)


def store(builder: Any, at: Any, value: Any) -> None:
    """Emit an unaligned store of an LLVM value to an address."""
    builder.store(value, builder.inttoptr(at, value.type.as_pointer()), align=1)


@intrinsic
def address(typingctx: Any, array: Any) -> Any:
    """Where the first element of a contiguous array lies; the caller keeps the array alive."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        view = context.make_array(signature.args[0])(context, builder, arguments[0])
        return builder.ptrtoint(view.data, I64)

    return types.int64(array), code


def _loader(bits: int, big_endian: bool = False) -> Any:
    def loaded(typingctx: Any, at: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            value = load(builder, arguments[0], ir.IntType(bits))
            value = builder.bswap(value) if big_endian else value
            return value if bits == 64 else builder.zext(value, I64)

        return types.int64(types.int64), code

    return intrinsic(loaded)


load_u8 = _loader(8)
"""int64 of the byte at an address."""
load_u16 = _loader(16)
"""int64 of 2 bytes, little endian."""
load_i64 = _loader(64)
"""int64 of 8 bytes, little endian."""
load_be32 = _loader(32, big_endian=True)
"""int64 of 4 bytes, big endian."""
load_be64 = _loader(64, big_endian=True)
"""int64 of 8 bytes, big endian; negative from 2^63 on."""


@intrinsic
def store_u8(typingctx: Any, at: Any, value: Any) -> Any:
    """Put the low byte of an int64 at an address."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        store(builder, arguments[0], builder.trunc(arguments[1], I8))
        return context.get_dummy_value()

    return types.void(types.int64, types.int64), code


@intrinsic
def copy_bytes(typingctx: Any, to: Any, at: Any, count: Any) -> Any:
    """Copy ``count`` bytes from ``at`` to ``to``, which do not overlap."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        to, at, count = arguments
        pointer = I8.as_pointer()
        cgutils.raw_memcpy(builder, builder.inttoptr(to, pointer), builder.inttoptr(at, pointer), count, 1)
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), code


def _vector_loader(lanes: Lanes) -> Any:
    def loaded(typingctx: Any, at: Any) -> Any:
        def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return load(builder, arguments[0], bytes_type(lanes.count))

        return lanes(types.int64), code

    return intrinsic(loaded)


load16 = _vector_loader(LANES16)
"""The 16 bytes at an address."""
load64 = _vector_loader(LANES64)
"""The 64 bytes at an address."""


@intrinsic
def put(typingctx: Any, at: Any, value: Any) -> Any:
    """Store a vector at an address."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        store(builder, arguments[0], arguments[1])
        return context.get_dummy_value()

    return types.void(types.int64, value), code


@intrinsic
def zeros64(typingctx: Any) -> Any:
    """64 zero bytes."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return ir.Constant(bytes_type(64), None)

    return LANES64(), code


@intrinsic
def is_zero(typingctx: Any, value: Any) -> Any:
    """Whether all bytes of a vector are zero."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        wide = ir.IntType(8 * value.count)
        return builder.icmp_unsigned("==", builder.bitcast(arguments[0], wide), ir.Constant(wide, 0))

    return types.boolean(value), code


@intrinsic
def shuffle16(typingctx: Any, value: Any, order: Any) -> Any:
    """Byte ``order[i]`` of ``value`` at place i; every entry of ``order`` is below 16."""

    def code(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        name = _byte_shuffle()
        if name is None:
            return _shuffle_by_element(builder, *arguments)
        vector = bytes_type(16)
        function = cgutils.get_or_insert_function(
            builder.module, ir.FunctionType(vector, [vector, vector]), name
        )
        return builder.call(function, arguments)

    return value(value, order), code


def _byte_shuffle() -> str | None:
    """The instruction of this processor that shuffles 16 bytes, as LLVM calls it."""
    if has_feature("ssse3"):
        return "llvm.x86.ssse3.pshuf.b.128"
    if has_feature("neon"):
        return "llvm.aarch64.neon.tbl1.v16i8"
    return None


def has_feature(name: str) -> bool:
    """Whether the code that numba makes here may use an extension of the instruction set."""
    features = codegen.get_host_cpu_features() if config.CPU_FEATURES is None else config.CPU_FEATURES
    return f"+{name}" in features.split(",")


def _shuffle_by_element(builder: Any, value: Any, order: Any) -> Any:
    result = value
    for i in range(16):
        place = ir.Constant(I32, i)
        source = builder.zext(builder.extract_element(order, place), I32)
        result = builder.insert_element(result, builder.extract_element(value, source), place)
    return result
