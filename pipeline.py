"""The pipeline file: what a session listens to and what it computes, checked before anything starts.

TOML in, frozen values out. Knows names and limits; starts nothing.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from .errors import PipelineError
from .kernels.device import check_wanted
from .stream.messages import Limits
from .stream.policy import Policy
from .stream.series import MAX_DIM, ORDERS, Scan

MAX_CONSUMERS = 16
MAX_THREADS = 64
EDGE_KEYS = ("name", "type", "policy", "threads", "device")
"""Keys of a consumer's table that are not its own."""
INPUT = "input"
"""Key of a consumer's table with the topic, or topics, of others that it takes instead of frames."""
PATH_KEYS = ("path", "curve_key", "truth", "models")
"""Values that are files: relative to the pipeline file."""
COMPRESSIONS = ("as_received", "bslz4")
RESERVED_NAMES = frozenset(
    {"status", "heartbeat", "ingest", "sender", "viewer", "recorder", "karabo_out", "relay"}
)


@dataclass(frozen=True, slots=True)
class ConsumerConfig:
    """One ``[[consumers]]`` table."""

    name: str
    type: str
    policy: Policy | None = None
    """None: the consumer's own default."""
    params: Mapping[str, Any] = field(default_factory=dict)
    threads: int = 0
    """That reduce its frames; 0 = the machine's cores less one, at most 4."""
    device: str = "auto"
    """That they reduce them on: auto (a GPU where there is one), cpu or cuda."""

    @property
    def inputs(self) -> tuple[str, ...]:
        """Topics of other consumers that it takes instead of frames."""
        value = self.params.get(INPUT, ())
        return (value,) if isinstance(value, str) else tuple(value)


@dataclass(frozen=True, slots=True)
class SourceConfig:
    """The ``[source]`` table."""

    url: str | None = None
    idle_timeout: float = 10.0
    """Seconds without a frame after which an open series is closed as incomplete."""
    wait: float = 60.0
    """Seconds that a run without a window waits for its first series."""
    insecure_bind: bool = False
    curve_key: str = ""
    """File with livem's own CURVE keys (NAME.key_secret); empty = no encryption."""
    curve_allowed: tuple[str, ...] = ()
    """Public keys (Z85) of the senders that may connect, when livem binds."""
    curve_server: str = ""
    """Public key of the sender, when livem connects."""


@dataclass(frozen=True, slots=True)
class RecordConfig:
    """The ``[record]`` table."""

    compression: str = "as_received"
    """"bslz4" compresses raw streams; encoded ones are always kept as they came."""
    continuous: bool = True
    """False: nothing is kept until recording is switched on, or the last seconds are asked for."""


@dataclass(frozen=True, slots=True)
class Pipeline:
    """A whole pipeline file."""

    source: SourceConfig = SourceConfig()
    scan: Scan | None = None
    """Only where the stream does not say."""
    record: RecordConfig = RecordConfig()
    arm: Mapping[str, str] = field(default_factory=dict)
    """What ``--arm`` sets at the detector; names are the detector's own."""
    ring_bytes: int | None = None
    """None: chosen from the memory that is there."""
    max_latency: float = 0.005
    """Seconds that a frame waits at most for others to share its block."""
    consumers: tuple[ConsumerConfig, ...] = (
        ConsumerConfig("preview", "preview"),
        ConsumerConfig("vd", "virtual_detectors"),
    )
    folder: Path | None = None
    """Where the file lies: ``module:Class`` is looked for there too, and mask files are relative to it."""


def load(path: Path) -> Pipeline:
    """Read and check a pipeline file. Raises PipelineError with the file, the key and the next step."""
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise PipelineError(f"pipeline file {str(path)!r} does not exist; give its path after -p") from error
    except (OSError, UnicodeDecodeError) as error:
        raise PipelineError(f"pipeline file {str(path)!r} cannot be read: {error}") from error
    except tomllib.TOMLDecodeError as error:
        raise PipelineError(f"pipeline file {str(path)!r} is not TOML: {error}") from error
    folder = path.resolve().parent
    try:
        return replace(parse(_with_absolute_paths(data, folder)), folder=folder)
    except PipelineError as error:
        raise PipelineError(f"pipeline file {str(path)!r}: {error}") from error


def _with_absolute_paths(value: Any, folder: Path) -> Any:
    """The same tables, with every PATH_KEYS value in them taken from the folder of the pipeline file."""
    if isinstance(value, list):
        return [_with_absolute_paths(item, folder) for item in value]
    if not isinstance(value, dict):
        return value
    return {
        key: str(folder / item)
        if key in PATH_KEYS and isinstance(item, str) and item
        else _with_absolute_paths(item, folder)
        for key, item in value.items()
    }


def parse(data: Mapping[str, Any]) -> Pipeline:
    """Check a pipeline given as a mapping. Raises PipelineError."""
    _known(data, ("source", "scan", "ring", "record", "arm", "consumers"), "pipeline")
    ring = _table(data, "ring")
    _known(ring, ("bytes", "max_latency"), "[ring]")
    values: dict[str, Any] = {
        "source": _source(_table(data, "source")),
        "scan": _scan(_table(data, "scan")) if "scan" in data else None,
        "ring_bytes": int(_number(ring, "bytes", "[ring]", 1 << 20, 1 << 40)) if "bytes" in ring else None,
        "max_latency": _number(ring, "max_latency", "[ring]", 0.0005, 1.0, 0.005),
    }
    values["record"] = _record(_table(data, "record"))
    values["arm"] = {key: _setting(key, value) for key, value in _table(data, "arm").items()}
    if "consumers" in data:
        values["consumers"] = _consumers(data["consumers"])
    return Pipeline(**values)


def unknown_key(key: str, known: Sequence[str], where: str) -> PipelineError:
    """The error for a key that does not exist; names the nearest one."""
    near = get_close_matches(key, known, 1, cutoff=0.5)
    hint = f"did you mean {near[0]!r}?" if near else f"known keys: {', '.join(known)}"
    return PipelineError(f"unknown key {key!r} in {where}; {hint}")


def _known(table: Mapping[str, Any], known: Sequence[str], where: str) -> None:
    for key in table:
        if key not in known:
            raise unknown_key(key, known, where)


def _table(data: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    table = data.get(name, {})
    if not isinstance(table, dict):
        raise PipelineError(f"{name!r} is {table!r}; it must be a table: [{name}]")
    return table


def _number(
    table: Mapping[str, Any], key: str, where: str, low: float, high: float, default: float = 0.0
) -> float:
    value = table.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise PipelineError(f"{key!r} in {where} is {value!r}; it must be a number from {low:g} to {high:g}")
    return float(value)


def _whole(table: Mapping[str, Any], key: str, where: str, low: int, high: int, default: int) -> int:
    value = table.get(key, default)
    if type(value) is not int or not low <= value <= high:
        raise PipelineError(
            f"{key!r} in {where} is {value!r}; it must be a whole number from {low} to {high}"
        )
    return value


def _source(table: Mapping[str, Any]) -> SourceConfig:
    _known(table, [item.name for item in fields(SourceConfig)], "[source]")
    url, insecure = table.get("url"), table.get("insecure_bind", False)
    if url is not None and not isinstance(url, str):
        raise PipelineError(f"'url' in [source] is {url!r}; it must be a text such as \"tcp://host:port\"")
    if not isinstance(insecure, bool):
        raise PipelineError(f"'insecure_bind' in [source] is {insecure!r}; it must be true or false")
    return SourceConfig(
        url,
        _number(table, "idle_timeout", "[source]", 0.1, 86_400, 10.0),
        _number(table, "wait", "[source]", 0.1, 86_400 * 365, 60.0),
        insecure,
        *_curve(table),
    )


def _curve(table: Mapping[str, Any]) -> tuple[str, tuple[str, ...], str]:
    key, allowed, server = (
        table.get("curve_key", ""),
        table.get("curve_allowed", []),
        table.get("curve_server", ""),
    )
    for name, value in (("curve_key", key), ("curve_server", server)):
        if not isinstance(value, str):
            raise PipelineError(f"{name!r} in [source] is {value!r}; it must be a text")
    if not isinstance(allowed, list) or not all(isinstance(k, str) and len(k) == 40 for k in allowed):
        raise PipelineError(
            f"'curve_allowed' in [source] is {allowed!r}; it must be a list of public keys of 40 characters"
        )
    if not key and (allowed or server):
        raise PipelineError("'curve_allowed' and 'curve_server' in [source] need 'curve_key' beside them")
    return key, tuple(allowed), server


def _record(table: Mapping[str, Any]) -> RecordConfig:
    _known(table, ("compression", "continuous"), "[record]")
    compression, continuous = table.get("compression", "as_received"), table.get("continuous", True)
    if compression not in COMPRESSIONS:
        raise PipelineError(
            f"'compression' in [record] is {compression!r}; it must be one of {', '.join(COMPRESSIONS)}"
        )
    if not isinstance(continuous, bool):
        raise PipelineError(f"'continuous' in [record] is {continuous!r}; it must be true or false")
    return RecordConfig(compression, continuous)


def _setting(key: str, value: Any) -> str:
    """A value of [arm] as the detector's control port takes it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str | int | float):
        raise PipelineError(f"{key!r} in [arm] is {value!r}; it must be a text or a number")
    return str(value)


def _scan(table: Mapping[str, Any]) -> Scan:
    _known(table, ("shape", "order", "skip", "repeats"), "[scan]")
    shape = table.get("shape")
    if (
        not isinstance(shape, list)
        or len(shape) != 2
        or not all(type(n) is int and 1 <= n <= MAX_DIM for n in shape)
    ):
        raise PipelineError(
            f"'shape' in [scan] is {shape!r}; it must be [ny, nx], two whole numbers from 1 to {MAX_DIM}"
        )
    order = table.get("order", "raster")
    if order not in ORDERS or order == "positions":
        raise PipelineError(
            f"'order' in [scan] is {order!r}; it must be raster or serpentine "
            "(positions come with the stream)"
        )
    limit = Limits().max_scan_pixels
    if shape[0] * shape[1] > limit:
        raise PipelineError(
            f"'shape' in [scan] is {shape!r}: {shape[0] * shape[1]:,} pixels; there may be at most {limit:,}"
        )
    skip = _whole(table, "skip", "[scan]", 0, 1 << 20, 0)
    repeats = _whole(table, "repeats", "[scan]", 0, 1 << 40, 1)
    return Scan((shape[0], shape[1]), order, skip, repeats)


def _consumers(tables: Any) -> tuple[ConsumerConfig, ...]:
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        raise PipelineError("'consumers' must be a list of tables: [[consumers]]")
    if not 1 <= len(tables) <= MAX_CONSUMERS:
        raise PipelineError(f"{len(tables)} [[consumers]]; there must be 1 to {MAX_CONSUMERS}")
    consumers = tuple(_consumer(table) for table in tables)
    names = [consumer.name for consumer in consumers]
    twice = {name for name in names if names.count(name) > 1}
    if twice:
        raise PipelineError(f"consumer name {min(twice)!r} is used twice; names must differ")
    for i, consumer in enumerate(consumers):
        _check_inputs(consumer, names, names[:i])
    return consumers


def _check_inputs(consumer: ConsumerConfig, names: Sequence[str], before: Sequence[str]) -> None:
    """Inputs are topics of consumers that come earlier in the file, so that none waits for itself."""
    for topic in consumer.inputs:
        source, _, output = topic.partition(".")
        here = f"{INPUT!r} of consumer {consumer.name!r} is {topic!r}"
        if not (source and output):
            raise PipelineError(f'{here}; it must be a consumer and its output: "vd.haadf"')
        if source not in names:
            near = get_close_matches(source, names, 1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(names)}"
            raise PipelineError(f"{here}: there is no consumer {source!r}; {hint}")
        if source not in before:
            raise PipelineError(f"{here}: {source!r} must come before it in the file")


def _check_input(value: Any, name: str) -> None:
    texts = value if isinstance(value, list) else [value]
    if not all(isinstance(one, str) for one in texts):
        raise PipelineError(
            f"{INPUT!r} of consumer {name!r} is {value!r}; "
            'it must be a topic such as "vd.haadf", or a list of them'
        )


def _consumer(table: Mapping[str, Any]) -> ConsumerConfig:
    for key in ("name", "type"):
        if not isinstance(table.get(key), str):
            raise PipelineError(
                f"each of the [[consumers]] needs {key!r}, a text; one has {table.get(key)!r}"
            )
    name = table["name"]
    if not name.isidentifier() or name in RESERVED_NAMES or len(name) > 40:
        raise PipelineError(
            f"consumer name {name!r} must be letters, digits and _, at most 40, and none of "
            f"{', '.join(sorted(RESERVED_NAMES))}"
        )
    policy = table.get("policy")
    if policy is not None and not isinstance(policy, str):
        raise PipelineError(f"'policy' of consumer {name!r} is {policy!r}; it must be a text")
    threads = _whole(table, "threads", f"consumer {name!r}", 0, MAX_THREADS, 0)
    device = table.get("device", "auto")
    check_wanted(device, f"consumer {name!r}")
    _check_input(table.get(INPUT, []), name)
    params = {key: value for key, value in table.items() if key not in EDGE_KEYS}
    parsed = Policy.parse(policy) if policy else None
    return ConsumerConfig(name, table["type"], parsed, params, threads, device)
