"""Training: a skorch net with a loader that slices, seeding, validation, device."""

import time
from contextlib import contextmanager
from fnmatch import filter as matching

import numpy as np
import torch
from sklearn import config_context
from sklearn.metrics import r2_score, roc_auc_score
from skorch import NeuralNet
from skorch.callbacks import EarlyStopping, LRScheduler
from skorch.dataset import Dataset
from skorch.utils import noop
from torch.utils.data import Subset

from sklearn_causalrec.networks.network import CausalNetwork
from sklearn_causalrec.networks.objectives import Objective

INFERENCE_ROWS = 8192
# An id's vector has a gradient in its own rows alone, so id tables learn faster.
ID_RATE = 10.0


def resolve_device(device):
    """ "auto" is a GPU where there is one."""
    if device != "auto":
        return str(torch.device(device))
    return "cuda" if torch.cuda.is_available() else "cpu"


@contextmanager
def seeded(seed, device):
    """Torch seeded inside, its global generators untouched outside."""
    cuda = [torch.cuda.current_device()] if str(device).startswith("cuda") else []
    with torch.random.fork_rng(devices=cuda):
        torch.manual_seed(seed)
        yield


class SliceLoader:
    """Batches by slicing tensors: no per-row fetch, no collation, no worker.

    Parameters
    ----------
    dataset : skorch Dataset of (dict of tensors, tensor), or a Subset of one
    batch_size : int
    shuffle : bool
    draw_pairs : callable or None
        ``draw_pairs(batch, generator)`` returns as many pairs drawn from all pairs.
    """

    def __init__(self, dataset, batch_size, shuffle=False, draw_pairs=None):
        self.rows = None
        if isinstance(dataset, Subset):
            self.rows = torch.as_tensor(dataset.indices)
            dataset = dataset.dataset
        self.X, self.y = dataset.X, dataset.y
        self.n = len(self.y) if self.rows is None else len(self.rows)
        self.batch_size = batch_size
        self.shuffle = shuffle
        self.draw_pairs = draw_pairs
        # A stream of its own: drawing pairs leaves the order of the batches alone.
        self.generator = torch.Generator().manual_seed(torch.initial_seed())

    def __len__(self):
        return -(-self.n // self.batch_size)

    def __iter__(self):
        rows = self.rows
        if self.shuffle and self.n > self.batch_size:
            order = torch.randperm(self.n)
            rows = order if rows is None else rows[order]
        if not self.shuffle:  # the same pairs at every validation
            self.generator.manual_seed(0)
        for start in range(0, self.n, self.batch_size):
            stop = min(start + self.batch_size, self.n)
            part = slice(start, stop) if rows is None else rows[start:stop]
            batch = {key: value[part] for key, value in self.X.items()}
            if self.draw_pairs is not None:
                batch["pairs"] = self.draw_pairs(batch, self.generator)
            yield batch, self.y[part]


def validation_rows(n, fraction, rng, groups=None, order=None):
    """Rows held out for validation, sorted.

    Parameters
    ----------
    n : int
    fraction : float
    rng : RandomState
    groups : array of shape (n,), optional
        That share of the rows of every group (rounded down, so that no group loses
        its only row).
    order : array of shape (n,), optional
        Take the last rows in this order, instead of random ones.
    """
    key = rng.permutation(n) if order is None else np.argsort(np.argsort(order))
    if groups is None:
        return np.flatnonzero(key >= n - max(int(fraction * n), 1))
    by_group = np.lexsort((key, groups))
    _, first, count = np.unique(groups[by_group], return_index=True, return_counts=True)
    rank = np.arange(n) - np.repeat(first, count)
    size = np.repeat(count, count)
    held_out = rank >= size - np.floor(fraction * size + rng.random_sample())
    held_out &= rank > 0
    return np.sort(by_group[held_out])


def held_out_rows(rows, kept, fraction, seed):
    """Of the kept rows, those for validation: the last in time, of every user.

    Parameters
    ----------
    rows : Rows
    kept : array of int
    fraction : float
    seed : int
    """
    user = None if rows.user is None else rows.user[kept]
    time = None if rows.time is None else rows.time[kept]
    rng = np.random.RandomState(seed % 2**32)
    held_out = validation_rows(len(kept), fraction, rng, user, time)
    if user is not None and len(held_out) < 0.2 * fraction * len(kept):
        # Most users have a row or two: one of theirs has to do.
        held_out = validation_rows(len(kept), fraction, rng, None, time)
    return kept[held_out]


def rows_a_batch(batch_size, n):
    """ "auto" is a 64th of the n rows, as a power of 2 between 128 and 1024."""
    if batch_size != "auto":
        return batch_size
    return int(np.clip(2 ** int(np.log2(max(n / 64, 1))), 128, 1024))


class CausalNet(NeuralNet):
    """skorch net of a :class:`CausalNetwork` under an :class:`Objective`.

    Parameters
    ----------
    l1, l2 : float
        Penalties (l1 sum |w| + l2 / 2 sum w^2) / n on all weights but intercepts, next
        to the mean loss of n rows: a prior that counts as much as l2 rows, which
        shrinks ids with few rows more than those with many.
    """

    @property
    def _default_callbacks(self):
        return []  # skorch's read the records of single batches

    progress = None

    def __init__(self, *args, l1=0.0, l2=0.0, n_rows=1.0, **kwargs):
        self.l1 = l1
        self.l2 = l2
        self.n_rows = n_rows
        super().__init__(*args, **kwargs)

    def get_loss(self, y_pred, y_true, X=None, training=False):
        pairs = self.infer(X["pairs"]) if "pairs" in X else None
        if self.device != "cpu":
            X = {k: v.to(self.device) for k, v in X.items() if k != "pairs"}
            y_true = y_true.to(self.device)
        loss = self.criterion_(y_pred, y_true, X, pairs)
        if training and self.l1:
            weights = (p for n, p in self._weights() if p.requires_grad)
            loss = loss + self.l1 / self.n_rows * sum(p.abs().sum() for p in weights)
        return loss

    def _weights(self):
        named = self.module_.named_parameters()
        return [(name, p) for name, p in named if "bias" not in name.split(".")[-1]]

    def initialize_optimizer(self, *args, **kwargs):
        """l2 is the optimizer's decay, which has the penalty's gradient at no cost.

        Few groups: a fused optimizer runs once a group.
        """
        decay = {"weight_decay": self.l2 / self.n_rows} if self.l2 else {}
        fast = {"lr": ID_RATE * self.lr}
        groups = [
            ("*.user.weight", {**decay, **fast}),
            ("*.item.weight", {**decay, **fast}),
            ("tilt", fast),
        ]
        if self.l2:
            groups += [("*weight*", decay), ("arm_scale", decay)]
        names = [name for name, _ in self.get_all_learnable_params()]
        self.optimizer__param_groups = [g for g in groups if matching(names, g[0])]
        return super().initialize_optimizer(*args, **kwargs)

    def train_step(self, batch, **fit_params):
        """As in skorch, for optimizers that evaluate the loss once."""
        X, y = batch
        self._set_training(True)
        self.optimizer_.zero_grad()
        y_pred = self.infer(X)
        loss = self.get_loss(y_pred, y, X=X, training=True)
        loss.backward()
        self.optimizer_.step()
        return {"loss": loss, "y_pred": y_pred}

    def _set_training(self, training=True):
        if self.module_.training != training:
            super()._set_training(training)

    def infer(self, x, **fit_params):
        if self.device == "cpu":  # the loader gives tensors: nothing to move
            return self.module_(**x)
        return super().infer(x, **fit_params)

    def run_single_epoch(self, iterator, training, prefix, step_fn, **fit_params):
        """As in skorch, without a history record and a notification a batch."""
        if iterator is None:
            return
        losses, sizes, seen = [], [], []
        for batch in iterator:
            step = step_fn(batch, **fit_params)
            losses.append(self.criterion_.outcome_loss)
            sizes.append(len(batch[1]))
            if not training:
                outcome, arm = step["y_pred"].outcome, batch[0]["treatment"]
                taken = outcome.cpu().gather(1, arm.unsqueeze(1))[:, 0]
                weight = batch[0].get("weight", torch.ones_like(taken))
                seen.append((batch[1], taken, weight))
        losses = torch.stack(losses).double().cpu().numpy()
        self.history.record(f"{prefix}_loss", float(np.average(losses, weights=sizes)))
        if seen:
            y, taken, weight = (torch.cat(part).numpy() for part in zip(*seen))
            self.history.record("valid_score", self.score_of(y, taken, weight))

    def score_of(self, y, predicted, weight):
        """R^2, or the area under the ROC curve, of the factual outcome."""
        if not self.criterion_.binary:
            return float(r2_score(y, predicted, sample_weight=weight))
        if y.min() == y.max():
            return float("nan")
        return float(roc_auc_score(y, predicted, sample_weight=weight))

    def on_epoch_begin(self, net, **kwargs):
        super().on_epoch_begin(net, **kwargs)
        self._epoch_start = time.perf_counter()

    def on_epoch_end(self, net, **kwargs):
        super().on_epoch_end(net, **kwargs)
        self.history.record("seconds", time.perf_counter() - self._epoch_start)
        if self.progress is not None:
            self.progress(self.history[-1])

    def train(
        self, X, y, kept, held_out=None, *, callbacks, epochs, draw_pairs, progress
    ):
        """Train from where the net stands until the epochs or the patience run out.

        Parameters
        ----------
        X : dict of tensors
        y : tensor of shape (n,)
        kept, held_out : array of int
            Rows to train on, and those of them for validation.
        callbacks : list of (name, Callback)
        epochs : int
        draw_pairs : callable or None
        progress : callable or None
            Called with the record of each epoch.

        Returns
        -------
        list of dict
            A record an epoch.
        """
        before = len(self.history)
        dataset = Dataset(X, y)
        if held_out is not None:
            kept = np.setdiff1d(kept, held_out, assume_unique=True)
            parts = Subset(dataset, kept), Subset(dataset, held_out)
        elif len(kept) < len(y):
            parts = Subset(dataset, kept), None
        else:
            parts = dataset, None
        lent = dict(
            train_split=lambda *_, **__: parts,
            iterator_train__draw_pairs=draw_pairs,
            iterator_valid__draw_pairs=draw_pairs,
            progress=progress,
        )
        vars(self).update(lent)
        self.callbacks = callbacks
        self.initialize_callbacks()
        stopper = dict(callbacks).get("early_stopping")
        self.notify("on_train_begin", X=X, y=y)
        try:
            with config_context(enable_metadata_routing=False):
                self.fit_loop(dataset, y, epochs=epochs)
        except KeyboardInterrupt:  # which is how skorch's EarlyStopping stops
            if stopper is None or stopper.misses_ < stopper.patience:
                raise
        finally:
            vars(self).update(dict.fromkeys(lent))
        self.notify("on_train_end", X=X, y=y)
        self.module_.settle_unseen_ids()
        names = ("epoch", "train_loss", "valid_loss", "valid_score", "seconds")
        nan = float("nan")
        return [{k: r.get(k, nan) for k in names} for r in self.history[before:]]

    def to(self, dtype):
        """Module and criterion in that precision; the optimizer keeps its hold."""
        self.module_.to(dtype)
        self.criterion_.to(dtype)
        return self

    @property
    def dtype(self):
        return self.module_.wide.bias.dtype

    def resume(self, n_users, n_items, n_more):
        """Make ready for more rows: a lighter prior, and room for new ids."""
        self.n_rows = self.n_rows + n_more
        for group in self.optimizer_.param_groups:
            if group["weight_decay"]:
                group["weight_decay"] = self.l2 / self.n_rows
        if self.module_.grow_ids(n_users, n_items):
            self.initialize_optimizer()

    def matrix(self, users, items, arm):
        """Outcome of all pairs on the link scale; ndarray (n_users, n_items)."""
        users, items = users.to(self.device), items.to(self.device)
        with torch.inference_mode():
            return self.module_.outcome_matrix(users, items, arm).cpu().numpy()

    def outputs(self, X, rows=None):
        """Outcome (n, A) and exposure logits (n, A or None) for the rows of X."""
        n = len(next(iter(X.values())))
        rows = None if rows is None else torch.as_tensor(rows)
        n = n if rows is None else len(rows)
        self.module_.train(False)
        outcome = exposure = None
        with torch.inference_mode():
            for start in range(0, n, INFERENCE_ROWS):
                stop = min(start + INFERENCE_ROWS, n)
                part = slice(start, stop) if rows is None else rows[start:stop]
                out = self.infer({key: value[part] for key, value in X.items()})
                if outcome is None:
                    dtype = out.outcome.cpu().numpy().dtype
                    outcome = np.empty((n, out.outcome.shape[1]), dtype)
                    exposure = None if out.exposure is None else np.empty_like(outcome)
                outcome[start:stop] = out.outcome.cpu().numpy()
                if exposure is not None:
                    exposure[start:stop] = out.exposure.cpu().numpy()
        return outcome, exposure


def training_callbacks(schedule, epochs, patience, tol, threshold_mode="rel"):
    """skorch callbacks: early stopping at the best weights, learning-rate schedule.

    ``threshold_mode="abs"`` is for losses that may be below 0.
    """
    callbacks = []
    if patience is not None:
        stopper = EarlyStopping(
            patience=patience,
            threshold=tol,
            threshold_mode=threshold_mode,
            load_best=True,
            sink=noop,
        )
        callbacks.append(("early_stopping", stopper))
    if schedule == "cosine":
        scheduler = LRScheduler(policy="CosineAnnealingLR", T_max=epochs)
        callbacks.append(("schedule", scheduler))
    elif schedule == "plateau":
        scheduler = LRScheduler(
            policy="ReduceLROnPlateau",
            monitor="train_loss" if patience is None else "valid_loss",
            factor=0.3,
            patience=max((patience or 10) // 3, 1),
            threshold_mode=threshold_mode,
        )
        callbacks.append(("schedule", scheduler))
    return callbacks


def make_net(
    module,
    objective,
    *,
    optimizer,
    learning_rate,
    momentum,
    batch_size,
    device,
    l1,
    l2,
    n_rows,
    net_class=CausalNet,
    criterion=Objective,
):
    """An initialised :class:`CausalNet`.

    Parameters
    ----------
    module, objective : dict
        Arguments of :class:`CausalNetwork` and of ``criterion``.
    n_rows : float
        Weight of all rows, by which the penalties are divided.
    """
    if optimizer == "adam":
        optimizer = dict(optimizer=torch.optim.Adam)
    else:
        optimizer = dict(optimizer=torch.optim.SGD, optimizer__momentum=momentum)
    net = net_class(
        module=CausalNetwork,
        criterion=criterion,
        **{f"module__{key}": value for key, value in module.items()},
        **{f"criterion__{key}": value for key, value in objective.items()},
        **optimizer,
        optimizer__fused=True,
        lr=learning_rate,
        batch_size=batch_size,
        iterator_train=SliceLoader,
        iterator_train__shuffle=True,
        iterator_valid=SliceLoader,
        train_split=None,
        verbose=0,
        device=device,
        l1=l1,
        l2=l2,
        n_rows=n_rows,
    )
    with config_context(enable_metadata_routing=False):
        return net.initialize()
