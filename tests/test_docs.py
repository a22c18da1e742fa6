"""The documentation is complete and leads somewhere: every word of the program, every link."""

from __future__ import annotations

import inspect
import re
from dataclasses import fields
from pathlib import Path

import pytest

from livem.cli import COMMANDS
from livem.consumers.denoise import Denoise
from livem.consumers.inpaint import Inpaint
from livem.consumers.preview import Preview
from livem.consumers.registry import BUILT_IN
from livem.consumers.sparse.options import OPTIONS
from livem.consumers.torchscript import TorchScript
from livem.consumers.track import Track
from livem.consumers.virtual.detectors import KEYS
from livem.consumers.virtual_detectors import VirtualDetectors
from livem.pipeline import ConsumerConfig, RecordConfig, SourceConfig, parse
from livem.stream.messages import Reason
from livem.stream.ring_layout import DROP_REASONS
from livem.stream.series import DTYPES, ENCODINGS, ORDERS, Scan

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md", ROOT / "CHANGELOG.md", *sorted((ROOT / "docs").rglob("*.md"))]
LINK = re.compile(r"\[[^\]]*\]\(([^)#\s]+)\)")


def page(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def missing(words: object, name: str) -> set[str]:
    """Words that a page does not show as code."""
    shown = set(
        re.findall(r"[A-Za-z_0-9]+", " ".join(re.findall(r"`[^`]*`|```.*?```", page(name), re.DOTALL)))
    )
    return {str(word) for word in words} - shown  # type: ignore[attr-defined]


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    links = [link for link in LINK.findall(path.read_text(encoding="utf-8")) if "://" not in link]
    broken = [link for link in links if not (path.parent / link).exists()]
    assert not broken


def test_the_accounting_page_explains_every_reason() -> None:
    assert not missing([*Reason, *DROP_REASONS], "docs/accounting.md")


def test_the_pipeline_page_names_every_key() -> None:
    names = {
        field.name for kind in (SourceConfig, Scan, RecordConfig, ConsumerConfig) for field in fields(kind)
    }
    for consumer in (Preview, VirtualDetectors, Inpaint, Denoise, TorchScript, Track):
        names |= set(inspect.signature(consumer).parameters)
    names |= {*BUILT_IN, *KEYS, *(key for keys in KEYS.values() for key in keys)}
    assert not missing(names - {"params"}, "docs/pipeline.md")


def test_the_examples_pipeline_has_every_key_of_its_tables() -> None:
    text = page("examples/pipeline.toml")
    for kind in (SourceConfig, Scan):
        for field in fields(kind):
            assert re.search(rf"^{field.name} = ", text, re.MULTILINE), field.name
    assert "\nbytes = " in text
    assert "\nmax_latency = " in text


def test_the_sparse_example_has_every_parameter_that_can_be_changed() -> None:
    text = page("examples/sparse.toml")
    assert not [name for name in OPTIONS if not re.search(rf"^{name} = ", text, re.MULTILINE)]


def test_the_wire_page_names_every_type_encoding_and_order() -> None:
    text = page("docs/wire.md")
    assert not [name for name in (*DTYPES, *ENCODINGS, *ORDERS) if name not in text]


def test_the_readme_names_every_command() -> None:
    text = page("README.md")
    assert not [name for name in COMMANDS if f"`livem {name}" not in text]


@pytest.mark.parametrize("path", sorted((ROOT / "docs/decisions").glob("*.md")), ids=lambda path: path.stem)
def test_decisions_are_numbered_and_have_their_parts(path: Path) -> None:
    lines = path.read_text(encoding="utf-8").splitlines()
    assert lines[0].startswith(f"# {path.stem[:4]} ")
    assert [line for line in lines if line.startswith("## ")] == [
        "## Context",
        "## Decision",
        "## Consequences",
    ]
    assert len(lines) <= 80


def test_the_defaults_that_the_pipeline_page_tells_are_those_of_the_program() -> None:
    text = page("docs/pipeline.md")
    pipeline = parse({})
    for key, value in (
        ("idle_timeout", pipeline.source.idle_timeout),
        ("wait", pipeline.source.wait),
        ("max_latency", pipeline.max_latency),
        ("max_size", Preview("p").parameters()["max_size"]),
        ("trace_length", Preview("p").parameters()["trace_length"]),
    ):
        assert f"| `{key}` | {value} |" in text
