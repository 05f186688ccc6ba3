"""LitServe with the network of an ONNX file: uploads as multipart/form-data, the top five classes as JSON.

litserve_peer.py network.onnx --port N --workers N --threads N --spinning 0|1 --batch N --batch-timeout SECONDS
"""

import argparse

import litserve
from classify import Classifier, top_classes
from fastapi.responses import JSONResponse


class Api(litserve.LitAPI):
    def __init__(self, network, **settings):
        super().__init__(**settings)
        self.network = network

    def setup(self, device):
        self.classifier = Classifier(*self.network)

    def decode_request(self, request):
        return request["image"].file.read()

    def batch(self, inputs):
        # Here, because LitServe calls decode_request for one image after another.
        return self.classifier.decode_all(inputs)

    def predict(self, images):
        # An exception for one image would fail its whole batch.
        whole = [image for image in images if not isinstance(image, Exception)]
        rows = iter(self.classifier.probabilities(whole) if whole else [])
        return [image if isinstance(image, Exception) else next(rows) for image in images]

    def unbatch(self, output):
        return output

    def encode_response(self, output):
        if isinstance(output, Exception):
            return JSONResponse({"detail": str(output)}, 422)
        return {"classes": top_classes(output)}


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("path")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--workers", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--spinning", type=int, required=True)
    parser.add_argument("--batch", type=int, required=True)
    parser.add_argument("--batch-timeout", type=float, required=True)
    arguments = parser.parse_args()
    api = Api(
        (arguments.path, arguments.threads, arguments.spinning),
        max_batch_size=arguments.batch,
        batch_timeout=arguments.batch_timeout,
    )
    # fast_queue is its ZeroMQ transport, which its documentation recommends for high throughput.
    server = litserve.LitServer(
        api, accelerator="cpu", workers_per_device=arguments.workers, fast_queue=True
    )
    server.run(port=arguments.port, log_level="warning", generate_client_file=False, access_log=False)
