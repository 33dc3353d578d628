"""What all objectives share: the terms of the loss, and what each one declares."""

from typing import NamedTuple

import torch
from torch import nn
from torch.nn.functional import (
    binary_cross_entropy_with_logits,
    cross_entropy,
    mse_loss,
    softplus,
)

from sklearn_causalrec._utils.registry import Registry
from sklearn_causalrec.networks.requires import Requires

OBJECTIVES = Registry("objective")


def objective_class(given):
    """The class of an objective, by its name or by options that say it.

    "auto" is that of a log with outcomes; lists of a log without them are a blend.
    """
    if isinstance(given, str) and given == "auto":
        return OBJECTIVES["targeted"]
    return OBJECTIVES[given if isinstance(given, str) else given.objective]


def check_objective(name, n_arms, binary, roles, control_first=True):
    """Raise an error where an objective does not suit the log.

    Parameters
    ----------
    name : str or Implicit
        Name of a registered objective, or one with options.
    n_arms : int
        Number of arms in the log.
    binary : bool
        Whether the outcome is binary.
    roles : collection of str
        Roles that have a column.
    control_first : bool, default=True
        Whether the control is the first of the arms.

    Raises
    ------
    ValueError
        If the log lacks what the objective requires. The message says what.
    """
    objective = objective_class(name)
    name, requires = objective.name, objective.requires
    known = dict(n_arms=n_arms, binary=binary, roles=roles)
    if not requires.met(**known, control_first=control_first):
        raise ValueError(f"objective={name!r} needs {requires.words}.")


def squared_error(prediction, target, reduction="none"):
    """Squared error of each prediction, or their mean."""
    return mse_loss(prediction, target, reduction=reduction)


def log_loss(link, target, reduction="none"):
    """Cross-entropy of each outcome under the sigmoid of its link, or their mean."""
    return binary_cross_entropy_with_logits(link, target, reduction=reduction)


def weighted_mean(values, weight):
    """Mean of the values times the weights; all are 1 where there are none."""
    return values.mean() if weight is None else (weight * values).mean()


def mean_error(error, prediction, target, weight):
    """Weighted mean of an error, in one operation where all weights are 1.

    A step of a small batch is bound by the number of its operations.
    """
    if weight is None:
        return error(prediction, target, reduction="mean")
    return (weight * error(prediction, target, reduction="none")).mean()


def factual(values, batch):
    """Of values (n, n_arms) those of the arm that each row had, (n,)."""
    return values.gather(1, batch["arm"].unsqueeze(1)).squeeze(1)


class Factual(NamedTuple):
    """The rows of a batch as they were logged."""

    predicted: torch.Tensor  # (n,) outcome of the row's arm on the link scale
    y: torch.Tensor  # (n,) what it is compared with
    shift: torch.Tensor | None  # (n,) the part of predicted that predict leaves out
    weight: torch.Tensor | None  # (n,) of the loss, without gradient; None: all are 1


class Objective(nn.Module):
    """Loss of a batch: outcome, exposure, imputation and one term more.

    This is the base class of all objectives. For n rows and A arms, with l the loss
    of the observed outcome, e the loss against an imputed outcome, g the exposure and
    w = 1{T = t} / g_t, the outcome term is the mean over rows and arms of

        e_t + w_t (l_t - e_t).

    The *exposure* g is the probability of the arm that a row had. With one arm the
    rows are the logged pairs, and g is the ratio of their density to that of all
    pairs. Here w = 1{T = t} and e = 0; subclasses put others in their place. The
    losses of the exposure head and of the imputation head are added. The gradient of
    the outcome term does not reach these two heads.

    An exposure below ``clip`` counts as ``clip``. A density ratio counts as at least
    ``10 * clip``.

    **The tilt.** Where ``tilt`` is given, the batch has a ``shift``, and the logged
    rows are compared with f(x) + tilt * shift on the link scale. The prediction is
    f(x) alone. With one arm, and rows shown at random (those of known propensity)
    beside rows chosen by the system, the shift is 1 for the latter,

        link E[y | x, chosen by the system] = f(x) + tilt.

    This is exact where the chance of being chosen is proportional to exp(gamma y): an
    exponential tilt. It undoes selection on the outcome itself, which no function of
    x can.

    Parameters
    ----------
    n_arms : int
        Number of arms.
    binary : bool
        Whether the outcome is binary: l is then the cross-entropy instead of the
        squared error.
    clip : float
        The least exposure probability.
    tilt : float or None, default=None
        Where the tilt starts. None: there is none.
    share : float, default=0.0
        With one arm, the share of all pairs that was logged. It makes a probability
        of a density ratio.

    Attributes
    ----------
    name : str
        The name under which the class is registered.
    requires : Requires
        What the log must have. By default any log will do.
    exposure : {"ratio", "probability"} or None
        What a log with one arm has to tell of exposure: the density ratio of logged
        to all pairs; the probability that a row was exposed, in a log that does not
        say which rows were; or nothing. With several arms there is an exposure head
        in any case.
    pairs : {"all", "same user"} or None
        Which pairs come with a batch, as many as it has rows: with one arm, "all"
        draws users and items evenly; with several arms, "same user" draws an item for
        the user of each row.
    shift : {"popularity"} or None
        Which fact of the log shifts the rows, whatever the log: the popularity of the
        item at the time.
    imputes : bool
        Whether the networks have an imputation head.
    shapes_representation : bool
        Whether, with several arms, the loss of the exposure head reaches the layers
        below it. Otherwise the head only reads what they give.
    usual : dict of str to number
        What "auto" stands for of the settings ``embedding_dim`` and ``l2``.
    retrieves : bool
        Whether the rows with y > 0 are positives that are set against the catalogue:
        there are no outcomes of rows then, and lists are all that is learned.
    targets_average : bool
        Whether, with one arm, a targeted step moves the average after the training.
    not_private : str or None
        Why it is not minimised under differential privacy, as the end of a sentence.
        None: it can be. It is a weighted mean of functions of a row each then, without
        pairs, popularity or means over a batch.
    outcome_loss : Tensor
        The outcome term of the last batch, which early stopping watches.

    See Also
    --------
    sklearn_causalrec.networks.Encoder : What the networks make of a row.
    sklearn_causalrec.networks.PolicyObjective : Losses of networks that are policies.
    sklearn_causalrec.networks.Requires : What an objective needs of a log.

    Notes
    -----
    A class declares what differs in the attributes above, and overrides a method of
    those that ``forward`` puts together: :meth:`target`, :meth:`row_weight`,
    :meth:`outcome_term`, :meth:`further_terms`.

    Examples
    --------
    An objective is one class and its registration. This one is "ips" with weights of
    2 at most:

    >>> import numpy as np
    >>> from sklearn_causalrec import CausalDNNRecommender
    >>> from sklearn_causalrec.networks import OBJECTIVES, Objective, Requires
    >>> @OBJECTIVES.register("capped")
    ... class Capped(Objective):
    ...     "Inverse exposure as the weight, 2 at most."
    ...
    ...     requires = Requires(arms=(2, None), words="two arms or more")
    ...
    ...     def row_weight(self, output, batch):
    ...         exposure = self.exposure_ratio(output, batch).detach()
    ...         return (1 / exposure).clamp(max=2)
    >>> X, shown = np.arange(100.0)[:, None], np.arange(100) % 2
    >>> model = CausalDNNRecommender(objective="capped", effect_learner="t")
    >>> model.fit(X, X[:, 0] + shown, treatment=shown).effect(X).shape
    (100,)
    >>> del OBJECTIVES["capped"]
    """

    requires = Requires()
    exposure: str | None = None
    pairs: str | None = None
    shift: str | None = None
    imputes = False
    shapes_representation = False
    retrieves = False
    usual = {"embedding_dim": 16, "l2": 2.0}
    targets_average = False
    not_private: str | None = (
        "does not say that it is a mean of functions of a row each (not_private = None)"
    )
    _exposures: dict | None = None  # while the loss of a batch is computed

    def __init__(self, n_arms, binary, clip, tilt=None, share=0.0):
        super().__init__()
        self.n_arms = n_arms
        self.binary = binary
        self.error = log_loss if binary else squared_error
        self.clip = self.least_exposure(n_arms, clip)
        self.tilt = None if tilt is None else nn.Parameter(torch.tensor(float(tilt)))
        self.share = share if n_arms == 1 else 1.0

    @classmethod
    def is_ratio(cls, n_arms):
        """Whether the exposure is a density ratio.

        Parameters
        ----------
        n_arms : int
            Number of arms.

        Returns
        -------
        bool
            False where the exposure is a probability.
        """
        return n_arms == 1 and cls.exposure != "probability"

    @classmethod
    def least_exposure(cls, n_arms, clip):
        """What an exposure counts as at least.

        Parameters
        ----------
        n_arms : int
            Number of arms.
        clip : float
            The least exposure probability.

        Returns
        -------
        float
            Ten times ``clip``, at most 1, where the exposure is a density ratio.
        """
        return min(10 * clip, 1.0) if cls.is_ratio(n_arms) else clip

    def forward(self, output, y, batch, pairs=None):
        """The loss of a batch.

        Parameters
        ----------
        output : Output
            What the network says of the n rows.
        y : tensor of shape (n,)
            The outcome.
        batch : dict of tensors of shape (n,)
            ``arm`` (codes); ``weight`` (mean 1 over the log; absent where all are 1);
            ``propensity`` (NaN where it is unknown); ``exposure`` (estimated
            beforehand; absent where a head estimates it); and ``shift``.
        pairs : Output or None, default=None
            What the network says of the pairs that were drawn; see ``pairs`` above.

        Returns
        -------
        tensor
            A scalar.
        """
        predicted = factual(output.outcome, batch)
        shift = None
        if self.tilt is not None:
            shift = self.tilt * batch["shift"]
            predicted = predicted + shift
        self._exposures = {}
        try:
            y = self.target(output, y, batch)
            rows = Factual(predicted, y, shift, self.row_weight(output, batch))
            loss = self.outcome_term(rows, output, batch, pairs)
            self.outcome_loss = loss.detach()
            for term in self.further_terms(rows, output, batch, pairs):
                loss = loss + term
        finally:
            self._exposures = None
        return loss

    def target(self, output, y, batch):
        """What the predictions are compared with: the outcome.

        Parameters
        ----------
        output : Output
            What the network says of the n rows.
        y : tensor of shape (n,)
            The outcome.
        batch : dict of tensors of shape (n,)
            The rows, as in :meth:`forward`.

        Returns
        -------
        tensor of shape (n,)
            The outcome, or what stands for it.
        """
        return y

    def row_weight(self, output, batch):
        """Weight of the loss of each row, without gradient.

        Parameters
        ----------
        output : Output
            What the network says of the n rows.
        batch : dict of tensors of shape (n,)
            The rows, as in :meth:`forward`.

        Returns
        -------
        tensor of shape (n,) or None
            The weights; None where all are 1.
        """
        return batch.get("weight")

    def outcome_term(self, rows, output, batch, pairs):
        """The outcome term: the weighted mean of the losses of the rows.

        Parameters
        ----------
        rows : Factual
            The rows as they were logged.
        output : Output
            What the network says of the n rows.
        batch : dict of tensors of shape (n,)
            The rows, as in :meth:`forward`.
        pairs : Output or None
            What it says of the pairs drawn, if there are any.

        Returns
        -------
        tensor
            A scalar.
        """
        return mean_error(self.error, rows.predicted, rows.y, rows.weight)

    def further_terms(self, rows, output, batch, pairs):
        """The terms beside that of the outcome: here the loss of the exposure head.

        Parameters
        ----------
        rows : Factual
            The rows as they were logged.
        output : Output
            What the network says of the n rows.
        batch : dict of tensors of shape (n,)
            The rows, as in :meth:`forward`.
        pairs : Output or None
            What it says of the pairs drawn, if there are any.

        Yields
        ------
        tensor
            A scalar, added to the loss.
        """
        yield self.exposure_term(output, batch, pairs)

    def exposure_ratio(self, output, batch):
        """The exposure g of each row, known or estimated, with gradient.

        Parameters
        ----------
        output : Output
            What the network says of the n rows.
        batch : dict of tensors of shape (n,)
            The rows, as in :meth:`forward`.

        Returns
        -------
        tensor of shape (n,)
            The probability of the arm that the row had; with one arm, the density of
            the logged pair over that of all pairs.
        """
        if output.exposure is None:
            ratio = batch.get("exposure")
            if ratio is None:
                ratio = torch.ones_like(output.outcome[:, 0])
        elif output.exposure.shape[1] == 1:
            ratio = output.exposure[:, 0].exp()
        else:
            ratio = self._factual_exposure(output, batch)
        known = batch.get("propensity")
        if known is not None:
            ratio = torch.where(known.isnan(), ratio, known)
        return ratio.clamp(min=self.clip)

    def _factual_exposure(self, output, batch):
        """Probability of the arm that each row had, by the exposure head.

        Several terms of a loss read it: within a batch it is computed once.
        """
        known = self._exposures
        if known is not None and id(output) in known:
            return known[id(output)]
        found = factual(output.exposure.softmax(1), batch)
        if known is not None:
            known[id(output)] = found
        return found

    def exposure_term(self, output, batch, pairs):
        """Cross-entropy of the exposure head, or 0 where there is none.

        It is that of the arm; with one arm, of logged against all pairs, whose logit
        is the log of the density ratio.

        Parameters
        ----------
        output : Output
            What the network says of the n rows.
        batch : dict of tensors of shape (n,)
            The rows, as in :meth:`forward`.
        pairs : Output or None
            What it says of the pairs drawn, if there are any.

        Returns
        -------
        tensor or float
            A scalar.
        """
        if output.exposure is None:
            return 0.0
        weight = batch.get("weight")
        if output.exposure.shape[1] > 1:
            return mean_error(cross_entropy, output.exposure, batch["arm"], weight)
        if pairs is None:
            return 0.0
        logged = weighted_mean(softplus(-output.exposure[:, 0]), weight)
        return logged + softplus(pairs.exposure).mean()
