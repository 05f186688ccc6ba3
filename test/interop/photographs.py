"""Photographs decoded by TensorFlow, their classes by Keras's ResNet50, and HDF5 read by h5py."""

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
    """Saves the pixels of a photograph in scikit-learn and returns its path."""
    jpeg = Path(sklearn.datasets.__file__).parent / "images" / request["name"]
    # By default TensorFlow uses a faster, less accurate transform than Pillow and sharp.
    pixels = tf.io.decode_jpeg(jpeg.read_bytes(), channels=3, dct_method="INTEGER_ACCURATE")
    np.save(request["path"], pixels.numpy())
    return {"jpeg": str(jpeg)}


def resnet50(request):
    """The ResNet50 of keras.applications with its preprocessing, for one image of any size."""
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
    """Saves weights with drawn kernels and random norms, under the paths of its variables."""
    keras.backend.clear_session()
    keras.utils.set_random_seed(request["seed"])
    weights = {v.path: v for v in keras.applications.ResNet50(weights=None).weights}
    move_norms(weights, request["seed"])
    save_file({path: variable.numpy() for path, variable in weights.items()}, request["path"])
    return {}


def hdf5_to_safetensors(request):
    """Converts an HDF5 file, with weights in Keras's order."""
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
