"""Training with Keras and TensorFlow, and its data."""

import keras
import numpy as np
import tensorflow as tf
import twin
from sklearn.datasets import load_digits


def digit_pictures(_):
    """scikit-learn's digits: pixels of 0 to 16."""
    data = load_digits()
    return {"images": data.data.astype(int).tolist(), "labels": data.target.tolist()}


def standardized(training):
    """Pictures standardized by the mean and deviation of the training pictures."""
    images = load_digits().images[..., np.newaxis]
    return (images - images[:training].mean()) / images[:training].std()


def training(request):
    """Losses of each step from a specification's weights with the given batches; test accuracy."""
    keras.backend.clear_session()
    network = twin.ResidualNetwork(request["spec"])
    pictures, labels = standardized(request["training"]).astype(np.float32), load_digits().target
    variables = [v.value for v in network.parameters.values()]
    optimizer = tf.keras.optimizers.SGD(request["learning_rate"], request["momentum"])
    losses = []
    for batch in request["batches"]:
        with tf.GradientTape() as tape:
            logits = network.model(pictures[batch], training=True)
            loss = tf.reduce_mean(
                tf.nn.sparse_softmax_cross_entropy_with_logits(labels[batch], logits)
            )
        gradients = tape.gradient(loss, variables)
        optimizer.apply_gradients(zip(gradients, network.parameters.values()))
        losses.append(float(loss))
    logits = network.model(pictures[request["training"] :], training=False).numpy()
    accuracy = float((logits.argmax(-1) == labels[request["training"] :]).mean())
    buffers = {name: value.numpy().tolist() for name, value in network.buffers.items()}
    return {"losses": losses, "accuracy": accuracy, "buffers": buffers}


OPERATIONS = {operation.__name__: operation for operation in (digit_pictures, training)}
