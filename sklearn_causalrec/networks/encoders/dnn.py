"""The perceptron over features, id vectors and the states of a history."""

import torch

from sklearn_causalrec.networks.encoders.base import ENCODERS, Encoder
from sklearn_causalrec.networks.encoders.history import HistoryStates
from sklearn_causalrec.networks.encoders.queries import PerceptronQuery


@ENCODERS.register("dnn")
class DNN(Encoder):
    """A perceptron over features and id vectors, whose last layer belongs to the arm.

    This is TARNet [1]_; with an exposure head it is DragonNet [2]_. A history adds its
    states, and their products with the item's vector, to what the perceptron reads:
    here one state, the mean of the items' vectors. Encoders that read the order of
    the items are subclasses with a ``sequence``.

    Attributes
    ----------
    sequence : callable or None
        ``sequence(width, length, dropout)`` returns a module that reads a history in
        its order; see
        :class:`~sklearn_causalrec.networks.encoders.history.HistoryStates`.

    See Also
    --------
    sklearn_causalrec.networks.encoders.mf.MF :
        Inner products of id vectors.
    sklearn_causalrec.networks.encoders.recurrent.GRU :
        Reads the history in its order.

    References
    ----------
    .. [1] Shalit, U., Johansson, F. and Sontag, D. (2017). "Estimating individual
       treatment effect: generalization bounds and algorithms." ICML.
    .. [2] Shi, C., Blei, D. and Veitch, V. (2019). "Adapting neural networks for the
       estimation of treatment effects." NeurIPS.
    """

    sequence = None
    query: type = PerceptronQuery
    not_private: str | None = None

    def __init__(self, inputs, n_arms, **options):
        super().__init__(inputs, n_arms, **options)
        width = self.embedding_dim
        n_in = inputs.n_features + width * (inputs.user + inputs.item)
        self.history = None
        if inputs.history is not None:
            self.history = HistoryStates(
                width,
                dropout=options["dropout"],
                sequence=self.sequence,
                **inputs.history,
            )
            n_in += width * (1 + inputs.item) * self.history.n_states
        self.width = self.add_perceptron(n_in)

    def forward(self, x, vectors, user, item, past):
        """Encode rows; see :meth:`Encoder.forward`."""
        parts = vectors(user, item)
        if self.history is not None:
            states = self.history(vectors.item, *past)
            match = [] if item is None else states * parts[-1]
            parts += [*states, *match]
        representation = self.dense(torch.cat([x, *parts], dim=1) if parts else x)
        return self.heads(representation), representation
