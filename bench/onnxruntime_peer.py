"""ResNet-50 in onnxruntime, the peer that our predictions are timed against.

The same work as ours: uint8 pixels [n, 224, 224, 3] in, normalised within the graph, float32
logits out, batch norm folded into the kernels. One JSON request a line on stdin, one answer a
line on stdout:

    {"op": "run", "batch": 32, "repeats": 5}   -> {"ms": [...]}
    {"op": "logits", "pixels_path": "..."}     -> {"batch", "logits": base64 of float32}

`pixels_path` is a file of raw uint8 pixels of any number of images.
"""

import argparse
import base64
import json
import sys
import time

import numpy as np
import onnxruntime
from onnx import TensorProto, checker, helper, numpy_helper
from safetensors.numpy import load_file

STAGES = [(3, 64, 1), (4, 128, 2), (6, 256, 2), (3, 512, 2)]
EXPANSION = 4
CLASSES = 1000
EPSILON = 1e-5
MEAN = np.array([0.485, 0.456, 0.406])
STD = np.array([0.229, 0.224, 0.225])
SIZE = 224


class Weights:
    """A weights file of the service, under its parameter names."""

    def __init__(self, path):
        self.tensors = load_file(path)

    def kernel(self, name, shape):
        kernel = self.tensors[name].astype(np.float64)
        if kernel.shape != tuple(shape):
            raise ValueError(f"{name}: expected shape {shape}, got {kernel.shape}")
        return kernel

    def vector(self, name, size, value):
        """`value` stands in for a buffer that the file leaves out."""
        vector = self.tensors.get(name)
        return np.full(size, value, np.float64) if vector is None else vector.astype(np.float64)


class Graph:
    def __init__(self, weights):
        self.weights = weights
        self.nodes = []
        self.constants = []

    def node(self, op, inputs, name, **attributes):
        self.nodes.append(helper.make_node(op, inputs, [name], name, **attributes))
        return name

    def constant(self, value, name):
        value = np.ascontiguousarray(value, dtype=np.float32)
        self.constants.append(numpy_helper.from_array(value, name))
        return name

    def convolution(self, x, conv, norm, shape, strides):
        """A convolution padded symmetrically, with the batch norm that follows it folded in."""
        outputs = shape[-1]
        variance = self.weights.vector(f"{norm}/moving_variance", outputs, 1)
        scale = self.weights.vector(f"{norm}/gamma", outputs, 1) / np.sqrt(variance + EPSILON)
        mean = self.weights.vector(f"{norm}/moving_mean", outputs, 0)
        shift = self.weights.vector(f"{norm}/beta", outputs, 0) - mean * scale
        kernel = self.weights.kernel(f"{conv}/kernel", shape) * scale
        inputs = [
            x,
            self.constant(kernel.transpose(3, 2, 0, 1), f"{conv}/kernel"),
            self.constant(shift, f"{conv}/bias"),
        ]
        pads = [(shape[0] - 1) // 2] * 4
        return self.node("Conv", inputs, conv, strides=[strides] * 2, pads=pads)

    def block(self, x, name, inputs, filters, strides):
        outputs = filters * EXPANSION
        layers = [
            ([1, 1, inputs, filters], 1),
            ([3, 3, filters, filters], strides),
            ([1, 1, filters, outputs], 1),
        ]
        branch = x
        for number, (shape, step) in enumerate(layers, start=1):
            branch = self.convolution(
                branch, f"{name}/conv{number}", f"{name}/norm{number}", shape, step
            )
            if number < len(layers):
                branch = self.node("Relu", [branch], f"{name}/relu{number}")
        if strides != 1 or inputs != outputs:
            shortcut = f"{name}/shortcut"
            x = self.convolution(
                x, f"{shortcut}/conv", f"{shortcut}/norm", [1, 1, inputs, outputs], strides
            )
        return self.node("Relu", [self.node("Add", [branch, x], f"{name}/add")], f"{name}/relu")

    def build(self):
        x = self.node("Cast", ["pixels"], "cast", to=TensorProto.FLOAT)
        x = self.node("Mul", [x, self.constant(1 / (255 * STD), "scale")], "scaled")
        x = self.node("Sub", [x, self.constant(MEAN / STD, "mean")], "normalised")
        x = self.node("Transpose", [x], "channels_first", perm=[0, 3, 1, 2])
        x = self.convolution(x, "stem/conv", "stem/norm", [7, 7, 3, 64], 2)
        x = self.node("Relu", [x], "stem/relu")
        x = self.node(
            "MaxPool", [x], "stem/pool", kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4
        )
        inputs = 64
        for stage, (blocks, filters, strides) in enumerate(STAGES, start=1):
            for block in range(1, blocks + 1):
                step = strides if block == 1 else 1
                x = self.block(x, f"stage{stage}/block{block}", inputs, filters, step)
                inputs = filters * EXPANSION
        x = self.node("GlobalAveragePool", [x], "head/pool")
        x = self.node("Flatten", [x], "head/flatten")
        kernel = self.weights.kernel("head/dense/kernel", [inputs, CLASSES])
        bias = self.weights.vector("head/dense/bias", CLASSES, 0)
        self.node(
            "Gemm",
            [x, self.constant(kernel, "head/kernel"), self.constant(bias, "head/bias")],
            "logits",
        )
        graph = helper.make_graph(
            self.nodes,
            "resnet50",
            [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["n", SIZE, SIZE, 3])],
            [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", CLASSES])],
            self.constants,
        )
        # Pinned below what the helper package would choose, which may be newer than the runtime.
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9
        )
        checker.check_model(model)
        return model.SerializeToString()


def session(weights, threads):
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(
        Graph(weights).build(), options, providers=["CPUExecutionProvider"]
    )


def answer(network, request):
    if request["op"] == "run":
        shape = (request["batch"], SIZE, SIZE, 3)
        pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
        milliseconds = []
        for _ in range(request.get("repeats", 1)):
            started = time.perf_counter()
            network.run(["logits"], {"pixels": pixels})
            milliseconds.append((time.perf_counter() - started) * 1000)
        return {"ms": milliseconds}
    if request["op"] == "logits":
        pixels = np.fromfile(request["pixels_path"], np.uint8).reshape(-1, SIZE, SIZE, 3)
        (logits,) = network.run(["logits"], {"pixels": pixels})
        data = np.ascontiguousarray(logits, dtype="<f4").tobytes()
        return {"batch": len(pixels), "logits": base64.b64encode(data).decode()}
    raise ValueError(f"unknown op {request['op']}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("weights", help="a safetensors file with the service's parameter names")
    parser.add_argument("--threads", type=int, required=True)
    arguments = parser.parse_args()
    network = session(Weights(arguments.weights), arguments.threads)
    for line in sys.stdin:
        try:
            result = answer(network, json.loads(line))
        except Exception as error:
            result = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
