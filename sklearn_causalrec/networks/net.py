"""The skorch net that trains a network: steps, penalties, seeding, device."""

import time
from operator import itemgetter

import numpy as np
import torch
from sklearn import config_context
from sklearn.metrics import r2_score, roc_auc_score
from skorch import NeuralNet
from skorch.dataset import Dataset
from torch.utils.data import Subset

from sklearn_causalrec.networks.batches import (
    SETTLED,
    SliceLoader,
    others,
    rate_of_batch,
    rows_a_batch,
    settle,
)
from sklearn_causalrec.networks.devices import in_blocks
from sklearn_causalrec.networks.network import CausalNetwork
from sklearn_causalrec.networks.optimizers import (
    Adam,
    DivergenceError,
    groups_of_weights,
    named,
)
from sklearn_causalrec.networks.resident import placed
from sklearn_causalrec.networks.resumption import shared_and_kept
from sklearn_causalrec.networks.text_tower import ADAPTER_RATE

INFERENCE_ROWS = 8192
LAZY_IDS = 100_000  # ids from which a table moves by the rows in a batch, see Adam
# So many times the loss of a constant, or of the start, is no fit but an accident.
BLOWN_UP = 100


class CausalNet(NeuralNet):
    """skorch net of a :class:`CausalNetwork` under an objective.

    Parameters
    ----------
    l1, l2 : float, default=0.0
        Penalties (l1 sum |w| + l2 / 2 sum w^2) / n on all weights but intercepts, next
        to the mean loss of n rows: a prior that counts as much as l2 rows, which
        shrinks ids with few rows more than those with many.
    """

    @property
    def _default_callbacks(self):
        return []  # skorch's read the records of single batches

    progress = None
    generators = None
    ranks = None  # the processes that share the training, see ranks.py
    checkpoint = None  # what keeps the training, see resumption.py
    start = None  # the loss of the first batch, before any step
    learns_outcomes = True
    id_rate = 10.0  # an id has a gradient in its own rows alone, so it learns faster
    lazy_ids = True  # no term of the loss reads a whole table
    resident = True  # its loader takes columns that stand on the device
    rows_at_once = INFERENCE_ROWS
    free: tuple = ()  # tables of ids that are not penalised

    def __init__(self, *args, l1=0.0, l2=0.0, n_rows=1.0, **kwargs):
        self.l1 = l1
        self.l2 = l2
        self.n_rows = n_rows
        super().__init__(*args, **kwargs)

    def get_loss(self, y_pred, y_true, X=None, training=False):
        pairs = self.infer(X["pairs"]) if "pairs" in X else None
        loss = self.criterion_(y_pred, y_true.to(self.device), self._there(X), pairs)
        if training and self.l1:
            weights = (p for n, p in self._weights() if p.requires_grad)
            loss = loss + self.l1 / self.n_rows * sum(p.abs().sum() for p in weights)
        return loss

    def _weights(self):
        named = self.module_.named_parameters()
        return [(name, p) for name, p in named if "bias" not in name.split(".")[-1]]

    def initialize_module(self):
        """As in skorch; the gradients of large tables of ids are sparse."""
        super().initialize_module()
        if self.lazy_ids and self.optimizer is Adam and not self.l1:
            self.module_.move_ids_by_rows(LAZY_IDS)
        return self

    def initialize_optimizer(self, *args, **kwargs):
        """l2 is the optimizer's decay, which has the penalty's gradient at no cost."""
        names = [name for name, _ in self.get_all_learnable_params()]
        self.optimizer__param_groups = groups_of_weights(
            names,
            free=self.free,
            of_ids=self.id_rate * self.lr,
            of_adapters=ADAPTER_RATE * self.lr,
            decay=self.l2 / self.n_rows if self.l2 else 0.0,
        )
        return super().initialize_optimizer(*args, **kwargs)

    def train_step(self, batch, **fit_params):
        """As in skorch, for optimizers that evaluate the loss once."""
        X, y = batch
        self._set_training(True)
        self.optimizer_.zero_grad()
        with self.generators.each_batch():
            y_pred = self.infer(X)
            loss = self.get_loss(y_pred, y, X=X, training=True)
        self.descend(loss)
        return {"loss": loss, "y_pred": y_pred}

    def descend(self, loss):
        """A step down the gradient of the loss, its mean over all ranks."""
        loss.backward()
        if self.ranks is not None:
            self.ranks.average_gradients(self)
        self.optimizer_.step()

    def _set_training(self, training=True):
        if self.module_.training != training:
            super()._set_training(training)

    def get_iterator(self, dataset, training=False):
        """As in skorch; rows that are not in memory bring a loader of their own."""
        loader = getattr(getattr(dataset, "dataset", dataset).X, "loader", None)
        if loader is None:
            return super().get_iterator(dataset, training)
        before = dict(iterator_train=self.iterator_train)
        before["iterator_valid"] = self.iterator_valid
        vars(self).update(dict.fromkeys(before, loader))
        try:
            return super().get_iterator(dataset, training)
        finally:
            vars(self).update(before)

    def infer(self, x, **fit_params):
        return self.shared(self._infer, x)

    def shared(self, call, x, whole=()):
        """What ``call`` makes of a batch, of which each rank computes its part."""
        if self.ranks is None:
            return call(x)
        return self.ranks.forward(call, x, whole)

    def _there(self, X):
        """The tensors on the device, where those of most loaders are already."""
        return {k: v.to(self.device) for k, v in X.items() if k != "pairs"}

    def _infer(self, x):
        torch.clear_autocast_cache()  # or it would keep the weights of the first step
        out, dtype = self.module_(**self._there(x)), self.dtype
        # Under torch.autocast, what follows is computed in the type of the weights.
        return type(out)(*(p if p is None else p.to(dtype) for p in out))

    def steps_of(self, iterator, training, losses, sizes):
        """Batches of an epoch; where it goes on from a checkpoint, those left."""
        if self.checkpoint is not None and training:
            iterator = self.checkpoint.steps(self, iterator, losses, sizes)
        for batch in iterator:
            yield batch
            if len(losses) % SETTLED == 0:
                settle(losses)

    def run_single_epoch(self, iterator, training, prefix, step_fn, **fit_params):
        """As in skorch, without a history record and a notification a batch."""
        if iterator is None:
            return
        losses, sizes, seen = [], [], []
        for batch in self.steps_of(iterator, training, losses, sizes):
            step = step_fn(batch, **fit_params)
            losses.append(self.criterion_.outcome_loss)
            sizes.append(len(batch[1]))
            if not training:
                outcome = step["y_pred"].outcome
                arm = batch[0]["arm"].to(outcome.device)
                factual = outcome.gather(1, arm.unsqueeze(1))[:, 0]
                weight = batch[0].get("weight", torch.ones_like(factual))
                seen.append((batch[1], factual, weight))
        self.record_loss(prefix, losses, sizes)
        if seen:
            y, factual, weight = (torch.cat(part).cpu().numpy() for part in zip(*seen))
            self.history.record("valid_score", self.score_of(y, factual, weight))

    def record_loss(self, prefix, losses, sizes):
        """Put the mean loss of an epoch into the history, unless training diverged.

        Parameters
        ----------
        prefix : {"train", "valid"}
        losses : list of tensors and floats
            Of the batches.
        sizes : list of int
            Rows in each batch.

        Raises
        ------
        DivergenceError
            If the loss or a weight is no finite number.
        """
        settle(losses)
        losses = np.array(losses)
        if self.ranks is not None:  # or training might stop in some of them
            losses = self.ranks.of_first(losses)
        loss = float(np.average(losses, weights=sizes))
        weights = self.module_.parameters()
        with np.errstate(over="ignore"):
            finite = np.isfinite(np.float32(loss))  # what networks compute in
        if not finite or not all(p.isfinite().all() for p in weights):
            self._refuse(
                f"in epoch {len(self.history)} the {prefix} loss is {loss:.3g}"
            )
        if self.start is None:
            self.start = losses[0]
        self.history.record(f"{prefix}_loss", loss)

    def _refuse(self, what):
        smaller = min(self.lr / 10, 2e-3)  # the estimators' default
        raise DivergenceError(
            f"training diverged: {what}. The steps are too large, with learning_rate="
            f"{self.lr:g} and the optimizer {self.optimizer.__name__}: set a smaller "
            f"learning_rate, such as {smaller:.2g}. Rows whose outcome, weight or "
            "features are beyond those of the first fit can do this, too."
        )

    def score_of(self, y, predicted, weight):
        """R^2, or the area under the ROC curve, of the factual outcome."""
        if not self.criterion_.binary:
            return float(r2_score(y, predicted, sample_weight=weight))
        if y.min() == y.max():
            return float("nan")
        return float(roc_auc_score(y, predicted, sample_weight=weight))

    def on_epoch_begin(self, net, **kwargs):
        if self.checkpoint is not None:
            self.checkpoint.epoch_begins(self)
        super().on_epoch_begin(net, **kwargs)
        self._epoch_start = time.perf_counter()

    def on_epoch_end(self, net, **kwargs):
        super().on_epoch_end(net, **kwargs)
        self.history.record("seconds", time.perf_counter() - self._epoch_start)
        if self.progress is not None:
            self.progress(self.history[-1])

    def train(
        self, X, y, kept, held_out, generators, *,
        callbacks, epochs, draw_pairs, progress,
    ):  # fmt: skip
        """Train from where the net stands until the epochs or the patience run out.

        Parameters
        ----------
        X : dict of tensors
        y : tensor of shape (n,)
        kept, held_out : array of int
            Rows to train on, and those of them for validation; the latter or None.
        generators : OwnGenerators
            What the order of the batches and the network draw from.
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
        table = placed(X, y, self.device) if self.resident else X
        dataset = Dataset(table, y, length=len(y))
        if held_out is not None:
            kept = others(kept, held_out)
            parts = Subset(dataset, kept), Subset(dataset, held_out)
        elif len(kept) < len(y):
            parts = Subset(dataset, kept), None
        else:
            parts = dataset, None
        shared = shared_and_kept(
            self, X, y, kept, held_out, generators, epochs, callbacks
        )
        lent = dict(
            train_split=lambda *_, **__: parts,
            **shared,
            iterator_train__generator=generators.on("cpu"),
            iterator_train__draw_pairs=draw_pairs,
            iterator_valid__draw_pairs=draw_pairs,
            start=None,
            progress=progress,
        )
        vars(self).update(lent)
        self.callbacks = callbacks
        self.initialize_callbacks()
        stopper = dict(callbacks).get("early_stopping")
        self.notify("on_train_begin", X=X, y=y)
        try:
            if self.checkpoint is not None:
                epochs = self.checkpoint.restore(self)
            with config_context(enable_metadata_routing=False):
                self.fit_loop(dataset, y, epochs=epochs)
        except KeyboardInterrupt:  # which is how skorch's EarlyStopping stops
            if stopper is None or stopper.misses_ < stopper.patience:
                raise
        finally:
            start, checkpoint = self.start, self.checkpoint
            vars(self).update(dict.fromkeys(lent))
        if checkpoint is not None:
            checkpoint.over(self, start)
        self.notify("on_train_end", X=X, y=y)
        # Where it goes on, ids not met before stand where unseen ones did.
        lazy = getattr(self.optimizer_, "never_moved", None) if not before else None
        self.module_.settle_unseen_ids(lazy)
        loss, limit = self.history[-1]["train_loss"], BLOWN_UP * max(1.0, start)
        if stopper is not None:  # whose best epoch is the one that stays
            loss = min(self.history[before:], key=itemgetter("valid_loss"))[
                "train_loss"
            ]
        if self.learns_outcomes and loss > limit:
            self._refuse(f"the loss went from {start:.3g} to {loss:.3g}")
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

    @torch.inference_mode()
    def side(self, kind, ids, arm):
        """Vectors of "users" or "items", whose products are outcomes on the link."""
        ids = torch.as_tensor(ids).to(self.device)
        return getattr(self.module_, f"{kind}_side")(ids, arm)

    def outputs(self, X, rows=None):
        """Outcome (n, A) and exposure logits (n, A or None) for the rows of X."""
        n = len(next(iter(X.values())))
        rows = None if rows is None else torch.as_tensor(rows)
        n = n if rows is None else len(rows)
        self.module_.train(False)
        outcome = exposure = None

        def block(start, stop):
            nonlocal outcome, exposure
            part = slice(start, stop) if rows is None else rows[start:stop]
            out = self.infer({key: value[part] for key, value in X.items()})
            found = out.outcome.cpu().numpy()
            if outcome is None:
                outcome = np.empty((n, found.shape[1]), found.dtype)
                exposure = None if out.exposure is None else np.empty_like(outcome)
            outcome[start:stop] = found
            if exposure is not None:
                exposure[start:stop] = out.exposure.cpu().numpy()

        with torch.inference_mode():
            at_once = in_blocks(n, self.rows_at_once, block)
        if at_once < self.rows_at_once:
            self.rows_at_once = at_once
        return outcome, exposure


def make_net(
    module,
    criterion,
    criterion_options,
    settings,
    rows,
    generators,
    net_class=CausalNet,
    module_class=CausalNetwork,
):
    """An initialised net.

    Parameters
    ----------
    module : dict
        Arguments of :class:`CausalNetwork`.
    criterion : type
        Class of the objective.
    criterion_options : dict
        Its arguments.
    settings : Settings
        How to train.
    rows : Rows
        The log; the weight of all its rows divides the penalties.
    generators : OwnGenerators
        What the network's first weights are drawn from.
    net_class : type, default=CausalNet
        Class of the net.
    module_class : type, default=CausalNetwork
        Class of the network.

    Returns
    -------
    CausalNet
        Of the class ``net_class``.
    """
    batches = settings.batch_size, len(rows), settings.device
    net = net_class(
        module=module_class,
        criterion=criterion,
        **{f"module__{key}": value for key, value in module.items()},
        **{f"criterion__{key}": value for key, value in criterion_options.items()},
        **named(settings.optimizer, settings.momentum),
        lr=settings.learning_rate * rate_of_batch(*batches),
        batch_size=rows_a_batch(*batches),
        iterator_train=SliceLoader,
        iterator_train__shuffle=True,
        iterator_valid=SliceLoader,
        train_split=None,
        verbose=0,
        device=settings.device,
        l1=settings.l1,
        l2=settings.l2,
        n_rows=rows.total,
    )
    with config_context(enable_metadata_routing=False), generators:
        return net.initialize()
