"""Shared by the scripts that write state dicts: data, truths, alterations, files.

Each state dict has tensors by name and the truth of each:

    fresh    as drawn, or rounded to float16 or bfloat16
    moved    changed by a training step
    altered  changed otherwise: pruned, quantized, averaged with another draw
"""

import json
import sys
import zlib
from functools import cache
from pathlib import Path

import numpy as np
from safetensors.numpy import save_file


DIGITS = Path(__file__).parents[3] / "src/experiments/digits.json"


@cache
def digits():
    """scikit-learn's handwritten digits from the file of ../../golden/digits.py: images [n, 8, 8] in 0..1, and classes."""
    stored = json.loads(DIGITS.read_text())
    images = [[int(pixel, 17) for pixel in image] for image in stored["images"]]
    classes = [int(label) for label in stored["labels"]]
    return np.asarray(images, np.float32).reshape(-1, 8, 8) / 16, np.asarray(classes, np.int32)


def batches(epochs, size=64, seed=0):
    """The digits in shuffled batches, `epochs` times."""
    images, classes = digits()
    rng = np.random.default_rng(seed)
    for _ in range(epochs):
        order = rng.permutation(len(images))
        for start in range(0, len(order) - size + 1, size):
            chosen = order[start : start + size]
            yield images[chosen], classes[chosen]


def fresh(tensors):
    return tensors, {name: "fresh" for name in tensors}


def trained(before, after):
    """Marks tensors that differ from those before in any bit as moved."""
    return after, {
        name: "fresh" if np.array_equal(value, before[name]) else "moved" for name, value in after.items()
    }


def changed(made, change, truth=None):
    """Alters every tensor of rank 2 or more; fresh ones become altered."""
    tensors, truths = made
    tensors, truths = dict(tensors), dict(truths)
    for name, value in tensors.items():
        if value.ndim < 2 or value.dtype != np.float32 or value.min() == value.max():
            continue
        tensors[name] = change(value)
        if truth is not None and truths[name] == "fresh":
            truths[name] = truth
    return tensors, truths


def as_float16(value):
    return value.astype(np.float16).astype(np.float32)


def as_bfloat16(value):
    bits = value.view(np.uint32)
    rounded = bits + 0x7FFF + ((bits >> 16) & 1)
    return (rounded & 0xFFFF0000).astype(np.uint32).view(np.float32)


def pruned(value):
    """Sets the smaller half of the values to 0."""
    return np.where(np.abs(value) < np.median(np.abs(value)), np.float32(0), value)


def quantized(value, axis=None, bits=8):
    """Symmetric integers times a scale per tensor or per position along an axis."""
    others = None if axis is None else tuple(other for other in range(value.ndim) if other != axis)
    scale = np.abs(value).max(axis=others, keepdims=True) / (2 ** (bits - 1) - 1)
    return (np.round(value / np.where(scale == 0, 1, scale)) * scale).astype(np.float32)


def averaged(first, second, truth=None):
    """The mean of two state dicts (a model soup)."""
    (a, truths), (b, _) = first, second
    tensors = {name: ((value + b[name]) / 2).astype(value.dtype) for name, value in a.items()}
    same = {name: np.array_equal(value, b[name]) for name, value in a.items()}
    return tensors, {
        name: kind if same[name] or kind == "moved" else (truth or kind) for name, kind in truths.items()
    }


def main(makers):
    """Writes missing files FOLDER/NAME.safetensors for the given names, or for all, with the truths in the metadata."""
    folder, *names = sys.argv[1:]
    Path(folder).mkdir(parents=True, exist_ok=True)
    for name in names or makers:
        if (Path(folder) / f"{name}.safetensors").exists():
            continue
        tensors, truths = makers[name](zlib.crc32(name.encode()) % 10**6)
        tensors = {key: np.ascontiguousarray(value) for key, value in tensors.items()}
        save_file(tensors, Path(folder) / f"{name}.safetensors", {"truths": json.dumps(truths)})
        print(name, len(tensors), flush=True)
