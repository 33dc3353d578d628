"""Encoders: from a row to the deep part of its outcome. One file each.

Each file registers its classes in ``ENCODERS``; its import below is what makes them
known.
"""

from sklearn_causalrec.networks.encoders.base import (
    ENCODERS,
    Encoded,
    Encoder,
    Inputs,
    check_encoder,
)
from sklearn_causalrec.networks.encoders.dnn import DNN
from sklearn_causalrec.networks.encoders.mf import MF
from sklearn_causalrec.networks.encoders.recurrent import GRU, LSTM
from sklearn_causalrec.networks.encoders.transformer import Transformer

__all__ = [
    "DNN",
    "ENCODERS",
    "GRU",
    "LSTM",
    "MF",
    "Encoded",
    "Encoder",
    "Inputs",
    "Transformer",
    "check_encoder",
]
