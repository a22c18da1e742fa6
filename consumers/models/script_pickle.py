"""The pickles of a TorchScript archive: their opcodes are read, never run.

torch's own reader builds a module's attributes from them. It knows a few names, and so does this.
"""

from __future__ import annotations

import pickletools
import re

from ...errors import ModelError

MOST_OPCODES = 5_000_000
_OPCODES = {
    *("PROTO", "FRAME", "GLOBAL", "BINPUT", "LONG_BINPUT", "MEMOIZE", "BINGET", "LONG_BINGET", "NEWOBJ"),
    *("EMPTY_TUPLE", "EMPTY_DICT", "EMPTY_LIST", "MARK", "TUPLE", "TUPLE1", "TUPLE2", "TUPLE3", "APPEND"),
    *("APPENDS", "SETITEM", "SETITEMS", "BUILD", "REDUCE", "BINPERSID", "NONE", "NEWTRUE", "NEWFALSE"),
    *("BINUNICODE", "BINUNICODE8", "SHORT_BINUNICODE", "BINSTRING", "SHORT_BINSTRING", "BININT", "BININT1"),
    *("BININT2", "LONG1", "BINFLOAT", "STOP"),
}
_GLOBALS = re.compile(
    r"torch [A-Z][A-Za-z0-9]*Storage"
    r"|torch (?:float16|bfloat16|float32|float64|int8|int16|int32|int64|uint8|bool)"
    r"|torch device"
    r"|torch\._utils _rebuild_(?:tensor|tensor_v2|parameter)"
    r"|torch\.jit\._pickle (?:build_(?:int|tensor|double|bool)list|restore_type_tag)"
    r"|collections OrderedDict"
    r"|__torch__(?!\.torch\.classes)(?:\.[A-Za-z_][A-Za-z0-9_]*)* [A-Za-z_][A-Za-z0-9_]*"
)


def check_pickle(where: str, content: bytes) -> None:
    """Raises ModelError for opcodes or names that a TorchScript module has no use for."""
    end = 0
    try:
        for count, (opcode, argument, place) in enumerate(pickletools.genops(content)):
            if opcode.name not in _OPCODES or count > MOST_OPCODES:
                raise ModelError(f"{where}: byte {place}: {opcode.name} is refused")
            if opcode.name == "GLOBAL" and not _GLOBALS.fullmatch(str(argument)):
                raise ModelError(f"{where}: byte {place}: the name {argument!r} is refused")
            end = (place or 0) + 1
    except (ValueError, UnicodeDecodeError, IndexError) as error:
        raise ModelError(f"{where}: cannot be understood: {error}") from error
    if end != len(content):
        raise ModelError(f"{where}: something lies behind its end")
