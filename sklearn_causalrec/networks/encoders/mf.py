"""Matrix factorisation."""

import torch
from torch import nn

from sklearn_causalrec.networks.encoders.base import ENCODERS, Encoder
from sklearn_causalrec.networks.encoders.queries import FactorQuery, feature_map
from sklearn_causalrec.networks.requires import Requires


@ENCODERS.register("mf")
class MF(Encoder):
    r"""The inner product of the vectors of user and item [1]_, of ids and features.

    The vector of a user is the id's own plus a linear map of the features of the user,
    and that of an item likewise [2]_:

    .. math:: (p_u + F x_u)^\top (q_i + G z_i).

    Whose a feature is, the log tells, see
    :class:`~sklearn_causalrec.ranking.Catalogue`. What features tell, ids need not
    learn, and ids not seen have the vectors of their features. Each arm scales the
    terms of the product. Where there are features, those of the context among them, a
    perceptron over all of them is added.

    See Also
    --------
    sklearn_causalrec.networks.encoders.dnn.DNN :
        A perceptron over the vectors.

    References
    ----------
    .. [1] Koren, Y., Bell, R. and Volinsky, C. (2009). "Matrix factorization
       techniques for recommender systems." Computer 42(8).
    .. [2] Kula, M. (2015). "Metadata embeddings for user and item cold-start
       recommendations." CBRecSys.
    """

    requires = Requires(
        roles=("user", "item"),
        words='factorises users and items: name their columns, user="…" and item="…"',
    )
    reads_history = False
    query = FactorQuery
    not_private = "multiplies vectors of users, each of which is of one person's rows"

    def __init__(self, inputs, n_arms, **options):
        super().__init__(inputs, n_arms, **options)
        self.of_user, self.of_item = list(inputs.of_user), list(inputs.of_item)
        self.user_features = feature_map(len(self.of_user), self.embedding_dim)
        self.item_features = feature_map(len(self.of_item), self.embedding_dim)
        width = self.add_perceptron(inputs.n_features)
        self.arm_scale = nn.Parameter(torch.ones(n_arms, self.embedding_dim))
        self.arm_scale.requires_grad_(n_arms > 1)
        self.width = width + self.embedding_dim

    def forward(self, x, vectors, user, item, past):
        """Encode rows; see :meth:`Encoder.forward`."""
        of_user, of_item = vectors(user, item)
        if self.user_features is not None:
            of_user = of_user + self.user_features(x[:, self.of_user])
        if self.item_features is not None:
            of_item = of_item + self.item_features(x[:, self.of_item])
        product = of_user * of_item
        outcome = product @ self.arm_scale.T
        if self.heads is None:
            return outcome, product
        dense = self.dense(x)
        representation = torch.cat([product, dense], dim=1)
        return outcome + self.heads(dense), representation

    def of_users(self, vectors, users, arm):
        """Vectors whose products with those of items are the outcomes, where there are
        no features."""
        return vectors.user(users) * self.arm_scale[arm]
