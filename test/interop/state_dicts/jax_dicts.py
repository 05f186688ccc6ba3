"""State dicts of Flax, Haiku and Equinox on JAX, and of Sonnet on TensorFlow.

    python jax_dicts.py FOLDER [NAME...]
"""

import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import equinox as eqx
import flax.linen as nn
import haiku as hk
import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx

from common import as_bfloat16, batches, changed, fresh, main, trained


def values(tree):
    """Arrays by path."""
    leaves = jax.tree_util.tree_leaves_with_path(tree)
    arrays = [(path, leaf) for path, leaf in leaves if hasattr(leaf, "shape") and not jax.dtypes.issubdtype(leaf.dtype, jax.dtypes.prng_key)]
    return {jax.tree_util.keystr(path, simple=True, separator="/"): np.array(leaf) for path, leaf in arrays}


class FlaxTransformer(nn.Module):
    @nn.compact
    def __call__(self, tokens):
        x = nn.Embed(1000, 128)(tokens)
        x = x + self.param("position", nn.initializers.normal(0.02), (1, 16, 128))
        for _ in range(2):
            x = nn.LayerNorm()(x + nn.MultiHeadDotProductAttention(8, qkv_features=192)(x))
            x = nn.LayerNorm()(x + nn.Dense(128)(nn.gelu(nn.Dense(512)(x))))
        return nn.DenseGeneral(64, axis=(-2, -1))(nn.DenseGeneral((16, 24))(x))


class FlaxRecurrent(nn.Module):
    @nn.compact
    def __call__(self, x):
        x = nn.RNN(nn.OptimizedLSTMCell(128))(x)
        x = nn.RNN(nn.LSTMCell(96))(x)
        return nn.Dense(10)(nn.RNN(nn.GRUCell(96))(x))


class FlaxNetwork(nn.Module):
    @nn.compact
    def __call__(self, x, train=False):
        x = x[..., None]
        for filters in (64, 128, 128):
            x = nn.relu(nn.BatchNorm(not train)(nn.Conv(filters, (3, 3))(x)))
        x = nn.ConvTranspose(96, (3, 3))(nn.Conv(256, (3, 3), feature_group_count=4)(x))
        return nn.Dense(10)(x.mean((1, 2)))


class FlaxPerceptron(nn.Module):
    kernel_init: object = nn.initializers.lecun_normal()

    @nn.compact
    def __call__(self, x):
        x = x.reshape(len(x), -1)
        for _ in range(2):
            x = nn.relu(nn.Dense(512, kernel_init=self.kernel_init)(x))
        return nn.Dense(10)(x)


class NnxModel(nnx.Module):
    def __init__(self, rngs):
        self.embed = nnx.Embed(500, 96, rngs=rngs)
        self.attention = nnx.MultiHeadAttention(8, 96, decode=False, rngs=rngs)
        self.convolution = nnx.Conv(96, 128, (3, 3), rngs=rngs)
        self.norm = nnx.BatchNorm(128, rngs=rngs)
        self.cell = nnx.LSTMCell(128, 96, rngs=rngs)
        self.lora = nnx.LoRA(96, 8, 64, rngs=rngs)
        self.head = nnx.LinearGeneral((8, 12), (4, 48), axis=(-2, -1), rngs=rngs)


def flax(model, *inputs):
    def make(seed):
        return fresh(values(model.init(jax.random.key(seed), *inputs)))

    return make


def flax_nnx(seed):
    return fresh(values(nnx.to_pure_dict(nnx.state(NnxModel(nnx.Rngs(seed)), (nnx.Param, nnx.BatchStat)))))


def fitted(model, epochs, optimizer):
    def make(seed):
        key = jax.random.key(seed)
        state = model.init(key, jnp.ones((1, 8, 8)))
        before = values(state)
        params, stats = state["params"], {name: state[name] for name in state if name != "params"}
        options = {"train": True, "mutable": list(stats)} if stats else {}

        def loss(params, stats, images, classes):
            found = model.apply({"params": params, **stats}, images, **options)
            logits, stats = found if stats else (found, stats)
            return optax.softmax_cross_entropy_with_integer_labels(logits, classes).mean(), stats

        @jax.jit
        def step(params, stats, moments, images, classes):
            gradient, stats = jax.grad(loss, has_aux=True)(params, stats, images, classes)
            updates, moments = optimizer.update(gradient, moments, params)
            return optax.apply_updates(params, updates), stats, moments

        moments = optimizer.init(params)
        for images, classes in batches(epochs, seed=seed):
            params, stats, moments = step(params, stats, moments, images, classes)
        return trained(before, values({"params": params, **stats}))

    return make


def haiku(forward, *inputs):
    def make(seed):
        params, _ = hk.transform_with_state(forward).init(jax.random.key(seed), *inputs)
        return fresh(values(params))

    return make


def haiku_layers(x):
    x = hk.Conv2D(128, 3)(hk.Conv2DTranspose(64, 3)(x))
    x = hk.LayerNorm(-1, True, True)(x).reshape(2, -1, 128)
    x = hk.MultiHeadAttention(4, 32, w_init=hk.initializers.VarianceScaling())(x, x, x)
    x, _ = hk.dynamic_unroll(hk.LSTM(96), x, hk.LSTM(96).initial_state(x.shape[1]))
    x, _ = hk.dynamic_unroll(hk.GRU(64), x, hk.GRU(64).initial_state(x.shape[1]))
    return hk.nets.MLP([256, 256, 10])(x), hk.Embed(500, 96)(jnp.ones(3, int))


def equinox(seed):
    keys = jax.random.split(jax.random.key(seed), 9)
    layers = {
        "mlp": eqx.nn.MLP(64, 10, 256, 2, key=keys[0]),
        "conv": eqx.nn.Conv2d(64, 128, 3, key=keys[1]),
        "transposed": eqx.nn.ConvTranspose2d(64, 32, 3, key=keys[2]),
        "attention": eqx.nn.MultiheadAttention(8, 128, key=keys[3]),
        "lstm": eqx.nn.LSTMCell(64, 96, key=keys[4]),
        "gru": eqx.nn.GRUCell(64, 96, key=keys[5]),
        "embed": eqx.nn.Embedding(500, 64, key=keys[6]),
        "norm": eqx.nn.LayerNorm(64),
        "depthwise": eqx.nn.Conv1d(256, 256, 7, groups=256, key=keys[7]),
    }
    return fresh(values(layers))


def sonnet(seed):
    import sonnet as snt
    import tensorflow as tf

    tf.random.set_seed(seed)
    modules = [snt.nets.MLP([512, 256, 10]), snt.Conv2D(96, 3), snt.LSTM(128), snt.GRU(64), snt.BatchNorm(True, True)]
    modules[0](tf.ones([1, 64]))
    modules[1](tf.ones([1, 8, 8, 32]))
    modules[2](tf.ones([1, 64]), modules[2].initial_state(1))
    modules[3](tf.ones([1, 64]), modules[3].initial_state(1))
    modules[4](tf.ones([2, 64]), is_training=True)
    embed = snt.Embed(500, 64)
    embed(tf.constant([1]))
    # Sets the moving moments to the moments of the batch.
    variables = [variable for module in [*modules[:4], embed] for variable in module.trainable_variables]
    return fresh({f"{place}/{variable.name.split(':')[0]}": variable.numpy() for place, variable in enumerate(variables)})


def nets_resnet(images):
    return hk.nets.ResNet18(1000)(images, is_training=True)


def untruncated():
    return FlaxPerceptron(nn.initializers.variance_scaling(2.0, "fan_in", "normal"))


IMAGES, WORDS = jnp.ones((2, 8, 8)), jnp.ones((2, 16), int)
MAKERS = {
    "flax-transformer": flax(FlaxTransformer(), WORDS),
    "flax-recurrent": flax(FlaxRecurrent(), IMAGES),
    "flax-network": flax(FlaxNetwork(), IMAGES),
    "flax-nnx": flax_nnx,
    "haiku-layers": haiku(haiku_layers, jnp.ones((2, 4, 4, 32))),
    "haiku-resnet18": haiku(nets_resnet, jnp.ones((2, 64, 64, 3))),
    "equinox": equinox,
    "sonnet": sonnet,
    "flax-transformer-bfloat16": lambda seed: changed(flax(FlaxTransformer(), WORDS)(seed), as_bfloat16),
    "flax-network-1-epoch": fitted(FlaxNetwork(), 1, optax.adam(1e-3)),
    "flax-network-8-epochs": fitted(FlaxNetwork(), 8, optax.adam(1e-3)),
    "flax-perceptron-1-epoch": fitted(FlaxPerceptron(), 1, optax.adam(1e-3)),
    "flax-perceptron-untruncated-1-epoch": fitted(untruncated(), 1, optax.adam(1e-3)),
    "flax-perceptron-untruncated-adamw": fitted(untruncated(), 6, optax.adamw(1e-3, weight_decay=0.01)),
    "flax-perceptron-sgd": fitted(FlaxPerceptron(), 3, optax.sgd(0.01)),
}

if __name__ == "__main__":
    main(MAKERS)
