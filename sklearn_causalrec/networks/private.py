"""Training under differential privacy: a clipped gradient a user, and noise."""

import math
import os
import time
import warnings
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import torch
from torch.func import functional_call, grad, vmap

from sklearn_causalrec._utils.judging import is_one_of_many
from sklearn_causalrec._utils.warn import warn_user
from sklearn_causalrec.encoding.log_encoder import Rows
from sklearn_causalrec.networks.budget import PrivacySpent, noise_for, spent_by
from sklearn_causalrec.networks.encoders import ENCODERS
from sklearn_causalrec.networks.ensemble import Ensemble
from sklearn_causalrec.networks.generators import OwnGenerators
from sklearn_causalrec.networks.net import CausalNet
from sklearn_causalrec.networks.objectives.base import objective_class

# With "auto": a step draws that share of the units, at least and at most so many.
SHARE, FEWEST, MOST = 0.25, 64, 1024
EPOCHS = 50
NUMBERS = 2**24  # of the gradients of units that are in memory at once


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


class Randomness:
    """Numbers that nobody can foretell, or that follow from a seed.

    Without a seed all come from the system's source of randomness. Normal numbers are
    half the sum of four then: the last digits of a single one tell what it was added to
    [1]_, and those of a sum of four do not in any time that an attacker has [2]_.

    Parameters
    ----------
    seed : int or None, default=None
        Where the numbers start. None: the system gives them.

    References
    ----------
    .. [1] Mironov, I. (2012). "On significance of the least significant bits for
       differential privacy." CCS.
    .. [2] Holohan, N. and Braghin, S. (2021). "Secure random sampling in differential
       privacy." ESORICS.
    """

    def __init__(self, seed=None):
        self.secret = seed is None
        self._generator = None if self.secret else np.random.default_rng(seed)

    def uniform(self, n):
        """Return n numbers in [0, 1)."""
        if self._generator is not None:
            return self._generator.random(n)
        words = np.frombuffer(os.urandom(8 * n), np.uint64)
        return (words >> np.uint64(11)) * 2.0**-53

    def normal(self, n):
        """Return n standard normal numbers."""
        if self._generator is not None:
            return self._generator.standard_normal(n)
        radius = np.sqrt(-2 * np.log(1 - self.uniform(2 * n)))
        angle = 2 * np.pi * self.uniform(2 * n)
        parts = np.concatenate([radius * np.cos(angle), radius * np.sin(angle)])
        return parts.reshape(4, n).sum(0) / 2


class UnitRows:
    """The rows of each unit, as blocks of one shape.

    Parameters
    ----------
    codes : ndarray of int of shape (n,)
        The unit of each row, 0 to n_units - 1, each with a row or more.
    max_rows : int
        The most rows of a unit in a block.
    """

    def __init__(self, codes, max_rows):
        self.order = np.argsort(codes, kind="stable")
        self.counts = np.bincount(codes)
        self.first = np.cumsum(self.counts) - self.counts
        self.max_rows = max_rows

    def __len__(self):
        return len(self.counts)

    def block(self, units, randomness):
        """Return positions and weights of rows of some units.

        Parameters
        ----------
        units : ndarray of int of shape (m,)
            The units, at least one.
        randomness : Randomness
            What the rows of units that have more than `max_rows` are drawn by.

        Returns
        -------
        rows : ndarray of int of shape (m, width)
            Positions of rows. A unit's first row fills up what is left.
        weight : ndarray of shape (m, width), float32
            Their mean over the width, times a loss, is the mean loss of the unit's own
            rows: 0 where a block was filled up.
        """
        counts = np.minimum(self.counts[units], self.max_rows)
        width = int(counts.max())
        step = np.arange(width)
        there = step < counts[:, None]
        places = np.where(there, step, 0)
        for k in np.flatnonzero(self.counts[units] > self.max_rows):
            keys = randomness.uniform(self.counts[units[k]])
            places[k] = np.argpartition(keys, width - 1)[:width]
        rows = self.order[self.first[units][:, None] + places]
        return rows, (there * (width / counts)[:, None]).astype(np.float32)


class PrivateSteps:
    """Steps of DP-SGD on one network.

    Parameters
    ----------
    net : CausalNet
        The net, initialised.
    X : dict of str to tensor
        The rows.
    y : tensor of shape (n,)
        The outcome.
    units : UnitRows
        Whose each row is.
    sample_rate : float
        The probability with which a step draws a unit.
    max_grad_norm : float
        The length that the gradient of a unit is shortened to.
    noise_multiplier : float
        The standard deviation of the noise in multiples of `max_grad_norm`.
    randomness : Randomness
        What units, rows and noise are drawn from.
    """

    def __init__(
        self, net, X, y, units, sample_rate, max_grad_norm, noise_multiplier, randomness
    ):
        self.net, self.X, self.y, self.units = net, X, y, units
        self.sample_rate, self.max_grad_norm = sample_rate, max_grad_norm
        self.noise_multiplier, self.randomness = noise_multiplier, randomness
        parts = (net.module_, net.criterion_)
        self.named = [
            {name: p for name, p in part.named_parameters() if p.requires_grad}
            for part in parts
        ]
        self.weights = [p for part in self.named for p in part.values()]
        size = sum(p.numel() for p in self.weights)
        self.size, self.at_once = size, max(NUMBERS // max(size, 1), 1)
        self._gradients = vmap(grad(self._loss), in_dims=(None, 0, 0, 0))

    def _loss(self, named, X, y, weight):
        """The mean loss of the rows of one unit."""
        output = functional_call(self.net.module_, named[0], (), X)
        given = (output, y, {**X, "weight": weight})
        return functional_call(self.net.criterion_, named[1], given)

    def gradients(self, rows, weight):
        """Return the gradient of each unit.

        Parameters
        ----------
        rows : ndarray of int of shape (m, width)
            Positions of the rows of each unit.
        weight : ndarray of shape (m, width)
            Their weights.

        Returns
        -------
        list of tensor of shape (m, ...)
            One for each of ``weights``.
        """
        device = self.weights[0].device
        rows = torch.as_tensor(rows)
        X = {name: values[rows].to(device) for name, values in self.X.items()}
        y = self.y[rows].to(device)
        named = [{k: p.detach() for k, p in part.items()} for part in self.named]
        weight = torch.as_tensor(weight, dtype=y.dtype, device=device)
        found = self._gradients(named, X, y, weight)
        return [g for part in found for g in part.values()]

    def clipped_sum(self, chosen):
        """Return the sum of the shortened gradients of some units.

        Parameters
        ----------
        chosen : ndarray of int of shape (m,)
            The units.

        Returns
        -------
        list of tensor
            One for each of ``weights``.
        """
        total = [torch.zeros_like(p) for p in self.weights]
        for start in range(0, len(chosen), self.at_once):
            some = chosen[start : start + self.at_once]
            found = self.gradients(*self.units.block(some, self.randomness))
            squares = sum(g.flatten(1).square().sum(1) for g in found)
            length = squares.sqrt()
            share = (self.max_grad_norm / (length + 1e-6)).clamp(max=1.0)
            # A unit whose gradient is no number must not be seen in the sum either.
            share = torch.where(length.isfinite(), share, 0.0)
            for part, g in zip(total, found):
                g = torch.nan_to_num(g, 0.0, 0.0, 0.0)
                part += torch.tensordot(share, g, dims=1)
        return total

    def step(self):
        """Draw units, and move the weights by their noisy mean gradient."""
        n, draw = len(self.units), self.randomness
        chosen = np.flatnonzero(draw.uniform(n) < self.sample_rate)
        total = self.clipped_sum(chosen)
        scale = self.noise_multiplier * self.max_grad_norm
        noise = np.zeros(0)
        if scale:
            noise = scale * draw.normal(self.size)
        start = 0
        for p, part in zip(self.weights, total):
            if scale:
                stop = start + p.numel()
                part += torch.as_tensor(noise[start:stop]).view_as(part).to(part)
                start = stop
            p.grad = part / (self.sample_rate * n)
        self.net.optimizer_.step()
        self.net.optimizer_.zero_grad()


def train_privately(steps, epochs, schedule=None, progress=None):
    """Take steps for some epochs; the weights become the mean over the second half.

    The mean of noisy weights is less noisy, and costs no budget [1]_.

    Parameters
    ----------
    steps : PrivateSteps
        What a step is.
    epochs : int
        The number of epochs.
    schedule : {"cosine", None}, default=None
        How the learning rate changes.
    progress : callable or None, default=None
        Called with the record of each epoch.

    Returns
    -------
    list of dict
        A record an epoch. It has no loss, which would tell of the log.

    References
    ----------
    .. [1] De, S. et al. (2022). "Unlocking high-accuracy differentially private image
       classification through scale." arXiv 2204.13650.
    """
    net, an_epoch = steps.net, steps_an_epoch(steps.sample_rate)
    scheduler = None
    if schedule == "cosine":
        rates = torch.optim.lr_scheduler
        scheduler = rates.CosineAnnealingLR(net.optimizer_, epochs)
    half, done, records = epochs * an_epoch // 2, 0, []
    means = [torch.zeros_like(p) for p in steps.weights]
    net._set_training(True)
    with warnings.catch_warnings(), reading_whole(net):
        # Attention goes a slower way.
        warnings.filterwarnings("ignore", message=".*performance drop")
        for epoch in range(1, epochs + 1):
            begin = time.perf_counter()
            for _ in range(an_epoch):
                steps.step()
                done += 1
                if done > half:
                    for mean, p in zip(means, steps.weights):
                        mean += (p.detach() - mean) / (done - half)
            if scheduler is not None:
                scheduler.step()
            record = {"epoch": epoch} | dict.fromkeys(
                ("train_loss", "valid_loss", "valid_score"), math.nan
            )
            records.append(record | {"seconds": time.perf_counter() - begin})
            if progress is not None:
                progress(records[-1])
    with torch.no_grad():
        for mean, p in zip(means, steps.weights):
            p.copy_(mean)
    if not all(p.isfinite().all() for p in steps.weights):
        net._refuse("a weight is no finite number")
    net.module_.settle_unseen_ids()
    net._set_training(False)
    return records


@contextmanager
def reading_whole(net):
    """Let a net be differentiated unit by unit; leave nothing of a unit in it."""
    history = getattr(net.module_.encoder, "history", None)
    try:
        if history is not None:
            history.whole = True
        yield
    finally:
        if history is not None:
            del history.whole
        vars(net.criterion_).pop("outcome_loss", None)


def steps_an_epoch(sample_rate):
    """Steps in which each unit is drawn once, on average."""
    return max(round(1 / sample_rate), 1)


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
