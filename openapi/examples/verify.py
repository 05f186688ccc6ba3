"""Checks a model of resinit without resinit: computes the id of a specification, draws every parameter with Keras or
TensorFlow, and compares digests. Needs numpy and TensorFlow; Keras 3 is used if it is installed.

    verify.py SPEC.json [--weights FILE | --url URL] [--with keras|tensorflow]

SPEC.json is a request or a record of the service, FILE a safetensors file of `/v1/models/NAME/weights`, URL a model of
a running service (`http://HOST/v1/models/NAME`; RESINIT_KEY is its key). Exits with 0 and one line if they agree, with 1
and a line for each difference, or with 2 if nothing can be compared. The rules: docs/adr/0001-specification-and-id.md,
docs/seeds.md, and GET /v1/initializers for the laws.
"""

import argparse
import hashlib
import json
import math
import os
import random
import re
import sys
import time
import urllib.error
import urllib.request
from decimal import Decimal

# Weights are defined by the bits that a CPU draws.
os.environ.update({"KERAS_BACKEND": "tensorflow", "CUDA_VISIBLE_DEVICES": "", "TF_CPP_MIN_LOG_LEVEL": "3"})

try:
    import numpy as np
except ImportError:
    print("numpy is not installed: pip install numpy tensorflow-cpu", file=sys.stderr)
    sys.exit(2)

MAX_LINES = 20


class Unverifiable(Exception):
    """Nothing can be compared. The message names the cure."""


# The specification: presets, aliases and defaults.

POOL = {"type": "max", "size": 3, "strides": 2, "padding": "same"}
HEAD_POOL = {"type": "average", "size": 7, "strides": 1, "padding": "valid"}
STEM = {"kernel_size": 7, "filters": 64, "strides": 2, "padding": "same", "pool": POOL}
NORM = {"type": "batch", "epsilon": 1e-5, "momentum": 0.9}
ARCHITECTURE = {
    **{"version": "v1.5", "block": "basic", "expansion": 4, "strides_in": "first", "kernel_size": 3},
    **{"padding": "same", "shortcut": "projection", "use_bias": False, "activation": "relu"},
    **{"input_shape": [224, 224, 3], "stem": STEM, "stages": None, "norm": NORM},
    "head": {"pool": "global_average", "units": 1000},
}
PLAIN = {"scale": 1, "mean": [0, 0, 0], "std": [1, 1, 1], "channel_order": "rgb", "resize": None}
RESIZE = {"short_side": None, "interpolation": "bilinear"}
PREPROCESSING = {
    "torch": {"scale": 1 / 255, "mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]},
    "caffe": {"mean": [103.939, 116.779, 123.68], "channel_order": "bgr"},
    "tf": {"scale": 1 / 127.5, "mean": [1, 1, 1]},
    "unit": {"scale": 1 / 255},
    "none": {},
}
OTHERS = {
    **{"classes": 1000, "seed": 0, "seeding": "per_layer", "residual_scheme": "none"},
    **{"precision": "float32", "labels": "none"},
}
ROLES = {"kernel": "GlorotUniform", "bias": "Zeros", "gamma": "Ones", "beta": "Zeros"}
FIELDS = [*ROLES, "stem_kernel", "shortcut_kernel", "dense_kernel", "dense_bias"]
FIXUP_KERNEL = {"scale": 2, "mode": "fan_out", "distribution": "untruncated_normal"}
SCHEMES = {
    "fixup": {"kernel": {"class_name": "VarianceScaling", "config": FIXUP_KERNEL}, "dense_kernel": "Zeros"},
    "lsuv": {"kernel": "Orthogonal"},
}


def stages(blocks, filters, strides):
    return [{"blocks": b, "filters": f, "strides": s} for b, f, s in zip(blocks, filters, strides)]


SYMMETRIC_STEM = {**STEM, "padding": "symmetric", "pool": {**POOL, "padding": "symmetric"}}


def imagenet(block, blocks):
    layers = stages(blocks, [64, 128, 256, 512], [1, 2, 2, 2])
    return {"block": block, "stem": SYMMETRIC_STEM, "stages": layers, "padding": "symmetric"}


def cifar(blocks):
    stem = {"kernel_size": 3, "filters": 16, "strides": 1, "padding": "symmetric", "pool": None}
    layers = stages([blocks] * 3, [16, 32, 64], [1, 2, 2])
    return {"stem": stem, "stages": layers, "padding": "symmetric", "input_shape": [32, 32, 3]}


def application(version, blocks):
    v2 = version == "v2"
    return {
        **imagenet("bottleneck", blocks),
        "version": version,
        "stages": stages(blocks, [64, 128, 256, 512], [2, 2, 2, 1] if v2 else [1, 2, 2, 2]),
        **({"strides_in": "last", "shortcut": "pool", "use_bias": "unnormed"} if v2 else {"use_bias": True}),
        "norm": {"type": "batch", "epsilon": 1.001e-5, "momentum": 0.99},
    }


ARTICLE = {
    "stem": {**STEM, "pool": None},
    "stages": stages([1, 1, 1], [64, 128, 256], [1, 2, 2]),
    "use_bias": True,
    "norm": {"type": "batch", "epsilon": 0.001, "momentum": 0.99},
    "head": {"pool": HEAD_POOL},
}
DEEP = {"50": [3, 4, 6, 3], "101": [3, 4, 23, 3], "152": [3, 8, 36, 3]}
# Each with its classes and preprocessing.
PRESETS = {
    "residual_network": (ARTICLE, 1000, "none"),
    "resnet18": (imagenet("basic", [2, 2, 2, 2]), 1000, "torch"),
    "resnet34": (imagenet("basic", [3, 4, 6, 3]), 1000, "torch"),
    **{f"resnet{depth}": (imagenet("bottleneck", blocks), 1000, "torch") for depth, blocks in DEEP.items()},
    **{f"resnet{depth}_v1": (application("v1", blocks), 1000, "caffe") for depth, blocks in DEEP.items()},
    **{f"resnet{depth}_v2": (application("v2", blocks), 1000, "tf") for depth, blocks in DEEP.items()},
    **{f"resnet{depth}": (cifar((depth - 2) // 6), 10, "torch") for depth in (20, 32, 44, 56, 110)},
}


def merge(base, fields):
    """Merges objects field by field; other values replace."""
    both = {n: merge(base[n], v) for n, v in fields.items() if isinstance(base.get(n), dict) and isinstance(v, dict)}
    return {**base, **fields, **both}


def fill(fields, defaults, where):
    """Fills missing fields. An unknown one belongs to another version and makes the id unknown."""
    for name in fields:
        if name not in defaults:
            raise Unverifiable(f"{where}/{name} is not a field that this program knows; use its newest version")
    return {**defaults, **fields}


def in_article_terms(preset, fields):
    """The article's `filters`, `strides` and `projection_shortcut` as fields of every preset."""
    fields = dict(fields)
    if preset != "residual_network":
        return fields
    if "filters" in fields or "strides" in fields:
        filters, strides = fields.pop("filters", [64, 128, 256]), fields.pop("strides", [1, 2, 2])
        fields["stages"] = stages([1] * len(filters), filters, strides)
    if "projection_shortcut" in fields:
        given = fields.pop("projection_shortcut")
        rule = lambda value: "projection" if value == "auto" else "always" if value else "never"
        fields["shortcut"] = [rule(value) for value in given] if isinstance(given, list) else rule(given)
    return fields


def resolve_architecture(given, scheme):
    """The fields of an architecture without `head.units`, and its preset's classes and preprocessing."""
    fields = {"preset": given} if isinstance(given, str) else dict(given)
    preset = fields.pop("preset", None)
    if preset is not None and preset not in PRESETS:
        raise Unverifiable(f"#/architecture {preset!r} is not a preset that this program knows")
    base, classes, preprocessing = PRESETS.get(preset, ({}, 1000, "torch"))
    fields = in_article_terms(preset, fields)
    if isinstance(fields.get("norm"), str):
        fields["norm"] = {"type": fields["norm"]}
    given = merge(base, fields)
    made = fill(given, ARCHITECTURE, "#/architecture")
    if not made["stages"]:
        raise Unverifiable("#/architecture/stages is required without a preset")
    stage = {"blocks": 1, "filters": 1, "strides": 1}
    made["stages"] = [fill(fields, stage, "#/architecture/stages") for fields in made["stages"]]
    made["stem"] = fill(made["stem"], STEM, "#/architecture/stem")
    if made["stem"]["pool"] is not None:
        made["stem"]["pool"] = fill(made["stem"]["pool"], POOL, "#/architecture/stem/pool")
    made["head"] = fill(made["head"], ARCHITECTURE["head"], "#/architecture/head")
    if isinstance(made["head"]["pool"], dict):
        made["head"]["pool"] = fill(made["head"]["pool"], HEAD_POOL, "#/architecture/head/pool")
    made["norm"] = fill(made["norm"], NORM, "#/architecture/norm")
    # Fields without effect take their defaults.
    normless = made["norm"]["type"] == "none"
    made["norm"] = {**NORM, "type": "none"} if normless else made["norm"]
    made["use_bias"] = given.get("use_bias", normless and scheme != "fixup")
    if made["use_bias"] == "unnormed" and (normless or made["version"] != "v2"):
        made["use_bias"] = normless
    if not any(s["blocks"] > 1 and s["strides"] > 1 for s in made["stages"]):
        made["strides_in"] = "first"
    if made["block"] != "bottleneck":
        made["expansion"] = 4
    rules = made["shortcut"]
    if isinstance(rules, list) and len(set(rules)) == 1:
        made["shortcut"] = rules[0]
    units = given.get("head", {}).get("units")
    return made, units or classes, preprocessing


def resolve(request):
    """A request with every field."""
    request = {name: value for name, value in request.items() if name != "name"}
    allowed = {**OTHERS, "architecture": None, "initializers": None, "preprocessing": None}
    fill(request, allowed, "#")
    if "architecture" not in request:
        raise Unverifiable("#/architecture is required; give a specification or a record")
    scheme = request.get("residual_scheme", "none")
    architecture, classes, preprocessing = resolve_architecture(request["architecture"], scheme)
    classes = request.get("classes", classes)
    architecture["head"]["units"] = classes
    channels = architecture["input_shape"][2]
    given = request.get("preprocessing", preprocessing)
    given = PREPROCESSING[given] if isinstance(given, str) else given
    each = {"mean": [0] * channels, "std": [1] * channels}
    if given.get("resize"):
        given = {**given, "resize": fill(given["resize"], RESIZE, "#/preprocessing/resize")}
    initializers = {**ROLES, **SCHEMES.get(scheme, {}), **request.get("initializers", {})}
    overrides = initializers.pop("overrides", [])
    fill(initializers, dict.fromkeys(FIELDS), "#/initializers")
    complete = {name: complete_initializer(value) for name, value in initializers.items()}
    complete["overrides"] = [
        {"match": override["match"], "initializer": complete_initializer(override["initializer"])}
        for override in overrides
    ]
    return {
        **{name: request.get(name, default) for name, default in OTHERS.items()},
        **{"architecture": architecture, "classes": classes, "initializers": complete},
        "preprocessing": fill({**each, **given}, PLAIN, "#/preprocessing"),
    }


# Initializers: the class of each name, the defaults of its config, and its law.

SEEDED = {"seed": None}
GAIN = {"gain": 1, "seed": None}
NORMAL = {"mean": 0, "stddev": 0.05, "seed": None}
KAIMING = {"a": 0, "mode": "fan_in", "nonlinearity": "leaky_relu", "seed": None}
SCALING = {"scale": 1, "mode": "fan_in", "distribution": "truncated_normal", "seed": None}
# class: (defaults, further names, defaults of the name in init_ops.py where they differ)
CLASSES = {
    "Zeros": ({}, ["zero"], {}),
    "Ones": ({}, ["one"], {}),
    "Constant": ({"value": 0, "fill": "broadcast"}, [], {"fill": "repeat_last"}),
    "Identity": ({"gain": 1}, ["IdentityInitializer", "eye"], {}),
    "Dirac": ({"groups": 1}, ["dirac_"], None),
    "RandomUniform": ({"minval": -0.05, "maxval": 0.05, "seed": None}, ["uniform"], {"minval": 0, "maxval": 1}),
    "RandomNormal": (NORMAL, ["normal", "untruncated_normal"], {"stddev": 1}),
    "TruncatedNormal": (NORMAL, [], {"stddev": 1}),
    "VarianceScaling": (SCALING, [], {}),
    "GlorotUniform": (SEEDED, ["xavier_uniform"], {}),
    "GlorotNormal": (SEEDED, ["xavier_normal"], {}),
    "HeUniform": (SEEDED, ["kaiming_uniform"], {}),
    "HeNormal": (SEEDED, ["kaiming_normal"], {}),
    "LecunUniform": (SEEDED, [], {}),
    "LecunNormal": (SEEDED, [], {}),
    "UniformUnitScaling": ({"factor": 1, "seed": None}, [], {}),
    "Orthogonal": (GAIN, ["OrthogonalInitializer", "orthogonal_"], {}),
    "ConvolutionDeltaOrthogonal": (GAIN, ["convolutional_delta_orthogonal", "delta_orthogonal"], {}),
    "ConvolutionOrthogonal1D": (GAIN, ["convolutional_orthogonal_1d"], {}),
    "ConvolutionOrthogonal2D": (GAIN, ["convolutional_orthogonal_2d"], {}),
    "ConvolutionOrthogonal3D": (GAIN, ["convolutional_orthogonal_3d"], {}),
    "TorchKaimingUniform": (KAIMING, ["kaiming_uniform_"], None),
    "TorchKaimingNormal": (KAIMING, ["kaiming_normal_"], None),
    "TorchXavierUniform": (GAIN, ["xavier_uniform_"], None),
    "TorchXavierNormal": (GAIN, ["xavier_normal_"], None),
    "TorchTruncNormal": ({"mean": 0, "std": 1, "a": -2, "b": 2, "seed": None}, ["trunc_normal_"], None),
}
# Laws that no public op draws with these bits.
NOT_DRAWN = ["TorchTruncNormal", *(f"ConvolutionOrthogonal{n}D" for n in (1, 2, 3))]
# Fields of other frameworks' configs, without effect at these values.
IGNORED = {
    **{"dtype": "float32", "input_axes": None, "output_axes": None},
    **{"verify_shape": False, "support_partition": False},
}
# Scale, mode and distribution of the named variance scalings.
NAMED_SCALINGS = {
    f"{name}{shape}": (scale, mode, distribution)
    for name, scale, mode in (("Glorot", 1, "fan_avg"), ("He", 2, "fan_in"), ("Lecun", 1, "fan_in"))
    for shape, distribution in (("Uniform", "uniform"), ("Normal", "truncated_normal"))
}
SQUARED_GAINS = {"tanh": 25 / 9, "relu": 2, "selu": 9 / 16}
# Classes that are drawn by Keras's own initializer.
KERAS_CLASSES = [*NAMED_SCALINGS, "Orthogonal", "RandomUniform", "RandomNormal", "TruncatedNormal"]


def snake(name):
    return re.sub(r"(?<=[a-z])(?=[A-Z0-9])", "_", name).lower()


NAMES = {}
for class_name, (config, further, v1) in CLASSES.items():
    for alias in [class_name, snake(class_name), *further]:
        NAMES[alias] = (class_name, config)
    if v1 is not None:
        NAMES[f"{snake(class_name)}_initializer"] = (class_name, {**config, **v1})


def complete_initializer(given):
    """The class of a name, and every field of its config."""
    given = {"class_name": given} if isinstance(given, str) else given
    name, config = given["class_name"], dict(given.get("config") or {})
    if name in ("xavier_initializer", "xavier_initializer_conv2d"):
        name = "GlorotUniform" if config.pop("uniform", True) else "GlorotNormal"
    if name not in NAMES:
        raise Unverifiable(f"{name!r} is not an initializer that this program knows; use its newest version")
    class_name, defaults = NAMES[name]
    for field, value in IGNORED.items():
        if field in config and config[field] == value:
            del config[field]
    config = fill(config, defaults, name)
    if class_name == "Constant" and not isinstance(config["value"], list):
        config = {"value": config["value"]}
    if "nonlinearity" in config and config["nonlinearity"] != "leaky_relu":
        config["a"] = 0
    return {"class_name": class_name, "config": config}


def fans(shape):
    if len(shape) < 2:
        return shape[0], shape[0]
    field = math.prod(shape[:-2])
    return field * shape[-2], field * shape[-1]


def scaling(scale, mode, distribution, shape):
    fan_in, fan_out = fans(shape)
    fan = {
        **{"fan_in": fan_in, "fan_out": fan_out, "fan_avg": (fan_in + fan_out) / 2},
        "fan_geo_avg": math.sqrt(fan_in * fan_out),
    }[mode]
    variance = scale / max(1, fan)
    if distribution == "uniform":
        limit = math.sqrt(3 * variance)
        return "uniform", -limit, limit
    if distribution == "untruncated_normal":
        return "normal", 0, math.sqrt(variance)
    # Widened, so that the truncated values have this variance.
    return "truncated_normal", 0, math.sqrt(variance) / 0.87962566103423978


def constant(value, fill_rule, shape):
    values = np.asarray(value, np.float64).astype(np.float32)
    if fill_rule == "repeat_last":
        flat = values.ravel()
        return np.concatenate([flat, np.full(math.prod(shape) - flat.size, flat[-1])]).reshape(shape)
    if values.size == math.prod(shape):
        return values.reshape(shape)
    return np.broadcast_to(values, shape)


def law(initializer, shape):
    """A tuple of a kind and its numbers in double precision, or an array of fixed values."""
    name, config = initializer["class_name"], initializer["config"]
    if name in NOT_DRAWN:
        raise Unverifiable(f"{name} has no equivalent in Keras or TensorFlow; use npm run verify of the service")
    if name in ("Zeros", "Ones"):
        return np.full(shape, float(name == "Ones"), np.float32)
    if name == "Constant":
        return constant(config["value"], config.get("fill", "broadcast"), shape)
    if name == "Identity":
        return np.float32(config["gain"]) * np.eye(*shape, dtype=np.float32)
    if name == "Dirac":
        kernel = np.zeros(shape, np.float32)
        centre = tuple(size // 2 for size in shape[:-2])
        kernel[centre] = np.tile(np.eye(shape[-2], shape[-1] // config["groups"]), config["groups"])
        return kernel
    if name == "RandomUniform":
        low, high = config["minval"], config["maxval"]
        return np.full(shape, low, np.float32) if low == high else ("uniform", low, high)
    if name in ("RandomNormal", "TruncatedNormal"):
        mean, std = config["mean"], config["stddev"]
        return np.full(shape, mean, np.float32) if std == 0 else (snake(name).removeprefix("random_"), mean, std)
    if name == "UniformUnitScaling":
        limit = config["factor"] * math.sqrt(3 / max(1, math.prod(shape[:-1])))
        return "uniform", -limit, limit
    if name in ("Orthogonal", "ConvolutionDeltaOrthogonal"):
        return ("orthogonal" if name == "Orthogonal" else "delta_orthogonal"), config["gain"]
    if name in NAMED_SCALINGS:
        return scaling(*NAMED_SCALINGS[name], shape)
    if name == "VarianceScaling":
        distribution = config["distribution"]
        return scaling(config["scale"], config["mode"], distribution, shape)
    distribution = "uniform" if name.endswith("Uniform") else "untruncated_normal"
    if name.startswith("TorchXavier"):
        return scaling(config["gain"] ** 2, "fan_avg", distribution, shape)
    gain = SQUARED_GAINS.get(config["nonlinearity"], 1)
    if config["nonlinearity"] == "leaky_relu":
        gain = 2 / (1 + config["a"] ** 2)
    return scaling(gain, config["mode"], distribution, shape)


# The network: its parameters in creation order, and their initializers.


def parameters(spec):
    """Yields the names and shapes of all parameters and buffers in creation order."""
    made, scheme = spec["architecture"], spec["residual_scheme"]
    v2, normed = made["version"] == "v2", made["norm"]["type"] != "none"
    size, channels = made["input_shape"][:2], made["input_shape"][2]

    def shrink(size, window, strides, padding):
        if padding == "same":
            return [-(-length // strides) for length in size]
        margin = (window - 1) // 2 if padding == "symmetric" else 0
        return [(length + 2 * margin - window) // strides + 1 for length in size]

    def convolution(name, window, inputs, filters, read_by_norm=False):
        yield f"{name}/kernel", (window, window, inputs, filters)
        if made["use_bias"] is True or (made["use_bias"] == "unnormed" and not read_by_norm):
            yield f"{name}/bias", (filters,)

    def norm(name, width):
        for role in ("gamma", "beta", "moving_mean", "moving_variance") if normed else ():
            yield f"{name}/{role}", (width,)

    def shift(name):
        if scheme == "fixup":
            yield f"{name}/offset", (1,)

    def block(name, channels, filters, rule, strides):
        bottleneck = made["block"] == "bottleneck"
        width = filters * made["expansion"] if bottleneck else filters
        window = made["kernel_size"]
        layers = [(1, filters), (window, filters), (1, width)] if bottleneck else [(window, filters), (window, width)]
        inputs = channels
        for n, (side, outputs) in enumerate(layers, 1):
            if v2:
                yield from norm(f"{name}/norm{n}", inputs)
            else:
                yield from shift(f"{name}/shift{n}a")
            yield from convolution(f"{name}/conv{n}", side, inputs, outputs, n < len(layers))
            if not v2:
                yield from norm(f"{name}/norm{n}", outputs)
                if n < len(layers):
                    yield from shift(f"{name}/shift{n}b")
            inputs = outputs
        if scheme in ("fixup", "skipinit", "rezero"):
            yield f"{name}/scale/multiplier", (1,)
        yield from shift(f"{name}/shift{len(layers)}b")
        widens = channels != width
        if {"always": True, "never": False, "pool": widens, "projection": widens or strides != 1}[rule]:
            yield from convolution(f"{name}/shortcut/conv", 1, channels, width)
            if not v2:
                yield from norm(f"{name}/shortcut/norm", width)

    stem = made["stem"]
    yield from convolution("stem/conv", stem["kernel_size"], channels, stem["filters"])
    size, channels = shrink(size, stem["kernel_size"], stem["strides"], stem["padding"]), stem["filters"]
    if not v2:
        yield from norm("stem/norm", channels)
        yield from shift("stem/shift")
    if stem["pool"]:
        size = shrink(size, stem["pool"]["size"], stem["pool"]["strides"], stem["pool"]["padding"])
    for s, stage in enumerate(made["stages"]):
        strided = 0 if made["strides_in"] == "first" else stage["blocks"] - 1
        rule = made["shortcut"][s] if isinstance(made["shortcut"], list) else made["shortcut"]
        for b in range(stage["blocks"]):
            strides = stage["strides"] if b == strided else 1
            yield from block(f"stage{s + 1}/block{b + 1}", channels, stage["filters"], rule, strides)
            # Bottlenecks use their strides once, in a 1x1 or in the wide convolution.
            wide = made["block"] == "basic" or made["version"] != "v1"
            size = shrink(size, made["kernel_size"] if wide else 1, strides, made["padding"])
            channels = stage["filters"] * (made["expansion"] if made["block"] == "bottleneck" else 1)
    if v2:
        yield from norm("head/norm", channels)
    pool = made["head"]["pool"]
    if pool != "global_average":
        channels *= math.prod(shrink(size, pool["size"], pool["strides"], pool["padding"]))
    yield from shift("head/shift")
    yield "head/dense/kernel", (channels, spec["classes"])
    yield "head/dense/bias", (spec["classes"],)


GLOB = re.compile(r"(?<![^/])(?:\*{2,}/)+|\*+|[^*]+")


def glob(pattern):
    def expression(token):
        part = token[0]
        if not part.startswith("*"):
            return re.escape(part)
        return "(?:.*/)?" if part.endswith("/") else ".*" if len(part) > 1 else "[^/]*"

    return re.compile(GLOB.sub(expression, pattern))


def scheme_rule(spec, name, role):
    """The residual scheme's initializer for a parameter, and its factor."""
    scheme, made = spec["residual_scheme"], spec["architecture"]
    if role in ("multiplier", "offset"):
        return "Ones" if role == "multiplier" and scheme == "fixup" else "Zeros", None
    position = re.fullmatch(r"stage\d+/block\d+/(?:conv|norm)(\d)/(?:kernel|gamma)", name)
    ends = {"zero_gamma": "gamma", "fixup": "kernel"}.get(scheme)
    if position is None or role != ends:
        return None, None
    length = 3 if made["block"] == "bottleneck" else 2
    if int(position[1]) == length:
        return "Zeros", None
    blocks = sum(stage["blocks"] for stage in made["stages"])
    return None, blocks ** (-1 / (2 * length - 2)) if scheme == "fixup" else None


def initialized(spec, factors, loaded):
    """A list of every trainable parameter: name, shape, initializer, law (None if loaded), factor, seed vector."""
    given = spec["initializers"]
    overrides = [(glob(override["match"]), override["initializer"]) for override in given["overrides"]]
    rows = []
    for name, shape in parameters(spec):
        role = name.rsplit("/", 1)[1]
        if role.startswith("moving_"):
            continue
        chosen = [initializer for pattern, initializer in overrides if pattern.fullmatch(name)]
        instead, factor = (None, None) if chosen else scheme_rule(spec, name, role)
        if chosen:
            initializer = chosen[-1]
        elif instead:
            initializer = complete_initializer(instead)
        else:
            place = "stem" if name.startswith("stem/") else "shortcut" if "/shortcut/" in name else None
            place = "dense" if name.startswith("head/dense/") else place
            special = f"{place}_{role}" if role == "kernel" or place == "dense" else role
            initializer = given.get(special) or given[role]
        drawn = None if loaded else law(initializer, shape)
        rows.append([name, shape, initializer, drawn, factors.get(name, factor)])
    seeds = keras_seeds(rows, spec["seed"]) if spec["seeding"] == "keras" else layer_seeds(rows, spec["seed"])
    for row, seed in zip(rows, seeds):
        own = row[2]["config"].get("seed")
        row.append(seed if own is None else own if isinstance(own, list) else [own, 0])
    return rows


def layer_seeds(rows, seed):
    """Kernels are numbered from 0, drawn or not; other drawn parameters follow."""
    kernel, other = 0, sum(len(shape) >= 2 for _, shape, *_ in rows)
    for _, shape, _, drawn, _ in rows:
        if len(shape) >= 2:
            yield [seed, kernel]
            kernel += 1
        elif isinstance(drawn, tuple):
            yield [seed, other]
            other += 1
        else:
            yield [seed, 0]


def keras_seeds(rows, seed):
    """The seeds after keras.utils.set_random_seed: an integer for each random initializer, in Keras's layer order."""
    generator, seeds, layers = random.Random(seed), {}, {}
    for row in rows:
        layers.setdefault(row[0].rsplit("/", 1)[0], []).append(row)
    order = []
    for layer in (layer for layer in layers if "/shortcut/" not in layer):
        # A block's shortcut precedes its first convolution.
        if layer.endswith("/conv1"):
            order += [other for other in layers if other.startswith(f"{layer.removesuffix('conv1')}shortcut/")]
        order.append(layer)
    roles = ["kernel", "bias", "beta", "gamma", "multiplier", "offset"]
    for layer in order:
        for name, _, initializer, *_ in sorted(layers[layer], key=lambda row: roles.index(row[0].rsplit("/", 1)[1])):
            if initializer["config"].get("seed", 0) is None:
                seeds[name] = generator.randint(1, 10**9)
    return [[seeds.get(row[0], 0), 0] for row in rows]


# The id: SHA-256 of the canonical form, without fields that equal their defaults.


def number(value):
    """A number as JavaScript writes it (RFC 8785)."""
    if value == 0:
        return "0"
    sign, digits, exponent = Decimal(repr(float(value))).normalize().as_tuple()
    text, point = "".join(map(str, digits)), len(digits) + exponent
    if len(text) <= point <= 21:
        text += "0" * (point - len(text))
    elif 0 < point <= 21:
        text = f"{text[:point]}.{text[point:]}"
    elif -6 < point <= 0:
        text = f"0.{'0' * -point}{text}"
    else:
        text = f"{text[0]}{'.' if len(text) > 1 else ''}{text[1:]}e{'+' if point > 0 else '-'}{abs(point - 1)}"
    return "-" * sign + text


def canonical(value):
    if isinstance(value, dict):
        parts = (f"{json.dumps(name)}:{canonical(value[name])}" for name in sorted(value))
        return "{" + ",".join(parts) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(canonical, value)) + "]"
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return number(value)
    return json.dumps(value, ensure_ascii=False)


def without_defaults(value, defaults):
    """Without fields at their defaults. Objects within the object are reduced in the same way."""
    nested = {"stem": STEM, "norm": NORM, "head": ARCHITECTURE["head"]}
    result = {}
    for name, field in value.items():
        if name in defaults and canonical(field) == canonical(defaults[name]):
            continue
        if name == "pool" and isinstance(field, dict):
            field = without_defaults(field, POOL if defaults is STEM else HEAD_POOL)
        elif name == "stages":
            field = [without_defaults(stage, {"strides": 1}) for stage in field]
        elif name == "resize":
            field = without_defaults(field, RESIZE)
        elif name in nested:
            field = without_defaults(field, nested[name])
        result[name] = field
    return result


def flatten(value):
    return [entry for part in value for entry in flatten(part)] if isinstance(value, list) else [value]


def brief(initializer, rows):
    """An initializer without the fields of its config that equal the defaults of its class."""
    name, config = initializer["class_name"], initializer["config"]
    if name != "Constant":
        return {"class_name": name, "config": without_defaults(config, CLASSES[name][0])}
    values = flatten(config["value"])
    sizes = [math.prod(shape) for _, shape, used, *_ in rows if used is initializer]
    if len(values) == 1:
        config = {"value": values[0]} if values[0] != 0 else {}
    elif config["fill"] != "broadcast" or all(size == len(values) for size in sizes):
        config = {"value": values}
    return {"class_name": name, "config": config}


def identify(spec, rows, **more):
    """The id. `more` are the digest of loaded weights, or factors measured on a client's images."""
    given = {name: brief(one, rows) for name, one in spec["initializers"].items() if name != "overrides"}
    overrides = [
        {"match": override["match"], "initializer": brief(override["initializer"], rows)}
        for override in spec["initializers"]["overrides"]
    ]
    defaults = {name: {"class_name": class_name, "config": {}} for name, class_name in ROLES.items()}
    initializers = {n: v for n, v in given.items() if canonical(v) != canonical(defaults.get(n))}
    form = {
        **without_defaults({name: spec[name] for name in OTHERS}, OTHERS),
        "architecture": without_defaults(spec["architecture"], ARCHITECTURE),
        **more,
    }
    if initializers or overrides:
        form["initializers"] = {**initializers, **({"overrides": overrides} if overrides else {})}
    if canonical(spec["preprocessing"]) != canonical({**PLAIN, **PREPROCESSING["torch"]}):
        form["preprocessing"] = without_defaults(spec["preprocessing"], PLAIN)
    return hashlib.sha256(canonical(form).encode()).hexdigest()


# Drawing with Keras or TensorFlow.


class Drawer:
    def __init__(self, framework):
        try:
            import tensorflow as tf

            tf.config.set_visible_devices([], "GPU")
        except ImportError:
            raise Unverifiable("TensorFlow is not installed: pip install tensorflow-cpu") from None
        try:
            import keras
        except ImportError:
            keras = None
        if framework == "keras" and keras is None:
            raise Unverifiable("Keras is not installed: pip install keras, or give --with tensorflow")
        self.tf, self.keras = tf, None if framework == "tensorflow" else keras

    def draw(self, shape, initializer, drawn, factor, seed):
        """A parameter as a float32 array."""
        if not isinstance(drawn, tuple):
            return drawn if factor is None else (drawn.astype(np.float64) * factor).astype(np.float32)
        # Keras reduces seeds to int32 by this modulus.
        seed = [number % 2147483646 for number in seed]
        if self.keras and factor is None and initializer["class_name"] in KERAS_CLASSES:
            generator = self.keras.random.SeedGenerator(seed[0])
            generator.state.assign(seed)
            cls = getattr(self.keras.initializers, initializer["class_name"])
            return np.asarray(cls(**{**initializer["config"], "seed": generator})(shape))
        kind, *numbers = drawn
        numbers = [value if factor is None else value * factor for value in numbers]
        if kind in ("uniform", "normal", "truncated_normal"):
            return getattr(self.tf.random, f"stateless_{kind}")(shape, seed, *numbers).numpy()
        return self.orthogonal(kind, shape, numbers[0], seed).numpy()

    def orthogonal(self, kind, shape, gain, seed):
        tf = self.tf
        rows, columns = math.prod(shape[:-1]), shape[-1]
        if kind == "delta_orthogonal":
            rows = columns
        normal = tf.random.stateless_normal((max(rows, columns), min(rows, columns)), seed)
        q, r = tf.linalg.qr(normal, full_matrices=False)
        q *= tf.sign(tf.linalg.diag_part(r))
        if kind == "delta_orthogonal":
            kernel = np.zeros(shape, np.float32)
            kernel[tuple((size - 1) // 2 for size in shape[:-2])] = q[: shape[-2]] * np.float32(gain)
            return tf.constant(kernel)
        return tf.reshape(tf.transpose(q) if rows < columns else q, shape) * np.float32(gain)


# Files and records.


class Weights:
    """A safetensors file: a length, a JSON header, then the values."""

    def __init__(self, path):
        try:
            self.bytes = np.memmap(path, np.uint8, "r")
            length = int.from_bytes(self.bytes[:8].tobytes(), "little")
            self.header = json.loads(self.bytes[8 : 8 + length].tobytes())
        except (OSError, ValueError) as error:
            raise Unverifiable(f"{path} is not a safetensors file ({error}); download it from /weights") from None
        self.header.pop("__metadata__", None)
        self.start = 8 + length

    def shape(self, name):
        entry = self.header.get(name)
        return "no such tensor" if entry is None else f"{entry['dtype']} {entry['shape']}"

    def bits(self, name):
        start, end = (self.start + offset for offset in self.header[name]["data_offsets"])
        return np.frombuffer(self.bytes[start:end].tobytes(), "<u4")


def compare_names(weights, names):
    for name, shape in names.items():
        expected = f"F32 {list(shape)}"
        if weights.shape(name) != expected:
            yield f"{name}: expected {expected}, got {weights.shape(name)}"
    for name in weights.header:
        if name not in names:
            yield f"{name}: expected no such tensor, got {weights.shape(name)}"


def compare_values(weights, name, values):
    if weights.shape(name) != f"F32 {list(values.shape)}":
        return
    values, stored = np.ascontiguousarray(values, "<f4").ravel(), weights.bits(name)
    [differing] = np.nonzero(values.view("<u4") != stored)
    if differing.size:
        first = differing[0]
        expected, got = (f"{value:.9g}" for value in (values[first], stored.view("<f4")[first]))
        count = f"{differing.size:,} of {values.size:,} values differ"
        yield f"{name}: {count}, the first at {first}: expected {expected}, got {got}"


def fetch(url):
    key = os.environ.get("RESINIT_KEY")
    request = urllib.request.Request(url, headers={"Authorization": f"Bearer {key}"} if key else {})
    try:
        with urllib.request.urlopen(request) as answer:
            return json.load(answer)
    except (urllib.error.URLError, ValueError) as error:
        raise Unverifiable(f"{url}: {error}; give a model of a running service, http://HOST/v1/models/NAME") from None


def fetch_record(url):
    """The record of a model; its digest follows seconds after the first build."""
    for _ in range(120):
        record = fetch(url)
        if record.get("weights_sha256"):
            return record
        time.sleep(0.5)
    raise Unverifiable(f"{url} has no weights_sha256 yet; try again")


def measured_factors(records):
    for record in records:
        measured = (record.get("scheme") or {}).get("measured")
        if measured:
            return {entry["kernel"]: entry["factor"] for entry in measured}
    raise Unverifiable("the service measures the factors of lsuv; give a record or --url, which contain them")


def verify(given, weights, url, framework):
    """Returns the differences, one line each, and the line of agreement."""
    spec = given.get("spec") or given.get("specification")
    records = [given] if spec else []
    if url:
        records.append(fetch_record(url))
    spec = resolve(spec or given)
    loaded = any(record.get("weights") == "loaded" for record in records)
    if loaded and weights is None:
        raise Unverifiable("the weights of this model were loaded from a file; verify its record with --weights")
    factors = measured_factors(records) if spec["residual_scheme"] == "lsuv" and not loaded else {}
    names = dict(parameters(spec))
    differences = list(compare_names(weights, names)) if weights else []
    if loaded and differences:
        raise Unverifiable("\n".join(differences))
    rows = initialized(spec, factors, loaded)
    drawer = None if loaded else Drawer(framework)
    drawn = {row[0]: row[1:] for row in rows}
    every, trainable, digests = hashlib.sha256(), hashlib.sha256(), {}
    for name, shape in names.items():
        buffer = name.rsplit("/", 1)[1].startswith("moving_")
        if loaded:
            values = weights.bits(name)
        elif buffer:
            values = np.full(shape, float(name.endswith("variance")), np.float32)
        else:
            _, initializer, kind, factor, seed = drawn[name]
            values = drawer.draw(shape, initializer, kind, factor, seed)
        data = np.ascontiguousarray(values, "<u4" if loaded else "<f4").tobytes()
        every.update(data)
        if not buffer:
            trainable.update(data)
            digests[name] = hashlib.sha256(data).hexdigest()
        if weights and not loaded:
            differences += compare_values(weights, name, values)
    own_id = identify(spec, rows, **({"weights": every.hexdigest()} if loaded else {}))
    with_factors = identify(spec, rows, factors=factors) if factors else own_id
    if any(record.get("id") == with_factors for record in records):
        own_id = with_factors
    computed = {"id": own_id, "weights_sha256": trainable.hexdigest()}
    if not records and weights is None:
        lines = "\n".join(f"{field} {value}" for field, value in computed.items())
        cure = "There is nothing to compare: give a record instead of the request, or --weights, or --url."
        raise Unverifiable(f"{lines}\n{cure}")
    for record in records:
        for field, expected in computed.items():
            if record.get(field) not in (None, expected):
                differences.append(f"{field}: expected {expected}, got {record[field]}")
    if url and records[-1]["weights_sha256"] != computed["weights_sha256"]:
        for record in fetch(f"{url.rstrip('/')}/statistics")["parameters"]:
            name, got = record["name"], record["sample"]["sha256"]
            if digests.get(name, got) != got:
                differences.append(f"{name}: expected {digests[name]}, got {got}")
    count = sum(math.prod(names[name]) for name in digests)
    agreement = ", ".join(f"{field} {value}" for field, value in computed.items())
    return differences, f"agrees: {agreement}, {len(digests)} parameters of {count:,} values"


def main():
    arguments = argparse.ArgumentParser(description="Checks a model of resinit with Keras or TensorFlow alone.")
    arguments.add_argument("spec", metavar="SPEC.json", help="a request, or a record")
    sources = arguments.add_mutually_exclusive_group()
    sources.add_argument("--weights", metavar="FILE", help="a safetensors file of the service")
    sources.add_argument("--url", help="a model of a running service, http://HOST/v1/models/NAME")
    frameworks = {"choices": ["keras", "tensorflow"], "help": "default: keras if it is installed"}
    arguments.add_argument("--with", dest="framework", **frameworks)
    given = arguments.parse_args()
    try:
        try:
            with open(given.spec, encoding="utf-8") as file:
                body = json.load(file)
        except (OSError, ValueError) as error:
            raise Unverifiable(f"{given.spec}: {error}; give a file with a specification or a record") from None
        if not isinstance(body, dict):
            raise Unverifiable(f"{given.spec} is not a JSON object; give a specification or a record")
        weights = Weights(given.weights) if given.weights else None
        differences, agreement = verify(body, weights, given.url, given.framework)
    except Unverifiable as error:
        print(error, file=sys.stderr)
        return 2
    for line in differences[:MAX_LINES]:
        print(line)
    if len(differences) > MAX_LINES:
        print(f"and {len(differences) - MAX_LINES} more differences")
    if not differences:
        print(agreement)
    return 1 if differences else 0


if __name__ == "__main__":
    sys.exit(main())
