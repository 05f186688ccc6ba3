"""Writes residual networks in the files of their frameworks, with the probabilities of one image.

    weights_files.py torch FOLDER    torchvision's resnet18, also under the names of transformers
    weights_files.py keras FOLDER    keras.applications' ResNet50 and ResNet50V2

FOLDER/image.npy holds the pixels, uint8 [1, 224, 224, 3]; FOLDER/NAME.json the probabilities of network NAME.
"""

import json
import pathlib
import re
import sys

import numpy as np

kind, folder = sys.argv[1], pathlib.Path(sys.argv[2])
pixels = np.load(folder / "image.npy")


def record(name, probabilities):
    (folder / f"{name}.json").write_text(json.dumps(np.asarray(probabilities).ravel().tolist()))


def transformers_name(name):
    """The name in transformers' ResNetForImageClassification, from torchvision's."""
    layers = {"conv1": "convolution", "bn1": "normalization"}
    stem = re.fullmatch(r"(conv1|bn1)\.(.+)", name)
    if stem:
        return f"resnet.embedder.embedder.{layers[stem[1]]}.{stem[2]}"
    if name.startswith("fc."):
        return name.replace("fc.", "classifier.1.")
    stage, block, rest = re.fullmatch(r"layer(\d)\.(\d+)\.(.+)", name).groups()
    prefix = f"resnet.encoder.stages.{int(stage) - 1}.layers.{block}"
    shortcut = re.fullmatch(r"downsample\.([01])\.(.+)", rest)
    if shortcut:
        part = "convolution" if shortcut[1] == "0" else "normalization"
        return f"{prefix}.shortcut.{part}.{shortcut[2]}"
    layer, number, field = re.fullmatch(r"(conv|bn)(\d)\.(.+)", rest).groups()
    part = "convolution" if layer == "conv" else "normalization"
    return f"{prefix}.layer.{int(number) - 1}.{part}.{field}"


def write_torch():
    import torch
    import torchvision
    from safetensors.torch import save_file

    torch.manual_seed(1)
    network = torchvision.models.resnet18()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.5, 1.0)
            torch.nn.init.normal_(module.bias, 0, 0.1)
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.5, 2)
    state = network.state_dict()
    optimizer = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    torch.save(state, folder / "plain.pth")
    wrapped = {f"module.{name}": value for name, value in state.items()}
    torch.save({"epoch": 3, "state_dict": wrapped, "optimizer": optimizer.state_dict()}, folder / "checkpoint.pth")
    half = {name: value.half() if value.is_floating_point() else value for name, value in state.items()}
    torch.save(half, folder / "half.pt")
    wide = {name: value.double() if value.is_floating_point() else value for name, value in state.items()}
    torch.save({"model": wide}, folder / "double.bin")
    save_file({transformers_name(name): value for name, value in state.items()}, folder / "transformers.safetensors")
    backbone = {f"backbone.{name}": value for name, value in state.items() if not name.startswith("fc.")}
    save_file(backbone, folder / "backbone.safetensors")
    names = sorted(state)
    shards = {"a.safetensors": names[::2], "b.safetensors": names[1::2]}
    for shard, held in shards.items():
        save_file({name: state[name] for name in held}, folder / shard)
    weight_map = {name: shard for shard, held in shards.items() for name in held}
    (folder / "model.safetensors.index.json").write_text(json.dumps({"metadata": {}, "weight_map": weight_map}))
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    image = ((torch.from_numpy(pixels).float() / 255 - mean) / std).permute(0, 3, 1, 2)
    with torch.no_grad():
        record("resnet18", torch.softmax(network.eval()(image), 1))


def write_tfjs(model, name):
    """A layers model in the layout of tensorflowjs, in shards of 4 MB."""
    values = b"".join(np.asarray(weight).astype("<f4").tobytes() for weight in model.weights)
    size = 4 * 2**20
    paths = []
    for index in range(0, len(values), size):
        paths.append(f"{name}-{index // size}.bin")
        (folder / paths[-1]).write_bytes(values[index : index + size])
    weights = [{"name": weight.path, "shape": list(weight.shape), "dtype": "float32"} for weight in model.weights]
    manifest = [{"paths": paths, "weights": weights}]
    model_json = {"format": "layers-model", "modelTopology": None, "weightsManifest": manifest}
    (folder / f"{name}-model.json").write_text(json.dumps(model_json))


def write_keras():
    import keras

    for version, application in (("v1", keras.applications.ResNet50), ("v2", keras.applications.ResNet50V2)):
        keras.utils.set_random_seed(1)
        model = application(weights=None)
        numbers = np.random.default_rng(1)
        for weight in model.weights:
            if weight.path.endswith("/gamma"):
                weight.assign(numbers.uniform(0.5, 1.0, weight.shape))
            elif weight.path.endswith(("/beta", "/moving_mean")):
                weight.assign(numbers.normal(0, 0.1, weight.shape))
            elif weight.path.endswith("/moving_variance"):
                weight.assign(numbers.uniform(0.5, 2, weight.shape))
        name = f"keras-{version}"
        model.save_weights(folder / f"{name}.weights.h5")
        model.save(folder / f"{name}.h5")
        model.save(folder / f"{name}.keras")
        write_tfjs(model, name)
        preprocess = keras.applications.resnet if version == "v1" else keras.applications.resnet_v2
        record(name, model.predict(preprocess.preprocess_input(pixels.astype("float32")), verbose=0))


{"torch": write_torch, "keras": write_keras}[kind]()
