"""Who works in a session: its edges of the ring and its processes, as values. Starts nothing."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..consumers.registry import BUILT_IN, create, default_policy, importable_from
from ..consumers.work.worker import WorkerOptions, run_worker
from ..kernel_cache import VARIABLE as CACHE_VARIABLE
from ..pipeline import ConsumerConfig, Pipeline
from ..stream.files.file_acquisition import split_key
from ..stream.hub import HubAddresses
from ..stream.ingest import AssemblerOptions, IngestOptions, run_ingest
from ..stream.policy import Policy
from ..stream.processes import ProcessSpec
from ..stream.ring import ReaderSpec, Ring
from ..stream.series import Series, SeriesKey
from ..stream.sources.plan import SourcePlan, plan_source
from .options import SessionOptions

RECORDER = "recorder"
KARABO = "karabo_out"
SMALL_ARCHIVE = 4 << 20
"""Bytes of an .npz that may be opened to see whether it can be."""
WARM_UP = tuple(Series(SeriesKey(bytes(8), 0), (256, 256), name) for name in ("uint8", "uint16", "uint32"))
"""What counting detectors send: compiled or loaded before READY; other types at their first series."""


def plan(pipeline: Pipeline, options: SessionOptions) -> SourcePlan:
    """How the frames come, from the url and what the pipeline says of keys. Raises SourceError."""
    source = pipeline.source
    keys = None
    if source.curve_key:
        from ..stream.curve import load_keys

        keys = load_keys(Path(source.curve_key), source.curve_allowed, source.curve_server or None)
    return plan_source(options.url, insecure_bind=options.insecure_bind, curve=keys)


def check(pipeline: Pipeline, plan: SourcePlan, url: str) -> None:
    """Look at what can be wrong without a detector: tables of analyses, a simulator's name, a file.

    What is left out is found by the process concerned, 1-2 s later: a simulator's specimen (0.3 s to make),
    an archive that only opens as a whole, a user's own class (it may claim a device), and every analysis as
    long as its kernels are not compiled.

    Raises
    ------
    PipelineError, SourceError
    """
    spec = plan.spec or (url if plan.ends else "")
    if spec.startswith("sim:"):
        from ..stream.simulate.catalogue import check_simulator

        check_simulator(spec)
    elif spec and not _opens_as_a_whole(spec):
        from ..stream.files.open_file import open_file

        open_file(spec)
    tables = [config for config in pipeline.consumers if config.params and config.type in BUILT_IN]
    if tables and _kernels_are_compiled():
        for config in tables:  # importing them takes 0.2 s and 60 MiB: only where there is something to check
            create(config.type, config.name, dict(config.params))


def _opens_as_a_whole(spec: str) -> bool:
    path, _ = split_key(spec)
    return path.suffix.lower() == ".npz" and path.is_file() and path.stat().st_size > SMALL_ARCHIVE


def _kernels_are_compiled() -> bool:
    """Whether loading an analysis takes a moment and not half a minute."""
    directory = os.environ.get(CACHE_VARIABLE, "")
    return bool(directory) and os.path.isdir(directory) and bool(os.listdir(directory))


def edges(pipeline: Pipeline, *, record: bool) -> list[ReaderSpec]:
    """The readers of the ring. Raises PipelineError for a consumer that does not exist."""
    with importable_from(_folder(pipeline)):
        readers = [ReaderSpec(config.name, config.policy or _policy(config)) for config in pipeline.consumers]
    return [*readers, recorder_edge()] if record else readers


def rows(edges: list[ReaderSpec]) -> list[ReaderSpec]:
    """What the ring has room for: a recorder too, where there is none yet."""
    has_one = any(edge.name == RECORDER for edge in edges)
    return edges if has_one else [*edges, recorder_edge(sleeps=True)]


def recorder_edge(*, sleeps: bool = False) -> ReaderSpec:
    """The recorder's; one that sleeps has no account until the recorder is started."""
    from ..stream.recording.recorder import PATIENCE_S

    return ReaderSpec(RECORDER, Policy("lossless"), PATIENCE_S, sleeps)


def _policy(config: ConsumerConfig) -> Policy:
    """Where the pipeline says none: one that takes others' results needs no frame of its own."""
    return Policy("latest") if config.inputs else default_policy(config.type)


def ingest(
    plan: SourcePlan, pipeline: Pipeline, addresses: HubAddresses, ring: Ring, tables: Path
) -> ProcessSpec:
    """The process that takes the frames in."""
    options = IngestOptions(
        make_source=plan.make_source,
        children_address=addresses.children,
        assembler=AssemblerOptions(
            max_latency_ns=int(pipeline.max_latency * 1e9),
            idle_timeout_ns=int(pipeline.source.idle_timeout * 1e9),
            default_scan=pipeline.scan,
        ),
        tables_folder=tables,
    )
    return ProcessSpec("ingest", run_ingest, (options, ring.writer_port()))


def workers(pipeline: Pipeline, addresses: HubAddresses, ring: Ring) -> Iterator[ProcessSpec]:
    """One process a consumer."""
    for config in pipeline.consumers:
        options = WorkerOptions(
            name=config.name,
            type=config.type,
            results_address=addresses.results,
            children_address=addresses.children,
            control_address=addresses.control,
            params=config.params,
            expected=WARM_UP,
            threads=config.threads,
            device=config.device,
            folder=_folder(pipeline),
        )
        yield ProcessSpec(config.name, run_worker, (options, ring.reader_port(config.name)))


def recorder(
    folder: Path, pipeline: Pipeline, addresses: HubAddresses, ring: Ring, notes: Path
) -> ProcessSpec:
    """The process that keeps the stream; ``notes`` is what one that dies leaves for the next."""
    from ..stream.recording.recorder import RecorderOptions, run_recorder

    options: dict[str, Any] = {
        "folder": str(folder.absolute()),
        "children_address": addresses.children,
        "compression": pipeline.record.compression,
        "continuous": pipeline.record.continuous,
        "name": RECORDER,
        "notes": str(notes),
    }
    return ProcessSpec(RECORDER, run_recorder, (RecorderOptions(**options), ring.reader_port(RECORDER)))


def karabo_out(address: str, addresses: HubAddresses, insecure: bool) -> ProcessSpec:
    """The process that offers results to karabo-bridge clients."""
    from ..stream.karabo_out import KaraboOutOptions, run_karabo_out

    options = KaraboOutOptions(
        bind=address,
        results=(addresses.control,),
        insecure_bind=insecure,
        children_address=addresses.children,
        name=KARABO,
    )
    return ProcessSpec(KARABO, run_karabo_out, (options,))


def _folder(pipeline: Pipeline) -> str | None:
    return None if pipeline.folder is None else str(pipeline.folder)
