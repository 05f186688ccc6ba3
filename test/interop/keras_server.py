"""Keras 3 and the `safetensors` package behind JSON lines on a Unix socket, for the interoperability tests.

keras_server.py SOCKET prints `ready` when it listens and ends when its stdin is closed. A request is one line and its
response one line, in the order of each connection. One thread computes all of them, since Keras keeps global state.

    {"op": "initializer", "class_name", "config", "shape", "seed"}  seed: n or [n, k]
    {"op": "model", "spec", "image_seed", "factors"}  factors: measured factors by kernel name
    {"op": "variances", "spec", "factors", "images", "seed"}  of every kernel's output for N(0, 1) images
    {"op": "start", "spec", "images", "seed"}  mean squares and gradients for N(0, 1) images
    {"op": "trained", "spec", "image_seed", "seed", "path"}  saves weights whose norms look trained
    {"op": "application", "name", "seed", "image_seed", "preprocessing"}  a network of keras.applications;
        "load" reads its weights from a file, "save" writes weights whose norms look trained
    {"op": "block_sums", "spec", "factors", "images", "path"}  from npy images to an npz file
    {"op": "safetensors", "path", "digests"}
    {"op": "hdf5", "path"}
    {"op": "signals", "spec", "batch_size", "seed", "repeat", "training"}

and the operations of init_ops.py, weights.py, photographs.py, saved_model.py and training.py.
"""

import base64
import gc
import hashlib
import json
import selectors
import socket
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "golden"))

import h5py
import init_ops
import keras
import numpy as np
import photographs
import saved_model
import tensorflow as tf
import training
import twin
import weights
from keras.src.legacy.saving import legacy_h5_format
from norms import move_norms
from safetensors import safe_open
from safetensors.numpy import save_file


def sha256(value):
    return hashlib.sha256(twin.float32_bytes(value)).hexdigest()


def base64_floats(value):
    return base64.b64encode(twin.float32_bytes(value)).decode()


def free_models():
    """Models are cyclic garbage of up to a gigabyte; collecting it at every request takes too long."""
    keras.backend.clear_session()
    gc.collect()


def initializer(request):
    identifier = {"class_name": request["class_name"], "config": request.get("config")}
    seed = request.get("seed", 0)
    vector = seed if isinstance(seed, list) else [seed]
    value = twin.initializer(identifier, twin.seed_generator(*vector))(request["shape"])
    data = twin.float32_bytes(value)
    return {
        "sha256": hashlib.sha256(data).hexdigest(),
        "first": [f"{word:08x}" for word in np.frombuffer(data[:16], "<u4")],
    }


def model(request):
    free_models()
    network = twin.ResidualNetwork(request["spec"], request.get("factors"))
    shape = network.spec["architecture"]["input_shape"]
    pixels = twin.image(shape, request.get("image_seed", 0))
    return {
        "weights_sha256": network.weights_sha256(),
        "parameter_count": network.parameter_count(),
        "parameters": network.parameter_digests(),
        "logits": base64_floats(network.logits(pixels[np.newaxis])[0]),
    }


def variances(request):
    free_models()
    network = twin.ResidualNetwork(request["spec"], request["factors"])
    shape = [request["images"], *network.spec["architecture"]["input_shape"]]
    images = np.random.default_rng(request["seed"]).standard_normal(shape, np.float32)
    return {"variances": network.output_variances(images)}


def start(request):
    free_models()
    network = twin.ResidualNetwork(request["spec"])
    generator = np.random.default_rng(request["seed"])
    shape = [request["images"], *network.spec["architecture"]["input_shape"]]
    images = generator.standard_normal(shape, np.float32)
    labels = generator.integers(0, network.model.output_shape[-1], request["images"])
    return {
        "mean_squares": network.sum_mean_squares(images),
        "silent": network.silent_kernels(images, labels),
    }


def save(variables, path):
    save_file({name: variable.numpy() for name, variable in variables.items()}, path)


def trained(request):
    """Weights after training as far as norms are concerned: own statistics, scales and shifts."""
    free_models()
    network = twin.ResidualNetwork(request["spec"])
    variables = {**network.parameters, **network.buffers}
    move_norms(variables, request["seed"])
    save(variables, request["path"])
    pixels = twin.image(network.spec["architecture"]["input_shape"], request["image_seed"])
    return {"logits": base64_floats(network.logits(pixels[np.newaxis])[0])}


def application(request):
    free_models()
    keras.utils.set_random_seed(request.get("seed", 0))
    build = getattr(keras.applications, request["name"])
    network = build(weights=None, classifier_activation=None)
    if request.get("load"):
        network.load_weights(request["load"])
    if request.get("save"):
        variables = {v.path: v for v in network.weights}
        move_norms(variables, request["seed"])
        save(variables, request["save"])
    pixels = twin.image(network.input_shape[1:], request.get("image_seed", 0))
    inputs = twin.preprocess(pixels[np.newaxis], request.get("preprocessing", "none"))
    logits = network(inputs, training=False)
    return {
        "parameter_count": sum(int(np.prod(v.shape)) for v in network.trainable_variables),
        "parameters": [
            {"name": v.path, "shape": list(v.shape), "sha256": sha256(v.numpy())}
            for v in network.weights
        ],
        "logits": base64_floats(logits.numpy()[0]),
    }


def block_sums(request):
    """Saves the sum of every block for uint8 images, by block name."""
    free_models()
    network = twin.ResidualNetwork(request["spec"], request["factors"])
    images = twin.preprocess(np.load(request["images"]), network.spec["preprocessing"])
    sums = keras.Model(network.model.inputs, network.sums)(images, training=False)
    np.savez(request["path"], **{name: value.numpy() for name, value in sums.items()})
    return {}


def safetensors(request):
    tensors = []
    with safe_open(request["path"], framework="numpy") as file:
        for name in file.keys():
            view = file.get_slice(name)
            tensor = {"name": name, "shape": view.get_shape(), "dtype": view.get_dtype()}
            if request.get("digests"):
                tensor["sha256"] = hashlib.sha256(file.get_tensor(name).tobytes()).hexdigest()
            tensors.append(tensor)
        return {"tensors": tensors, "metadata": file.metadata()}


def hdf5(request):
    """Reads the file as Keras reads it."""
    read_list = legacy_h5_format.load_attributes_from_hdf5_group
    with h5py.File(request["path"]) as file:
        weights = [
            {"name": f"{layer}/{weight}", "values": file[layer][weight][()].tolist()}
            for layer in read_list(file, "layer_names")
            for weight in read_list(file[layer], "weight_names")
        ]
        return {"weights": weights, "groups": len(file), "keras_version": file.attrs["keras_version"].decode()}


def signals(request):
    """Block variances, loss and gradients by tf.GradientTape, for the input and labels of one repeat."""
    free_models()
    network = twin.ResidualNetwork(request["spec"])
    shape, classes = network.architecture["input_shape"], network.architecture["head"]["units"]
    batch, seed, draw = request["batch_size"], request["seed"], 2**30 + 2 * request["repeat"]
    images = tf.random.stateless_normal([batch, *shape], [seed, draw])
    labels = tf.cast(tf.random.stateless_uniform([batch], [seed, draw + 1]) * classes, tf.int32)
    sums = [layer for layer in network.model.layers if isinstance(layer, keras.layers.Add)]
    model = keras.Model(network.model.inputs, [network.model.output, *[add.output for add in sums]])
    with tf.GradientTape() as tape:
        logits, *outputs = model(images, training=request["training"])
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
        loss = tf.reduce_mean(losses)
    gradients = tape.gradient(loss, [v.value for v in network.parameters.values()])
    squares = {}
    for name, gradient in zip(network.parameters, gradients):
        block = "/".join(name.split("/")[:2])
        squares[block] = squares.get(block, 0.0) + float(tf.reduce_sum(tf.square(gradient)))
    return {
        "loss": float(loss),
        "variances": [float(tf.math.reduce_variance(output)) for output in outputs],
        "gradients": [squares[block] ** 0.5 for block in squares if block.startswith("stage")],
    }


OPERATIONS = {
    operation.__name__: operation
    for operation in (
        *(initializer, model, variances, start, trained),
        *(application, block_sums, safetensors, hdf5, signals),
    )
}
for module in (init_ops, weights, photographs, saved_model, training):
    OPERATIONS |= module.OPERATIONS


def answer(line):
    try:
        request = json.loads(line)
        return OPERATIONS[request["op"]](request)
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error}"}


def serve(path):
    with socket.socket(socket.AF_UNIX) as listener, selectors.DefaultSelector() as selector:
        listener.bind(path)
        listener.listen()
        selector.register(listener, selectors.EVENT_READ)
        selector.register(sys.stdin, selectors.EVENT_READ)
        print("ready", flush=True)
        buffers = {}
        while True:
            for key, _ in selector.select():
                if key.fileobj is sys.stdin:
                    return
                if key.fileobj is listener:
                    connection, _ = listener.accept()
                    buffers[connection] = b""
                    selector.register(connection, selectors.EVENT_READ)
                    continue
                connection = key.fileobj
                data = connection.recv(1 << 20)
                if not data:
                    selector.unregister(connection)
                    connection.close()
                    del buffers[connection]
                    continue
                *lines, buffers[connection] = (buffers[connection] + data).split(b"\n")
                for line in lines:
                    connection.sendall(json.dumps(answer(line)).encode() + b"\n")


serve(sys.argv[1])
