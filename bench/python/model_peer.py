"""onnxruntime and OpenVINO on the network of a weights file, without a server.

One JSON request per line on stdin, one response per line on stdout:

    {"op": "runtimes"}                                        -> {"runtimes": [...]}
    {"op": "run", "runtime": "...", "batch": 32, "repeats": 5} -> {"ms": [...]}
    {"op": "logits", "runtime": "...", "pixels_path": "..."}   -> {"batch", "logits": base64 of float32}

`pixels_path` is a file of raw uint8 pixels of one or more images.
"""

import argparse
import base64
import json
import sys
import time

import numpy as np
import onnxruntime
import openvino
from network import Weights, onnx_of


class OnnxRuntime:
    """All cores on one image, as by default, since nothing else runs."""

    def __init__(self, onnx, threads):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(
            onnx, options, providers=["CPUExecutionProvider"]
        )

    def run(self, pixels):
        return self.session.run(["logits"], {"pixels": pixels})[0]


class OpenVino:
    """Compiled for each batch size, because fixed shapes are fastest; one stream over all cores (hint LATENCY), because
    calls come one after another."""

    def __init__(self, onnx, threads, precision):
        self.core = openvino.Core()
        self.onnx = onnx
        self.config = {
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_NUM_THREADS": threads,
            "INFERENCE_PRECISION_HINT": precision,
        }
        self.compiled = {}

    def run(self, pixels):
        shape = pixels.shape
        if shape not in self.compiled:
            model = self.core.read_model(self.onnx)
            model.reshape(list(shape))
            compiled = self.core.compile_model(model, "CPU", self.config)
            self.compiled[shape] = compiled.create_infer_request()
        request = self.compiled[shape]
        request.infer({"pixels": pixels})
        return request.get_output_tensor().data


def runtimes_of(onnx, threads):
    runtimes = {
        "onnxruntime float32": OnnxRuntime(onnx, threads),
        "OpenVINO float32": OpenVino(onnx, threads, "f32"),
    }
    # onnxruntime computes in bfloat16 on ARM only, OpenVINO on every CPU with the instructions.
    if "BF16" in openvino.Core().get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
        runtimes["OpenVINO bfloat16"] = OpenVino(onnx, threads, "bf16")
    return runtimes


def answer(runtimes, shape, request):
    if request["op"] == "runtimes":
        return {"runtimes": list(runtimes)}
    runtime = runtimes[request["runtime"]]
    if request["op"] == "run":
        pixels = np.random.default_rng(0).integers(0, 256, (request["batch"], *shape), np.uint8)
        milliseconds = []
        for _ in range(request["repeats"]):
            started = time.perf_counter()
            runtime.run(pixels)
            milliseconds.append((time.perf_counter() - started) * 1000)
        return {"ms": milliseconds}
    if request["op"] == "logits":
        pixels = np.fromfile(request["pixels_path"], np.uint8).reshape(-1, *shape)
        data = np.ascontiguousarray(runtime.run(pixels), dtype="<f4").tobytes()
        return {"batch": len(pixels), "logits": base64.b64encode(data).decode()}
    raise ValueError(f"unknown op {request['op']}")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("weights", help="a safetensors file of the service")
    parser.add_argument("--threads", type=int, required=True)
    arguments = parser.parse_args()
    runtimes = runtimes_of(onnx_of(arguments.weights), arguments.threads)
    shape = Weights(arguments.weights).specification["architecture"]["input_shape"]
    for line in sys.stdin:
        try:
            result = answer(runtimes, shape, json.loads(line))
        except Exception as error:
            result = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
