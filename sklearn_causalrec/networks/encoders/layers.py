"""Layers of perceptrons."""

from torch import nn

ACTIVATIONS = {"relu": nn.ReLU, "elu": nn.ELU, "gelu": nn.GELU, "tanh": nn.Tanh}


def dense_layers(n_in, sizes, activation, dropout):
    """Linear, activation and dropout for every size; and the width that comes out."""
    layers = []
    for size in sizes:
        layers += [nn.Linear(n_in, size), ACTIVATIONS[activation]()]
        if dropout > 0:
            layers.append(nn.Dropout(dropout))
        n_in = size
    return nn.Sequential(*layers), n_in
