"""An exported SavedModel as TensorFlow and Keras load it. An operation of keras_server.py.

    {"op": "saved_model", "folder", "images", "weights", "blocks"}  images: npy, weights: safetensors,
        blocks: the npz of `block_sums`; differences are shares of the largest absolute value
"""

import keras
import numpy as np
import tensorflow as tf
from safetensors.numpy import load_file
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2


def lite_logits(signature, images):
    """Logits of the signature in TensorFlow Lite."""
    converter = tf.lite.TFLiteConverter.from_concrete_functions([signature])
    interpreter = tf.lite.Interpreter(model_content=converter.convert())
    [given] = interpreter.get_input_details()
    interpreter.resize_tensor_input(given["index"], images.shape)
    interpreter.allocate_tensors()
    interpreter.set_tensor(given["index"], images)
    interpreter.invoke()
    [logits] = [output for output in interpreter.get_output_details() if output["name"] == "logits"]
    return interpreter.get_tensor(logits["index"])


def saved_model(request):
    keras.backend.clear_session()
    images = tf.constant(np.load(request["images"]).astype(np.float32))
    loaded = tf.saved_model.load(request["folder"])
    signature = loaded.signatures["serving_default"]
    outputs = signature(images=images)
    frozen = convert_variables_to_constants_v2(signature)
    layer = keras.layers.TFSMLayer(request["folder"], call_endpoint="serving_default")
    weights = {name: value.numpy() for name, value in loaded.signatures["weights"]().items()}
    expected = load_file(request["weights"])
    blocks = loaded.signatures["block_outputs"](images=images)
    sums = np.load(request["blocks"])
    return {
        "logits": outputs["logits"].numpy().tolist(),
        "keras_logits": np.asarray(layer(images)["logits"]).tolist(),
        "variables": len(loaded.variables),
        "unfrozen": [operation.name for operation in frozen.graph.get_operations() if operation.type == "VarHandleOp"],
        "frozen_logits": frozen(images)[0].numpy().tolist(),
        "lite_logits": lite_logits(signature, images.numpy()).tolist() if request["lite"] else None,
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
