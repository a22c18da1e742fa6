"""The fast electron: its wavelength, and what a detector pixel means as a scattering angle.

Knows numbers and units only; where they come from (a series' meta, a pipeline file) is the caller's business.
"""

from __future__ import annotations

import math

PLANCK = 6.626_070_15e-34
"""J s, exact (SI 2019)."""
ELECTRON_MASS = 9.109_383_7015e-31
"""kg, CODATA 2018."""
CHARGE = 1.602_176_634e-19
"""C, exact."""
LIGHT = 299_792_458.0
"""m / s, exact."""

ANGLES = {"rad": 1e3, "mrad": 1.0, "urad": 1e-3, "µrad": 1e-3, "μrad": 1e-3, "deg": 1e3 * math.pi / 180}
"""mrad in one of each."""
LENGTHS = {"m": 1.0, "um": 1e-6, "µm": 1e-6, "nm": 1e-9, "pm": 1e-12, "a": 1e-10, "å": 1e-10}
"""m in one of each; lower case."""


def wavelength(energy: float) -> float:
    """De Broglie wavelength in m of an electron accelerated by ``energy`` keV, relativistic.

    lambda = h / sqrt(2 m e U (1 + e U / (2 m c^2))): Reimer & Kohl, Transmission Electron Microscopy (2008),
    eq. 2.5. 200 keV: 2.5079 pm.

    Raises
    ------
    ValueError
        When the energy is not a finite number greater than 0.
    """
    if not (math.isfinite(energy) and energy > 0):
        raise ValueError(f"beam_energy = {energy!r} keV; it must be finite and greater than 0")
    kinetic = energy * 1e3 * CHARGE
    rest = ELECTRON_MASS * LIGHT**2
    return PLANCK / math.sqrt(2 * ELECTRON_MASS * kinetic * (1 + kinetic / (2 * rest)))


def mrad_per_px(pixel_size: float | None, pixel_unit: str | None, beam_energy: float | None = None) -> float:
    """Scattering angle in mrad that one detector pixel covers.

    Parameters
    ----------
    pixel_size : of one pixel, in ``pixel_unit``.
    pixel_unit : an angle ("mrad", "rad", "urad", "deg") or a spatial frequency g ("1/nm", "1/A", "A^-1",
        "nm-1", "1/m"; cycles per length, no factor 2 pi).
    beam_energy : keV; needed for spatial frequencies, theta = lambda g (small angles: 0.2 % off at 100 mrad).

    Raises
    ------
    ValueError
        Names the key of the meta (pixel_size, pixel_unit, beam_energy) that is missing or does not serve.
    """
    if pixel_size is None or pixel_unit is None:
        missing = "pixel_size" if pixel_size is None else "pixel_unit"
        raise ValueError(
            f"{missing} is missing: give pixel_size and pixel_unit (mrad, or 1/nm and beam_energy)"
        )
    if not (math.isfinite(pixel_size) and pixel_size > 0):
        raise ValueError(f"pixel_size = {pixel_size!r}; it must be finite and greater than 0")
    unit = pixel_unit.strip()
    if unit.lower() in ANGLES:
        return pixel_size * ANGLES[unit.lower()]
    length = _inverse_of(unit)
    if length is None:
        raise ValueError(
            f"pixel_unit = {pixel_unit!r} is no angle; it must be mrad, rad, urad, deg, or 1/nm, 1/A, 1/m"
        )
    if beam_energy is None:
        raise ValueError(f"beam_energy (keV) is missing: pixel_unit {pixel_unit!r} is an angle only with it")
    return pixel_size / length * wavelength(beam_energy) * 1e3


def semi_convergence_mrad(radius_px: float, mrad_per_pixel: float) -> float:
    """Semi-convergence angle alpha in mrad of a bright-field disk of ``radius_px``."""
    return radius_px * mrad_per_pixel


def _inverse_of(unit: str) -> float | None:
    """The length in m that a unit like 1/nm or A^-1 is the inverse of; None for other units."""
    text = unit.lower().replace(" ", "").replace("−", "-").replace("⁻¹", "^-1").replace("**", "^")
    text = text.replace("angstrom", "a").replace("ang", "a")
    if text.startswith("1/"):
        return LENGTHS.get(text[2:])
    for ending in ("^-1", "^(-1)", "-1"):
        if text.endswith(ending):
            return LENGTHS.get(text[: -len(ending)])
    return None
