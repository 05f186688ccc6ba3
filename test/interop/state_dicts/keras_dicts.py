"""State dicts of Keras 3 on TensorFlow.

    python keras_dicts.py FOLDER [NAME...]
"""

import os
from functools import cache

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import keras
import numpy as np
from keras import layers

from common import as_bfloat16, as_float16, averaged, batches, changed, fresh, main, pruned, quantized, trained


def seed_all(seed):
    """Resets the counters of names, so that two networks of one architecture have equal names."""
    keras.backend.clear_session()
    keras.utils.set_random_seed(seed)


def values(model):
    return {variable.path: np.array(variable) for variable in model.variables}


def application(name, **options):
    def make(seed):
        seed_all(seed)
        return fresh(values(getattr(keras.applications, name)(weights=None, **options)))

    return make


def transformer():
    """Kernels of rank 3: attention, and dense layers by their einsum."""
    tokens = layers.Input((16,), dtype="int32")
    x = layers.Embedding(1000, 128)(tokens)
    for _ in range(2):
        x = layers.LayerNormalization()(x + layers.MultiHeadAttention(8, 16, value_dim=24)(x, x))
        x = layers.LayerNormalization()(x + layers.GroupQueryAttention(32, 8, 4)(x, x))
        hidden = layers.EinsumDense("abc,cd->abd", (16, 512), bias_axes="d", activation="gelu")(x)
        x = layers.LayerNormalization()(x + layers.Dense(128)(hidden))
    y = layers.EinsumDense("abc,cde->abde", (16, 4, 32), bias_axes="de")(x)
    y = layers.EinsumDense("abcd,cde->abe", (16, 64))(y)
    return keras.Model(tokens, layers.Dense(1000)(layers.Dropout(0.1)(y)))


def recurrent():
    x = inputs = layers.Input((8, 8))
    x = layers.Bidirectional(layers.LSTM(96, return_sequences=True))(x)
    x = layers.GRU(128, return_sequences=True)(x)
    x = layers.ConvLSTM1D(32, 3, return_sequences=True)(layers.Reshape((8, 16, 8))(x))
    x = layers.SimpleRNN(64)(layers.Reshape((8, -1))(x))
    return keras.Model(inputs, layers.Dense(10)(x))


def convolutional():
    """Convolutions of all kinds."""
    x = inputs = layers.Input((32, 32, 3))
    x = layers.SeparableConv2D(64, 3, depth_multiplier=2)(x)
    x = layers.DepthwiseConv2D(5)(layers.GroupNormalization(8)(x))
    x = layers.Conv2D(128, 3, groups=4)(layers.BatchNormalization()(x))
    x = layers.Conv2DTranspose(96, 3)(x)
    x = layers.Conv1D(64, 5)(layers.Reshape((-1, 96))(x))
    x = layers.Conv3D(48, 3)(layers.Reshape((4, 4, -1, 64))(x))
    return keras.Model(inputs, layers.Dense(10)(layers.GlobalAveragePooling3D()(x)))


def built(architecture):
    def make(seed):
        seed_all(seed)
        return fresh(values(architecture()))

    return make


def perceptron(kernel):
    dense = {"activation": "relu", "kernel_initializer": kernel}
    return keras.Sequential(
        [
            *(layers.Input((8, 8)), layers.Flatten()),
            *(layers.Dense(512, **dense), layers.Dense(512, **dense), layers.Dense(10)),
        ]
    )


def network(kernel):
    convolution = {"padding": "same", "activation": "relu", "kernel_initializer": kernel}
    return keras.Sequential(
        [
            *(layers.Input((8, 8)), layers.Reshape((8, 8, 1))),
            *(layers.Conv2D(64, 3, **convolution), layers.BatchNormalization()),
            *(layers.Conv2D(128, 3, **convolution), layers.BatchNormalization(), layers.MaxPooling2D()),
            *(layers.Conv2D(128, 3, **convolution), layers.GlobalAveragePooling2D(), layers.Dense(10)),
        ]
    )


def fitted(architecture, epochs, optimizer="adam", frozen=()):
    """Trained on digits; `frozen` are indices of untrained layers."""

    def make(seed):
        seed_all(seed)
        model = architecture()
        for place in frozen:
            model.layers[place].trainable = False
        before = values(model)
        chosen = keras.optimizers.get(optimizer() if callable(optimizer) else optimizer)
        model.compile(chosen, keras.losses.SparseCategoricalCrossentropy(from_logits=True))
        for images, classes in batches(epochs, seed=seed):
            model.train_on_batch(images, classes)
        return trained(before, values(model))

    return make


def sgd():
    return keras.optimizers.SGD(0.05, momentum=0.9)


def adamw():
    return keras.optimizers.AdamW(1e-3, weight_decay=0.01)


once_he = cache(fitted(lambda: perceptron("he_normal"), 10))
once_glorot = cache(fitted(lambda: network("glorot_uniform"), 5))

MAKERS = {
    "keras-mobilenet-v2": application("MobileNetV2"),
    "keras-efficientnet-b0": application("EfficientNetB0"),
    "keras-resnet50": application("ResNet50"),
    "keras-densenet121": application("DenseNet121"),
    "keras-convnext-tiny": application("ConvNeXtTiny"),
    "keras-transformer": built(transformer),
    "keras-recurrent": built(recurrent),
    "keras-convolutional": built(convolutional),
    "keras-perceptron-normal-1-epoch": fitted(lambda: perceptron("random_normal"), 1),
    "keras-perceptron-he-1-epoch": fitted(lambda: perceptron("he_normal"), 1),
    "keras-perceptron-he-20-epochs": fitted(lambda: perceptron("he_normal"), 20),
    "keras-perceptron-untruncated-1-epoch": fitted(
        lambda: perceptron(keras.initializers.VarianceScaling(2.0, "fan_in", "untruncated_normal")), 1
    ),
    "keras-perceptron-untruncated-sgd": fitted(
        lambda: perceptron(keras.initializers.VarianceScaling(2.0, "fan_in", "untruncated_normal")), 4, sgd
    ),
    "keras-network-glorot-1-epoch": fitted(lambda: network("glorot_uniform"), 1),
    "keras-network-glorot-10-epochs": fitted(lambda: network("glorot_uniform"), 10),
    "keras-network-orthogonal-adamw": fitted(lambda: network("orthogonal"), 3, adamw),
    "keras-network-frozen": fitted(lambda: network("glorot_uniform"), 3, frozen=(1, 3)),
    "keras-recurrent-3-epochs": fitted(recurrent, 3),
    "keras-perceptron-pruned": lambda seed: changed(built(lambda: perceptron("he_normal"))(seed), pruned, "altered"),
    "keras-perceptron-trained-pruned": lambda seed: changed(once_he(1), pruned, "altered"),
    "keras-network-float16": lambda seed: changed(built(lambda: network("glorot_uniform"))(seed), as_float16),
    "keras-network-bfloat16": lambda seed: changed(built(lambda: network("glorot_uniform"))(seed), as_bfloat16),
    "keras-network-trained-float16": lambda seed: changed(once_glorot(1), as_float16),
    "keras-perceptron-int8": lambda seed: changed(built(lambda: perceptron("he_normal"))(seed), quantized, "altered"),
    "keras-perceptron-int4-columns": lambda seed: changed(
        built(lambda: perceptron("glorot_uniform"))(seed), lambda value: quantized(value, -1, 4), "altered"
    ),
    "keras-perceptron-trained-int8": lambda seed: changed(once_he(1), quantized, "altered"),
    "keras-network-averaged": lambda seed: averaged(once_glorot(1), once_glorot(2)),
    "keras-perceptron-fresh-averaged": lambda seed: averaged(
        built(lambda: perceptron("he_normal"))(seed), built(lambda: perceptron("he_normal"))(seed + 1), "altered"
    ),
}

if __name__ == "__main__":
    main(MAKERS)
