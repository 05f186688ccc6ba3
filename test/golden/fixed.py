"""Writes vectors/fixed.json: exact values of deterministic initializers of Keras 3 and TensorFlow v1.

    .venv/bin/python fixed.py

`values` is null if the framework raises or returns another shape.
"""

import base64
import json
from pathlib import Path

import keras
import numpy as np
import tensorflow as tf
from tensorflow.python.ops import init_ops

VECTORS = Path(__file__).parent / "vectors"

ARRAYS = [
    [1, 2, 3],
    [5],
    [[1, 2, 3]],
    [[1], [2]],
    [[1, 2, 3], [4, 5, 6]],
    [[1, 2], [3, 4]],
    [[[0.1]]],
    [[[1], [-2]], [[3], [0.5]], [[5], [6]]],
    [1, 2, 3, 4],
    [7, 7],
]
SHAPES = [[1], [2], [3], [4], [6], [2, 3], [1, 3], [2, 2], [3, 2], [3, 2, 2], [3, 2, 3], [2, 2, 3, 3], [5, 1, 2, 1]]
GAINS = [-1, -0.7, 0.3, 1, 0, -1e-46, -3e38]
MATRICES = [[3, 3], [2, 4], [4, 2], [1, 1], [1, 3]]


def v1(initializer, shape):
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        return session.run(initializer(shape))


def record(name, config, shape, make):
    try:
        tensor = np.asarray(make(), "<f4")
    except (ValueError, TypeError, tf.errors.InvalidArgumentError):
        tensor = None
    fits = tensor is not None and list(tensor.shape) == shape
    values = base64.b64encode(tensor.tobytes()).decode() if fits else None
    return {"name": name, "config": config, "shape": shape, "values": values}


def records():
    for value in ARRAYS:
        for shape in SHAPES:
            config = {"value": value}
            yield record("Constant", config, shape, lambda: keras.initializers.Constant(value)(shape))
            yield record("constant_initializer", config, shape, lambda: v1(init_ops.Constant(value), shape))
    for gain in GAINS:
        for shape in MATRICES:
            yield record("Identity", {"gain": gain}, shape, lambda: keras.initializers.Identity(gain)(shape))
            yield record("identity_initializer", {"gain": gain}, shape, lambda: v1(init_ops.Identity(gain), shape))


if __name__ == "__main__":
    lines = ",\n".join(json.dumps(entry) for entry in records())
    (VECTORS / "fixed.json").write_text(f"[\n{lines}\n]\n")
