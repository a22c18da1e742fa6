"""Follow a scan image from a script: python read_results.py tcp://127.0.0.1:PORT"""

import sys

import numpy as np

from livem.stream.bus import Subscriber

with Subscriber(sys.argv[1], topics=["vd."]) as session:
    seen = 0
    while result := session.wait("vd.haadf", 60.0, lambda newest, last=seen: newest.t_ns > last):
        seen, image = result.t_ns, result.arrays["image"]
        print(f"series {result.series}: {np.isfinite(image).mean():.0%} of {image.shape} scanned")
        if result.final:
            np.save("haadf.npy", image)
            break
