"""Resolves presets, defaults and aliases of a request body, independently of src/."""

import copy

IMAGENET_STEM = {
    "kernel_size": 7,
    "filters": 64,
    "strides": 2,
    "padding": "symmetric",
    "pool": {"type": "max", "size": 3, "strides": 2, "padding": "symmetric"},
}

DEFAULT_ARCHITECTURE = {
    "version": "v1.5",
    "block": "basic",
    "expansion": 4,
    "stem": {
        "kernel_size": 7,
        "filters": 64,
        "strides": 2,
        "padding": "same",
        "pool": {"type": "max", "size": 3, "strides": 2, "padding": "same"},
    },
    "strides_in": "first",
    "kernel_size": 3,
    "padding": "same",
    "shortcut": "projection",
    "norm": {"type": "batch", "epsilon": 1e-5, "momentum": 0.9},
    "activation": "relu",
    "head": {"pool": "global_average"},
    "input_shape": [224, 224, 3],
}

PREPROCESSING = {
    "torch": {
        "scale": 1 / 255,
        "mean": [0.485, 0.456, 0.406],
        "std": [0.229, 0.224, 0.225],
        "channel_order": "rgb",
    },
    "caffe": {
        "scale": 1,
        "mean": [103.939, 116.779, 123.68],
        "std": [1, 1, 1],
        "channel_order": "bgr",
    },
    "tf": {"scale": 1 / 127.5, "mean": [1, 1, 1], "std": [1, 1, 1], "channel_order": "rgb"},
    "unit": {"scale": 1 / 255, "mean": 0, "std": 1, "channel_order": "rgb"},
    "none": {"scale": 1, "mean": 0, "std": 1, "channel_order": "rgb"},
}


def stages(blocks, filters, strides):
    return [
        {"blocks": count, "filters": width, "strides": step}
        for count, width, step in zip(blocks, filters, strides, strict=True)
    ]


def imagenet(block, blocks):
    return {
        "block": block,
        "stem": IMAGENET_STEM,
        "stages": stages(blocks, [64, 128, 256, 512], [1, 2, 2, 2]),
        "padding": "symmetric",
    }


def cifar(blocks):
    return {
        "stem": {
            "kernel_size": 3,
            "filters": 16,
            "strides": 1,
            "padding": "symmetric",
            "pool": None,
        },
        "stages": stages([blocks] * 3, [16, 32, 64], [1, 2, 2]),
        "padding": "symmetric",
        "input_shape": [32, 32, 3],
    }


PRESETS = {
    "residual_network": {
        "stem": {
            "kernel_size": 7,
            "filters": 64,
            "strides": 2,
            "padding": "same",
            "pool": None,
        },
        "stages": stages([1, 1, 1], [64, 128, 256], [1, 2, 2]),
        "use_bias": True,
        "norm": {"type": "batch", "epsilon": 0.001, "momentum": 0.99},
        "head": {"pool": {"type": "average", "size": 7, "strides": 1, "padding": "valid"}},
    },
    "resnet18": imagenet("basic", [2, 2, 2, 2]),
    "resnet34": imagenet("basic", [3, 4, 6, 3]),
    "resnet50": imagenet("bottleneck", [3, 4, 6, 3]),
    "resnet101": imagenet("bottleneck", [3, 4, 23, 3]),
    "resnet152": imagenet("bottleneck", [3, 8, 36, 3]),
    "resnet20": cifar(3),
    "resnet32": cifar(5),
    "resnet44": cifar(7),
    "resnet56": cifar(9),
    "resnet110": cifar(18),
}

# Defaults of the residual schemes.
SCHEME_INITIALIZERS = {
    "fixup": {
        "kernel": {
            "class_name": "VarianceScaling",
            "config": {"scale": 2.0, "mode": "fan_out", "distribution": "untruncated_normal"},
        },
        "dense_kernel": "zeros",
    },
    "lsuv": {"kernel": "Orthogonal"},
}

PROJECTION_SHORTCUT = {"auto": "projection", True: "always", False: "never"}


def article_parameters(fields):
    """The article's parameters of `residual_network` as specification fields."""
    fields = dict(fields)
    result = {}
    if "filters" in fields or "strides" in fields:
        filters = fields.pop("filters", [64, 128, 256])
        strides = fields.pop("strides", [1, 2, 2])
        result["stages"] = stages([1] * len(filters), filters, strides)
    if "projection_shortcut" in fields:
        given = fields.pop("projection_shortcut")
        result["shortcut"] = (
            [PROJECTION_SHORTCUT[entry] for entry in given]
            if isinstance(given, list)
            else PROJECTION_SHORTCUT[given]
        )
    return {**result, **fields}


def merge(base, fields):
    """Merges objects field by field; other values replace."""
    result = copy.deepcopy(base)
    for name, value in fields.items():
        if isinstance(value, dict) and isinstance(result.get(name), dict):
            result[name] = merge(result[name], value)
        else:
            result[name] = copy.deepcopy(value)
    return result


def resolve_architecture(architecture, classes, scheme):
    if isinstance(architecture, str):
        architecture = {"preset": architecture}
    fields = dict(architecture)
    preset = fields.pop("preset", None)
    if preset == "residual_network":
        fields = article_parameters(fields)
    if isinstance(fields.get("norm"), str):
        fields["norm"] = {"type": fields["norm"]}
    resolved = merge(merge(DEFAULT_ARCHITECTURE, PRESETS[preset] if preset else {}), fields)
    resolved.setdefault("use_bias", resolved["norm"]["type"] == "none" and scheme != "fixup")
    default_classes = 10 if preset and resolved["input_shape"][:2] == [32, 32] else 1000
    units = resolved["head"].get("units", classes)
    if classes is not None and units != classes:
        raise ValueError(f"classes {classes} and head.units {units} differ")
    resolved["head"]["units"] = units or default_classes
    return preset, resolved


def resolve(body):
    """The resolved specification of a request body."""
    scheme = body.get("residual_scheme", "none")
    preset, architecture = resolve_architecture(body["architecture"], body.get("classes"), scheme)
    return {
        "architecture": architecture,
        "residual_scheme": scheme,
        "initializers": {
            "kernel": "glorot_uniform",
            "bias": "zeros",
            "gamma": "ones",
            "beta": "zeros",
            **SCHEME_INITIALIZERS.get(scheme, {}),
            **body.get("initializers", {}),
        },
        "seed": body.get("seed", 0),
        "seeding": body.get("seeding", "per_layer"),
        "preprocessing": body.get(
            "preprocessing", "none" if preset == "residual_network" else "torch"
        ),
    }
