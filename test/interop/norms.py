"""Random norms, as after training."""

import numpy as np


def move_norms(variables, seed):
    generator = np.random.default_rng(seed)
    draws = {
        "gamma": lambda shape: generator.uniform(0.5, 1.5, shape),
        "beta": lambda shape: generator.normal(0, 0.5, shape),
        "moving_mean": lambda shape: generator.normal(0, 0.5, shape),
        "moving_variance": lambda shape: generator.uniform(0.3, 3, shape),
        "multiplier": lambda shape: generator.normal(0, 0.5, shape),
        "offset": lambda shape: generator.normal(0, 0.3, shape),
    }
    for name, variable in variables.items():
        draw = draws.get(name.rsplit("/", 1)[1])
        if draw:
            variable.assign(draw(variable.shape))
