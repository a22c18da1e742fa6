"""``livem model``: the store of models that may run in a session, and what one of them has learnt there."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from . import options as opt

if TYPE_CHECKING:
    from ..consumers.models.store import Entry

KEEP_S = 30.0
"""For a model of 1 GiB to be looked at and written."""


@click.group()
def command() -> None:
    """Keep models that run on frames: add, list, show, remove; keep what one has learnt; train those that
    come with livem.

    A model runs only from the store, and only as it was added (SHA-256). Adding looks at its operators and
    refuses files, networks and whatever is not known; nothing of it runs.

    \b
    Examples:
      livem model add denoiser.pt
      livem model list
    """


@command.command()
@click.argument("file", type=opt.FILE)
@click.option("--name", help="Its name in the store; default: what its manifest says.")
@opt.as_json
def add(file: Path, name: str | None, as_json: bool) -> None:
    """Look at a model and keep a copy: .pt (TorchScript), .pt2 (torch.export) or .onnx.

    Its manifest is the same file with the suffix .toml, or livem.toml in the archive's extra files (in the
    metadata of a .onnx).
    """
    from ..consumers.models.store import Store

    _show(Store().add(file, name), as_json)


@command.command("list")
@opt.as_json
def list_models(as_json: bool) -> None:
    """Show which models there are."""
    from ..consumers.models.store import Store

    store = Store()
    entries = list(store)
    if as_json:
        from .exits import print_json

        print_json({"folder": str(store.folder), "models": [_facts(entry) for entry in entries]})
        return
    for entry in entries:
        about, origin = entry.manifest, "  shipped" if entry.shipped else ""
        click.echo(f"{entry.name:<24}{about.version:<12}{about.output.kind:<10}{entry.sha256[:12]}{origin}")
    if all(entry.shipped for entry in entries):
        click.echo(f"no models in {store.folder}; add one with `livem model add FILE`")


@command.command()
@click.argument("name")
@opt.as_json
def show(name: str, as_json: bool) -> None:
    """Show a model's manifest, and check that its file is as it was added."""
    from ..consumers.models.store import Store

    entry = Store().find(name)
    entry.load()
    _show(entry, as_json)


@command.command()
@click.argument("name")
@opt.as_json
def remove(name: str, as_json: bool) -> None:
    """Delete a model from the store."""
    from ..consumers.models.store import Store

    Store().remove(name)
    if as_json:
        from .exits import print_json

        print_json({"removed": name})
    else:
        click.echo(f"{name}: removed")


@command.command()
@click.argument("consumer")
@click.argument("name")
@click.argument("address", required=False)
@opt.as_json
def keep(consumer: str, name: str, address: str | None, as_json: bool) -> None:
    """Keep the weights that CONSUMER of a running session has learnt, as a model NAME of the store.

    ADDRESS is the control address that the session printed; without it the newest session of this machine,
    in whose store the model is kept. The card that `livem model show NAME` names says what it was adapted
    from.

    \b
    Example:
      livem model keep clean our-particles
    """
    from ..stream.control import ControlClient
    from .view import newest_session

    request = {"do": "set", "consumer": consumer, "name": "keep", "value": name}
    with ControlClient(address or newest_session()) as client:
        client.request(request, timeout=KEEP_S)
    if as_json:
        from .exits import print_json

        print_json({"kept": name, "consumer": consumer})
    else:
        click.echo(f"{name}: kept; `livem model show {name}`")


@command.command()
@click.argument("name")
@click.option(
    "--minutes", type=click.FloatRange(min=0, min_open=True), help="End after this time at the latest."
)
@click.option("--device", default="cpu", show_default=True, help="cpu, cuda or cuda:N.")
@click.option(
    "--out", type=opt.DIRECTORY, required=True, help="Folder for the model, its manifest and its SHA-256."
)
def train(name: str, minutes: float | None, device: str, out: Path) -> None:
    """Train a model that comes with livem anew, on simulated data.

    The same seeds each time: without --minutes the same weights come out on the same processor and torch.

    \b
    Example:
      livem model train movie-denoiser --out trained
    """
    import math
    from importlib import import_module

    from ..consumers.models import training

    if name not in training.RECIPES:
        raise click.UsageError(f"no recipe {name!r}; there are: {', '.join(training.RECIPES)}")
    recipe = import_module(training.RECIPES[name], training.__name__)
    sha256 = recipe.make(out, minutes or math.inf, device, click.echo)
    click.echo(f"{out / name}.pt: SHA-256 {sha256}")


def _show(entry: Entry, as_json: bool) -> None:
    if as_json:
        from .exits import print_json

        print_json(_facts(entry))
        return
    click.echo(f"{entry.name}: {entry.bytes / 2**20:,.2f} MiB, SHA-256 {entry.sha256}")
    for key, value in _facts(entry)["manifest"].items():
        told = (
            ", ".join(f"{k} {v}" for k, v in value.items() if v is not None)
            if isinstance(value, dict)
            else value
        )
        if told:
            click.echo(f"  {key:<15}{told}")
    if entry.card is not None:
        click.echo(f"  {'card':<15}{entry.card}")


def _facts(entry: Entry) -> dict[str, Any]:
    from dataclasses import asdict

    return {
        "name": entry.name,
        "path": str(entry.path),
        "sha256": entry.sha256,
        "shipped": entry.shipped,
        "adapted_from": entry.adapted_from,
        "bytes": entry.bytes,
        "manifest": asdict(entry.manifest),
    }
