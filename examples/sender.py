"""A detector that livem can read: python sender.py tcp://127.0.0.1:9999"""

import sys

import msgpack
import numpy as np
import zmq

EPOCH = np.random.default_rng().bytes(8)  # tells this run of the program from all others
with zmq.Context() as context, context.socket(zmq.PUSH) as socket:
    socket.bind(sys.argv[1])  # livem connects to it

    def send(kind: str, *data: np.ndarray, **header: object) -> None:
        header |= {"livem": 1, "type": kind, "epoch": EPOCH, "series": 1}
        socket.send_multipart([msgpack.packb(header), *data])

    send("start", shape=[64, 64], dtype="uint16", encoding="raw", count=1024, scan={"shape": [32, 32]})
    for line in range(32):  # any number of frames may share a message
        frames = np.random.default_rng(line).poisson(2.0, (32, 64, 64)).astype("<u2")
        send("frames", frames, index=32 * line, count=32)
    send("end", count=1024)
