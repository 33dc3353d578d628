"""What asks for items: a user, features and past items as a vector of the items' kind.

Under an objective that sets positives against the catalogue, the score of a pair is
the product of a query's and an item's vector. So all items of a user are scored by one
product of matrices, and no encoder may mix the two before.
"""

import torch
from torch import nn

from sklearn_causalrec.networks.encoders.history import HistoryStates
from sklearn_causalrec.networks.encoders.layers import dense_layers


def feature_map(n_features, width):
    """A linear map to vectors, which start about as short as those of ids; or None."""
    if not n_features:
        return None
    layer = nn.Linear(n_features, width, bias=False)
    nn.init.normal_(layer.weight, std=0.1 * n_features**-0.5)
    return layer


class FactorQuery(nn.Module):
    """The vector of the user, plus a linear map of the features.

    Parameters
    ----------
    n_features : int
        The number of features, those of the items not among them.
    length : int or None
        The number of items in the longest history; None where there are none.
    causal : callable or None
        That of the encoder.
    hidden_layer_sizes, embedding_dim, activation, dropout
        As of the encoder.

    Attributes
    ----------
    reads_users : bool
        Whether it reads the vectors of users.
    usual : dict of str to number
        What "auto" stands for of the settings, where it differs from what is usual for
        the objective.
    """

    reads_users = True
    usual: dict = {}

    def __init__(self, n_features, length, causal, *, embedding_dim, **_):
        super().__init__()
        self.features = feature_map(n_features, embedding_dim)

    def forward(self, x, user, table, past):
        """The vectors of queries.

        Parameters
        ----------
        x : tensor of shape (n, n_features)
            The features, standardised.
        user : tensor of shape (n, embedding_dim) or None
            The vectors of the users, where they are read.
        table : nn.Embedding
            The vectors of the items.
        past : tensor of shape (n, length) or None
            The codes of past items, filled up with -1.

        Returns
        -------
        tensor of shape (n, embedding_dim)
            The vectors.
        """
        return user if self.features is None else user + self.features(x)


class PerceptronQuery(FactorQuery):
    """As a FactorQuery, and a perceptron over all there is; also the mean of a history.

    The parameters are those of :class:`FactorQuery`.
    """

    def __init__(
        self, n_features, length, causal, *,
        hidden_layer_sizes, embedding_dim, activation, dropout,
    ):  # fmt: skip
        super().__init__(n_features, length, causal, embedding_dim=embedding_dim)
        self.history = None
        n_in = n_features + embedding_dim
        if length is not None:
            self.history = HistoryStates(embedding_dim, length)
            n_in += embedding_dim
        self.dense, width = dense_layers(n_in, hidden_layer_sizes, activation, dropout)
        self.last = feature_map(width, embedding_dim)

    def forward(self, x, user, table, past):
        """The vectors of queries; see :meth:`FactorQuery.forward`."""
        query, parts = super().forward(x, user, table, past), [x, user]
        if self.history is not None:
            state = self.history(table, past)[0]
            query = query + state
            parts.append(state)
        return query + self.last(self.dense(torch.cat(parts, dim=1)))


class SequenceQuery(FactorQuery):
    """The state after the past items, plus a linear map of the features.

    Past items are those of a column of histories, or else a user's own positives in
    their order. The parameters are those of :class:`FactorQuery`.
    """

    reads_users = False
    usual = {"l2": 20.0}

    def __init__(
        self, n_features, length, causal, *, embedding_dim, dropout, **_
    ):  # fmt: skip
        super().__init__(n_features, length, causal, embedding_dim=embedding_dim)
        self.states = causal(embedding_dim, length, dropout)

    def every(self, table, past):
        """The state after every item of a window, which has seen none after it.

        Parameters
        ----------
        table : nn.Embedding
            The vectors of the items.
        past : tensor of shape (n, length)
            The codes of items, the first in time first, filled up with -1.

        Returns
        -------
        tensor of shape (n, length, embedding_dim)
            The states. Those at places that are filled up mean nothing.
        """
        return self.states(table(past.clamp(min=0)))

    def forward(self, x, user, table, past):
        """The vectors of queries; see :meth:`FactorQuery.forward`.

        Without past items the state is zero.
        """
        # The pairs of a user follow each other and have one past: encode it once.
        new = torch.ones(len(past), dtype=torch.bool, device=past.device)
        new[1:] = (past[1:] != past[:-1]).any(1)
        past = past[new]
        size = (past >= 0).sum(1)
        past = past[:, : max(int(size.max()), 1)]
        rows = torch.arange(len(past), device=past.device)
        state = self.every(table, past)[rows, (size - 1).clamp(min=0)]
        state = state * (size > 0).unsqueeze(1)
        return self.plus_features(state[new.cumsum(0) - 1], x)

    def plus_features(self, state, x):
        """States and what features add to them."""
        return state if self.features is None else state + self.features(x)
