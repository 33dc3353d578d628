"""Encoders of a history: its past items, in order, to one vector."""

import torch
from torch import nn

SEQUENCE_ENCODERS = ("lstm", "gru", "transformer")


class Recurrent(nn.Module):
    """The last state of a recurrent network (GRU4Rec, Hidasi et al. 2016).

    Histories start at the first step, so that no state has seen a filled-up step.
    """

    def __init__(self, width, length, dropout, cell):
        super().__init__()
        self.cell = cell(width, width, batch_first=True)
        self.dropout = nn.Dropout(dropout)

    def forward(self, items, there):
        states, _ = self.cell(items)
        last = there.sum(1).long() - 1
        return self.dropout(states[torch.arange(len(items), device=last.device), last])


class Transformer(nn.Module):
    """Self-attention over the past items, read at the last one (SASRec, Kang and
    McAuley 2018). Positions count back from the last item, so that cutting off old
    items moves none.
    """

    def __init__(self, width, length, dropout):
        super().__init__()
        self.position = nn.Parameter(0.1 * torch.randn(length, width))
        layer = nn.TransformerEncoderLayer(
            width,
            nhead=2 if width % 2 == 0 else 1,
            dim_feedforward=2 * width,
            dropout=dropout,
            activation="gelu",
            batch_first=True,
            norm_first=True,
        )
        self.layers = nn.TransformerEncoder(layer, 1, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(width)

    def forward(self, items, there):
        last = there.sum(1).long() - 1
        back = last.unsqueeze(1) - torch.arange(items.shape[1], device=last.device)
        x = items + self.position[back.clamp(min=0)]
        x = self.layers(x, src_key_padding_mask=~there)
        return self.norm(x[torch.arange(len(x), device=last.device), last])


def _make(kind, *options):
    if kind == "transformer":
        return Transformer(*options)
    return Recurrent(*options, nn.LSTM if kind == "lstm" else nn.GRU)


class HistoryEncoder(nn.Module):
    """States of a history: the mean of its items' vectors (Covington et al. 2016) and,
    of an encoder that reads their order, its state. Zero for an empty history.

    Where order says nothing the mean has less to learn than a sequence encoder.

    Parameters
    ----------
    kind : {"lstm", "gru", "transformer"}, or another for the mean alone
    width : int
        Of the items' vectors, and of each state.
    length : int
        Of the longest history.
    mean, scale : array of shape (q,)
        Of the numbers beside the items, on the scale sign(v) log(1 + |v|).
    dropout : float
    """

    def __init__(self, kind, width, length, mean=(), scale=(), dropout=0.0):
        super().__init__()
        self.register_buffer("mean", torch.as_tensor(mean, dtype=torch.float32))
        self.register_buffer("rate", 1 / torch.as_tensor(scale, dtype=torch.float32))
        self.values = nn.Linear(len(mean), width) if len(mean) else None
        self.sequence = None
        if kind in SEQUENCE_ENCODERS:
            self.sequence = _make(kind, width, length, dropout)
        self.n_states = 1 if self.sequence is None else 2

    def encode(self, table, codes, values):
        there = codes >= 0
        n_steps = max(int(there.sum(1).max()), 1)
        codes, there = codes[:, :n_steps], there[:, :n_steps]
        some = codes[:, :1] >= 0
        # An empty history has a first step all the same: attention over none is NaN.
        there[:, 0] = True
        items = table(codes.clamp(min=0))
        if self.values is not None:
            values = values[:, :n_steps].to(items.dtype)
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
        codes : tensor of shape (n, length)
            Filled up with -1.
        values : tensor of shape (n, length, q), optional

        Returns
        -------
        tensor of shape (n_states, n, width)
        """
        if self.training or len(codes) < 2:
            return self.encode(table, codes, values)
        # The pairs of a user follow each other and have one history: encode it once.
        new = torch.ones(len(codes), dtype=torch.bool, device=codes.device)
        new[1:] = (codes[1:] != codes[:-1]).any(1)
        if values is not None:
            new[1:] |= (values[1:] != values[:-1]).flatten(1).any(1)
            values = values[new]
        return self.encode(table, codes[new], values)[:, new.cumsum(0) - 1]
