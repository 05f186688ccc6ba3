"""torchvision behind JSON lines: one request per line on stdin, one response per line on stdout.

    {"op": "save", "name", "seed", "path"}  saves a new ResNet whose norms look trained
    {"op": "predict", "name", "path", "images"}  logits and probabilities of npy images, weights loaded strictly
"""

import json
import sys

import numpy as np
import torch
import torchvision
from safetensors.torch import load_file, save_file

MEAN, STD = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])


def save(request):
    torch.manual_seed(request["seed"])
    network = getattr(torchvision.models, request["name"])()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias, 0, 0.5)
            module.running_mean.normal_(0, 0.5)
            module.running_var.uniform_(0.3, 3)
            module.num_batches_tracked.fill_(1234)
    save_file(network.state_dict(), request["path"])
    return {}


def predict(request):
    network = getattr(torchvision.models, request["name"])().eval()
    network.load_state_dict(load_file(request["path"]), strict=True)
    answers = []
    for image in request["images"]:
        pixels = torch.from_numpy(np.load(image)).float() / 255
        with torch.no_grad():
            [logits] = network(((pixels - MEAN) / STD).permute(2, 0, 1)[None])
        probabilities = torch.softmax(logits, 0)
        answers.append({"logits": logits.tolist(), "probabilities": probabilities.tolist()})
    return {"outputs": answers}


for line in sys.stdin:
    request = json.loads(line)
    try:
        answer = {"save": save, "predict": predict}[request["op"]](request)
    except Exception as error:
        answer = {"error": f"{type(error).__name__}: {error}"}
    print(json.dumps(answer), flush=True)
