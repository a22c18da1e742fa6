"""SOURCE urls of detectors: ``scheme://host[:port][?key=value&key=value]``. Text in, values out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from urllib.parse import parse_qsl, urlsplit

from ...errors import SourceError


@dataclass(frozen=True, slots=True)
class DetectorUrl:
    """Where a detector is, and what the user says about how to read it."""

    scheme: str
    host: str
    port: int | None = None
    """None: the protocol's own."""
    query: Mapping[str, str] = field(default_factory=dict)

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        port = "" if self.port is None else f":{self.port}"
        return f"{self.scheme}://{host}{port}"

    def known(self, keys: tuple[str, ...]) -> Mapping[str, str]:
        """The query, if it has no other keys than these. Raises SourceError naming the nearest."""
        for key in self.query:
            if key not in keys:
                near = get_close_matches(key, keys, 1)
                hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(keys) or 'none'}"
                raise SourceError(f"{self} has no parameter {key!r}; {hint}")
        return self.query


def parse_detector_url(url: str) -> DetectorUrl:
    """Understand a detector's url. Raises SourceError with what is wrong and the form to use."""
    form = "write scheme://host:port, for example dectris://10.42.41.10:9999"
    try:
        split = urlsplit(url)
        port = split.port
        pairs = parse_qsl(split.query, keep_blank_values=True, strict_parsing=True) if split.query else []
    except ValueError as error:
        raise SourceError(f"{url!r} is no address: {error}; {form}") from error
    if not split.hostname or split.username or split.path not in ("", "/") or split.fragment or port == 0:
        raise SourceError(f"{url!r} is no detector's address; {form}")
    keys = [key for key, _ in pairs]
    twice = {key for key in keys if keys.count(key) > 1}
    if twice:
        raise SourceError(f"{url!r}: parameter {min(twice)!r} is given twice; give it once")
    return DetectorUrl(split.scheme, split.hostname, port, dict(pairs))
