"""Converts a weights file of the service to ONNX.

The graph does the same work as the service: uint8 pixels [n, height, width, 3] in, normalized in the graph, float32
logits out, batch norm folded into the kernels. The metadata of the file contains the architecture.
"""

import json

import numpy as np
from onnx import TensorProto, checker, helper, numpy_helper
from safetensors import safe_open


class Weights:
    """Reads a weights file of the service; keys are parameter names."""

    def __init__(self, path):
        with safe_open(path, framework="numpy") as file:
            self.specification = json.loads(file.metadata()["resinit.spec"])
            self.tensors = {name: file.get_tensor(name) for name in file.keys()}

    def kernel(self, name):
        return self.tensors[name].astype(np.float64)

    def vector(self, name, size, value):
        """`value` replaces a buffer that the file omits."""
        vector = self.tensors.get(name)
        return np.full(size, value, np.float64) if vector is None else vector.astype(np.float64)


class Graph:
    def __init__(self, weights):
        self.weights = weights
        self.specification = weights.specification
        self.architecture = weights.specification["architecture"]
        self.nodes = []
        self.constants = []
        known = {"version": "v1.5", "padding": "symmetric", "use_bias": False}
        for field, value in known.items():
            if self.architecture[field] != value:
                raise ValueError(f"{field} {self.architecture[field]!r}: only {value!r} is written here")

    def node(self, op, inputs, name, **attributes):
        self.nodes.append(helper.make_node(op, inputs, [name], name, **attributes))
        return name

    def constant(self, value, name):
        value = np.ascontiguousarray(value, dtype=np.float32)
        self.constants.append(numpy_helper.from_array(value, name))
        return name

    def convolution(self, x, conv, norm, strides):
        """A symmetrically padded convolution with the following batch norm folded in."""
        kernel = self.weights.kernel(f"{conv}/kernel")
        outputs = kernel.shape[-1]
        variance = self.weights.vector(f"{norm}/moving_variance", outputs, 1)
        epsilon = self.architecture["norm"]["epsilon"]
        scale = self.weights.vector(f"{norm}/gamma", outputs, 1) / np.sqrt(variance + epsilon)
        mean = self.weights.vector(f"{norm}/moving_mean", outputs, 0)
        shift = self.weights.vector(f"{norm}/beta", outputs, 0) - mean * scale
        inputs = [
            x,
            self.constant((kernel * scale).transpose(3, 2, 0, 1), f"{conv}/kernel"),
            self.constant(shift, f"{conv}/bias"),
        ]
        pads = [(kernel.shape[0] - 1) // 2] * 4
        return self.node("Conv", inputs, conv, strides=[strides] * 2, pads=pads)

    def block(self, x, name, strides):
        bottleneck = self.architecture["block"] == "bottleneck"
        steps = [1, strides, 1] if bottleneck else [strides, 1]
        branch = x
        for number, step in enumerate(steps, start=1):
            branch = self.convolution(branch, f"{name}/conv{number}", f"{name}/norm{number}", step)
            if number < len(steps):
                branch = self.node("Relu", [branch], f"{name}/relu{number}")
        shortcut = f"{name}/shortcut"
        if f"{shortcut}/conv/kernel" in self.weights.tensors:
            x = self.convolution(x, f"{shortcut}/conv", f"{shortcut}/norm", strides)
        return self.node("Relu", [self.node("Add", [branch, x], f"{name}/add")], f"{name}/relu")

    def stem(self):
        preprocessing = self.specification["preprocessing"]
        scale, mean, std = (np.asarray(preprocessing[field]) for field in ("scale", "mean", "std"))
        x = self.node("Cast", ["pixels"], "cast", to=TensorProto.FLOAT)
        x = self.node("Mul", [x, self.constant(scale / std, "scale")], "scaled")
        x = self.node("Sub", [x, self.constant(mean / std, "mean")], "normalised")
        x = self.node("Transpose", [x], "channels_first", perm=[0, 3, 1, 2])
        stem = self.architecture["stem"]
        x = self.convolution(x, "stem/conv", "stem/norm", stem["strides"])
        x = self.node("Relu", [x], "stem/relu")
        pool = stem["pool"]
        if pool is None:
            return x
        window = {"kernel_shape": [pool["size"]] * 2, "strides": [pool["strides"]] * 2}
        return self.node("MaxPool", [x], "stem/pool", pads=[(pool["size"] - 1) // 2] * 4, **window)

    def head(self, x):
        x = self.node("GlobalAveragePool", [x], "head/pool")
        x = self.node("Flatten", [x], "head/flatten")
        kernel = self.weights.kernel("head/dense/kernel")
        bias = self.weights.vector("head/dense/bias", kernel.shape[1], 0)
        inputs = [x, self.constant(kernel, "head/kernel"), self.constant(bias, "head/bias")]
        self.node("Gemm", inputs, "logits")
        return kernel.shape[1]

    def build(self):
        x = self.stem()
        for stage, settings in enumerate(self.architecture["stages"], start=1):
            for block in range(1, settings["blocks"] + 1):
                strides = settings["strides"] if block == 1 else 1
                x = self.block(x, f"stage{stage}/block{block}", strides)
        classes = self.head(x)
        pixels = ["n", *self.architecture["input_shape"]]
        graph = helper.make_graph(
            self.nodes,
            "network",
            [helper.make_tensor_value_info("pixels", TensorProto.UINT8, pixels)],
            [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["n", classes])],
            self.constants,
        )
        # Pinned, since the default of the helper package may be newer than the runtimes.
        model = helper.make_model(
            graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9
        )
        checker.check_model(model)
        return model.SerializeToString()


def onnx_of(weights_path):
    return Graph(Weights(weights_path)).build()
