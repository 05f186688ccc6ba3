"""Decoding and classification of uploads, shared by all peers, so that only the servers differ."""

import io
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import onnxruntime
from PIL import Image


def decode(data):
    """uint8 pixels [height, width, 3]. Pillow decodes by libjpeg-turbo and releases the interpreter lock."""
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


class Classifier:
    """An ONNX network over uint8 pixels. `threads` decode and compute one batch.

    With `spinning` (0 or 1) they wait in a loop between the operations of a batch, which is faster than to be woken where
    the cores are theirs alone. They stop with the batch: going on would take the cores that HTTP and decoding need.
    """

    def __init__(self, path, threads, spinning):
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", str(spinning))
        options.add_session_config_entry("session.force_spinning_stop", "1")
        self.session = onnxruntime.InferenceSession(
            path, options, providers=["CPUExecutionProvider"]
        )
        self.decoders = ThreadPoolExecutor(threads)

    def decode_all(self, uploads):
        """Pixels of each upload, or the exception of its decoding."""

        def attempt(data):
            try:
                return decode(data)
            except Exception as error:
                return error

        return list(self.decoders.map(attempt, uploads)) if len(uploads) > 1 else [attempt(uploads[0])]

    def probabilities(self, images):
        """float32 [n, classes] of a list of pixels."""
        (logits,) = self.session.run(["logits"], {"pixels": np.stack(images)})
        exponentials = np.exp(logits - logits.max(axis=1, keepdims=True))
        return exponentials / exponentials.sum(axis=1, keepdims=True)


def top_classes(probabilities, k=5):
    """The k most probable classes of one image, most probable first."""
    best = np.argpartition(probabilities, -k)[-k:]
    best = best[np.argsort(probabilities[best])[::-1]]
    return [{"index": int(index), "probability": float(probabilities[index])} for index in best]
