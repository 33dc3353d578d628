"""An ensemble of networks trained on one log."""

import copy

import numpy as np
import torch
from scipy.special import expit, logit, softmax

from sklearn_causalrec.encoding.exposure import popularity_shift, randomized_rows
from sklearn_causalrec.networks.net import (
    held_out_rows,
    make_net,
    rows_a_batch,
    seeded,
    training_callbacks,
)
from sklearn_causalrec.networks.objectives import OBJECTIVES

# Logs of up to this many rows train in double precision: it costs nothing there, and
# a weight of 2 then equals a row given twice to the last digits shown.
DOUBLE_ROWS = 1000

# What a network reads of a row; the objective reads the rest.
INPUTS = ("features", "user", "item", "history", "history_values")


def as_tensors(rows, y=None, dtype=torch.float32):
    """Tensors over the same memory as the encoded rows, and the outcome."""
    X = {"features": torch.from_numpy(rows.features)}
    for name in ("history", "history_values"):
        if getattr(rows, name) is not None:
            X[name] = torch.from_numpy(getattr(rows, name))
    for name, kind in (
        ("user", torch.int64),
        ("item", torch.int64),
        ("arm", torch.int64),
        ("weight", dtype),
        ("propensity", dtype),
        ("exposure", dtype),
    ):
        values = getattr(rows, name)
        if values is not None:
            name = "treatment" if name == "arm" else name
            X[name] = torch.as_tensor(np.require(values, requirements="W"), dtype=kind)
    if "weight" in X and (X["weight"] == 1).all():
        del X["weight"]  # the objective takes all for 1
    return X, None if y is None else torch.as_tensor(y, dtype=dtype)


class PairSampler:
    """As many pairs as the batch has rows, drawn evenly from all users x items.

    Parameters
    ----------
    catalogue : Catalogue
    rows : Rows
        A user drawn has the history of one of the user's rows.
    same_user : bool
        Keep the users of the batch and draw the items alone.
    """

    def __init__(self, catalogue, rows, same_user=False):
        self.catalogue = catalogue
        self.same_user = same_user
        self.rows = None
        if rows.history is not None:
            self.rows = rows
            self.by_user = np.argsort(rows.user, kind="stable")
            counts = np.bincount(rows.user, minlength=catalogue.n_users)
            self.count, self.first = counts, np.cumsum(counts) - counts

    def __call__(self, batch, generator):
        n = len(batch["user"])
        user = batch["user"]
        if not self.same_user:
            user = torch.randint(self.catalogue.n_users, (n,), generator=generator)
        n_items = len(self.catalogue.items)
        item = torch.randint(n_items, (n,), generator=generator).numpy()
        item = self.catalogue.items[item]
        features = self.catalogue.rows(
            user.numpy(), item, context=batch["features"].numpy()
        )
        pairs = {"features": torch.from_numpy(features), "user": user}
        pairs["item"] = torch.from_numpy(item)
        if self.rows is not None:
            pairs |= self._histories(user.numpy(), batch, generator)
        return pairs

    def _histories(self, user, batch, generator):
        names = [k for k in ("history", "history_values") if k in batch]
        if self.same_user:
            return {name: batch[name] for name in names}
        u = torch.rand(len(user), generator=generator).numpy()
        position = self.first[user] + (u * self.count[user]).astype(np.int64)
        row = self.by_user[np.minimum(position, len(self.by_user) - 1)]
        return {name: torch.from_numpy(getattr(self.rows, name)[row]) for name in names}


class Ensemble:
    """Networks of one shape, from different seeds; their mean predicts.

    Parameters
    ----------
    settings : dict
        Parameters of the estimator, by name.
    encoder : LogEncoder
    device : str
    """

    def __init__(self, settings, encoder, device):
        self.settings = settings
        self.parts = OBJECTIVES[settings["objective"]]
        self.binary = encoder.binary
        self.encoder = encoder
        self.device = device
        self.nets = []

    def _pairs(self, catalogue, rows):
        several = self.encoder.n_arms > 1
        used = self.parts.term == "ranking" if several else self.parts.uses_exposure
        return PairSampler(catalogue, rows, several) if catalogue and used else None

    def _start(self, rows):
        """Intercepts of the outcome, and the tilt or None, from the marginal means."""

        def link(chosen):
            mean = np.average(rows.y[chosen], weights=rows.weight[chosen])
            if not self.binary:
                return self.encoder.standardized(mean)
            return logit(np.clip(mean, 1e-3, 1 - 1e-3))

        arms = range(self.encoder.n_arms)
        masks = [rows.arm == arm for arm in arms]
        start = np.array([link(m) if m.any() else 0.0 for m in masks])
        random = self.randomized(rows)
        if random is None:
            return start, 0.0 if self.parts.corrects == "popularity" else None
        start = np.array([link(random)])
        return start, link(~random) - start[0]

    def randomized(self, rows):
        """Rows shown at random whose contrast with the others gives the tilt; or None.

        None as well where the objective ignores exposure, and where the exposure model
        knows of selection on the outcome already.
        """
        if self.encoder.n_arms > 1 or not self.parts.uses_exposure:
            return None
        by_outcome = self.settings["exposure_model"] == "naive_bayes"
        return None if by_outcome else randomized_rows(rows)

    def _shift(self, rows):
        """What the tilt multiplies: popularity, or whether the system chose the row."""
        if self.parts.corrects == "popularity":
            return popularity_shift(rows)
        going_on = bool(self.nets) and self.nets[0].criterion_.tilt is not None
        if self.randomized(rows) is None and not going_on:
            return None
        if rows.propensity is None:
            return np.ones(len(rows))
        return np.isnan(rows.propensity)

    def _net(self, rows, pairs):
        s, encoder = self.settings, self.encoder
        parts, one_arm = self.parts, encoder.n_arms == 1
        start, tilt = self._start(rows)
        names = (
            "encoder",
            "hidden_layer_sizes",
            "embedding_dim",
            "activation",
            "dropout",
            "input_noise",
        )
        module = {name: s[name] for name in names}
        module.update(
            n_features=rows.features.shape[1],
            n_users=len(encoder.users),
            n_items=0 if rows.item is None else len(encoder.items),
            n_arms=encoder.n_arms,
            mean=encoder.mean,
            scale=encoder.scale,
            exposure=not one_arm or (pairs is not None and rows.exposure is None),
            imputation=bool(parts.imputes) and (not one_arm or pairs is not None),
            shared=parts.term in ("targeted", "entire space") and not one_arm,
            intercept=start,
        )
        if rows.history is not None:
            mean, scale = encoder.value_moments
            n_ids, length = len(encoder.items), encoder.history_length
            module["history"] = dict(n_ids=n_ids, length=length, mean=mean, scale=scale)
        if encoder.roles.towers_ is not None:
            module["towers"] = list(encoder.roles.towers_.values())
        objective = dict(
            objective=s["objective"],
            n_arms=encoder.n_arms,
            binary=encoder.binary,
            clip=s["clip"],
            tilt=tilt,
            share=0.0 if pairs is None else min(pairs.catalogue.share, 1.0),
        )
        names = ("optimizer", "learning_rate", "momentum", "l1", "l2")
        training = {name: s[name] for name in names}
        return make_net(
            module,
            objective,
            batch_size=rows_a_batch(s["batch_size"], len(rows)),
            device=self.device,
            n_rows=rows.total,
            **training,
        )

    def train(self, rows, seeds, *, epochs, kept=None, catalogue=None, progress=None):
        """Train one network a seed, or go on with those there are.

        Parameters
        ----------
        rows : Rows
        seeds : sequence of int
        epochs : int
        kept : array of int, optional
            Rows to train on; all by default.
        catalogue : Catalogue, optional
            With one arm: where unlogged pairs are drawn from.
        progress : callable, optional

        Returns
        -------
        list of dict
            A record an epoch and member.
        """
        s = self.settings
        dtype = torch.float64 if len(rows) <= DOUBLE_ROWS else torch.float32
        if self.nets:
            dtype = self.nets[0].dtype
        X, y = as_tensors(rows, self.encoder.standardized(rows.y), dtype)
        shift = self._shift(rows)
        if shift is not None:
            X["shift"] = torch.as_tensor(shift, dtype=dtype)
        label = self.parts.corrects == "label"
        if self.encoder.n_arms == 1 and "propensity" in X and not label:
            X["propensity"] = X["propensity"] / X["propensity"].nanmean()
        kept = np.arange(len(rows)) if kept is None else kept
        early = s["early_stopping"]
        early = len(kept) >= 400 if early == "auto" else early
        early = early and epochs > 1
        patience = s["n_iter_no_change"] if early else None
        pairs = self._pairs(catalogue, rows)
        nets, history = [], []
        for member, seed in enumerate(seeds):
            held_out = None
            with seeded(seed, self.device):
                if early:
                    fraction = s["validation_fraction"]
                    held_out = held_out_rows(rows, kept, fraction, seed)
                if member < len(self.nets):
                    net = copy.deepcopy(self.nets[member])
                    net.resume(
                        len(self.encoder.users), len(self.encoder.items), rows.total
                    )
                else:
                    net = self._net(rows, pairs).to(dtype)
                # The order of the batches does not depend on which heads there are.
                torch.manual_seed(seed)
                records = net.train(
                    X,
                    y,
                    kept,
                    held_out,
                    callbacks=training_callbacks(
                        s["learning_rate_schedule"], epochs, patience, s["tol"]
                    ),
                    epochs=epochs,
                    draw_pairs=pairs,
                    progress=progress,
                )
            nets.append(net)
            history += [{"member": member, **record} for record in records]
        self.nets = nets
        return history

    def predict(self, rows, index=None):
        """Mean outcome and probability of every arm.

        Returns
        -------
        outcome : ndarray of shape (n, n_arms), in the units of y
        exposure : ndarray of shape (n, n_arms) or None
            With one arm: the density ratio of logged to all pairs.
        """
        X, _ = as_tensors(rows)
        X = {k: X[k] for k in INPUTS if k in X}
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
        outcome = outcome / len(self.nets)
        if not self.binary:
            outcome = outcome * self.encoder.y_scale + self.encoder.y_mean
        return outcome, exposure if exposure is None else exposure / len(self.nets)

    def best_epoch(self, epochs):
        """Epoch with the least validation loss, the median over the networks.

        ``epochs`` where nothing was held out.
        """
        losses = [[r.get("valid_loss", np.nan) for r in n.history] for n in self.nets]
        if np.isnan(np.concatenate(losses)).any():
            return epochs
        return int(np.median([np.argmin(loss) for loss in losses])) + 1

    def cross_fit(
        self,
        rows,
        fold,
        seeds,
        *,
        epochs,
        early_stopping=None,
        catalogue=None,
        progress=None,
    ):
        """Outcome and exposure of every row by networks that did not see its fold.

        Parameters
        ----------
        fold : ndarray of shape (n,)
            Labels 0 to k - 1.
        seeds : sequence of int
            One a fold.
        epochs : int
        early_stopping : bool or "auto", optional
            That of the estimator by default.
        progress : Progress, optional

        Returns
        -------
        outcome, exposure : ndarray of shape (n, n_arms)
        """
        outcome, exposure, settings = None, None, dict(self.settings)
        if early_stopping is not None:
            settings["early_stopping"] = early_stopping
        for k, seed in enumerate(seeds):
            part = Ensemble(settings, self.encoder, self.device)
            kept, held = np.flatnonzero(fold != k), np.flatnonzero(fold == k)
            if progress is not None:
                progress.stage(f"fold {k + 1}/{len(seeds)}", epochs)
            part.train(
                rows,
                [seed],
                epochs=epochs,
                kept=kept,
                catalogue=catalogue,
                progress=progress and progress.step,
            )
            mean, probability = part.predict(rows, held)
            if outcome is None:
                outcome = np.empty((len(rows), mean.shape[1]))
                exposure = None if probability is None else np.empty_like(outcome)
            outcome[held] = mean
            if exposure is not None:
                exposure[held] = probability
        return outcome, exposure

    def target(self, rows, fold, seeds, *, epochs, catalogue, progress=None):
        """Move the intercept of a one-arm log towards the average over all pairs.

        One targeted step (van der Laan & Rose 2011): eps solves
        sum w (y - mean(link + eps)) = 0 over cross-fitted predictions, with w the
        inverse of the clipped density ratio, and is shrunk by two standard errors.
        The ranking stays that of the naive fit.

        Returns
        -------
        float
            The step, on the link scale.
        """
        mean, ratio = self.cross_fit(
            rows, fold, seeds, epochs=epochs, catalogue=catalogue, progress=progress
        )
        ratio = ratio[:, 0] if rows.exposure is None else rows.exposure
        if rows.propensity is not None:
            known = rows.propensity / np.nanmean(rows.propensity)
            ratio = np.where(np.isnan(known), ratio, known)
        relative = ratio * np.average(1 / ratio, weights=rows.weight)
        clip = min(10 * self.settings["clip"], 1.0)
        w = rows.weight / np.maximum(relative, clip)
        mean, y = mean[:, 0], rows.y
        link = logit(np.clip(mean, 1e-6, 1 - 1e-6)) if self.binary else mean
        step = 0.0
        for _ in range(50 if self.binary else 1):
            slope, fitted = np.ones_like(y), link + step
            if self.binary:
                fitted = expit(fitted)
                slope = fitted * (1 - fitted)
            step += (
                np.clip(w @ (y - fitted) / (w @ slope), -1, 1)
                if self.binary
                else (w @ (y - fitted) / w.sum())
            )
        error = np.sqrt(np.sum((w * (y - fitted)) ** 2)) / (w @ slope)
        step = float(np.sign(step) * max(abs(step) - 2 * error, 0.0))
        for net in self.nets:
            net.module_.wide.bias.data += step / self.encoder.y_scale
        return step

    def matrix(self, users, items, arm):
        """Mean outcome of all pairs, by matrix products: ids alone, encoder "mf".

        Parameters
        ----------
        users, items : ndarray of codes
        arm : int

        Returns
        -------
        ndarray of shape (n_users, n_items)
        """
        users, items = torch.as_tensor(users), torch.as_tensor(items)
        total = 0.0
        for net in self.nets:
            link = net.matrix(users, items, arm)
            total = total + (expit(link, out=link) if self.binary else link)
        total /= len(self.nets)
        if not self.binary:
            total *= self.encoder.y_scale
            total += self.encoder.y_mean
        return total
