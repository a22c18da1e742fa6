"""Numba's simulator, polite: it polls its threads, and keeps the interpreter from them while it does.

Each of them then waits for the interpreter's next turn, 5 ms, at every barrier: seven of eight seconds that
the simulated tests took. Imported by them before anything is launched.
"""

from __future__ import annotations

import threading
import time

from numba.cuda.simulator.kernel import BlockThread


def is_alive(self: threading.Thread) -> bool:
    time.sleep(0)  # lets the others run
    return threading.Thread.is_alive(self)


BlockThread.is_alive = is_alive
