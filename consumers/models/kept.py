"""Weights that a model has learnt from a stream, kept in the store as a model of their own.

The adapter saved them as the file that torch makes; here it is looked at as any other file, and what passed
is what is kept. It has a SHA-256, a manifest, and a card that says what it was adapted from.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from datetime import UTC, datetime

from ...errors import ModelError
from .adapting import Adapted
from .manifest import MOST_TEXT
from .scan import scan
from .store import Entry, Store

CARD = """# {name} {version}

{entry.name} {entry.manifest.version}, which has gone on learning from the frames of a stream (Noise2Noise,
docs/models.md).

| | |
|---|---|
| SHA-256 | `{sha256}` |
| adapted from | {entry.name} {entry.manifest.version}, SHA-256 `{entry.sha256}` |
| by | {adapted.steps:,} steps; weights `{adapted.sha256}` |
| held-out | {adapted.decibels:+.2f} ± {adapted.error:.2f} dB over {entry.name}, on frames of that stream |
| stream | {seen} |
| kept | {day:%Y-%m-%d %H:%M} UTC |
| licence | {entry.manifest.licence} |

Before that: {entry.manifest.training}.

It has learnt what that stream showed. Of another specimen, dose or magnification it may make less than
{entry.name} does; `adapt = true` finds out, and goes on from here.
"""


def keep(store: Store, entry: Entry, adapted: Adapted, name: object, seen: str) -> Entry:
    """Put adapted weights into the store.

    Parameters
    ----------
    entry : the model that they were adapted from.
    adapted : of weights in use.
    name : of the new model.
    seen : the stream, in words.

    Raises
    ------
    ModelError
        The weights are the model's own, the name is none or is taken, or the file cannot be written.
    """
    if not adapted.steps:
        raise ModelError(f"model {entry.name!r} runs with its own weights: there is nothing to keep yet")
    if not isinstance(name, str):
        raise ModelError(f"keep = {name!r}; give the name of a new model")
    suffix = entry.path.suffix
    archive = scan(f"model {name!r}", adapted.archive, suffix).archive
    origin = f"{entry.name} {entry.sha256[:12]} by {adapted.steps:,} steps"
    manifest = replace(
        entry.manifest,
        name=name,
        version=f"{entry.manifest.version}+{adapted.steps}",
        training=f"adapted from {origin}, on {seen}; before: {entry.manifest.training}"[:MOST_TEXT],
    )
    sha256 = hashlib.sha256(archive).hexdigest()
    facts = {"name": name, "version": manifest.version, "sha256": sha256, "seen": seen}
    card = CARD.format(entry=entry, adapted=adapted, day=datetime.now(UTC), **facts)
    return store.put(name, archive, suffix, manifest.toml().encode(), card=card, adapted_from=origin)
