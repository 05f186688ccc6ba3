"""Times numpy's statistics of a weights file's kernels: the peer of bench/parts/statistics.mjs.

One request per line on stdin, one response per line on stdout: {"op": "moments"} or {"op": "spectra"}
-> {"ms", "values"}. The time excludes reading the file.
"""

import hashlib
import json
import os
import sys
import time

import numpy as np
from safetensors.numpy import load_file

# Low priority, like the analysis process.
os.nice(19)

kernels = [kernel for name, kernel in load_file(sys.argv[1]).items() if name.endswith("kernel")]
QUANTILES = [0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99]


def moments():
    for kernel in kernels:
        values = kernel.ravel()
        deviations = values - values.mean(dtype=np.float64)
        squares = deviations * deviations
        variance = squares.mean()
        _ = (squares * deviations).mean() / variance**1.5, (squares * squares).mean() / variance**2 - 3
        low, high = values.min(), values.max()
        _ = values.size - np.count_nonzero(values), np.linalg.norm(values), np.isfinite(values).sum()
        np.histogram(values, 64, (low, high))
        np.quantile(values, QUANTILES)
        hashlib.sha256(values).hexdigest()


def spectra():
    for kernel in kernels:
        np.linalg.svd(kernel.reshape(-1, kernel.shape[-1]), compute_uv=False)


OPERATIONS = {"moments": moments, "spectra": spectra}

for line in sys.stdin:
    started = time.perf_counter()
    OPERATIONS[json.loads(line)["op"]]()
    values = sum(kernel.size for kernel in kernels)
    print(json.dumps({"ms": 1000 * (time.perf_counter() - started), "values": values}), flush=True)
