"""Photographs as TensorFlow decodes them, what Keras's ResNet50 sees in them, and HDF5 as h5py reads it."""

from pathlib import Path

import h5py
import keras
import numpy as np
import sklearn.datasets
import tensorflow as tf
from keras.src.legacy.saving import legacy_h5_format
from norms import move_norms
from safetensors.numpy import load_file, save_file


def photograph(request):
    """One that scikit-learn ships, untouched: where it lies; its pixels are saved."""
    jpeg = Path(sklearn.datasets.__file__).parent / "images" / request["name"]
    # Unless it is asked for accurate numbers TensorFlow takes a faster transform, and others (Pillow, sharp) do not.
    pixels = tf.io.decode_jpeg(jpeg.read_bytes(), channels=3, dct_method="INTEGER_ACCURATE")
    np.save(request["path"], pixels.numpy())
    return {"jpeg": str(jpeg)}


def resnet50(request):
    """keras.applications' own, with its own preprocessing, for one image of any size."""
    keras.backend.clear_session()
    pixels = np.load(request["pixels"])
    network = keras.applications.ResNet50(weights=None, input_shape=pixels.shape)
    stored = load_file(request["weights"])
    for variable in network.weights:
        variable.assign(stored[variable.path])
    inputs = keras.applications.resnet.preprocess_input(pixels[np.newaxis].astype(np.float32))
    logits = keras.Model(network.inputs, network.layers[-2].output)(inputs, training=False)
    classifier = network.layers[-1]
    return {
        "logits": (logits @ classifier.kernel + classifier.bias).numpy()[0].tolist(),
        "probabilities": network(inputs, training=False).numpy()[0].tolist(),
    }


def save_resnet50(request):
    """Its weights, kernels as it draws them and norms as after training, under the paths of its variables."""
    keras.backend.clear_session()
    keras.utils.set_random_seed(request["seed"])
    weights = {v.path: v for v in keras.applications.ResNet50(weights=None).weights}
    move_norms(weights, request["seed"])
    save_file({path: variable.numpy() for path, variable in weights.items()}, request["path"])
    return {}


def hdf5_to_safetensors(request):
    """The same weights in another file, found as Keras itself finds them."""
    read_list = legacy_h5_format.load_attributes_from_hdf5_group
    with h5py.File(request["from"]) as file:
        weights = {
            f"{layer}/{weight}": file[layer][weight][()]
            for layer in read_list(file, "layer_names")
            for weight in read_list(file[layer], "weight_names")
        }
    save_file(weights, request["to"])
    return {}


OPERATIONS = {
    operation.__name__: operation for operation in (photograph, resnet50, save_resnet50, hdf5_to_safetensors)
}
