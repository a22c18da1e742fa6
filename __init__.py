"""livem: real-time streaming processor for live electron-microscope acquisition.

The repository root is this package. Four rooms: ``stream`` (frames in, frames kept), ``kernels``
(pure numerics), ``consumers`` (live analyses), ``viewer`` (windows). ``pipeline`` and ``cli`` are the
front door. Nothing heavier than the standard library is imported here.
"""

from os.path import abspath, dirname

from .kernel_cache import use_own_cache

__version__ = "0.1.0"

use_own_cache(dirname(abspath(__file__)))
