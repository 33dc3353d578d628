"""States of a history: its past items, in order, to a vector or two."""

import torch
from torch import nn

from sklearn_causalrec.networks.requires import Requires

NEEDS_HISTORY = Requires(
    roles=("history",),
    words='reads histories: name the column of them, history="…", with a list of past '
    "items in each row (HistorySequence makes it from a log)",
)


class HistoryStates(nn.Module):
    """States of a history: the mean of its items' vectors (Covington et al. 2016) and,
    of an encoder that reads their order, its state. Zero for an empty history.

    Where order says nothing the mean has less to learn than a sequence encoder.

    Parameters
    ----------
    width : int
        Width of the items' vectors, and of each state.
    length : int
        Number of items in the longest history.
    mean, scale : array of shape (q,), default=()
        Moments of the numbers beside the items, on the scale sign(v) log(1 + |v|).
    dropout : float, default=0.0
        Share of the sequence's units dropped while training.
    sequence : callable or None, default=None
        ``sequence(width, length, dropout)`` returns a module that turns the items'
        vectors (n, length, width), and whether a step is there (n, length), to a
        state (n, width). None: the mean is all there is.
    """

    # Whether steps that nobody has are read, too: with no look at the codes before.
    whole = False

    def __init__(self, width, length, mean=(), scale=(), dropout=0.0, sequence=None):
        super().__init__()
        self.register_buffer("mean", torch.as_tensor(mean, dtype=torch.float32))
        self.register_buffer("rate", 1 / torch.as_tensor(scale, dtype=torch.float32))
        self.values = nn.Linear(len(mean), width) if len(mean) else None
        self.sequence = None
        if sequence is not None:
            self.sequence = sequence(width, length, dropout)
        self.n_states = 1 if self.sequence is None else 2

    def encode(self, table, codes, values):
        """States of rows whose histories all differ; as :meth:`forward`."""
        n_steps = max(int((codes >= 0).sum(1).max()), 1)
        if values is not None:
            values = values[:, :n_steps]
        return self.states(table, codes[:, :n_steps], values)

    def states(self, table, codes, values=None):
        """As :meth:`encode`, with no look at the codes before: a graph can do it."""
        there = codes >= 0
        some = there[:, :1]
        # An empty history has a first step all the same: attention over none is NaN.
        there = torch.cat([torch.ones_like(some), there[:, 1:]], dim=1)
        items = table(codes.clamp(min=0))
        if self.values is not None:
            values = values.to(items.dtype)
            scaled = (values.sign() * values.abs().log1p() - self.mean) * self.rate
            items = items + self.values(scaled)
        states = [(items * there.unsqueeze(2)).sum(1) / there.sum(1, keepdim=True)]
        if self.sequence is not None:
            states.append(self.sequence(items, there))
        return torch.stack([state * some for state in states])

    def forward(self, table, codes, values=None):
        """States of every row.

        Parameters
        ----------
        table : nn.Embedding
            The items' vectors.
        codes : tensor of shape (n, length)
            Codes of the items, filled up with -1.
        values : tensor of shape (n, length, q) or None, default=None
            Numbers beside the items.

        Returns
        -------
        tensor of shape (n_states, n, width)
            The states.
        """
        if self.whole:
            return self.states(table, codes, values)
        if self.training or len(codes) < 2:
            return self.encode(table, codes, values)
        # The pairs of a user follow each other and have one history: encode it once.
        new = torch.ones(len(codes), dtype=torch.bool, device=codes.device)
        new[1:] = (codes[1:] != codes[:-1]).any(1)
        if values is not None:
            new[1:] |= (values[1:] != values[:-1]).flatten(1).any(1)
            values = values[new]
        return self.encode(table, codes[new], values)[:, new.cumsum(0) - 1]
