"""An exported SavedModel as TensorFlow and Keras load it. An operation of keras_server.py.

    {"op": "saved_model", "folder", "images", "weights", "blocks"}  images: npy, weights: safetensors,
        blocks: the npz of `block_sums`; differences are shares of the largest absolute value
"""

import keras
import numpy as np
import tensorflow as tf
from safetensors.numpy import load_file


def saved_model(request):
    keras.backend.clear_session()
    images = tf.constant(np.load(request["images"]).astype(np.float32))
    loaded = tf.saved_model.load(request["folder"])
    outputs = loaded.signatures["serving_default"](images=images)
    layer = keras.layers.TFSMLayer(request["folder"], call_endpoint="serving_default")
    weights = {name: value.numpy() for name, value in loaded.signatures["weights"]().items()}
    expected = load_file(request["weights"])
    blocks = loaded.signatures["block_outputs"](images=images)
    sums = np.load(request["blocks"])
    return {
        "logits": outputs["logits"].numpy().tolist(),
        "keras_logits": np.asarray(layer(images)["logits"]).tolist(),
        "missing": sorted(set(expected) ^ set(weights)),
        "different": [
            name
            for name, value in expected.items()
            if name in weights and weights[name].tobytes() != value.tobytes()
        ],
        "blocks": {
            name: float(np.abs(value.numpy() - sums[name]).max() / np.abs(sums[name]).max())
            for name, value in blocks.items()
            if value.shape == sums[name].shape
        },
        "all_blocks": sorted(sums),
    }


OPERATIONS = {"saved_model": saved_model}
