"""Writes vectors/histograms.json: counts of numpy.histogram, mainly of values on and next to edges.

    .venv/bin/python histograms.py
"""

import base64
import json
from pathlib import Path

import numpy as np

VECTORS = Path(__file__).parent / "vectors"


def record(values, bins, limits):
    values = np.asarray(values, "<f4")
    counts, edges = np.histogram(values.astype(np.float64), bins, limits)
    assert (counts == np.histogram(values, edges)[0]).all()
    return {
        "values": base64.b64encode(values.tobytes()).decode(),
        "limits": list(map(float, limits or (values.min(), values.max()))),
        "edges": edges.tolist(),
        "counts": counts.tolist(),
    }


def at_edges(rng, low, high, bins):
    """The float32 numbers nearest to edges, their neighbours, and some between."""
    edges = np.linspace(low, high, bins + 1).astype(np.float32)
    near = [np.nextafter(edges, np.float32(away)) for away in (-np.inf, np.inf)]
    values = np.concatenate([edges, *near, rng.uniform(low, high, 10).astype(np.float32)])
    # Limits in float64: numpy ignores values beyond them.
    within = (values >= np.float64(low)) & (values <= np.float64(high))
    return rng.permutation(values[within])


def records():
    rng = np.random.default_rng(20)
    for bins, scale in [(10, 1), (7, 1), (64, 0.1), (3, 1e30), (49, 7), (100, 1e-30), (24, 1e-40), (17, 1e6)]:
        for low, high in [(0, 1), (-1, 1), (-0.4, 0.3), (0.7, 0.7000003)]:
            limits = (low * scale, high * scale)
            yield record(at_edges(rng, *limits, bins), bins, limits)
    # Without limits numpy uses those of the data.
    for bins in (1, 5, 10, 31):
        for values in (np.arange(-127, 128), np.arange(11) / 10, rng.standard_normal(50), [3], [-2.5, -2.5]):
            yield record(values, bins, None)


if __name__ == "__main__":
    lines = ",\n".join(json.dumps(entry) for entry in records())
    (VECTORS / "histograms.json").write_text(f"[\n{lines}\n]\n")
