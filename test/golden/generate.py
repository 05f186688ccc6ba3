"""Writes vectors/: reference draws and results of Keras 3.

    python -m venv .venv && .venv/bin/pip install -r requirements.txt && .venv/bin/python generate.py

Arguments are names of vectors to write. On a processor whose L1 data cache is not 32 KB, `initializers` keeps the existing
records and adds the digests of orthogonal kernels for that cache size. With 32 KB it starts over, so run it there first.
"""

import base64
import gc
import hashlib
import json
import sys
import time
from pathlib import Path

import twin
import numpy as np

VECTORS = Path(__file__).parent / "vectors"

# Eigen sums products in parts that fit the L1 cache, and the last bits of QR depend on its size.
USUAL_L1D = "32K"
L1D_FILE = Path("/sys/devices/system/cpu/cpu0/cache/index0/size")

RANDOM = [
    ("GlorotUniform", {}),
    ("GlorotNormal", {}),
    ("HeUniform", {}),
    ("HeNormal", {}),
    ("LecunUniform", {}),
    ("LecunNormal", {}),
    ("TruncatedNormal", {}),
    ("TruncatedNormal", {"mean": 0.3, "stddev": 1.7}),
    ("RandomNormal", {}),
    ("RandomNormal", {"mean": -1.1, "stddev": 0.01}),
    ("RandomUniform", {}),
    ("RandomUniform", {"minval": 0.0, "maxval": 1.0}),
    ("RandomUniform", {"minval": -0.1, "maxval": 2.7}),
    ("VarianceScaling", {}),
    ("VarianceScaling", {"scale": 2.0, "mode": "fan_out", "distribution": "untruncated_normal"}),
    ("VarianceScaling", {"scale": 0.37, "mode": "fan_avg", "distribution": "uniform"}),
    ("VarianceScaling", {"scale": 1.9, "mode": "fan_avg", "distribution": "truncated_normal"}),
    ("VarianceScaling", {"scale": 3.0, "mode": "fan_in", "distribution": "uniform"}),
    ("VarianceScaling", {"scale": 0.1, "mode": "fan_out", "distribution": "normal"}),
]
ORTHOGONAL = [("Orthogonal", {}), ("Orthogonal", {"gain": 2**0.5})]
EXACT = [("Zeros", {}), ("Ones", {}), ("Constant", {"value": 0.1}), ("Constant", {"value": -3})]
IDENTITY = [("Identity", {}), ("Identity", {"gain": 0.7})]

# Seeds on both sides of every bound at which they could wrap, truncate or round.
SEEDS = [
    0,
    1,
    42,
    -1,
    2**31 - 3,
    2**31 - 2,
    2**31 - 1,
    2**31,
    2**40 + 7,
    2**53 - 1,
    1 - 2**53,
]
LARGE = [3, 3, 512, 512]

IMAGE = "flattened pixel i of the uint8 image is (i * 7919) % 251"

SMALL_STEM = {"kernel_size": 5, "filters": 16, "strides": 2, "padding": "same"}
SMALL_STAGES = [
    {"blocks": 2, "filters": 8, "strides": 1},
    {"blocks": 2, "filters": 16, "strides": 2},
]
NETWORKS = {
    "residual_network": {
        "architecture": "residual_network",
        "initializers": {"kernel": "xavier_initializer", "bias": "constant_initializer"},
        "seed": 7,
    },
    "resnet50": {"architecture": "resnet50", "initializers": {"kernel": "he_normal"}, "seed": 7},
    "resnet18": {"architecture": "resnet18", "initializers": {"kernel": "he_uniform"}, "seed": -1},
    "resnet20": {"architecture": "resnet20", "seed": 2**31},
    "v2_bottleneck": {
        "architecture": {
            "version": "v2",
            "block": "bottleneck",
            "stem": {
                **SMALL_STEM,
                "pool": {"type": "max", "size": 3, "strides": 2, "padding": "same"},
            },
            "stages": SMALL_STAGES,
            "padding": "same",
            "input_shape": [64, 64, 3],
        },
        "classes": 10,
        "initializers": {
            "kernel": "lecun_normal",
            "gamma": {"class_name": "RandomUniform", "config": {"minval": 0.5, "maxval": 1.5}},
            "beta": {"class_name": "RandomNormal", "config": {"stddev": 0.1}},
            "overrides": [{"match": "stage2/**/conv2/kernel", "initializer": "orthogonal"}],
        },
        "seed": 3,
    },
    "v1_bottleneck": {
        "architecture": {
            "version": "v1",
            "block": "bottleneck",
            "expansion": 2,
            "stem": {**SMALL_STEM, "pool": None},
            "stages": SMALL_STAGES,
            "shortcut": ["always", "projection"],
            "input_shape": [64, 64, 3],
        },
        "classes": 10,
        "initializers": {
            "kernel": "he_normal",
            "stem_kernel": "glorot_uniform",
            "shortcut_kernel": {"class_name": "Orthogonal", "config": {"gain": 0.5}},
            "dense_kernel": "glorot_normal",
            "dense_bias": {"class_name": "Constant", "config": {"value": 0.25}},
            "beta": {"class_name": "Constant", "config": {"value": 0.1}},
            "overrides": [{"match": "stage1/block2/conv2/kernel", "initializer": "zeros"}],
        },
        "seed": 11,
        "preprocessing": "caffe",
    },
    "without_norm": {
        "architecture": {
            "block": "basic",
            "stem": {
                "kernel_size": 3,
                "filters": 8,
                "strides": 1,
                "padding": "symmetric",
                "pool": None,
            },
            "stages": SMALL_STAGES,
            "kernel_size": 5,
            "padding": "symmetric",
            "norm": "none",
            "head": {"pool": {"type": "average", "size": 4, "strides": 3, "padding": "valid"}},
            "input_shape": [40, 56, 3],
        },
        "classes": 10,
        "initializers": {
            "kernel": "he_normal",
            "bias": {"class_name": "TruncatedNormal", "config": {"stddev": 0.1}},
        },
        "seed": 2**40 + 7,
        "preprocessing": "tf",
    },
}


def record(class_name, config, shape, seed):
    identifier = {"class_name": class_name, "config": config}
    data = twin.float32_bytes(twin.initializer(identifier, seed)(shape))
    return {
        "class_name": class_name,
        "config": config,
        "shape": shape,
        "seed": seed,
        "sha256": hashlib.sha256(data).hexdigest(),
        "first": [f"{word:08x}" for word in np.frombuffer(data[:16], "<u4")],
    }


def beside(old, new, l1d):
    """The old record with the new one's digest for another cache size."""
    if new["sha256"] == old["sha256"]:
        return old
    return {**old, "by_l1d": {**old.get("by_l1d", {}), l1d: new["sha256"]}}


def random_shape(rng, rank):
    """Dimensions with up to a few hundred thousand values, odd ones as likely as even."""
    largest = {1: 5000, 2: 400, 3: 60, 4: 24, 5: 9}[rank]
    return [int(size) for size in rng.integers(1, largest + 1, rank)]


def initializer_records():
    rng = np.random.default_rng(20)
    for class_name, config in RANDOM + ORTHOGONAL:
        lowest = 2 if class_name == "Orthogonal" else 1
        for seed in SEEDS:
            yield record(class_name, config, [3, 3, 5, 7], seed)
        for draw in range(8):
            rank = lowest + draw % (6 - lowest)
            yield record(class_name, config, random_shape(rng, rank), SEEDS[rng.integers(len(SEEDS))])
        yield record(class_name, config, LARGE, 42)
    for class_name, config in ORTHOGONAL:
        for shape in ([64, 16], [16, 64], [48, 48], [1, 1, 64, 256], [3, 3, 16, 200]):
            yield record(class_name, config, shape, 42)
    for class_name, config in IDENTITY:
        for shape in ([5, 5], [7, 3], [3, 7], [1, 64]):
            yield record(class_name, config, shape, 0)
    for class_name, config in EXACT:
        for rank in range(1, 6):
            yield record(class_name, config, random_shape(rng, rank), 0)
    # One shared generator, as in a model: its n-th draw has the seed vector [seed, n].
    for class_name, config in [*RANDOM[:4], ("RandomNormal", {}), ("Orthogonal", {})]:
        for seed in (0, 7, -1, 2**31 - 2, 2**53 - 1):
            generator = twin.seed_generator(seed)
            for n in range(4):
                drawn = record(class_name, config, [3, 3, 8, 12], generator)
                yield {**drawn, "seed": [seed, n]}


def network_vector(body):
    network = twin.ResidualNetwork(body)
    shape = network.spec["architecture"]["input_shape"]
    logits = network.logits(twin.image(shape)[np.newaxis])[0]
    return {
        "spec": body,
        "image": IMAGE,
        "logits": base64.b64encode(twin.float32_bytes(logits)).decode(),
        "weights_sha256": network.weights_sha256(),
        "parameter_count": network.parameter_count(),
        "parameters": network.parameter_digests(),
    }


def seed_vector():
    """Keras's seeds of the kernels of its applications, in layer order."""
    seeds = {}
    for name in ("ResNet50", "ResNet50V2"):
        twin.keras.utils.set_random_seed(7)
        layers = getattr(twin.keras.applications, name)(weights=None).layers
        drawing = [layer for layer in layers if hasattr(layer, "kernel_initializer")]
        seeds[name] = {layer.name: layer.kernel_initializer.seed for layer in drawing}
    return {"seed": 7, **seeds}


def lines(records):
    return "[\n" + ",\n".join(json.dumps(entry) for entry in records) + "\n]"


def fields(vector):
    """One field and one parameter per line, for readable diffs."""
    return "{\n" + ",\n".join(
        f"{json.dumps(name)}: {lines(value) if name == 'parameters' else json.dumps(value)}"
        for name, value in vector.items()
    ) + "\n}"


def write(name, text):
    path = VECTORS / f"{name}.json"
    path.write_text(text + "\n")
    print(f"{path.name}: {path.stat().st_size} bytes")


def main(names):
    VECTORS.mkdir(exist_ok=True)
    for name in names or ["initializers", "keras_seeds", *NETWORKS]:
        started = time.monotonic()
        if name == "initializers":
            records = list(initializer_records())
            l1d = L1D_FILE.read_text().strip()
            if l1d != USUAL_L1D:
                known = json.loads((VECTORS / f"{name}.json").read_text())
                records = [beside(old, new, l1d) for old, new in zip(known, records, strict=True)]
            write(name, lines(records))
            print(f"  {len(records)} records", end="")
        elif name == "keras_seeds":
            write(name, fields(seed_vector()))
        else:
            vector = network_vector(NETWORKS[name])
            write(name, fields(vector))
            print(f"  {vector['parameter_count']} parameters", end="")
            twin.keras.backend.clear_session()
            gc.collect()
        print(f", {time.monotonic() - started:.1f} s")


if __name__ == "__main__":
    main(sys.argv[1:])
