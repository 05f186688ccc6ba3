"""State dicts of torch, torchvision, timm and transformers, the last two from their configurations.

    python torch_dicts.py FOLDER [NAME...]
"""

from functools import cache

import torch
from torch import nn

from common import as_bfloat16, as_float16, averaged, batches, changed, fresh, main, pruned, quantized, trained


def values(model):
    """A tensor with two names keeps the first, as in files."""
    seen = {}
    for name, tensor in model.state_dict().items():
        seen.setdefault((tensor.data_ptr(), tuple(tensor.shape)) if tensor.numel() else name, (name, tensor))
    return {name: tensor.detach().numpy().copy() for name, tensor in seen.values()}


def built(architecture):
    def make(seed):
        torch.manual_seed(seed)
        return fresh(values(architecture()))

    return make


def torchvision(name, *words, **options):
    def make():
        import torchvision

        return getattr(torchvision.models, name)(*words, **options)

    return built(make)


def timm(name):
    def make():
        import timm

        return timm.create_model(name, pretrained=False)

    return built(make)


def transformers(name, **config):
    def make():
        import transformers

        configuration = getattr(transformers, f"{name}Config")(**config)
        return transformers.AutoModel.from_config(configuration)

    return built(make)


class Recurrent(nn.Module):
    def __init__(self):
        super().__init__()
        self.embed = nn.Embedding(500, 64, padding_idx=0)
        self.lstm = nn.LSTM(64, 96, num_layers=2, bidirectional=True)
        self.projected = nn.LSTM(192, 128, proj_size=64)
        self.gru = nn.GRU(64, 128)
        self.rnn = nn.RNN(128, 80)
        self.cell = nn.LSTMCell(80, 72)
        self.head = nn.Linear(72, 10)


class Convolutional(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Conv1d(8, 256, 9)
        self.depthwise = nn.Conv2d(192, 192, 5, groups=192)
        self.grouped = nn.Conv2d(256, 256, 3, groups=8)
        self.up = nn.ConvTranspose2d(128, 64, 4)
        self.volume = nn.Conv3d(32, 64, 3)
        self.bilinear = nn.Bilinear(32, 24, 48)
        self.norm = nn.GroupNorm(8, 64)
        self.prelu = nn.PReLU(64)


def transformer():
    return nn.Transformer(128, 8, 2, 2, 512)


def perceptron(init=None):
    def make():
        model = nn.Sequential(nn.Flatten(), nn.Linear(64, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10))
        for layer in model:
            if init is not None and isinstance(layer, nn.Linear):
                init(layer.weight)
        return model

    return make


def network():
    model = nn.Sequential(nn.Unflatten(1, (1, 8)))
    for inputs, outputs in [(1, 64), (64, 128), (128, 128)]:
        model.append(nn.Conv2d(inputs, outputs, 3, padding=1, bias=False))
        model.append(nn.BatchNorm2d(outputs))
        model.append(nn.ReLU())
    return model.append(nn.AdaptiveAvgPool2d(1)).append(nn.Flatten()).append(nn.Linear(128, 10))


class Attentive(nn.Module):
    """Rows of digits as tokens."""

    def __init__(self):
        super().__init__()
        self.embed = nn.Linear(8, 128)
        self.position = nn.Parameter(torch.randn(1, 8, 128) * 0.02)
        self.encoder = nn.TransformerEncoder(nn.TransformerEncoderLayer(128, 8, 512, batch_first=True), 2)
        self.head = nn.Linear(128, 10)

    def forward(self, x):
        return self.head(self.encoder(self.embed(x) + self.position).mean(1))


def kaiming(weight):
    nn.init.kaiming_normal_(weight, nonlinearity="relu")


def gan(weight):
    nn.init.normal_(weight, 0, 0.02)


def adam(parameters):
    return torch.optim.Adam(parameters, 1e-3)


def adamw(parameters):
    return torch.optim.AdamW(parameters, 3e-4, weight_decay=0.05)


def sgd(parameters):
    return torch.optim.SGD(parameters, 0.05, momentum=0.9)


def slow(parameters):
    return torch.optim.SGD(parameters, 0.001)


def fitted(architecture, epochs, optimizer=adam, frozen=(), averaging=False):
    """Trained on digits; `frozen` are name prefixes of untrained tensors; averaging is over the weights during training."""

    def make(seed):
        torch.manual_seed(seed)
        model = architecture()
        before = values(model)
        for name, parameter in model.named_parameters():
            parameter.requires_grad_(not name.startswith(tuple(frozen)))
        average = torch.optim.swa_utils.AveragedModel(model) if averaging else None
        steps = optimizer([parameter for parameter in model.parameters() if parameter.requires_grad])
        for images, classes in batches(epochs, seed=seed):
            loss = nn.functional.cross_entropy(model(torch.from_numpy(images)), torch.from_numpy(classes).long())
            steps.zero_grad()
            loss.backward()
            steps.step()
            if average is not None:
                average.update_parameters(model)
        return trained(before, values(model if average is None else average.module))

    return make


def rows(value):
    return quantized(value, 0)


SMALL = {"hidden_size": 192, "intermediate_size": 512, "num_hidden_layers": 3, "num_attention_heads": 4}
once = cache(fitted(network, 6))
MAKERS = {
    "torchvision-resnet18": torchvision("resnet18"),
    "torchvision-mobilenet-v3-small": torchvision("mobilenet_v3_small"),
    "torchvision-efficientnet-b0": torchvision("efficientnet_b0"),
    "torchvision-vit": torchvision("VisionTransformer", 64, 16, 3, 6, 192, 768),
    "torchvision-swin": torchvision("SwinTransformer", [4, 4], 48, [2, 2], [3, 6], [7, 7]),
    "torchvision-googlenet": torchvision("googlenet", init_weights=True),
    "torch-recurrent": built(Recurrent),
    "torch-convolutional": built(Convolutional),
    "torch-transformer": built(transformer),
    "torch-perceptron-gan": built(perceptron(gan)),
    "timm-vit-tiny": timm("vit_tiny_patch16_224"),
    "timm-convnext-atto": timm("convnext_atto"),
    "timm-efficientnet-lite0": timm("efficientnet_lite0"),
    "timm-resnet26d": timm("resnet26d"),
    "timm-mixer-s32": timm("mixer_s32_224"),
    "transformers-bert": transformers("Bert", hidden_size=256, num_hidden_layers=3, num_attention_heads=4, intermediate_size=1024, vocab_size=3000),
    "transformers-gpt2": transformers("GPT2", n_embd=256, n_layer=4, n_head=4, vocab_size=3000),
    "transformers-t5": transformers("T5", d_model=256, d_kv=32, d_ff=512, num_layers=2, num_heads=4, vocab_size=3000),
    "transformers-llama": transformers("Llama", hidden_size=256, intermediate_size=512, num_hidden_layers=2, num_attention_heads=4, vocab_size=3000),
    "transformers-clip": transformers("CLIP", text_config=SMALL, vision_config=SMALL),
    "transformers-vit": transformers("ViT", hidden_size=192, num_hidden_layers=3, num_attention_heads=3, intermediate_size=768),
    "transformers-resnet": transformers("ResNet", hidden_sizes=[64, 128, 256, 512], depths=[1, 1, 1, 1], layer_type="basic"),
    "torch-network-1-epoch": fitted(network, 1),
    "torch-network-10-epochs": fitted(network, 10),
    "torch-network-slow-sgd": fitted(network, 1, slow),
    "torch-perceptron-kaiming-1-epoch": fitted(perceptron(kaiming), 1),
    "torch-perceptron-kaiming-30-epochs": fitted(perceptron(kaiming), 30),
    "torch-perceptron-sgd": fitted(perceptron(), 4, sgd),
    "torch-perceptron-gan-adamw": fitted(perceptron(gan), 6, adamw),
    "torch-attentive-1-epoch": fitted(Attentive, 1),
    "torch-attentive-3-epochs": fitted(Attentive, 3, adamw),
    "torch-network-frozen": fitted(network, 3, frozen=("1.", "4.")),
    "torch-network-weights-averaged": fitted(network, 3, averaging=True),
    "torch-network-soup": lambda seed: averaged(once(1), once(2)),
    "torch-recurrent-float16": lambda seed: changed(built(Recurrent)(seed), as_float16),
    "torch-transformer-bfloat16": lambda seed: changed(built(transformer)(seed), as_bfloat16),
    "torch-network-trained-bfloat16": lambda seed: changed(once(1), as_bfloat16),
    "torch-perceptron-int8-rows": lambda seed: changed(built(perceptron(kaiming))(seed), rows, "altered"),
    "torch-network-trained-int8-rows": lambda seed: changed(once(1), rows, "altered"),
    "torch-network-pruned": lambda seed: changed(built(network)(seed), pruned, "altered"),
    "torch-network-trained-pruned": lambda seed: changed(once(1), pruned, "altered"),
}

if __name__ == "__main__":
    torch.set_num_threads(1)
    main(MAKERS)
