"""What all encoders share: what they read, and the perceptron with heads for arms."""

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from torch import nn

from sklearn_causalrec._utils.registry import Registry
from sklearn_causalrec.networks.encoders.layers import ACTIVATIONS, dense_layers
from sklearn_causalrec.networks.requires import Requires

ENCODERS = Registry("encoder")


def check_encoder(name, roles, retrieves=False):
    """Raise an error where an encoder does not suit the columns that are named.

    Parameters
    ----------
    name : str
        Name of a registered encoder.
    roles : collection of str
        Roles that have a column.
    retrieves : bool, default=False
        Whether the objective sets positives against the catalogue.

    Raises
    ------
    ValueError
        If the encoder requires a column that is not named, or a history is named
        that it does not read, or it has no query where one is needed.
    """
    encoder = ENCODERS[name]
    if retrieves and encoder.query is None:
        able = [k for k, e in ENCODERS.items() if e.query is not None]
        raise ValueError(
            f'encoder="{name}" scores pairs one by one, and this objective needs all '
            f"items of a user at once: choose one of {able}, or give the encoder a "
            "query."
        )
    if retrieves and encoder.causal is not None:
        if "history" not in roles and "time" not in roles:
            raise ValueError(
                f'encoder="{name}" reads the positives of a user in their order, and '
                'nothing tells it: name the column of times, time="…", or of '
                'histories, history="…".'
            )
    elif not encoder.requires.met(roles=roles):
        raise ValueError(f'encoder="{name}" {encoder.requires.words}.')
    if "history" in roles and not encoder.reads_history:
        others = tuple(k for k, e in ENCODERS.items() if "history" in e.requires.roles)
        raise ValueError(
            f'encoder="{name}" reads no history. Choose "dnn" (the mean of the items), '
            f"or one of {others}."
        )


@dataclass(frozen=True)
class Inputs:
    """What there is to encode in a row.

    Parameters
    ----------
    n_features : int
        Number of features, or of what the towers made of them.
    user, item : bool
        Whether there are ids of users and of items, whose vectors the encoder gets.
    history : dict or None, default=None
        ``length``, ``mean`` and ``scale`` of histories; see
        :class:`~sklearn_causalrec.networks.encoders.history.HistoryStates`.
    of_user, of_item : tuple of int, default=()
        Positions of the features that belong to the user, and to the item, where user
        and item are named. All others describe the context, or both.
    """

    n_features: int
    user: bool
    item: bool
    history: dict | None = None
    of_user: tuple = ()
    of_item: tuple = ()


class ArmHeads(nn.Module):
    """One hidden layer and one output for each arm (Shalit et al. 2017)."""

    def __init__(self, n_in, width, n_arms, activation):
        super().__init__()
        self.hidden = nn.Linear(n_in, n_arms * width) if width else None
        self.activation = ACTIVATIONS[activation]()
        self.weight = nn.Parameter(torch.empty(n_arms, width or n_in))
        self.bias = nn.Parameter(torch.zeros(n_arms))
        nn.init.normal_(self.weight, std=0.5 * (width or n_in) ** -0.5)

    def forward(self, representation):
        if self.hidden is None:
            return representation @ self.weight.T + self.bias
        h = self.activation(self.hidden(representation))
        if len(self.weight) == 1:
            return h @ self.weight.T + self.bias
        return (h.unflatten(1, self.weight.shape) * self.weight).sum(2) + self.bias


class Encoder(nn.Module, ABC):
    """From features, id vectors and history to the deep part of the outcome.

    This is the base class of all encoders. The network adds a wide part to the
    outcome (linear terms and a bias for each id), and the heads of the exposure and
    of the imputation read the representation.

    Parameters
    ----------
    inputs : Inputs
        What there is to encode.
    n_arms : int
        Number of arms.
    hidden_layer_sizes : sequence of int
        Units of the perceptron's layers. The last one belongs to the arm.
    embedding_dim : int
        Width of the id vectors.
    activation : str
        Name of the activation.
    dropout : float
        Share of the units dropped while training.

    Attributes
    ----------
    name : str
        The name under which the class is registered.
    requires : Requires
        Which roles have to be named. By default none.
    reads_history : bool
        Whether a history may be named.
    width : int
        Width of the representation; set in ``__init__``.
    not_private : str or None
        Why networks with it are not trained under differential privacy, as the end of
        a sentence. None: they can be. Each output then is a function of its own row
        and the weights, and ``torch.func.vmap`` takes its gradients.
    of_users : callable or None
        Where ids are all there is to read, and the outcome is a product of vectors:
        ``of_users(vectors, users, arm)`` with codes of users returns their vectors
        (n_users, embedding_dim), whose products with the items' ``vectors.item(items)``
        are the deep part of the outcomes. None: each pair is encoded.
    query : callable or None
        The class of what asks for items under an objective that sets positives against
        the catalogue, such as
        :class:`~sklearn_causalrec.networks.encoders.queries.FactorQuery`. None: the
        encoder is not for such objectives.
    causal : callable or None
        ``causal(width, length, dropout)`` returns a module that turns the vectors of
        items in their order (n, length, width) to as many states, each of which has
        seen no later item. Such an encoder reads a user's own positives where no
        history is named.

    See Also
    --------
    sklearn_causalrec.networks.Objective : What the networks minimise.
    sklearn_causalrec.networks.Requires : What an encoder needs of a log.

    Examples
    --------
    An encoder is one class and its registration. This one is linear in the vectors:

    >>> import numpy as np
    >>> import pandas as pd
    >>> import torch
    >>> from sklearn_causalrec import CausalDNNRecommender
    >>> from sklearn_causalrec.networks import ENCODERS, Encoder, Requires
    >>> @ENCODERS.register("linear")
    ... class Linear(Encoder):
    ...     "A linear function of features and id vectors."
    ...
    ...     requires = Requires(roles=("user",), words="needs users: name the column")
    ...
    ...     def __init__(self, inputs, n_arms, **options):
    ...         super().__init__(inputs, n_arms, **options)
    ...         n_vectors = inputs.user + inputs.item
    ...         self.width = inputs.n_features + n_vectors * self.embedding_dim
    ...         self.layer = torch.nn.Linear(self.width, n_arms)
    ...
    ...     def forward(self, x, vectors, user, item, past):
    ...         joined = torch.cat([x, *vectors(user, item)], dim=1)
    ...         return self.layer(joined), joined
    >>> X = pd.DataFrame({"user": np.arange(100) % 9, "age": np.arange(100)})
    >>> model = CausalDNNRecommender(user="user", encoder="linear")
    >>> model.fit(X, X["age"]).predict(X).shape
    (100,)
    >>> del ENCODERS["linear"]
    """

    requires = Requires()
    reads_history = True
    of_users = None
    query: type | None = None
    causal = None
    not_private: str | None = (
        "does not say that its outputs are functions of a row each (not_private = None)"
    )

    def __init__(
        self,
        inputs,
        n_arms,
        *,
        hidden_layer_sizes,
        embedding_dim,
        activation,
        dropout,
    ):
        super().__init__()
        self.inputs = inputs
        self.n_arms = n_arms
        self.embedding_dim = embedding_dim
        self._layers = tuple(hidden_layer_sizes), activation, dropout

    def add_perceptron(self, n_in):
        """Make ``self.dense``, the shared layers, and ``self.heads``, those of arms.

        Parameters
        ----------
        n_in : int
            Number of values that it reads. Where it is 0, ``heads`` is None.

        Returns
        -------
        int
            The width of what ``self.dense`` gives.
        """
        sizes, activation, dropout = self._layers
        *common, last = sizes if n_in and sizes else (0,)
        self.dense, width = dense_layers(n_in, common, activation, dropout)
        self.heads = None
        if n_in:
            self.heads = ArmHeads(width, last, self.n_arms, activation)
        return width

    @abstractmethod
    def forward(self, x, vectors, user, item, past):
        """Encode rows.

        Parameters
        ----------
        x : tensor of shape (n, n_features)
            Standardised features, or what the towers made of them.
        vectors : IdVectors
            Tables of id vectors, ``user`` and ``item``: call it for those of the rows.
        user, item : tensor of shape (n,) or None
            Codes of ids.
        past : tuple of two tensors, or None
            Codes of the items of each history and the numbers beside them.

        Returns
        -------
        outcome : tensor of shape (n, n_arms)
            The deep part of the outcome.
        representation : tensor of shape (n, width)
            What the other heads read.
        """
