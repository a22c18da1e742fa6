"""Trajectories as files for other programs: TrackMate's XML, Parquet. Knows columns, computes nothing.

The .csv of a table (`outputs`) has trackpy's column names already; what is here is written beside it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any, TextIO
from xml.sax.saxutils import quoteattr

import numpy as np
import numpy.typing as npt

from .errors import MissingDependencyError

Columns = Mapping[str, npt.NDArray[Any]]


def write_trackmate(path: Path, columns: Columns, attrs: Mapping[str, Any]) -> Path:
    """Tracks as a file that TrackMate loads ("Load a TrackMate file"): spots by frame, and edges.

    Its shorter export of tracks is no choice: TrackMate itself does not read it. Detector and tracker are
    said to be manual, so that nothing is computed anew; a particle of one frame is a spot without a track.

    Parameters
    ----------
    columns : ``frame``, ``particle``, ``y``, ``x`` (n,), px; ``radius``, px, and ``score`` where they are.
    attrs : ``pixel_size`` in ``pixel_unit``, ``frame_time`` in ``time_unit``: places are written in these.
    """
    size, unit = float(attrs.get("pixel_size", 1.0)), str(attrs.get("pixel_unit", "px"))
    time, time_unit = float(attrs.get("frame_time", 1.0)), str(attrs.get("time_unit", "frame"))
    frame, n = columns["frame"], len(columns["frame"])
    score = np.nan_to_num(np.asarray(columns.get("score", np.zeros(n)), np.float64))
    radius = np.asarray(columns.get("radius", np.full(n, np.nan)), np.float64)
    known = radius[np.isfinite(radius)]
    typical = float(np.median(known)) if known.size else 1.0
    radius = np.where(np.isfinite(radius), radius, typical)
    with path.open("w", encoding="utf-8") as file:
        file.write('<?xml version="1.0" encoding="UTF-8"?>\n<TrackMate version="7.11.1">\n')
        file.write(f"<Model spatialunits={quoteattr(unit)} timeunits={quoteattr(time_unit)}>\n{_DECLARED}")
        file.write(f'<AllSpots nspots="{n}">\n')
        order = np.argsort(frame, kind="stable")
        numbers, first = np.unique(frame[order], return_index=True)
        for number, rows in zip(numbers.tolist(), np.split(order, first[1:]), strict=n > 0):
            file.write(f'<SpotsInFrame frame="{number}">\n')
            places = zip(
                rows.tolist(),
                *((columns[name][rows] * size).tolist() for name in ("x", "y")),
                (radius[rows] * size).tolist(),
                score[rows].tolist(),
                strict=True,
            )
            for row, x, y, r, quality in places:
                file.write(
                    f'<Spot ID="{row}" name="ID{row}" QUALITY="{quality!r}" POSITION_X="{x!r}" '
                    f'POSITION_Y="{y!r}" POSITION_Z="0.0" POSITION_T="{number * time!r}" FRAME="{number}" '
                    f'RADIUS="{r!r}" VISIBILITY="1" />\n'
                )
            file.write("</SpotsInFrame>\n")
        file.write("</AllSpots>\n<AllTracks>\n")
        tracks = _write_edges(file, columns)
        file.write("</AllTracks>\n<FilteredTracks>\n")
        file.writelines(f'<TrackID TRACK_ID="{track}" />\n' for track in tracks)
        file.write("</FilteredTracks>\n</Model>\n")
        width, height = (int(np.nanmax(columns[name], initial=0)) + 1 for name in ("x", "y"))
        file.write(
            f'<Settings>\n<ImageData filename="" folder="" width="{width}" height="{height}" nslices="1" '
            f'nframes="{int(frame.max(initial=0)) + 1}" pixelwidth="{size!r}" pixelheight="{size!r}" '
            f'voxeldepth="1.0" timeinterval="{time!r}" />\n'
            f'<BasicSettings xstart="0" xend="{width - 1}" ystart="0" yend="{height - 1}" zstart="0" '
            f'zend="0" tstart="0" tend="{int(frame.max(initial=0))}" />\n'
            f'<DetectorSettings DETECTOR_NAME="MANUAL_DETECTOR" RADIUS="{typical * size!r}" />\n{_SETTLED}'
        )
    return path


def _write_edges(file: TextIO, columns: Columns) -> list[int]:
    """A track for each particle of two frames or more; their numbers."""
    order = np.lexsort((columns["frame"], columns["particle"]))
    ids, first = np.unique(columns["particle"][order], return_index=True)
    tracks = []
    for track, rows in zip(ids.tolist(), np.split(order, first[1:]), strict=len(ids) > 0):
        if len(rows) < 2:
            continue
        tracks.append(track)
        file.write(f'<Track name="Track_{track}" TRACK_ID="{track}" NUMBER_SPOTS="{len(rows)}">\n')
        for source, target in pairwise(rows.tolist()):
            file.write(f'<Edge SPOT_SOURCE_ID="{source}" SPOT_TARGET_ID="{target}" LINK_COST="0.0" />\n')
        file.write("</Track>\n")
    return tracks


def _features(kind: str, named: Mapping[str, tuple[str, str, bool]]) -> str:
    lines = (
        f'<Feature feature="{key}" name="{name}" shortname="{name}" dimension="{dimension}" '
        f'isint="{str(whole).lower()}" />\n'
        for key, (name, dimension, whole) in named.items()
    )
    return f"<{kind}>\n{''.join(lines)}</{kind}>\n"


_SPOTS = {
    "QUALITY": ("Quality", "QUALITY", False),
    "POSITION_X": ("X", "POSITION", False),
    "POSITION_Y": ("Y", "POSITION", False),
    "POSITION_Z": ("Z", "POSITION", False),
    "POSITION_T": ("T", "TIME", False),
    "FRAME": ("Frame", "NONE", True),
    "RADIUS": ("Radius", "LENGTH", False),
    "VISIBILITY": ("Visibility", "NONE", True),
}
_EDGES = {
    "SPOT_SOURCE_ID": ("Source spot ID", "NONE", True),
    "SPOT_TARGET_ID": ("Target spot ID", "NONE", True),
    "LINK_COST": ("Edge cost", "COST", False),
}
_TRACKS = {
    "TRACK_ID": ("Track ID", "NONE", True),
    "NUMBER_SPOTS": ("Number of spots in track", "NONE", True),
}
_DECLARED = (
    "<FeatureDeclarations>\n"
    + _features("SpotFeatures", _SPOTS)
    + _features("EdgeFeatures", _EDGES)
    + _features("TrackFeatures", _TRACKS)
    + "</FeatureDeclarations>\n"
)
_SETTLED = """<InitialSpotFilter feature="QUALITY" value="0.0" isabove="true" />
<SpotFilterCollection />
<TrackerSettings TRACKER_NAME="MANUAL_TRACKER" />
<TrackFilterCollection />
<AnalyzerCollection><SpotAnalyzers /><EdgeAnalyzers /><TrackAnalyzers /></AnalyzerCollection>
</Settings>
<GUIState state="ConfigureViews" />
</TrackMate>
"""
"""Nothing is filtered or computed again."""


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
