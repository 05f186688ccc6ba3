"""The real torchvision.

save NAME SEED WEIGHTS.safetensors             a ResNet as it is drawn, with norms as after training
predict NAME WEIGHTS.safetensors PIXELS.npy... loaded strictly, for one image each: logits and probabilities, as JSON
"""

import json
import sys

import numpy as np
import torch
import torchvision
from safetensors.torch import load_file, save_file

MEAN, STD = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])


def save(name, seed, path):
    torch.manual_seed(int(seed))
    network = getattr(torchvision.models, name)()
    for module in network.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.weight, 0.5, 1.5)
            torch.nn.init.normal_(module.bias, 0, 0.5)
            module.running_mean.normal_(0, 0.5)
            module.running_var.uniform_(0.3, 3)
            module.num_batches_tracked.fill_(1234)
    save_file(network.state_dict(), path)


def predict(name, path, *images):
    network = getattr(torchvision.models, name)().eval()
    network.load_state_dict(load_file(path), strict=True)
    answers = []
    for image in images:
        pixels = torch.from_numpy(np.load(image)).float() / 255
        with torch.no_grad():
            [logits] = network(((pixels - MEAN) / STD).permute(2, 0, 1)[None])
        probabilities = torch.softmax(logits, 0)
        answers.append({"logits": logits.tolist(), "probabilities": probabilities.tolist()})
    print(json.dumps(answers))


if __name__ == "__main__":
    operation, *arguments = sys.argv[1:]
    {"save": save, "predict": predict}[operation](*arguments)
