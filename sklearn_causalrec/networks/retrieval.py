"""The network of lists: a vector for who asks, one for each item, and their product."""

import numpy as np

from sklearn_causalrec.networks.encoders import ENCODERS
from sklearn_causalrec.networks.encoders.queries import feature_map
from sklearn_causalrec.networks.network import (
    IdVectors,
    Output,
    Standardize,
    WidePart,
    WithIdTables,
)


class RetrievalNetwork(WithIdTables):
    """Scores of pairs: the product of a query's and an item's vector, and a bias.

    The vector of an item is the id's own plus a linear map of the features of the
    item. That of a query comes from the encoder, which reads all other features. The
    bias of an item is its id's own plus a linear function of its features. A bias of
    the user would say nothing about the order of items.

    Parameters
    ----------
    n_features, n_users, n_items : int
        Numbers of each. Items that are in histories alone are among the items.
    mean, scale : array of shape (n_features,)
        Moments of the features, for standardisation.
    encoder : str
        Name of a registered encoder that has a query.
    hidden_layer_sizes, embedding_dim, activation, dropout
        Options of the encoder.
    input_noise : float, default=0.0
        Standard deviation of the noise on features while training.
    length : int or None, default=None
        The number of items in the longest history; None where there are none.
    of_item : sequence of int, default=()
        Positions of the features of the items.
    """

    def __init__(
        self,
        n_features,
        n_users,
        n_items,
        mean,
        scale,
        encoder="mf",
        hidden_layer_sizes=(128, 64),
        embedding_dim=16,
        activation="relu",
        dropout=0.0,
        input_noise=0.0,
        length=None,
        of_item=(),
    ):
        super().__init__()
        kind = ENCODERS[encoder]
        self.of_item = [int(j) for j in of_item]
        self.of_query = [j for j in range(n_features) if j not in set(self.of_item)]
        mean, scale = np.asarray(mean), np.asarray(scale)
        parts = (self.of_query, self.of_item)
        self.standardize_query, self.standardize_item = (
            Standardize(mean[part], scale[part], input_noise) for part in parts
        )
        n_known = n_users if kind.query.reads_users else 0
        self.vectors = IdVectors(n_known, n_items, embedding_dim)
        self.encoder = kind.query(
            len(self.of_query),
            length,
            kind.causal,
            hidden_layer_sizes=hidden_layer_sizes,
            embedding_dim=embedding_dim,
            activation=activation,
            dropout=dropout,
        )
        self.item_map = feature_map(len(self.of_item), embedding_dim)
        self.wide = WidePart(len(self.of_item), 0, n_items, 1)

    def queries(self, features, user=None, history=None):
        """The vectors of queries; (n, embedding_dim)."""
        x = self.standardize_query(features[:, self.of_query])
        known = self.vectors.user
        user = None if known is None else known(user)
        return self.encoder(x, user, self.vectors.item, history)

    def windows(self, windows, window, place, features):
        """The vectors of queries inside of windows of past items.

        Parameters
        ----------
        windows : tensor of shape (b, length)
            The codes of items in their order, filled up with -1.
        window, place : tensor of shape (n,)
            The window of each query, and the last of its items that the query knows.
        features : tensor of shape (n, n_features)
            The features of the queries.

        Returns
        -------
        tensor of shape (n, embedding_dim)
            The vectors.
        """
        x = self.standardize_query(features[:, self.of_query])
        states = self.encoder.every(self.vectors.item, windows)[window, place]
        return self.encoder.plus_features(states, x)

    def items(self, item, features):
        """The vectors (n, embedding_dim) and biases (n,) of items."""
        x = self.standardize_item(features[:, self.of_item])
        vectors = self.vectors.item(item)
        if self.item_map is not None:
            vectors = vectors + self.item_map(x)
        return vectors, self.wide(x, None, item)[:, 0]

    def forward(self, features, user=None, item=None, history=None, **_):
        """Scores of rows, as the outcome of an Output."""
        vectors, bias = self.items(item, features)
        scores = (self.queries(features, user, history) * vectors).sum(1) + bias
        return Output(scores.unsqueeze(1), None, None)
