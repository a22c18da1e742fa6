"""A model's file as members of a ZIP archive, within limits; knows no format of models.

Two programs may read a ZIP archive differently: what is taken here is written anew before it is loaded, so
that what was looked at is what runs.
"""

from __future__ import annotations

import io
import re
import struct
import zipfile
import zlib
from collections.abc import Iterable, Mapping

from ...errors import ModelError

MOST_BYTES = 1 << 30
"""Of a model, packed or not: weights of 250 million float32."""
MOST_MEMBERS = 20_000
MOST_RATIO = 200
"""Unpacked size over packed: text packs 5 to 20 times, a bomb 1,000 times."""
MOST_NAME = 512
_NAME = re.compile(r"[A-Za-z0-9_.\-]+(/[A-Za-z0-9_.\-]+)+")
_EPOCH = (1980, 1, 1, 0, 0, 0)
_LOCAL = b"PK\x03\x04"

Members = Mapping[str, bytes]
"""By their name below the archive's one folder."""


def unpack(where: str, data: bytes) -> Members:
    """The members of a model's archive.

    Raises
    ------
    ModelError
        No ZIP archive; too many, too large or encrypted members; names that leave the archive, come twice
        or lie in more than one folder; something before the archive.
    """
    if len(data) > MOST_BYTES:
        raise ModelError(f"{where}: {len(data) >> 20} MiB; a model may have {MOST_BYTES >> 20} MiB")
    if not data.startswith(_LOCAL):
        raise ModelError(
            f"{where}: no ZIP archive, which models of torch are; save it with torch.jit.save or "
            "torch.export.save"
        )
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if archive.comment:
                raise ModelError(f"{where}: the archive has a comment, which models of torch have not")
            infos = archive.infolist()
            _check_infos(where, infos)
            found = {info.filename: archive.read(info) for info in infos}
    # NotImplementedError is zipfile's own: of a compression, or a version of zip, that it does not know.
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, struct.error, ValueError) as error:
        raise ModelError(f"{where}: its archive cannot be read: {error}; copy it again") from error
    folders = {name.partition("/")[0] for name in found}
    if len(folders) != 1:
        raise ModelError(f"{where}: members in {len(folders)} folders; a model has one")
    return {name.partition("/")[2]: content for name, content in found.items()}


def pack(members: Members) -> bytes:
    """An archive of these members alone, as torch reads them: one folder, nothing compressed."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_STORED) as archive:
        for name, content in members.items():
            archive.writestr(zipfile.ZipInfo(f"archive/{name}", _EPOCH), content)
    return buffer.getvalue()


def _check_infos(where: str, infos: Iterable[zipfile.ZipInfo]) -> None:
    infos = list(infos)
    if not 0 < len(infos) <= MOST_MEMBERS:
        raise ModelError(f"{where}: {len(infos)} members; a model has 1 to {MOST_MEMBERS}")
    names = [info.filename for info in infos]
    if len(set(names)) < len(names):
        raise ModelError(f"{where}: two members of one name: no reader knows which one counts")
    if min(info.header_offset for info in infos) != 0:
        raise ModelError(f"{where}: something lies before its archive, which models of torch have not")
    total = 0
    for info in infos:
        name = info.filename
        if len(name) > MOST_NAME or not _NAME.fullmatch(name) or {"..", "."} & set(name.split("/")):
            raise ModelError(f"{where}: member {name[:80]!r}; names are of letters, digits and _ . - /")
        if info.flag_bits & 1:
            raise ModelError(f"{where}: member {name!r} is encrypted")
        total += info.file_size
        if total > MOST_BYTES:
            raise ModelError(f"{where}: unpacks to more than {MOST_BYTES >> 20} MiB")
        if info.file_size > MOST_RATIO * max(info.compress_size, 64):
            raise ModelError(
                f"{where}: member {name!r} unpacks from {info.compress_size} to {info.file_size} bytes; the "
                f"limit is {MOST_RATIO} times"
            )
