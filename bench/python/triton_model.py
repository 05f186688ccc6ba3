"""Triton's Python backend with the network of an ONNX file: model.py of a model repository.

The JPEG is one BYTES element. The model returns all probabilities; Triton's classification extension selects the top
five. Environment: SITE_PACKAGES and BENCH_PEERS (folders to import from), NETWORK, THREADS and SPINNING.
"""

import os
import site
import sys

# Triton's embedded interpreter ignores virtual environments and PYTHONPATH.
site.addsitedir(os.environ["SITE_PACKAGES"])
sys.path.append(os.environ["BENCH_PEERS"])

import numpy as np
import triton_python_backend_utils as backend
from classify import Classifier


class TritonPythonModel:
    def initialize(self, args):
        self.classifier = Classifier(
            os.environ["NETWORK"], int(os.environ["THREADS"]), int(os.environ["SPINNING"])
        )

    def execute(self, requests):
        """Decodes and computes all images of all requests as one batch."""
        tensors = [backend.get_input_tensor_by_name(request, "image").as_numpy() for request in requests]
        images = iter(self.classifier.decode_all([data for tensor in tensors for data in tensor.flat]))
        parts = [[next(images) for _ in tensor] for tensor in tensors]
        errors = [next((image for image in part if isinstance(image, Exception)), None) for part in parts]
        whole = [image for part, error in zip(parts, errors) if error is None for image in part]
        rows = iter(self.classifier.probabilities(whole) if whole else [])
        return [
            respond(error, [] if error else [next(rows) for _ in part]) for part, error in zip(parts, errors)
        ]


def respond(error, rows):
    if error is not None:
        code = backend.TritonError.INVALID_ARG
        return backend.InferenceResponse(error=backend.TritonError(str(error), code))
    return backend.InferenceResponse([backend.Tensor("probabilities", np.stack(rows))])
