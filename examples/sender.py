"""A detector that livem can read: python sender.py tcp://127.0.0.1:9999"""

import os
import sys

import msgpack
import numpy as np
import zmq

EPOCH, SERIES, LINES, COLUMNS = os.urandom(8), 1, 32, 32
with zmq.Context() as context, context.socket(zmq.PUSH) as socket:
    socket.bind(sys.argv[1])  # livem connects to it

    def send(kind: str, *data: np.ndarray, **header: object) -> None:
        header |= {"livem": 1, "type": kind, "epoch": EPOCH, "series": SERIES}
        socket.send_multipart([msgpack.packb(header), *data])

    scan = {"shape": [LINES, COLUMNS], "order": "raster"}
    send("start", shape=[64, 64], dtype="uint16", encoding="raw", count=LINES * COLUMNS, scan=scan, meta={})
    for line in range(LINES):  # frames go out a scan line at a time
        frames = np.random.default_rng(line).poisson(2.0, (COLUMNS, 64, 64)).astype("<u2")
        send("frames", frames, index=line * COLUMNS, count=COLUMNS)
    send("end", count=LINES * COLUMNS)
