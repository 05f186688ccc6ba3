"""Keras's ResNet50, built and run once. One JSON request per line on stdin, one response per line on stdout:

    {"seed": 1, "image_path": "...", "call": "model" | "predict"} -> {"ms": ...}

`ms` runs from the constructor to the five best classes and includes the decoding. `model(x)` computes eagerly and
`model.predict(x)` compiles first; both are common.
"""

import json
import os
import sys
import time

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "2"

import keras
import numpy as np
import tensorflow as tf


def create(request):
    keras.backend.clear_session()
    keras.utils.set_random_seed(request["seed"])
    started = time.perf_counter()
    model = keras.applications.ResNet50(weights=None)
    pixels = tf.io.decode_jpeg(tf.io.read_file(request["image_path"]), channels=3)
    x = keras.applications.resnet.preprocess_input(tf.cast(pixels[tf.newaxis], tf.float32))
    probabilities = (
        model.predict(x, verbose=0) if request["call"] == "predict" else model(x, training=False).numpy()
    )
    best = np.argsort(probabilities[0])[-5:]
    assert np.isfinite(probabilities[0][best]).all()
    return {"ms": (time.perf_counter() - started) * 1000}


def main():
    for line in sys.stdin:
        try:
            result = create(json.loads(line))
        except Exception as error:
            result = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
