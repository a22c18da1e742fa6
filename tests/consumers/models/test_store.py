"""The store: what was added, as it was added, and nothing else."""

from __future__ import annotations

import hashlib

import pytest
from model_tools import archive, code, manifest, write

from livem.consumers.models import shipped
from livem.consumers.models import store as room
from livem.consumers.models.store import VARIABLE, Store
from livem.errors import ModelError


@pytest.fixture(autouse=True)
def _none_shipped(tmp_path, monkeypatch):
    (tmp_path / "shipped").mkdir()
    monkeypatch.setattr(shipped, "FOLDER", tmp_path / "shipped")


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "store")


def ship(name: str) -> None:
    """Put a model among those that come with livem."""
    write(shipped.FOLDER, archive(), manifest(name), name)
    lines = (
        f"{hashlib.sha256((shipped.FOLDER / file).read_bytes()).hexdigest()}  {file}\n"
        for file in (f"{name}.pt", f"{name}.toml")
    )
    (shipped.FOLDER / f"{name}.sha256").write_text("".join(lines))


def test_a_model_is_copied_with_its_manifest_and_its_hash(store, tmp_path):
    data = archive()
    file = write(tmp_path / "in", data, manifest())
    entry = store.add(file)
    file.unlink()
    assert store.names() == ["tiny"]
    assert entry == store.find("tiny") == next(iter(store))
    assert entry.sha256 == hashlib.sha256(data).hexdigest()
    assert entry.manifest.version == "1"
    assert entry.load().archive
    store.remove("tiny")
    assert store.names() == []


def test_the_archive_may_bring_its_manifest(store, tmp_path):
    file = write(tmp_path, archive(more={"extra/livem.toml": manifest("inside").encode()}), "")
    file.with_suffix(".toml").unlink()
    assert store.add(file).name == "inside"
    assert store.add(file, "other").name == "other"


def test_a_model_that_was_changed_does_not_load(store, tmp_path):
    entry = store.add(write(tmp_path, archive(), manifest()))
    entry.path.write_bytes(archive(code("return torch.neg(x)")))
    with pytest.raises(ModelError, match="somebody has changed it"):
        store.find("tiny").load()
    (entry.path.parent / "manifest.toml").write_text(manifest(input="frames = 2"))
    with pytest.raises(ModelError, match="manifest was changed"):
        store.find("tiny")


def test_refused_models_leave_nothing_behind(store, tmp_path):
    with pytest.raises(ModelError, match="save"):
        store.add(write(tmp_path, archive(code('torch.save(x, "/tmp/x")', "return x")), manifest()))
    with pytest.raises(ModelError, match="frames"):
        store.add(write(tmp_path, archive(), manifest(input="frames = 0")))
    assert not store.folder.exists()


def test_names_are_found_or_the_nearest_is_named(store, tmp_path):
    file = write(tmp_path, archive(), manifest("denoiser"))
    file = file.rename(tmp_path / "tiny2.pt")
    with pytest.raises(ModelError, match=r"write tiny2\.toml beside it"):
        store.add(file)
    store.add(write(tmp_path, archive(), manifest("denoiser")))
    with pytest.raises(ModelError, match="did you mean 'denoiser'"):
        store.find("denoisr")
    with pytest.raises(ModelError, match="there already"):
        store.add(tmp_path / "tiny.pt")
    with pytest.raises(ModelError, match="letters, digits"):
        store.find("../denoiser")
    with pytest.raises(ModelError, match="cannot be read"):
        store.add(tmp_path / "nowhere.pt")
    with pytest.raises(ModelError, match="no model 'x'"):
        store.remove("x")


@pytest.mark.parametrize("text", ["", "[]", '{"suffix": ".so", "sha256": "", "bytes": 1}'])
def test_a_damaged_record_says_so(store, tmp_path, text):
    entry = store.add(write(tmp_path, archive(), manifest()))
    (entry.path.parent / "record.json").write_text(text)
    with pytest.raises(ModelError, match="add it again"):
        store.find("tiny")


def test_the_folder_is_the_users_or_what_the_environment_says(monkeypatch, tmp_path):
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    assert room.folder() == tmp_path
    monkeypatch.delenv(VARIABLE)
    assert room.folder().name == "models"


def test_models_that_come_with_livem_are_there_without_being_added(store, tmp_path):
    ship("given")
    assert store.names() == ["given"]
    entry = store.find("given")
    assert entry.shipped
    assert entry.load().archive
    with pytest.raises(ModelError, match="cannot be removed"):
        store.remove("given")
    with pytest.raises(ModelError, match="comes with livem"):
        store.add(write(tmp_path, archive(), manifest("given")))
    own = store.add(write(tmp_path, archive(), manifest()))
    assert not own.shipped
    assert store.names() == ["given", "tiny"]


def test_a_shipped_model_that_was_changed_does_not_load(store):
    ship("given")
    (shipped.FOLDER / "given.pt").write_bytes(archive(code("return torch.neg(x)")))
    with pytest.raises(ModelError, match="somebody has changed it; install livem again"):
        store.find("given").load()
    (shipped.FOLDER / "given.toml").write_text(manifest("given", input="frames = 2"))
    with pytest.raises(ModelError, match="manifest was changed"):
        store.find("given")
    (shipped.FOLDER / "given.sha256").write_text("")
    with pytest.raises(ModelError, match="record is damaged"):
        store.find("given")
