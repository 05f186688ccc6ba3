"""Weights files of other frameworks, and spectra by numpy."""

import keras
import numpy as np
from safetensors.numpy import load_file, save_file


def keras_application(request):
    """Saves a new network of keras.applications."""
    keras.utils.set_random_seed(request["seed"])
    network = getattr(keras.applications, request["name"])(weights=None)
    save_file({v.path: v.numpy() for v in network.variables}, request["path"])
    return {}


def torch_resnet18(request):
    """The state dict of torchvision's resnet18(), drawn with numpy: kaiming normal by fan_out, torch's defaults in fc."""
    generator = np.random.default_rng(request["seed"])
    tensors = {}

    def convolution(name, outputs, inputs, size):
        std = np.sqrt(2 / (outputs * size * size))
        tensors[f"{name}.weight"] = std * generator.standard_normal((outputs, inputs, size, size), np.float32)

    def norm(name, channels):
        ones, zeros = np.ones(channels, np.float32), np.zeros(channels, np.float32)
        tensors.update({f"{name}.weight": ones, f"{name}.bias": zeros})
        tensors.update({f"{name}.running_mean": zeros.copy(), f"{name}.running_var": ones.copy()})
        tensors[f"{name}.num_batches_tracked"] = np.zeros((), np.int64)

    convolution("conv1", 64, 3, 7)
    norm("bn1", 64)
    inputs = 64
    for stage, filters in enumerate([64, 128, 256, 512], 1):
        for block in range(2):
            name = f"layer{stage}.{block}"
            convolution(f"{name}.conv1", filters, inputs, 3)
            norm(f"{name}.bn1", filters)
            convolution(f"{name}.conv2", filters, filters, 3)
            norm(f"{name}.bn2", filters)
            if inputs != filters:
                convolution(f"{name}.downsample.0", filters, inputs, 1)
                norm(f"{name}.downsample.1", filters)
            inputs = filters
    bound = 1 / np.sqrt(512)
    tensors["fc.weight"] = generator.uniform(-bound, bound, (1000, 512))
    tensors["fc.bias"] = generator.uniform(-bound, bound, 1000)
    tensors = {name: np.asarray(v, v.dtype if v.dtype == np.int64 else np.float32) for name, v in tensors.items()}
    save_file(tensors, request["path"], metadata={"format": "pt"})
    return {}


def digits(request):
    """Saves a small network after training on scikit-learn's digits."""
    from sklearn.datasets import load_digits

    data = load_digits()
    keras.utils.set_random_seed(request["seed"])
    kernel = {"kernel_initializer": request["kernel"]}
    network = keras.Sequential(
        [
            keras.layers.Input((8, 8, 1)),
            keras.layers.Conv2D(16, 3, padding="same", activation="relu", **kernel),
            keras.layers.Conv2D(32, 3, activation="relu", **kernel),
            keras.layers.Flatten(),
            keras.layers.Dense(64, activation="relu", **kernel),
            keras.layers.Dense(10, **kernel),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    network.compile("adam", loss, metrics=["accuracy"])
    images = data.images[..., np.newaxis].astype(np.float32) / 16
    history = network.fit(images, data.target, epochs=request["epochs"], verbose=0)
    save_file({v.path: v.numpy() for v in network.weights}, request["path"])
    return {"accuracy": history.history["accuracy"][-1]}


def spectra(request):
    """Singular values of a file's tensor in float64, and the singular values of the convolution by FFT (Sedghi et al. 2019)."""
    kernel = next(iter(load_file(request["path"]).values())).astype(np.float64)
    values = np.linalg.svd(kernel.reshape(-1, kernel.shape[-1]), compute_uv=False)
    waves = np.fft.fftn(kernel, request["grid"], axes=range(kernel.ndim - 2)) if request["grid"] else kernel
    operator = np.linalg.svd(waves, compute_uv=False)
    quantiles = np.quantile(operator, [0.01, 0.5, 0.99])
    return {
        "singular_values": values.tolist(),
        "operator": {"min": operator.min(), "max": operator.max(), "quantiles": quantiles.tolist()},
    }


OPERATIONS = {
    operation.__name__: operation for operation in (keras_application, torch_resnet18, digits, spectra)
}
