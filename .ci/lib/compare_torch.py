"""Compares torchvision's and timm's ResNets with a running service, whose address is the only argument.

Exported weights load strictly and predict the same; state_dicts saved by safetensors.torch load unchanged.
"""

import json
import sys
import tempfile
from pathlib import Path
from urllib.request import Request, urlopen

import numpy as np
import sklearn.datasets
import timm
import torch
import torchvision
from PIL import Image
from safetensors.torch import load_file, save_file

ADDRESS = sys.argv[1]
PHOTOGRAPHS = sorted((Path(sklearn.datasets.__file__).parent / "images").glob("*.jpg"))
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
BOUNDARY = "3d8f0c5e"


def call(path, body=None, content_type="application/json"):
    headers = {} if body is None else {"Content-Type": content_type}
    with urlopen(Request(ADDRESS + path, data=body, headers=headers)) as answer:
        return answer.read()


def create(spec):
    return json.loads(call("/v1/models", json.dumps(spec).encode()))["id"]


def load(spec, weights):
    parts = [("spec", json.dumps(spec).encode(), ""), ("weights", weights, '; filename="weights"')]
    body = b"".join(
        f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{filename}\r\n\r\n'.encode() + value + b"\r\n"
        for name, value, filename in parts
    )
    answer = call("/v1/models", body + f"--{BOUNDARY}--\r\n".encode(), f"multipart/form-data; boundary={BOUNDARY}")
    return json.loads(answer)["id"]


def logits(model, photograph):
    path = f"/v1/models/{model}/predict?include=logits&fit=exact"
    answer = call(path, photograph.read_bytes(), "image/jpeg")
    return np.array(json.loads(answer)["predictions"][0]["logits"])


def compare(what, model, network):
    for photograph in PHOTOGRAPHS:
        pixels = np.array(Image.open(photograph).convert("RGB"))
        images = torch.from_numpy((pixels / 255 - MEAN) / STD).float().permute(2, 0, 1)[None]
        with torch.no_grad():
            wanted = network.eval()(images)[0].numpy()
        difference = np.abs(logits(model, photograph) - wanted).max() / np.abs(wanted).max()
        print(f"{what}, {photograph.name}: logits differ by {difference:.1e} of the largest")
        assert difference < 1e-4


def trained(network):
    """Norms as after training."""
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias, 0, 0.5)
            module.running_mean.normal_(0, 0.5)
            module.running_var.uniform_(0.3, 3)
            module.num_batches_tracked.fill_(1234)
    return network


def check(name, scratch):
    width, height = Image.open(PHOTOGRAPHS[0]).size
    architecture = {"preset": name, "input_shape": [height, width, 3]}
    families = {"torchvision": getattr(torchvision.models, name), "timm": lambda: timm.create_model(name)}
    initializers = {
        "kernel": "he_normal",
        "beta": {"class_name": "RandomNormal", "config": {"stddev": 0.2}},
        "gamma": {"class_name": "RandomUniform", "config": {"minval": 0.5, "maxval": 1.5}},
    }
    model = create({"architecture": architecture, "initializers": initializers, "seed": 7})
    path = scratch / "exported.safetensors"
    path.write_bytes(call(f"/v1/models/{model}/weights?names=torchvision"))
    for family, build in families.items():
        network = build()
        network.load_state_dict(load_file(path), strict=True)
        compare(f"{name} exported to {family}", model, network)
    for family, build in families.items():
        network = trained(build())
        path = scratch / "trained.safetensors"
        save_file(network.state_dict(), path)
        model = load({"architecture": architecture}, path.read_bytes())
        compare(f"{name} imported from {family}", model, network)
        path.write_bytes(call(f"/v1/models/{model}/weights?names=torchvision"))
        for key, value in load_file(path).items():
            assert key.endswith("num_batches_tracked") or torch.equal(value, network.state_dict()[key]), key


torch.manual_seed(7)
with tempfile.TemporaryDirectory() as folder:
    for architecture in ("resnet18", "resnet50"):
        check(architecture, Path(folder))
