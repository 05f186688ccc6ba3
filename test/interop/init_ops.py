"""TensorFlow v1's initializers, and spectra and distributions by numpy. Operations of keras_server.py.

    {"op": "v1", "name", "config", "shape"}  a class of init_ops; its values, and the bounds of its uniform
    {"op": "operator_spectrum", "values", "shape", "size"}  of a circular convolution on images of this size
    {"op": "bounded_normal", "values", "mean", "std", "a", "b"}  largest distance of the distribution functions times sqrt(n)
"""

import base64
import math

import numpy as np
import tensorflow as tf
from tensorflow.python.ops import init_ops


def v1(request):
    with tf.Graph().as_default() as graph, tf.compat.v1.Session() as session:
        value = getattr(init_ops, request["name"])(**request["config"])(request["shape"])
        bounds = [op for op in graph.get_operations() if op.name in ("random_uniform/min", "random_uniform/max")]
        return {
            "values": base64.b64encode(session.run(value).astype("<f4").tobytes()).decode(),
            "bounds": sorted(float(session.run(op.outputs[0])) for op in bounds),
        }


def values_of(request):
    return np.frombuffer(base64.b64decode(request["values"]), "<f4").astype(np.float64)


def operator_spectrum(request):
    kernel = values_of(request).reshape(request["shape"])
    axes = tuple(range(kernel.ndim - 2))
    matrices = np.fft.fftn(kernel, s=[request["size"]] * len(axes), axes=axes)
    singular_values = np.linalg.svd(matrices, compute_uv=False)
    return {"smallest": float(singular_values.min()), "largest": float(singular_values.max())}


def bounded_normal(request):
    mean, std, a, b = (request[name] for name in ("mean", "std", "a", "b"))
    # The probability above x, which keeps the precision of a tail above the mean.
    above = np.vectorize(lambda x: math.erfc((x - mean) / std / math.sqrt(2)) / 2)
    law = (above(a) - above(np.sort(values_of(request)))) / (above(a) - above(b))
    steps = np.arange(len(law) + 1) / len(law)
    distance = max(np.max(law - steps[:-1]), np.max(steps[1:] - law))
    return {"distance": float(distance * math.sqrt(len(law)))}


OPERATIONS = {operation.__name__: operation for operation in (v1, operator_spectrum, bounded_normal)}
