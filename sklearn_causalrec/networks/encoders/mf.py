"""Matrix factorisation."""

import torch
from torch import nn

from sklearn_causalrec.networks.encoders.base import ENCODERS, Encoder
from sklearn_causalrec.networks.requires import Requires


@ENCODERS.register("mf")
class MF(Encoder):
    """The inner product of the vectors of user and item [1]_.

    Each arm scales the terms of the product. Where there are features, a perceptron
    over them is added.

    See Also
    --------
    sklearn_causalrec.networks.encoders.dnn.DNN :
        A perceptron over the vectors.

    References
    ----------
    .. [1] Koren, Y., Bell, R. and Volinsky, C. (2009). "Matrix factorization
       techniques for recommender systems." Computer 42(8).
    """

    requires = Requires(
        roles=("user", "item"),
        words='factorises users and items: name their columns, user="…" and item="…"',
    )
    reads_history = False

    def __init__(self, inputs, n_arms, **options):
        super().__init__(inputs, n_arms, **options)
        width = self.add_perceptron(inputs.n_features)
        self.arm_scale = nn.Parameter(torch.ones(n_arms, self.embedding_dim))
        self.arm_scale.requires_grad_(n_arms > 1)
        self.width = width + self.embedding_dim

    def forward(self, x, vectors, user, item, past):
        """Encode rows; see :meth:`Encoder.forward`."""
        product = vectors.user(user) * vectors.item(item)
        outcome = product @ self.arm_scale.T
        if self.heads is None:
            return outcome, product
        dense = self.dense(x)
        representation = torch.cat([product, dense], dim=1)
        return outcome + self.heads(dense), representation

    def matrix(self, vectors, users, items, arm, bias):
        """Outcome of all pairs, where there are no features."""
        scaled = vectors.user(users) * self.arm_scale[arm]
        return torch.addmm(bias, scaled, vectors.item(items).T)
