"""Networks under a budget of differential privacy, and what is refused beside it."""

from dataclasses import replace

import numpy as np
import torch

from sklearn_causalrec._utils.judging import is_one_of_many
from sklearn_causalrec._utils.warn import warn_user
from sklearn_causalrec.encoding.log_encoder import Rows
from sklearn_causalrec.networks.budget import PrivacySpent, noise_for, spent_by
from sklearn_causalrec.networks.encoders import ENCODERS
from sklearn_causalrec.networks.ensemble import Ensemble
from sklearn_causalrec.networks.generators import OwnGenerators
from sklearn_causalrec.networks.net import CausalNet
from sklearn_causalrec.networks.objectives.base import objective_class
from sklearn_causalrec.networks.private_steps import (
    PrivateSteps,
    Randomness,
    UnitRows,
    steps_an_epoch,
    train_privately,
)
from sklearn_causalrec.networks.resumption import refuse_private

# With "auto": a step draws that share of the units, at least and at most so many.
SHARE, FEWEST, MOST = 0.25, 64, 1024
EPOCHS = 50


def check_private(estimator, roles, sample_weight):
    """Refuse by name what would use a log outside of the budget.

    Parameters
    ----------
    estimator : CausalDNNRecommender
        With a ``private`` that is not None.
    roles : ColumnRoles
        The columns that have a role.
    sample_weight : array-like or None
        The argument of ``fit``.

    Raises
    ------
    ValueError
        If something is not under the budget. The message names it and the way out.

    Warns
    -----
    UserWarning
        If the fit is one of a search or a cross-validation, which all spend.
    """
    refuse_private()
    budget, user = estimator.private, roles.roles["user"]
    if budget.unit == "user" and user is None:
        raise ValueError(
            "private= protects users, and no column says whose a row is: name it, "
            'user="…", or say unit="row" where each row is another person.'
        )
    if budget.unit == "row" and user is not None:
        raise ValueError(
            f'unit="row" protects one row, and {user!r} has users with several: say '
            'unit="user".'
        )
    for name, given, why in _outside(estimator, roles, sample_weight):
        raise ValueError(f"private= and {name}={given} do not go together: {why}.")
    if is_one_of_many():
        warn_user(
            "A search or a cross-validation fits many times, and each fit spends a "
            f"budget of epsilon {budget.epsilon:g} on the same people. Together they "
            "spend what privacy.total_spent says of them. Scores on rows that were "
            "held out are not private."
        )


def _outside(estimator, roles, sample_weight):
    """Name, value and reason of what does not go together with a budget."""
    e = estimator
    objective = objective_class(e.objective)
    encoder = ENCODERS[e.encoder]
    if objective.not_private is not None:
        yield "objective", repr(objective.name), (
            f'it {objective.not_private}. Choose "targeted" or "naive"'
        )  # fmt: skip
    if encoder.not_private is not None:
        able = [name for name, other in ENCODERS.items() if other.not_private is None]
        yield "encoder", repr(e.encoder), (
            f"it {encoder.not_private}. Choose one of {able}"
        )  # fmt: skip
    if not (isinstance(e.exposure_model, str) and e.exposure_model in ("auto", "head")):
        yield "exposure_model", repr(e.exposure_model), (
            'it counts the rows of the log. Leave it "auto"'
        )  # fmt: skip
    if not isinstance(e.early_stopping, str) and e.early_stopping:
        yield "early_stopping", "True", (
            "when to stop would be read from rows that are held out. Say max_epochs"
        )  # fmt: skip
    if e.learning_rate_schedule == "plateau":
        yield "learning_rate_schedule", "'plateau'", (
            'it reads the loss of the log. Choose "constant" or "cosine"'
        )  # fmt: skip
    if e.text is not None:
        yield "text", "…", (
            "the vectors of its texts are centred by those of the log. Make features "
            "of the texts before"
        )  # fmt: skip
    for name in ("l1", "dropout", "input_noise"):
        if getattr(e, name):
            yield name, repr(getattr(e, name)), (
                "gradients are taken user by user without it. Leave it 0"
            )  # fmt: skip
    if e.warm_start:
        yield "warm_start", "True", (
            "what was spent before would have to be known. Fit once, for more epochs"
        )  # fmt: skip
    if sample_weight is not None:
        yield "sample_weight", "…", (
            "weights count beside the mean of all weights, which is of the log"
        )  # fmt: skip
    if len(roles.histories) > 1:
        yield "history", repr(roles.histories), (
            "the numbers beside the items have scales that are read from the log. Name "
            "the column of the items alone"
        )  # fmt: skip


def check_private_log(estimator, encoder, rows):
    """Refuse what is seen of a log that was read and does not go with a budget.

    Parameters
    ----------
    estimator : CausalDNNRecommender
        With a ``private`` that is not None.
    encoder : LogEncoder
        That has read the log.
    rows : Rows
        The log.

    Raises
    ------
    ValueError
        If the log has several arms and a second stage is asked for, or one arm and
        propensities, or delta is too large for so many users.
    """
    budget = estimator.private
    if encoder.n_arms > 1 and estimator.effect_learner == "stacked":
        raise ValueError(
            'private= and effect_learner="stacked" do not go together: the second '
            'stage is fitted without noise and keeps rows. Say effect_learner="t": '
            "effects are differences of the outcome heads then, without intervals."
        )
    if encoder.n_arms == 1 and rows.propensity is not None:
        raise ValueError(
            "private= and propensity=… do not go together where every row has the same "
            "arm: propensities count beside their mean then, which is of the log."
        )
    n = len(encoder.users) if budget.unit == "user" else len(rows)
    if budget.delta * n >= 1:
        raise ValueError(
            f"delta is {budget.delta:g} for {n} {budget.unit}s: a model that gives "
            f"away the rows of one in {1 / budget.delta:.0f} would keep that promise. "
            f"Choose delta well below {1 / n:.1g}."
        )


class PrivateNet(CausalNet):
    """A net whose id tables learn at the rate of all weights.

    The noise is as large in a row of a table as elsewhere, and the gradient is smaller.
    """

    id_rate = 1.0


class PrivateEnsemble(Ensemble):
    """Networks trained under one budget, which all of them share.

    Parameters
    ----------
    settings : RecommenderSettings
        What the networks are, and how they are trained. ``batch_size`` is the number
        of units that a step draws on average.
    log_encoder : LogEncoder
        Knows arms, items and scales, none of them learned from rows.
    budget : PrivacyBudget
        What may be spent.
    secret : bool
        Whether nobody may foretell the noise; else it follows from the seeds.

    Attributes
    ----------
    nets : list of CausalNet
        One a seed; empty before :meth:`train`.
    spent : PrivacySpent or None
        What was spent.
    """

    net_class = PrivateNet

    def __init__(self, settings, log_encoder, budget, secret):
        super().__init__(settings, log_encoder)
        self.budget, self.secret, self.spent = budget, secret, None

    def _start(self, rows):
        """Intercepts at the middle of the range, and no tilt."""
        return np.zeros(self.log_encoder.n_arms), None

    def most_epochs(self, n_rows):
        """Number of epochs, whatever the number of rows."""
        asked = self.settings.max_epochs
        return EPOCHS if asked == "auto" else asked

    def _told(self, rows, n_units):
        """What a network may know of the log: what each row says of itself."""
        return Rows(
            rows.features,
            item=rows.item,
            history=rows.history,
            arm=rows.arm,
            propensity=rows.propensity,
            y=rows.y,
            total=float(n_units),
        )

    def train(self, rows, seeds, *, epochs=None, kept=None, progress=None):
        """Train one network a seed.

        Parameters
        ----------
        rows : Rows
            The log.
        seeds : sequence of int
            One for each network.
        epochs : int or None, default=None
            Number of epochs. None: that of the settings.
        kept : None
            Private training knows no rows to leave out.
        progress : callable or None, default=None
            Called with the record of each epoch.

        Returns
        -------
        list of dict
            A record an epoch and member.
        """
        budget, settings = self.budget, self.settings
        codes = np.arange(len(rows)) if budget.unit == "row" else rows.user
        units = UnitRows(codes, budget.max_rows)
        n = len(units)
        batch = settings.batch_size
        if batch == "auto":
            batch = min(max(SHARE * n, FEWEST), MOST)
        rate = min(batch / n, 1.0)
        epochs = self.most_epochs(len(rows)) if epochs is None else epochs
        n_steps = len(seeds) * epochs * steps_an_epoch(rate)
        noise = noise_for(budget, rate, n_steps)
        activation = settings.activation
        settings = replace(
            settings,
            batch_size=int(batch),
            max_epochs=epochs,
            activation="tanh" if activation == "auto" else activation,
        )
        told = self._told(rows, n)
        X = self._inputs(told, torch.float32)
        y = torch.as_tensor(self.log_encoder.standardized(rows.y), dtype=torch.float32)
        nets, history = [], []
        for member, seed in enumerate(seeds):
            net = self._net(settings, told, None, OwnGenerators(seed))
            draw = Randomness(None if self.secret else seed)
            steps = PrivateSteps(
                net.to(torch.float32), X, y, units, rate, budget.max_grad_norm, noise,
                draw,
            )  # fmt: skip
            records = train_privately(
                steps, epochs, settings.learning_rate_schedule, progress
            )
            nets.append(net)
            history += [{"member": member, **record} for record in records]
        self.nets = nets
        self.spent = PrivacySpent(
            spent_by([(noise, rate, n_steps)], budget.delta, budget.accountant),
            budget.delta, budget.unit, budget.max_rows if budget.unit == "user" else 1,
            budget.max_grad_norm, noise, rate, n_steps, self.secret, budget.accountant,
        )  # fmt: skip
        return history
