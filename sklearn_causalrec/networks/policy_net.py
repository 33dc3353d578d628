"""A network that is a policy, and its training."""

from dataclasses import dataclass

import numpy as np
import torch
from scipy.special import softmax

from sklearn_causalrec.networks.batches import (
    SliceLoader,
    held_out_rows,
    network_inputs,
    training_dtype,
    training_inputs,
)
from sklearn_causalrec.networks.callbacks import training_callbacks
from sklearn_causalrec.networks.generators import OwnGenerators
from sklearn_causalrec.networks.net import (
    INFERENCE_ROWS,
    CausalNet,
    make_net,
)
from sklearn_causalrec.networks.policy_objectives import POLICY_OBJECTIVES, importance
from sklearn_causalrec.networks.settings import Settings


@dataclass(frozen=True, kw_only=True)
class PolicySettings(Settings):
    """Settings of the network of a policy."""

    multipliers: tuple
    variance_penalty: float
    max_epochs: int


def snips(reward, weight):
    """Self-normalised value sum(w r) / sum(w); NaN where all weights are 0."""
    total = weight.sum()
    return float((weight * reward).sum() / total) if total > 0 else float("nan")


class PolicyNet(CausalNet):
    """skorch net whose network is a policy; the validation score is its SNIPS value."""

    learns_outcomes = False  # its loss has no unit to compare it by

    @torch.no_grad()
    def weighted_rows(self, iterator):
        """Reward, importance weight and row weight of all rows, three tensors."""
        self._set_training(False)
        parts = []
        for batch, reward in iterator:
            weight = importance(self.infer(batch).outcome.cpu(), batch)
            rows = batch.get("weight", torch.ones_like(weight))
            parts.append((reward, weight, rows))
        return [torch.cat(part) for part in zip(*parts)]

    def on_epoch_begin(self, net, dataset_train=None, **kwargs):
        super().on_epoch_begin(net, **kwargs)
        if self.criterion_.variance_penalty:
            log = SliceLoader(dataset_train, INFERENCE_ROWS)
            self.criterion_.expand_at(*self.weighted_rows(log))

    def run_single_epoch(self, iterator, training, prefix, step_fn, **fit_params):
        """As in skorch, without a history record and a notification a batch."""
        if iterator is None:
            return
        if not training:
            reward, weight, rows = self.weighted_rows(iterator)
            risk = self.criterion_.risk(reward, weight, rows / rows.mean())
            self.history.record(f"{prefix}_loss", float(risk))
            self.history.record("valid_score", snips(reward, rows * weight))
            return
        losses, sizes = [], []
        for batch in self.steps_of(iterator, training, losses, sizes):
            step_fn(batch, **fit_params)
            losses.append(self.criterion_.outcome_loss)
            sizes.append(len(batch[1]))
        self.record_loss(prefix, losses, sizes)

    def policy(self, rows):
        """Probability of every arm for each of the Rows, (n, n_arms)."""
        outputs = self.outputs(network_inputs(rows))[0]
        return softmax(outputs.astype(np.float64), axis=1)

    def value(self, rows):
        """Self-normalised value of the policy on rows of a log."""
        factual = self.policy(rows)[np.arange(len(rows)), rows.arm]
        return snips(rows.y, rows.weight * factual / rows.propensity)


class PolicyTraining:
    """A net for each translation of the reward, of which the best stays.

    Parameters
    ----------
    settings : PolicySettings
        What the network is, and how it is trained.
    log_encoder : LogEncoder
        Knows arms, ids and scales of the log.
    """

    def __init__(self, settings, log_encoder):
        self.settings = settings
        self.objective = POLICY_OBJECTIVES[settings.objective]
        self.log_encoder = log_encoder

    def translations(self, rows):
        """Pairs of an offset and a scale of the reward, one for each net."""
        mean, scale = self.log_encoder.y_mean, self.log_encoder.y_scale
        multipliers = self.settings.multipliers
        return self.objective.translations(rows.y, mean, scale, multipliers)

    def run(self, rows, seed, step):
        """Train from one seed, and choose by the self-normalised value.

        Parameters
        ----------
        rows : Rows
            The log, of which a part is held out, and judges, where training may stop
            early.
        seed : int
            Seed of the net, of the held out rows and of the batches.
        step : callable
            Called with the record of each epoch.

        Returns
        -------
        net : PolicyNet
        offset : float
            What was taken from its rewards.
        history : list of dict
            A record an epoch and net.
        """
        kept, held_out = np.arange(len(rows)), self._held_out(rows, seed)
        judges = rows if held_out is None else rows.take(held_out)
        best, history = None, []
        for member, (offset, scale) in enumerate(self.translations(rows)):
            reward = (rows.y - offset) / scale
            net, records = self._train(rows, reward, seed, kept, held_out, step)
            for record in records:
                record["valid_score"] = offset + scale * record["valid_score"]
                history.append({"member": member, **record})
            value = net.value(judges)
            if best is None or value > best[0]:
                best = value, net, offset
        return *best[1:], history

    def _held_out(self, rows, seed):
        if not self.settings.stops_early(len(rows), self.settings.max_epochs):
            return None
        fraction = self.settings.validation_fraction
        return held_out_rows(rows, np.arange(len(rows)), fraction, seed)

    def _train(self, rows, reward, seed, kept, held_out, step):
        dtype = training_dtype(len(rows))
        X = training_inputs(rows, dtype)
        early, epochs = held_out is not None, self.settings.max_epochs
        generators = OwnGenerators(seed)
        net = self._net(rows, generators).to(dtype)
        records = net.train(
            X,
            torch.as_tensor(reward, dtype=dtype),
            kept,
            held_out,
            generators,
            callbacks=training_callbacks(self.settings, epochs, early, "abs"),
            epochs=epochs,
            draw_pairs=None,
            progress=step,
        )
        return net, records

    def _net(self, rows, generators):
        encoder, settings = self.log_encoder, self.settings
        module = dict(
            settings.layers,
            n_features=rows.features.shape[1],
            n_users=len(encoder.users),
            n_items=len(encoder.items),
            n_arms=encoder.n_arms,
            mean=encoder.mean,
            scale=encoder.scale,
            exposure=False,
        )
        penalty = settings.variance_penalty if self.objective.penalized else 0.0
        options = dict(clip=settings.clip, variance_penalty=penalty, n_rows=rows.total)
        given = (module, self.objective, options, settings, rows, generators)
        return make_net(*given, PolicyNet)
