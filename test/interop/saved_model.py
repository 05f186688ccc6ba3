"""Loads an exported model as its users do and answers with what it gives, as JSON.

saved_model.py FOLDER IMAGES.npy WEIGHTS.safetensors BLOCKS.npz

The last has the sums of blocks as Keras computes them, by name; how far the model's are from them is a share of the
largest.
"""

import json
import sys

import keras
import numpy as np
import tensorflow as tf
from safetensors.numpy import load_file

folder, images_path, weights_path, blocks_path = sys.argv[1:]
images = np.load(images_path).astype(np.float32)
loaded = tf.saved_model.load(folder)
serve = loaded.signatures["serving_default"]
outputs = serve(images=tf.constant(images))
layer = keras.layers.TFSMLayer(folder, call_endpoint="serving_default")
weights = {name: value.numpy() for name, value in loaded.signatures["weights"]().items()}
expected = load_file(weights_path)
blocks = loaded.signatures["block_outputs"](images=tf.constant(images))
sums = np.load(blocks_path)
print(
    json.dumps(
        {
            "logits": outputs["logits"].numpy().tolist(),
            "probabilities": outputs["probabilities"].numpy().tolist(),
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
    )
)
