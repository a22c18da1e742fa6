"""Trajectories as files for other programs: TrackMate's simple XML, Parquet. Knows columns, computes nothing.

The .csv of a table (`outputs`) has trackpy's column names already; what is here is written beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any
from xml.sax.saxutils import quoteattr

import numpy as np
import numpy.typing as npt

from .errors import MissingDependencyError

Columns = Mapping[str, npt.NDArray[Any]]


def write_trackmate(path: Path, columns: Columns, attrs: Mapping[str, Any]) -> Path:
    """Tracks as TrackMate exports and imports them (``Tracks > particle > detection``).

    Parameters
    ----------
    columns : ``frame``, ``particle``, ``y``, ``x`` (n,), px.
    attrs : ``pixel_size`` in ``pixel_unit``, ``frame_time`` in ``time_unit``: places are written in these.
    """
    size, unit = float(attrs.get("pixel_size", 1.0)), str(attrs.get("pixel_unit", "px"))
    time, time_unit = float(attrs.get("frame_time", 1.0)), str(attrs.get("time_unit", "frame"))
    order = np.lexsort((columns["frame"], columns["particle"]))
    ids, first = np.unique(columns["particle"][order], return_index=True)
    with path.open("w", encoding="utf-8") as file:
        file.write('<?xml version="1.0" encoding="UTF-8"?>\n')
        file.write(
            f'<Tracks nTracks="{len(ids)}" spaceUnits={quoteattr(unit)} frameInterval="{time!r}" '
            f'timeUnits={quoteattr(time_unit)} from="livem">\n'
        )
        for rows in np.split(order, first[1:]) if len(ids) else ():
            file.write(f'  <particle nSpots="{len(rows)}">\n')
            places = zip(
                columns["frame"][rows].tolist(),
                (columns["x"][rows] * size).tolist(),
                (columns["y"][rows] * size).tolist(),
                strict=True,
            )
            for frame, x, y in places:
                file.write(f'    <detection t="{frame}" x="{x!r}" y="{y!r}" z="0.0" />\n')
            file.write("  </particle>\n")
        file.write("</Tracks>\n")
    return path


def write_parquet(path: Path, columns: Columns, attrs: Mapping[str, Any]) -> Path:
    """All columns, with what is said of them as metadata of the file.

    Raises
    ------
    MissingDependencyError
        Without pyarrow.
    """
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError as error:
        raise MissingDependencyError(
            'Parquet files need pyarrow: pip install "livem[parquet]", or leave parquet out of files'
        ) from error
    said = {str(key): str(value) for key, value in attrs.items()}
    table = pyarrow.table({name: pyarrow.array(column) for name, column in columns.items()})
    parquet.write_table(table.replace_schema_metadata(said), path)
    return path


WRITERS: Mapping[str, tuple[str, Callable[[Path, Columns, Mapping[str, Any]], Path]]] = {
    "trackmate": (".trackmate.xml", write_trackmate),
    "parquet": (".parquet", write_parquet),
}
"""Suffix and writer by the word that a pipeline file says."""
