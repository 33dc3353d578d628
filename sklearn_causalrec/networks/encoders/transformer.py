"""Self-attention over the history."""

import torch
from torch import nn

from sklearn_causalrec.networks.encoders.base import ENCODERS
from sklearn_causalrec.networks.encoders.dnn import DNN
from sklearn_causalrec.networks.encoders.history import NEEDS_HISTORY
from sklearn_causalrec.networks.encoders.queries import SequenceQuery


class SelfAttention(nn.Module):
    """Self-attention over the past items, read at the last one (SASRec, Kang and
    McAuley 2018).

    Positions count back from the last item, so that cutting off old items moves none.
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
        return self.norm(x[torch.arange(x.shape[0], device=last.device), last])


class CausalAttention(nn.Module):
    """Self-attention in which no item sees a later one (SASRec, Kang and McAuley 2018).

    Positions count from the first item of a window.
    """

    def __init__(self, width, length, dropout, n_layers=2):
        super().__init__()
        self.position = nn.Parameter(0.1 * torch.randn(length, width))
        self.dropout = nn.Dropout(dropout)
        layer = nn.TransformerEncoderLayer(
            width,
            nhead=2 if width % 2 == 0 else 1,
            dim_feedforward=2 * width,
            dropout=dropout,
            activation="gelu",
            batch_first=True,
            norm_first=True,
        )
        self.layers = nn.TransformerEncoder(layer, n_layers, enable_nested_tensor=False)
        self.norm = nn.LayerNorm(width)

    def forward(self, items):
        n = items.shape[1]
        x = self.dropout(items + self.position[:n])
        later = torch.ones(n, n, dtype=torch.bool, device=x.device).triu(1)
        return self.norm(self.layers(x, mask=later))


@ENCODERS.register("transformer")
class Transformer(DNN):
    """As "dnn", with self-attention over the history, SASRec [1]_, as one more state.

    See Also
    --------
    sklearn_causalrec.networks.encoders.recurrent.GRU :
        A recurrent network instead.

    References
    ----------
    .. [1] Kang, W.-C. and McAuley, J. (2018). "Self-attentive sequential
       recommendation." ICDM.
    """

    requires = NEEDS_HISTORY
    query = SequenceQuery

    @staticmethod
    def sequence(width, length, dropout):
        """The module that reads a history in its order."""
        return SelfAttention(width, length, dropout)

    @staticmethod
    def causal(width, length, dropout):
        """The module that gives a state after every item."""
        return CausalAttention(width, length, dropout)
