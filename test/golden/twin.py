"""The network of a specification as a Keras 3 functional model with Keras's draws.

Nothing here is shared with src/: equal digests and logits are evidence, not a tautology.
"""

import hashlib
import inspect
import os
import re

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("KERAS_BACKEND", "tensorflow")

import keras
import numpy as np
import tensorflow as tf

from architectures import PREPROCESSING, resolve

ALIASES = {
    "kaiming_normal": "HeNormal",
    "kaiming_uniform": "HeUniform",
    "xavier_normal": "GlorotNormal",
    "xavier_uniform": "GlorotUniform",
}


def scale_by(initializer, factor):
    """A Keras initializer with the same draws times a factor."""
    if hasattr(initializer, "scale"):
        initializer.scale *= factor**2
    for field in ("gain", "value", "stddev", "mean", "minval", "maxval"):
        if hasattr(initializer, field):
            setattr(initializer, field, getattr(initializer, field) * factor)


def initializer(identifier, seed=None):
    """A Keras initializer from a specification; `seed` is an int, a vector [n, k] or a SeedGenerator."""
    if isinstance(identifier, str):
        identifier = {"class_name": identifier}
    name, config = identifier["class_name"], dict(identifier.get("config") or {})
    if name == "xavier_initializer":
        name = "GlorotUniform" if config.pop("uniform", True) else "GlorotNormal"
    name = ALIASES.get(name, name.removesuffix("_initializer"))
    # A seed in the config takes precedence over the layer's; null means none.
    own = config.pop("seed", None)
    seed = seed if own is None else own
    if isinstance(seed, list):
        seed = seed_generator(*seed)
    cls = getattr(keras.initializers, name)
    if "seed" in inspect.signature(cls).parameters:
        config["seed"] = seed
    return cls(**config)


def seed_generator(seed, draws=0):
    """A SeedGenerator after `draws` draws."""
    generator = keras.random.SeedGenerator(seed)
    generator.state.assign([seed, draws])
    return generator


def float32_bytes(value):
    return np.ascontiguousarray(value, dtype="<f4").tobytes()


def image(shape, seed=0):
    """uint8 pixels, reproducible in any language: pixel i is (i * 7919 + seed) mod 251."""
    pixels = np.arange(np.prod(shape), dtype=np.int64) * 7919 + seed
    return (pixels % 251).astype(np.uint8).reshape(shape)


def preprocess(pixels, preprocessing):
    if isinstance(preprocessing, str):
        preprocessing = PREPROCESSING[preprocessing]
    fields = {**PREPROCESSING["none"], **preprocessing}
    if fields["channel_order"] == "bgr":
        pixels = pixels[..., ::-1]
    # In double precision, rounded once, so that the twin implies no order of operations.
    values = pixels.astype(np.float64) * fields["scale"]
    return ((values - np.asarray(fields["mean"])) / np.asarray(fields["std"])).astype(np.float32)


def glob_expression(glob):
    """`*` within a segment, `**` across any number of segments including 0."""
    expression = ""
    for token in re.split(r"(\*\*/|/\*\*$|\*\*|\*)", glob):
        expression += {
            "**/": "(?:.*/)?",
            "/**": "(?:/.*)?",
            "**": ".*",
            "*": "[^/]*",
        }.get(token, re.escape(token))
    return re.compile(expression)


class Scalar(keras.layers.Layer):
    """x times or plus one trained scalar."""

    def __init__(self, operation):
        super().__init__()
        self.operation = operation

    def build(self, _):
        self.value = self.add_weight(shape=(1,), initializer="zeros")

    def call(self, x):
        return self.operation(x, self.value)


class ResidualNetwork:
    """`model` maps preprocessed images to logits; `parameters` are its trainable variables by name,
    `buffers` the others."""

    def __init__(self, body, factors=None):
        """`factors` are the measured factors of kernels, by name."""
        self.spec = resolve(body)
        self.architecture = self.spec["architecture"]
        self.scheme = self.spec["residual_scheme"]
        self.factors = factors or {}
        self.outputs = {}
        self.sums = {}
        self.parameters = {}
        self.buffers = {}
        self.layers_made = {}
        inputs = keras.Input(self.architecture["input_shape"])
        self.model = keras.Model(inputs, self._head(self._stages(self._stem(inputs))))
        if self.spec["seeding"] == "keras":
            self._initialize_as_keras()
        else:
            self._initialize()

    # Parameters are registered when layers are created, so they are in layer order.

    def _convolution(self, x, name, filters, size, strides, padding, normed=False):
        if padding == "symmetric":
            padding = "valid"
            if size > 1:
                x = keras.layers.ZeroPadding2D((size - 1) // 2)(x)
        use_bias = self.architecture["use_bias"]
        if use_bias == "unnormed":
            has_norms = self.architecture["norm"]["type"] != "none"
            follows = self.architecture["version"] != "v2" or normed
            use_bias = not (has_norms and follows)
        self.layers_made[name] = keras.layers.Conv2D, {"filters": filters, "kernel_size": size}
        layer = keras.layers.Conv2D(
            filters, size, strides, padding, use_bias=use_bias, kernel_initializer="zeros"
        )
        x = layer(x)
        self.parameters[f"{name}/kernel"] = layer.kernel
        if use_bias:
            self.parameters[f"{name}/bias"] = layer.bias
        self.outputs[f"{name}/kernel"] = x
        return x

    def _scale(self, x, name):
        return self._scalar(x, f"{name}/multiplier", keras.ops.multiply)

    def _shift(self, x, name):
        if self.scheme != "fixup":
            return x
        return self._scalar(x, f"{name}/offset", keras.ops.add)

    def _scalar(self, x, name, operation):
        layer = Scalar(operation)
        x = layer(x)
        self.parameters[name] = layer.value
        return x

    def _norm(self, x, name):
        norm = self.architecture["norm"]
        if norm["type"] == "none":
            return x
        self.layers_made[name] = keras.layers.BatchNormalization, {}
        layer = keras.layers.BatchNormalization(epsilon=norm["epsilon"], momentum=norm["momentum"])
        x = layer(x)
        self.parameters[f"{name}/gamma"] = layer.gamma
        self.parameters[f"{name}/beta"] = layer.beta
        self.buffers[f"{name}/moving_mean"] = layer.moving_mean
        self.buffers[f"{name}/moving_variance"] = layer.moving_variance
        return x

    def _activation(self, x):
        return keras.layers.Activation(self.architecture["activation"])(x)

    def _pool(self, x, pool):
        padding = pool["padding"]
        if padding == "symmetric":
            padding = "valid"
            x = keras.layers.ZeroPadding2D((pool["size"] - 1) // 2)(x)
        layer = {"max": keras.layers.MaxPooling2D, "average": keras.layers.AveragePooling2D}
        return layer[pool["type"]](pool["size"], pool["strides"], padding)(x)

    def _stem(self, x):
        stem = self.architecture["stem"]
        x = self._convolution(
            x, "stem/conv", stem["filters"], stem["kernel_size"], stem["strides"], stem["padding"]
        )
        if self.architecture["version"] != "v2":
            x = self._activation(self._shift(self._norm(x, "stem/norm"), "stem/shift"))
        return self._pool(x, stem["pool"]) if stem["pool"] else x

    def _stages(self, x):
        shortcuts = self.architecture["shortcut"]
        for number, stage in enumerate(self.architecture["stages"], start=1):
            shortcut = shortcuts[number - 1] if isinstance(shortcuts, list) else shortcuts
            for block in range(1, stage["blocks"] + 1):
                at = 1 if self.architecture["strides_in"] == "first" else stage["blocks"]
                strides = stage["strides"] if block == at else 1
                x = self._block(
                    x, f"stage{number}/block{block}", stage["filters"], strides, shortcut
                )
        return x

    def _branch_layers(self, filters, strides):
        """(filters, kernel size, strides) of the branch's convolutions."""
        size = self.architecture["kernel_size"]
        if self.architecture["block"] == "basic":
            return [(filters, size, strides), (filters, size, 1)]
        in_first = self.architecture["version"] == "v1"
        return [
            (filters, 1, strides if in_first else 1),
            (filters, size, 1 if in_first else strides),
            (filters * self.architecture["expansion"], 1, 1),
        ]

    def _block(self, x, name, filters, strides, shortcut):
        pre_activation = self.architecture["version"] == "v2"
        padding = self.architecture["padding"]
        layers = self._branch_layers(filters, strides)
        outputs = layers[-1][0]
        widens = x.shape[-1] != outputs
        projected = {
            "always": True,
            "never": False,
            "projection": widens or strides != 1,
            "pool": widens,
        }[shortcut]

        trunk = branch = x if pre_activation else self._shift(x, f"{name}/shift1a")
        for number, (width, size, step) in enumerate(layers, start=1):
            if pre_activation:
                branch = self._activation(self._norm(branch, f"{name}/norm{number}"))
            elif number > 1:
                branch = self._shift(branch, f"{name}/shift{number}a")
            if number == 1:
                # Before the first convolution, as in Keras applications.
                trunk = self._shortcut(name, branch if projected else x, outputs, strides, projected, shortcut)
            branch = self._convolution(
                branch, f"{name}/conv{number}", width, size, step, padding, number < len(layers)
            )
            if not pre_activation:
                branch = self._norm(branch, f"{name}/norm{number}")
                if number < len(layers):
                    branch = self._activation(self._shift(branch, f"{name}/shift{number}b"))
        if self.scheme == "rezero" and not pre_activation:
            branch = self._activation(branch)
        if self.scheme in ("fixup", "skipinit", "rezero"):
            branch = self._shift(self._scale(branch, f"{name}/scale"), f"{name}/shift{len(layers)}b")
        for group in (self.parameters, self.buffers):
            for key in [key for key in group if key.startswith(f"{name}/shortcut/")]:
                group[key] = group.pop(key)
        # Keras would broadcast a wrong shape.
        if trunk.shape != branch.shape:
            raise ValueError(f"{name}: {trunk.shape} and {branch.shape} cannot be added")
        x = self.sums[name] = keras.layers.Add()([trunk, branch])
        return x if pre_activation or self.scheme == "rezero" else self._activation(x)

    def _shortcut(self, name, x, outputs, strides, projected, rule):
        if projected:
            padding = self.architecture["padding"]
            x = self._convolution(x, f"{name}/shortcut/conv", outputs, 1, strides, padding)
            if self.architecture["version"] != "v2":
                x = self._norm(x, f"{name}/shortcut/norm")
        elif rule == "pool" and strides != 1:
            x = keras.layers.MaxPooling2D(1, strides)(x)
        return x

    def _head(self, x):
        head = self.architecture["head"]
        if self.architecture["version"] == "v2":
            x = self._activation(self._norm(x, "head/norm"))
        if head["pool"] == "global_average":
            x = keras.layers.GlobalAveragePooling2D()(x)
        else:
            x = keras.layers.Flatten()(self._pool(x, head["pool"]))
        self.layers_made["head/dense"] = keras.layers.Dense, {"units": head["units"]}
        layer = keras.layers.Dense(head["units"], kernel_initializer="zeros")
        x = layer(self._shift(x, "head/shift"))
        self.outputs["head/dense/kernel"] = x
        self.parameters["head/dense/kernel"] = layer.kernel
        self.parameters["head/dense/bias"] = layer.bias
        return x

    def _identifier(self, name):
        initializers = self.spec["initializers"]
        layer, role = name.rsplit("/", 1)
        scalars = {"multiplier": "ones" if self.scheme == "fixup" else "zeros", "offset": "zeros"}
        identifier = initializers.get(role) or scalars[role]
        place = {"stem/conv": "stem", "head/dense": "dense"}.get(layer)
        if layer.endswith("shortcut/conv"):
            place = "shortcut"
        identifier = initializers.get(f"{place}_{role}", identifier)
        length = 3 if self.architecture["block"] == "bottleneck" else 2
        position = re.fullmatch(r"stage\d+/block\d+/(?:conv|norm)(\d)", layer)
        factor = self.factors.get(name, 1)
        if position and role == {"zero_gamma": "gamma", "fixup": "kernel"}.get(self.scheme):
            if int(position[1]) == length:
                identifier = "zeros"
            elif self.scheme == "fixup":
                blocks = sum(stage["blocks"] for stage in self.architecture["stages"])
                factor = blocks ** (-0.5 if length == 2 else -0.25)
        for override in initializers.get("overrides", []):
            if glob_expression(override["match"]).fullmatch(name):
                identifier, factor = override["initializer"], self.factors.get(name, 1)
        return identifier, factor

    def _initialize(self):
        """One shared generator: kernels first, in order, then all other draws."""
        generator = keras.random.SeedGenerator(self.spec["seed"])
        kernels = [name for name in self.parameters if name.endswith("/kernel")]
        others = [name for name in self.parameters if not name.endswith("/kernel")]
        for name in kernels + others:
            before = int(generator.state[1])
            variable = self.parameters[name]
            identifier, factor = self._identifier(name)
            made = initializer(identifier, generator)
            scale_by(made, factor)
            variable.assign(made(variable.shape))
            # A kernel without draws keeps its number, so the seeds of other kernels do not change.
            if name in kernels and int(generator.state[1]) == before:
                generator.next()

    def output_variances(self, images):
        """Population variances of every kernel's output before biases, for preprocessed images."""
        model = keras.Model(self.model.inputs, list(self.outputs.values()))
        variances = {}
        for name, output in zip(self.outputs, model(images, training=False), strict=True):
            bias = self.parameters.get(name.replace("/kernel", "/bias"))
            values = output.numpy().astype(np.float64)
            variances[name] = float(np.var(values if bias is None else values - bias.numpy()))
        return variances

    def sum_mean_squares(self, images):
        """Mean squares of every block's sum, in order, for preprocessed images."""
        model = keras.Model(self.model.inputs, list(self.sums.values()))
        return [float(np.mean(np.square(keras.ops.convert_to_numpy(x)))) for x in model(images)]

    def silent_kernels(self, images, labels):
        """Names of kernels whose whole gradient is 0, for the cross-entropy of these labels."""
        kernels = {name: v for name, v in self.parameters.items() if name.endswith("/kernel")}
        with tf.GradientTape() as tape:
            logits = self.model(images, training=True)
            loss = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
        gradients = tape.gradient(loss, [variable.value for variable in kernels.values()])
        return [
            name for name, gradient in zip(kernels, gradients, strict=True) if not np.any(gradient)
        ]

    def _initialize_as_keras(self):
        """Recreates every layer in order with initializers that Keras seeds."""
        written = {}
        for name, variable in self.parameters.items():
            identifier, factor = self._identifier(name)
            made = initializer(identifier)
            scale_by(made, factor)
            written[name] = keras.initializers.serialize(made)
            if name.rsplit("/", 1)[0] not in self.layers_made:
                variable.assign(made(variable.shape))
        keras.utils.set_random_seed(self.spec["seed"])
        for layer, (cls, arguments) in self.layers_made.items():
            names = {
                name.rsplit("/", 1)[1]: name
                for name in self.parameters
                if name.rsplit("/", 1)[0] == layer
            }
            given = {f"{role}_initializer": written[name] for role, name in names.items()}
            made = cls(**arguments, **given)
            for role, name in names.items():
                variable = self.parameters[name]
                variable.assign(getattr(made, f"{role}_initializer")(variable.shape))

    def parameter_count(self):
        return sum(int(np.prod(variable.shape)) for variable in self.parameters.values())

    def weights_sha256(self):
        digest = hashlib.sha256()
        for variable in self.parameters.values():
            digest.update(float32_bytes(variable.numpy()))
        return digest.hexdigest()

    def parameter_digests(self):
        return [
            {
                "name": name,
                "shape": list(variable.shape),
                "sha256": hashlib.sha256(float32_bytes(variable.numpy())).hexdigest(),
            }
            for name, variable in self.parameters.items()
        ]

    def logits(self, pixels):
        """Logits of uint8 images [n, height, width, channels]."""
        return self.model(preprocess(pixels, self.spec["preprocessing"]), training=False).numpy()
