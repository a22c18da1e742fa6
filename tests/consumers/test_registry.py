"""Consumers by name, by entry point and by module:Class; wrong names get the nearest one."""

from __future__ import annotations

import subprocess
import sys
from importlib.metadata import EntryPoint, EntryPoints

import pytest

from livem.consumers import registry
from livem.consumers.preview import Preview
from livem.consumers.registry import begins_on, consumer_class, consumer_types, create
from livem.errors import PipelineError


def test_built_in_types_make_their_consumers():
    for name in registry.BUILT_IN:
        assert consumer_class(name).type_name == name
    preview = create("preview", "live", {"max_size": 64})
    assert (type(preview), preview.name) == (Preview, "live")


def test_a_class_of_the_users_own():
    assert consumer_class("livem.consumers.preview:Preview") is Preview


def test_entry_points_of_other_packages(monkeypatch):
    entry = EntryPoint("mine", "livem.consumers.preview:Preview", registry.GROUP)
    monkeypatch.setattr(registry, "entry_points", lambda group: EntryPoints([entry]))
    assert "mine" in consumer_types()
    assert consumer_class("mine") is Preview


@pytest.mark.parametrize(
    ("type_name", "params", "words"),
    [
        ("previw", {}, r"'previw'; did you mean 'preview'"),
        ("xyz", {}, r"'xyz'; it may be: denoise, inpaint, preview, torchscript, track, virtual_detectors"),
        ("no.such.module:Thing", {}, r"cannot be loaded.*no\.such|No module"),
        ("livem.consumers.preview:Nothing", {}, "cannot be loaded.*Nothing"),
        ("livem.errors:PipelineError", {}, "must be a livem.consumers.base.Consumer"),
        (":", {}, "cannot be loaded"),
        ("preview", {"maxsize": 3}, r"'live' \(preview\).*'maxsize'; did you mean 'max_size'"),
        ("preview", {"name": "other"}, "'name'"),
        ("preview", {"max_size": 3}, "max_size = 3"),
        ("virtual_detectors", {"zzz": 3}, "'zzz'; it may be: detectors"),
    ],
)
def test_mistakes_are_named(type_name, params, words):
    with pytest.raises(PipelineError, match=words):
        create(type_name, "live", params)


def test_listing_the_types_imports_no_numba():
    code = (
        "import sys; from livem.consumers.registry import consumer_types; consumer_types(); "
        "sys.exit('numba' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_whether_a_stage_begins_on_is_no_parameter_of_its_consumer():
    assert "enabled" not in create("preview", "live", {"enabled": False, "max_size": 64}).parameters()
    assert not begins_on({"enabled": False})
    assert begins_on({})
    assert begins_on({"enabled": True})
    with pytest.raises(PipelineError, match="enabled = 'no'; it must be true or false"):
        create("preview", "live", {"enabled": "no"})
