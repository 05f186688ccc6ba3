"""KServe's Python server with the network of an ONNX file: V1 protocol, the JPEG itself as the body.

kserve_peer.py network.onnx --port N --workers N --threads N
"""

import argparse
import asyncio
import logging

import kserve
from classify import Classifier, decode, top_classes
from kserve.errors import InvalidInput


class Network(kserve.Model):
    def __init__(self, name, path, threads):
        super().__init__(name)
        self.path = path
        self.threads = threads
        self.load()

    def load(self):
        self.classifier = Classifier(self.path, self.threads)
        self.ready = True
        return True

    def classify(self, payload):
        try:
            image = decode(payload)
        except Exception as error:
            raise InvalidInput(str(error)) from error
        return {"predictions": [top_classes(self.classifier.probabilities([image])[0])]}

    async def predict(self, payload, headers=None, response_headers=None):
        # In a thread, so that the event loop serves others: decoding and onnxruntime both let go of the interpreter.
        return await asyncio.to_thread(self.classify, payload)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("path")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--workers", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    arguments = parser.parse_args()
    # Its lines for every request are not part of the work.
    logging.disable(logging.INFO)
    server = kserve.ModelServer(
        http_port=arguments.port, workers=arguments.workers, enable_grpc=False
    )
    server.start([Network("network", arguments.path, arguments.threads)])
