"""The network of lists: a vector for who asks, one for each item, and their product."""

import numpy as np
import torch

from sklearn_causalrec.networks.encoders import ENCODERS
from sklearn_causalrec.networks.encoders.queries import feature_map
from sklearn_causalrec.networks.network import (
    IdVectors,
    Output,
    Standardize,
    WidePart,
    WithIdTables,
)
from sklearn_causalrec.networks.text_tower import TextLayer


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
    text : dict or None, default=None
        As of a :class:`~sklearn_causalrec.networks.network.CausalNetwork`. The column
        of codes is among the `n_features`, the last one.
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
        text=None,
    ):
        super().__init__()
        kind = ENCODERS[encoder]
        self.of_item = [int(j) for j in of_item]
        self.of_query = [j for j in range(n_features) if j not in set(self.of_item)]
        mean, scale = np.asarray(mean), np.asarray(scale)
        numbers = [self._numbers(part, text) for part in (self.of_query, self.of_item)]
        self.standardize_query, self.standardize_item = (
            Standardize(mean[part], scale[part], input_noise) for part in numbers
        )
        self.text = None
        if text is not None:
            width = max(max(hidden_layer_sizes, default=0), 8)
            self.text = TextLayer(**text, width=width, activation=activation)
        n_query, n_item = (
            len(part) + (0 if len(part) == len(own) else width)
            for part, own in zip(numbers, (self.of_query, self.of_item))
        )
        n_known = n_users if kind.query.reads_users else 0
        self.vectors = IdVectors(n_known, n_items, embedding_dim)
        self.encoder = kind.query(
            n_query,
            length,
            kind.causal,
            hidden_layer_sizes=hidden_layer_sizes,
            embedding_dim=embedding_dim,
            activation=activation,
            dropout=dropout,
        )
        self.item_map = feature_map(n_item, embedding_dim)
        self.wide = WidePart(n_item, 0, n_items, 1)

    def _numbers(self, part, text):
        """The positions of a side without that of the codes of texts, the last one."""
        last = len(self.of_item) + len(self.of_query) - 1
        return part[:-1] if text is not None and last in part else part

    def _read(self, part, standardize, features):
        """What a side reads of features: standardised numbers, and of texts a layer."""
        text = getattr(self, "text", None)  # absent in files of earlier versions
        numbers = self._numbers(part, text)
        x = standardize(features[:, numbers])
        if len(numbers) == len(part):
            return x
        return torch.cat([x, text(features[:, -1])], dim=1)

    def queries(self, features, user=None, history=None):
        """The vectors of queries; (n, embedding_dim)."""
        x = self._read(self.of_query, self.standardize_query, features)
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
        x = self._read(self.of_query, self.standardize_query, features)
        states = self.encoder.every(self.vectors.item, windows)[window, place]
        return self.encoder.plus_features(states, x)

    def items(self, item, features):
        """The vectors (n, embedding_dim) and biases (n,) of items."""
        x = self._read(self.of_item, self.standardize_item, features)
        vectors = self.vectors.item(item)
        if self.item_map is not None:
            vectors = vectors + self.item_map(x)
        return vectors, self.wide(x, None, item)[:, 0]

    def forward(self, features, user=None, item=None, history=None, **_):
        """Scores of rows, as the outcome of an Output."""
        vectors, bias = self.items(item, features)
        scores = (self.queries(features, user, history) * vectors).sum(1) + bias
        return Output(scores.unsqueeze(1), None, None)
