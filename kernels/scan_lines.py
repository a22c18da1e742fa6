"""The delay of the scan coils from lines that were scanned to and fro: a serpentine, or two passes.

Pure numpy. Any other path: scan_calibration.py.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

FloatArray = npt.NDArray[np.float64]

MIN_LENGTH = 16
"""Samples of a line; a shift is sought up to a quarter of it."""


def delay_from_lines(forward: npt.ArrayLike, backward: npt.ArrayLike, dwell: float) -> float:
    """Delay in s from the same lines scanned in both directions.

    Parameters
    ----------
    forward, backward : (lines, m); both with x to the right, so that backward is turned round already.
        ``serpentine_lines`` gives them from a serpentine; two passes of a raster do as well.
    dwell : s from one sample to the next.

    Notes
    -----
    A delay of d s displaces what is seen by d / dwell samples along the direction of the scan, so the two
    differ by twice that. Found is the largest correlation, between the samples by its Fourier series
    (Guizar-Sicairos et al., Opt. Lett. 33, 156, 2008), within a quarter of a line.
    """
    return 0.5 * dwell * line_shift(forward, backward)


def serpentine_lines(values: npt.ArrayLike, lines: int) -> tuple[FloatArray, FloatArray]:
    """Forward lines of a serpentine, and beside each the mean of the two backward lines that enclose it.

    Parameters
    ----------
    values : (n,) in the order of acquisition; n must be a multiple of ``lines``, 3 or more.

    Returns
    -------
    forward, backward : (k, m), x to the right.
    """
    recorded = np.asarray(values, np.float64)
    if lines < 3 or recorded.ndim != 1 or len(recorded) % lines or not len(recorded):
        raise ValueError(
            f"values of shape {recorded.shape} are not {lines} equal lines; at least 3 lines are needed"
        )
    rows = recorded.reshape(lines, -1)
    back = rows[1::2, ::-1]
    forward = rows[2::2][: len(back) - 1] if lines % 2 == 0 else rows[2:-1:2]
    if not len(forward):
        return rows[:1], back[:1]
    return forward, 0.5 * (back[: len(forward)] + back[1 : len(forward) + 1])


def line_shift(moved: npt.ArrayLike, still: npt.ArrayLike) -> float:
    """By how many samples ``moved`` lies to the right of ``still``, both (lines, m), m >= 16."""
    a, b = np.asarray(moved, np.float64), np.asarray(still, np.float64)
    if a.ndim != 2 or a.shape != b.shape or a.shape[1] < MIN_LENGTH:
        raise ValueError(
            f"lines of shapes {a.shape} and {b.shape}; both must be (lines, m) with m >= {MIN_LENGTH}"
        )
    rough = round(_window_shift(a, b))
    if not rough:
        return _window_shift(a, b)
    start, stop = max(rough, 0), a.shape[1] + min(rough, 0)  # what both have seen: else windows pull to 0
    return rough + _window_shift(a[:, start:stop], b[:, start - rough : stop - rough])


def _window_shift(a: FloatArray, b: FloatArray) -> float:
    m = a.shape[1]
    window = np.hanning(m + 2)[1:-1]
    spectra = [np.fft.rfft((part - part.mean(axis=1, keepdims=True)) * window, 2 * m) for part in (a, b)]
    cross = (spectra[0] * spectra[1].conj()).sum(axis=0)
    if not np.abs(cross).max() > 0:
        raise ValueError("the lines are constant: there is nothing whose shift could be seen")
    correlation = np.fft.irfft(cross, 2 * m)
    lags = np.concatenate([np.arange(m), np.arange(-m, 0)])
    near = np.abs(lags) <= m // 4
    return _peak(cross, 2 * m, float(lags[near][np.argmax(correlation[near])]))


def _peak(cross: npt.NDArray[np.complex128], period: int, start: float) -> float:
    """Where the Fourier series of a correlation has its maximum, near ``start``: Newton's steps."""
    k = 2 * np.pi * np.arange(len(cross)) / period
    place = start
    for _ in range(20):
        terms = cross * np.exp(1j * k * place)
        slope, bend = -(k * terms.imag).sum(), -(k * k * terms.real).sum()
        if bend >= 0:
            return start
        step = float(np.clip(-slope / bend, -0.5, 0.5))
        place += step
        if abs(step) < 1e-9:
            break
    return place if abs(place - start) <= 1 else start
