"""An ensemble of networks trained on one log."""

import copy
from dataclasses import replace
from math import ceil
from typing import NamedTuple

import numpy as np
import torch
from scipy.special import expit, logit, softmax

from sklearn_causalrec._utils.memory import give_back
from sklearn_causalrec._utils.small import positions
from sklearn_causalrec.networks.batches import (
    PairSampler,
    held_out_rows,
    network_inputs,
    rows_a_batch,
    training_dtype,
    training_inputs,
)
from sklearn_causalrec.networks.callbacks import training_callbacks
from sklearn_causalrec.networks.generators import OwnGenerators
from sklearn_causalrec.networks.net import CausalNet, make_net
from sklearn_causalrec.networks.objectives.base import objective_class
from sklearn_causalrec.networks.text_tower import layer_of, lend

# Networks of folds take larger batches from so many rows on, by this factor, and the
# rate that Adam then needs: steps are most of what they cost. At that rate they are in
# so many of the epochs where smaller steps are in all.
LARGE_BATCH_ROWS = 10_000
LARGER, FASTER, SOONER = 4, 2.0, 0.6
PREDICTED_ROWS = 2**17  # rows that are predicted at once, some batches


class Prediction(NamedTuple):
    """What an ensemble says of n rows."""

    outcome: np.ndarray  # (n, n_arms), in the units of y
    # (n, n_arms) probabilities; with one arm (n, 1), the density ratio of logged to
    # all pairs; None where no head estimates it
    exposure: np.ndarray | None


class Ensemble:
    """Networks of one shape, from different seeds; their mean predicts.

    Parameters
    ----------
    settings : RecommenderSettings
        What the networks are, and how they are trained.
    log_encoder : LogEncoder
        Knows arms, ids and scales of the log.

    Attributes
    ----------
    nets : list of CausalNet
        One a seed; empty before :meth:`train`.
    """

    net_class = CausalNet

    def __init__(self, settings, log_encoder):
        self.settings = settings
        self.objective = objective_class(settings.objective)
        self.log_encoder = log_encoder
        self.binary = log_encoder.binary
        self.nets = []

    # -- training --------------------------------------------------------------

    def _pair_sampler(self, rows):
        """What draws the pairs that the objective asks for; None: it asks for none."""
        several = self.log_encoder.n_arms > 1
        asked = self.objective.pairs == ("same user" if several else "all")
        drawn = asked and rows.catalogue is not None
        return PairSampler(rows, several) if drawn else None

    def _start(self, rows):
        """Intercepts of the outcome, and the tilt or None, from the marginal means."""

        def link(chosen):
            mean = np.average(rows.y[chosen], weights=rows.weight[chosen])
            if not self.binary:
                return self.log_encoder.standardized(mean)
            return logit(np.clip(mean, 1e-3, 1 - 1e-3))

        if rows.randomized is not None:
            start = np.array([link(rows.randomized)])
            return start, link(~rows.randomized) - start[0]
        masks = [rows.arm == arm for arm in range(self.log_encoder.n_arms)]
        start = np.array([link(m) if m.any() else 0.0 for m in masks])
        return start, None if self.objective.shift is None else 0.0

    def _net(self, settings, rows, pairs, generators):
        encoder, objective = self.log_encoder, self.objective
        one_arm, texts = encoder.n_arms == 1, encoder.roles.texts
        p = rows.features.shape[1] - (texts is not None)
        intercept, tilt = self._start(rows)
        module = dict(
            settings.layers,
            encoder=settings.encoder,
            input_noise=settings.input_noise,
            n_features=p,
            n_users=0 if rows.user is None else len(encoder.users),
            n_items=0 if rows.item is None else len(encoder.items),
            n_arms=encoder.n_arms,
            mean=encoder.mean[:p],
            scale=encoder.scale[:p],
            exposure=not one_arm or (pairs is not None and rows.exposure is None),
            imputation=objective.imputes and (not one_arm or pairs is not None),
            shared=objective.shapes_representation and not one_arm,
            intercept=intercept,
            text=layer_of(texts),
        )
        if rows.catalogue is not None:
            module["owners"] = rows.catalogue.owner.tolist()
        if rows.history is not None:
            mean, scale = encoder.value_moments
            n_ids, length = len(encoder.items), encoder.history_length
            module["history"] = dict(n_ids=n_ids, length=length, mean=mean, scale=scale)
        if encoder.roles.towers_ is not None:
            module["towers"] = list(encoder.roles.towers_.values())
        options = dict(
            n_arms=encoder.n_arms,
            binary=encoder.binary,
            clip=settings.clip,
            tilt=tilt,
            share=0.0 if pairs is None else min(rows.catalogue.share, 1.0),
        )
        given = (module, objective, options, settings, rows, generators)
        return make_net(*given, net_class=self.net_class)

    def _inputs(self, rows, dtype):
        """Tensors of the rows, in what units the objective reads them."""
        X = training_inputs(rows, dtype)
        tilted = rows.randomized is not None or self.objective.shift is not None
        if self.nets:  # which go on as they are, whatever these rows are like
            tilted = self.nets[0].criterion_.tilt is not None
        if tilted:
            X["shift"] = torch.as_tensor(np.array(rows.shift), dtype=dtype)
        if "propensity" in X and self.objective.is_ratio(self.log_encoder.n_arms):
            X["propensity"] = X["propensity"] / X["propensity"].nanmean()
        return X

    _held_out = staticmethod(held_out_rows)

    def _targets(self, rows, dtype):
        """The outcomes as the networks learn them."""
        return torch.as_tensor(self.log_encoder.standardized(rows.y), dtype=dtype)

    def train(self, rows, seeds, *, epochs=None, kept=None, progress=None):
        """Train one network a seed, or go on with those there are.

        Parameters
        ----------
        rows : Rows
            The log, with its facts.
        seeds : sequence of int
            One for each network.
        epochs : int or None, default=None
            Largest number of epochs. None: that of the settings.
        kept : array of int or None, default=None
            Rows to train on; None: all.
        progress : callable or None, default=None
            Called with the record of each epoch.

        Returns
        -------
        list of dict
            A record an epoch and member.
        """
        give_back(len(rows))  # what reading the log has freed, or the fold before
        encoder = self.log_encoder
        dtype = self.nets[0].dtype if self.nets else training_dtype(len(rows))
        X = self._inputs(rows, dtype)
        y = self._targets(rows, dtype)
        kept = positions(len(rows)) if kept is None else kept
        settings = self.settings.of_log(len(rows), len(kept))
        epochs = settings.max_epochs if epochs is None else epochs
        early = settings.stops_early(len(kept), epochs)
        pairs = self._pair_sampler(rows)
        nets, history = [], []
        for member, seed in enumerate(seeds):
            held_out = None
            if early:
                fraction = settings.validation_fraction
                held_out = self._held_out(rows, kept, fraction, seed)
            if member < len(self.nets):
                net = copy.deepcopy(self.nets[member])
                net.resume(len(encoder.users), len(encoder.items), rows.total)
            else:
                net = self._net(settings, rows, pairs, OwnGenerators(seed)).to(dtype)
            lend([net], encoder)
            records = net.train(
                X,
                y,
                kept,
                held_out,
                # Anew: the order of the batches does not depend on which heads there
                # are.
                OwnGenerators(seed),
                callbacks=training_callbacks(settings, epochs, early),
                epochs=epochs,
                draw_pairs=pairs,
                progress=progress,
            )
            nets.append(net)
            history += [{"member": member, **record} for record in records]
        self.nets = nets
        return history

    def most_epochs(self, n_rows):
        """Largest number of epochs on so many rows."""
        return self.settings.of_log(n_rows, n_rows).max_epochs

    def best_epoch(self, n_rows):
        """Epoch with the least validation loss, the median over the networks.

        Parameters
        ----------
        n_rows : int
            Number of rows that they were trained on.

        Returns
        -------
        int
            Number of the epoch, from 1. The last one, where nothing was held out.
        """
        losses = [[r.get("valid_loss", np.nan) for r in n.history] for n in self.nets]
        if np.isnan(np.concatenate(losses)).any():
            return self.most_epochs(n_rows)
        return int(np.median([np.argmin(loss) for loss in losses])) + 1

    def of_folds(self, rows):
        """Settings of the networks of folds, and how many epochs they train.

        As many as were best for the networks of all rows (:meth:`best_epoch`), fewer
        where they take larger steps: one validation part speaks for all folds. Where
        rows are few and are of users with a past, half of them are another log, and
        each fold stops by its own part: effects of a history had a fifth more error by
        the epochs of all rows.

        Parameters
        ----------
        rows : Rows
            The log.

        Returns
        -------
        settings : RecommenderSettings
        epochs : int or None
            None: until each stops early.
        """
        names = (rows.user, rows.item, rows.history)
        own = any(ids is not None for ids in names)
        if own and len(rows) < LARGE_BATCH_ROWS:
            return self.settings, None
        settings = replace(self.settings, early_stopping=False)
        epochs = self.best_epoch(len(rows))
        large = len(rows) >= LARGE_BATCH_ROWS and settings.batch_size == "auto"
        if large and settings.optimizer == "adam" and not own:  # ids need their steps
            settings = replace(
                settings,
                batch_size=LARGER * rows_a_batch("auto", len(rows)),
                learning_rate=FASTER * settings.learning_rate,
            )
            epochs = ceil(SOONER * epochs)
        return settings, epochs

    def cross_fit(self, rows, fold, seeds, *, progress=None):
        """What networks that did not see a row's fold say of the row.

        They train as :meth:`of_folds` says.

        Parameters
        ----------
        rows : Rows
            The log, with its facts.
        fold : ndarray of shape (n,)
            Labels 0 to k - 1.
        seeds : sequence of int
            One for each fold.
        progress : Progress or None, default=None
            Gets a stage for each fold.

        Returns
        -------
        Prediction
            Of all rows.
        """
        settings, epochs = self.of_folds(rows)
        outcome, exposure = None, None
        for k, seed in enumerate(seeds):
            part = Ensemble(settings, self.log_encoder)
            kept, held = np.flatnonzero(fold != k), np.flatnonzero(fold == k)
            if progress is not None:
                most = epochs or settings.of_log(len(rows), len(kept)).max_epochs
                progress.stage(f"fold {k + 1}/{len(seeds)}", most)
            part.train(
                rows,
                [seed],
                epochs=epochs,
                kept=kept,
                progress=progress and progress.step,
            )
            found = part.predict(rows, held)
            if outcome is None:
                outcome = np.empty((len(rows), found.outcome.shape[1]))
                exposure = None if found.exposure is None else np.empty_like(outcome)
            outcome[held] = found.outcome
            if exposure is not None:
                exposure[held] = found.exposure
        return Prediction(outcome, exposure)

    def move_intercept(self, step):
        """Move the intercept of the outcome of all networks.

        Parameters
        ----------
        step : float
            How far: on the link scale, in units of y where it is not binary.
        """
        for net in self.nets:
            net.module_.wide.bias.data += step / self.log_encoder.y_scale

    # -- prediction ------------------------------------------------------------

    def predict(self, rows, index=None):
        """Mean outcome and exposure of every arm.

        Parameters
        ----------
        rows : Rows
            Encoded rows.
        index : ndarray of int or None, default=None
            Positions of the rows to predict; None: all.

        Returns
        -------
        Prediction
            Outcomes in the units of y.
        """
        X = network_inputs(rows)
        lend(self.nets, self.log_encoder)
        n = len(rows) if index is None else len(index)
        if n <= PREDICTED_ROWS:
            return self._predict(X, index)
        give_back(n)  # what training has freed
        whole = None
        for start in range(0, n, PREDICTED_ROWS):  # what is on the way is small
            stop = min(start + PREDICTED_ROWS, n)
            part = np.arange(start, stop) if index is None else index[start:stop]
            found = self._predict(X, part)
            if whole is None:
                whole = [x if x is None else np.empty((n, *x.shape[1:]), x.dtype)
                         for x in found]  # fmt: skip
            for out, values in zip(whole, found):
                if out is not None:
                    out[start:stop] = values
        return Prediction(*whole)

    def _predict(self, X, index):
        outcome = exposure = 0.0
        for net in self.nets:
            link, logits = net.outputs(X, index)
            outcome = outcome + (expit(link) if self.binary else link)
            if logits is None:
                exposure = None
            elif logits.shape[1] == 1:
                exposure = exposure + np.exp(logits)
            else:
                exposure = exposure + softmax(logits, axis=1)
        outcome = self.log_encoder.in_units(outcome / len(self.nets))
        if exposure is not None:
            exposure = exposure / len(self.nets)
        return Prediction(outcome, exposure)


class IdProducts:
    """Mean outcome of all pairs by a matrix product, where ids are all there is.

    Blocks of users are asked for in turn with the same items, whose vectors are kept.
    Biases, units and the mean over networks are part of the vectors where they can be:
    each further pass over all pairs costs as much as a tenth of their product.

    Parameters
    ----------
    ensemble : Ensemble
        The networks.
    arm : int
        Code of the arm.
    """

    def __init__(self, ensemble, arm):
        self.nets, self.log_encoder, self.arm = ensemble.nets, ensemble.log_encoder, arm
        self.binary = ensemble.binary
        self._items = self._vectors = None

    @torch.inference_mode()
    def __call__(self, users, items):
        """Outcomes in the units of y.

        Parameters
        ----------
        users, items : ndarray of int
            Codes of the ids.

        Returns
        -------
        ndarray of shape (n_users, n_items)
        """
        if items is not self._items:
            vectors = [net.side("items", items, self.arm) for net in self.nets]
            self._items, self._vectors = items, vectors
        sides = [net.side("users", users, self.arm) for net in self.nets]
        encoder, n_nets = self.log_encoder, len(self.nets)
        if not self.binary and encoder.y_dtype != np.float64 and n_nets == 1:
            side = sides[0] * encoder.y_scale
            side[:, -2] += encoder.y_mean
            return (side @ self._vectors[0].T).cpu().numpy()
        total = None
        for side, vectors in zip(sides, self._vectors):
            link = (side @ vectors.T).cpu().numpy()
            link = expit(link, out=link) if self.binary else link
            total = link if total is None else np.add(total, link, out=total)
        if n_nets > 1:
            total /= n_nets
        return encoder.in_units(total, out=total)
