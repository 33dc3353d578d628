"""Encoders: from a row to the deep part of its outcome. One file each.

The import of a file is what registers its classes in ``ENCODERS``.
"""

from sklearn_causalrec.networks.encoders import dnn as dnn
from sklearn_causalrec.networks.encoders import mf as mf
from sklearn_causalrec.networks.encoders import recurrent as recurrent
from sklearn_causalrec.networks.encoders import transformer as transformer
from sklearn_causalrec.networks.encoders.base import ENCODERS, Encoder

__all__ = ["ENCODERS", "Encoder"]
