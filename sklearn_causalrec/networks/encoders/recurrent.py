"""Recurrent networks over the history."""

import torch
from torch import nn

from sklearn_causalrec.networks.encoders.base import ENCODERS
from sklearn_causalrec.networks.encoders.dnn import DNN
from sklearn_causalrec.networks.encoders.history import NEEDS_HISTORY
from sklearn_causalrec.networks.encoders.queries import SequenceQuery


class LastState(nn.Module):
    """The last state of a recurrent network (GRU4Rec, Hidasi et al. 2016).

    Histories start at the first step, so that no state has seen a filled-up step.
    """

    def __init__(self, cell, width, dropout):
        super().__init__()
        self.cell = cell(width, width, batch_first=True)
        self.dropout = nn.Dropout(dropout)

    def forward(self, items, there):
        states, _ = self.cell(items)
        last = there.sum(1).long() - 1
        return self.dropout(
            states[torch.arange(items.shape[0], device=last.device), last]
        )


class EveryState(nn.Module):
    """The states of a recurrent network after every item, read by a linear layer."""

    def __init__(self, cell, width, dropout):
        super().__init__()
        self.cell = cell(width, width, batch_first=True)
        self.dropout = nn.Dropout(dropout)
        self.out = nn.Linear(width, width)

    def forward(self, items):
        return self.out(self.dropout(self.cell(self.dropout(items))[0]))


@ENCODERS.register("lstm")
class LSTM(DNN):
    """As "dnn", with the last state of an LSTM over the history [1]_ as one more state.

    See Also
    --------
    GRU : A simpler cell.
    sklearn_causalrec.networks.encoders.transformer.Transformer :
        Self-attention instead.

    References
    ----------
    .. [1] Hochreiter, S. and Schmidhuber, J. (1997). "Long short-term memory." Neural
       Computation 9(8).
    """

    requires = NEEDS_HISTORY
    query = SequenceQuery
    not_private = "has a recurrent layer whose gradients torch takes in sums only"

    @staticmethod
    def sequence(width, length, dropout):
        """The module that reads a history in its order."""
        return LastState(nn.LSTM, width, dropout)

    @staticmethod
    def causal(width, length, dropout):
        """The module that gives a state after every item."""
        return EveryState(nn.LSTM, width, dropout)


@ENCODERS.register("gru")
class GRU(DNN):
    """As "dnn", with the last state of a GRU over the history [1]_ as one more state.

    See Also
    --------
    LSTM : Another cell.
    sklearn_causalrec.networks.encoders.transformer.Transformer :
        Self-attention instead.

    References
    ----------
    .. [1] Hidasi, B. et al. (2016). "Session-based recommendations with recurrent
       neural networks." ICLR.
    """

    requires = NEEDS_HISTORY
    query = SequenceQuery
    not_private = "has a recurrent layer whose gradients torch takes in sums only"

    @staticmethod
    def sequence(width, length, dropout):
        """The module that reads a history in its order."""
        return LastState(nn.GRU, width, dropout)

    @staticmethod
    def causal(width, length, dropout):
        """The module that gives a state after every item."""
        return EveryState(nn.GRU, width, dropout)
