"""KServe's Python server with the network of an ONNX file: V1 protocol, the JPEG itself as the body.

kserve_peer.py network.onnx --port N --workers N --concurrency N --threads N --spinning 0|1
"""

import argparse
import asyncio
import logging
from concurrent.futures import ThreadPoolExecutor

import kserve
from classify import Classifier, decode, top_classes
from kserve.errors import InvalidInput


class Network(kserve.Model):
    def __init__(self, name, network, concurrency):
        super().__init__(name)
        self.network = network
        self.concurrency = concurrency
        self.load()

    def load(self):
        self.classifier = Classifier(*self.network)
        # An own executor, because KServe passes max_asyncio_workers to a loop that does not run.
        self.executor = ThreadPoolExecutor(self.concurrency)
        self.ready = True
        return True

    def classify(self, payload):
        try:
            image = decode(payload)
        except Exception as error:
            raise InvalidInput(str(error)) from error
        return {"predictions": [top_classes(self.classifier.probabilities([image])[0])]}

    async def predict(self, payload, headers=None, response_headers=None):
        # In a thread, since Pillow and onnxruntime release the interpreter lock and the event loop stays free.
        return await asyncio.get_running_loop().run_in_executor(self.executor, self.classify, payload)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("path")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--workers", type=int, required=True)
    parser.add_argument("--concurrency", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--spinning", type=int, required=True)
    arguments = parser.parse_args()
    # No log lines per request and no tracebacks for invalid images.
    logging.disable(logging.ERROR)
    server = kserve.ModelServer(
        http_port=arguments.port, workers=arguments.workers, enable_grpc=False
    )
    network = (arguments.path, arguments.threads, arguments.spinning)
    server.start([Network("network", network, arguments.concurrency)])
