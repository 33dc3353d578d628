"""The steps of DP-SGD: a shortened gradient of each unit, their sum, and noise."""

import math
import os
import time
import warnings
from contextlib import contextmanager

import numpy as np
import torch
from torch.func import functional_call, grad, vmap

NUMBERS = 2**24  # of the gradients of units that are in memory at once


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
