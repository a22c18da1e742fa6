"""ZIP archives of models: limits, names, and what is packed anew."""

from __future__ import annotations

import io
import warnings
import zipfile

import pytest
from model_tools import archive

from livem.consumers.models import archive as room
from livem.consumers.models.archive import pack, unpack
from livem.errors import ModelError


def zipped(
    members: list[tuple[str, bytes]], compression: int = zipfile.ZIP_STORED, comment: bytes = b""
) -> bytes:
    buffer = io.BytesIO()
    with warnings.catch_warnings(), zipfile.ZipFile(buffer, "w", compression) as file:
        warnings.simplefilter("ignore")  # of names that come twice
        for name, content in members:
            file.writestr(name, content)
        file.comment = comment
    return buffer.getvalue()


def test_members_come_without_their_folder_and_go_back_as_they_were():
    members = unpack("m.pt", archive())
    assert members["version"] == b"3\n"
    assert unpack("m.pt", pack(members)) == members


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "no ZIP archive"),
        (b"GIF89a", "no ZIP archive"),
        (archive()[:200], "cannot be read"),
        (b"PK\x03\x04" + archive(), "before its archive"),
        (zipped([("m/a", b"1"), ("m/a", b"2")]), "two members of one name"),
        (zipped([("m/a", b"1"), ("n/a", b"2")]), "2 folders"),
        (zipped([("m/../../a", b"1")]), "names are of letters"),
        (zipped([("/m/a", b"1")]), "names are of letters"),
        (zipped([("m/a b", b"1")]), "names are of letters"),
        (zipped([("m/a", b"1")], comment=b"more"), "comment"),
        (zipped([("m/a", bytes(1 << 20))], zipfile.ZIP_DEFLATED), "unpacks from"),
        (zipped([]), "no ZIP archive"),
    ],
)
def test_archives_that_no_model_has_are_refused(data, said):
    with pytest.raises(ModelError, match=said):
        unpack("m.pt", data)


def test_limits_hold(monkeypatch):
    data = zipped([(f"m/{i}", b"12345678") for i in range(20)])
    monkeypatch.setattr(room, "MOST_MEMBERS", 19)
    with pytest.raises(ModelError, match="20 members"):
        unpack("m.pt", data)
    monkeypatch.setattr(room, "MOST_MEMBERS", 20)
    monkeypatch.setattr(room, "MOST_BYTES", 100)
    with pytest.raises(ModelError, match="MiB"):
        unpack("m.pt", data)


def test_a_member_whose_bytes_are_damaged_is_found_by_its_checksum():
    data = bytearray(archive())
    place = data.index(b"torch.relu")
    data[place : place + 10] = b"torch.save"
    with pytest.raises(ModelError, match="cannot be read"):
        unpack("m.pt", bytes(data))
