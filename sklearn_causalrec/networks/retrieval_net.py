"""Networks of lists: how they are trained on positives, and how they score pairs."""

import copy
from dataclasses import replace

import numpy as np
import pandas as pd
import torch

from sklearn_causalrec.encoding.positives import NO_POSITIVES, first_of_pairs, lateness
from sklearn_causalrec.networks import positives
from sklearn_causalrec.networks.batches import (
    held_out_rows,
    network_inputs,
    training_dtype,
)
from sklearn_causalrec.networks.callbacks import training_callbacks
from sklearn_causalrec.networks.encoders import ENCODERS
from sklearn_causalrec.networks.ensemble import Ensemble, Prediction
from sklearn_causalrec.networks.generators import OwnGenerators
from sklearn_causalrec.networks.net import CausalNet, make_net
from sklearn_causalrec.networks.objectives.implicit import Implicit
from sklearn_causalrec.networks.retrieval import RetrievalNetwork
from sklearn_causalrec.networks.text_tower import layer_of, lend

JUDGED = 1000  # items that held-out positives are compared with
QUERIES_AT_ONCE = 8192
# With "auto", a batch is so large a part of the positives, between these.
BATCHES, LEAST, MOST = 16, 256, 8192


class RetrievalNet(CausalNet):
    """skorch net of a :class:`RetrievalNetwork`.

    The validation score is the share of the catalogue that a positive stands above.
    """

    learns_outcomes = False  # its loss has no unit to compare it by
    id_rate = 5.0
    free = ("wide.item.weight",)  # or popular items could not be popular
    catalogue = draws = None  # lent while training

    def train(self, X, y, kept, held_out, generators, *, catalogue, **options):
        """As :meth:`CausalNet.train`, with codes and features of the items lent."""
        self.catalogue = tuple(part.to(self.device) for part in catalogue)
        self.draws = torch.Generator().manual_seed(generators.seed % 2**63)
        try:
            return super().train(X, y, kept, held_out, generators, **options)
        finally:
            self.catalogue = self.draws = None

    def _items(self, positions):
        """Vectors and biases of items of the catalogue; of all with None."""
        codes, features = self.catalogue
        if positions is not None:
            codes, features = codes[positions], features[positions]
        return self.module_.items(codes, features)

    def _asked(self, asked):
        asked = {name: part.to(self.device) for name, part in asked.items()}
        return self.shared(self._part_asked, asked, ["windows"])

    def _part_asked(self, asked):
        if "windows" not in asked:
            return self.module_.queries(**asked)
        if self.ranks is not None:  # of the windows, those of the queries here
            windows, window = asked["window"].unique(return_inverse=True)
            asked = {**asked, "windows": asked["windows"][windows], "window": window}
        return self.module_.windows(**asked)

    def _loss(self, batch, generator):
        """The queries of a batch, and its loss."""
        batch = dict(batch)
        queries = self._asked(batch.pop("asked"))
        batch = {name: part.to(self.device) for name, part in batch.items()}
        return queries, self.criterion_(queries, self._items, batch, generator)

    def train_step(self, batch, **fit_params):
        """The loss of a batch, and a step."""
        X, _ = batch
        self._set_training(True)
        self.optimizer_.zero_grad()
        with self.generators.each_batch():
            _, loss = self._loss(X, self.draws)
            if self.l1:
                weights = (p for n, p in self._weights() if p.requires_grad)
                loss = loss + self.l1 / self.n_rows * sum(
                    p.abs().sum() for p in weights
                )
        self.descend(loss)
        return {"loss": loss}

    @torch.no_grad()
    def validation_step(self, batch, **fit_params):
        """The loss of a batch, and how many of some items its positives stand above."""
        X, _ = batch
        self._set_training(False)
        generator = torch.Generator().manual_seed(0)  # the same draws every time
        queries, loss = self._loss(X, generator)
        n_items = len(self.catalogue[0])
        drawn = torch.randperm(n_items, generator=generator)[:JUDGED].to(self.device)
        vectors, bias = self._items(drawn)
        others = torch.addmm(bias, queries, vectors.T)
        query, item = (X[name].to(self.device) for name in ("query", "item"))
        vectors, bias = self._items(item)
        own = (queries[query] * vectors).sum(1) + bias
        above = (own.unsqueeze(1) > others[query]).double().mean(1)
        return {"loss": loss, "above": above.cpu()}

    def run_single_epoch(self, iterator, training, prefix, step_fn, **fit_params):
        """As in skorch, without a history record and a notification a batch."""
        if iterator is None:
            return
        losses, sizes, above = [], [], []
        for batch in self.steps_of(iterator, training, losses, sizes):
            step = step_fn(batch, **fit_params)
            losses.append(self.criterion_.outcome_loss)
            sizes.append(len(batch[1]))
            above.append(step.get("above"))
        self.record_loss(prefix, losses, sizes)
        if not training:
            self.history.record("valid_score", float(torch.cat(above).mean()))

    @torch.inference_mode()
    def query_vectors(self, rows):
        """Vectors of the queries of rows, (n, embedding_dim), on the device."""
        self._set_training(False)
        X = network_inputs(rows)
        names = [name for name in ("features", "user", "history") if name in X]
        parts = [
            self._asked({k: X[k][start : start + QUERIES_AT_ONCE] for k in names})
            for start in range(0, len(rows), QUERIES_AT_ONCE)
        ]
        return torch.cat(parts)

    @torch.inference_mode()
    def products(self, queries, items):
        """Scores of all queries with all items, ndarray (n_queries, n_items)."""
        X = network_inputs(items)
        given = (X[name].to(self.device) for name in ("item", "features"))
        vectors, bias = self.module_.items(*given)
        return torch.addmm(bias, self.query_vectors(queries), vectors.T).cpu().numpy()


class RetrievalEnsemble(Ensemble):
    """Networks that score pairs for lists, trained on positives; their mean scores.

    The parameters and attributes are those of :class:`Ensemble`.
    """

    catalogue = lately = None

    def __init__(self, settings, log_encoder):
        super().__init__(settings, log_encoder)
        given = settings.objective
        self.options = Implicit() if isinstance(given, str) else given
        self.kind = ENCODERS[settings.encoder]
        self.in_order = self.kind.causal is not None and not log_encoder.roles.histories

    def _batch_size(self, n):
        if self.settings.batch_size != "auto":
            return self.settings.batch_size
        return int(np.clip(2 ** int(np.log2(max(n / BATCHES, 1))), LEAST, MOST))

    def most_epochs(self, n_rows):
        """Largest number of epochs on so many rows."""
        return self._settings(n_rows).max_epochs

    def _settings(self, n):
        return replace(self.settings, batch_size=self._batch_size(n)).of_log(n, n)

    def _positives(self, rows):
        """Positives, one row a pair and query, with their weights and their queries."""
        positive = rows.y > 0
        if not positive.any():
            raise ValueError(NO_POSITIVES)
        rows = rows.take(positive)
        weight = rows.y * rows.weight
        exposure = rows.exposure if rows.propensity is None else rows.propensity
        if exposure is not None:
            if np.isnan(exposure).any():
                raise ValueError(
                    "propensity is NaN in rows with y > 0, and positives weigh by its "
                    "inverse here: give that of each of them, or none."
                )
            weight = weight / np.maximum(exposure, self.settings.clip)
        if self.in_order:
            order = np.lexsort((np.arange(len(rows)), rows.time, rows.user))
            return rows.take(order), weight[order], np.arange(len(rows))
        query = self._queries(rows)
        if query is None:
            return rows, weight, np.arange(len(rows))
        kept = first_of_pairs(query, rows.item, weight, len(self.log_encoder.items))
        return rows.take(kept), weight[kept], query[kept]

    def _queries(self, rows):
        """Numbers of the queries that differ; None where each row is one."""
        if rows.history is not None:
            return None
        features = rows.features[:, ~rows.catalogue.of_item]
        asked = pd.DataFrame(features).assign(user=rows.user)
        asked.columns = range(asked.shape[1])
        return asked.groupby(list(asked), sort=False, dropna=False).ngroup().to_numpy()

    def _net(self, settings, rows, pairs, generators):
        encoder, catalogue = self.log_encoder, rows.catalogue
        module = dict(
            settings.layers,
            encoder=settings.encoder,
            input_noise=settings.input_noise,
            n_features=rows.features.shape[1],
            n_users=len(encoder.users),
            n_items=len(encoder.items),
            mean=encoder.mean,
            scale=encoder.scale,
            of_item=np.flatnonzero(catalogue.of_item).tolist(),
            text=layer_of(encoder.roles.texts),
        )
        if self.in_order or rows.history is not None:
            module["length"] = encoder.history_length
        counts = np.bincount(rows.item, minlength=len(encoder.items))
        options = dict(n_arms=1, binary=False, clip=settings.clip, options=self.options)
        options["counts"] = torch.as_tensor(counts[catalogue.items])
        loader = positives.WindowLoader if self.in_order else positives.QueryLoader
        given = (module, self.objective, options, settings, rows, generators)
        net = make_net(*given, RetrievalNet, RetrievalNetwork)
        net.iterator_train = net.iterator_valid = loader
        return net

    def train(self, rows, seeds, *, epochs=None, kept=None, progress=None):
        """Train one network a seed, or go on with those there are.

        Parameters
        ----------
        rows : Rows
            The log, with its catalogue.
        seeds : sequence of int
            One for each network.
        epochs : int or None, default=None
            Largest number of epochs. None: that of the settings.
        kept : None, default=None
            All positives are trained on.
        progress : callable or None, default=None
            Called with the record of each epoch.

        Returns
        -------
        list of dict
            A record an epoch and member.

        Raises
        ------
        ValueError
            If no row is a positive, or no user has two where their order is read.
        """
        encoder, self.catalogue = self.log_encoder, rows.catalogue
        rows, weight, query = self._positives(rows)
        self.lately = None if self.nets else lateness(rows)
        if self.in_order and np.bincount(rows.user).max() < 2:
            raise ValueError(
                f'encoder="{self.settings.encoder}" learns what follows on what, and '
                'no user has two positives: choose encoder="mf".'
            )
        n, catalogue = len(rows), self.catalogue
        rows.total = float(n)
        dtype = self.nets[0].dtype if self.nets else training_dtype(n)
        place = np.zeros(len(encoder.items), np.int64)
        place[catalogue.items] = np.arange(len(catalogue.items))
        X = network_inputs(rows)
        X |= {
            "query": torch.as_tensor(query),
            "place": torch.as_tensor(place)[X["item"]],
        }
        y = torch.as_tensor(weight / weight.mean(), dtype=dtype)
        settings = self._settings(n)
        epochs = settings.max_epochs if epochs is None else epochs
        early = settings.stops_early(n, epochs)
        shown = (
            torch.as_tensor(catalogue.items),
            torch.as_tensor(catalogue.item_table[catalogue.items]),
        )

        def trained(member, seed, held_out, epochs, progress=None):
            net = self._start_from(member, seed, settings, rows, dtype)
            return net, net.train(
                X,
                y,
                np.arange(n),
                held_out,
                OwnGenerators(seed),
                catalogue=shown,
                callbacks=training_callbacks(settings, epochs, held_out is not None),
                epochs=epochs,
                draw_pairs=None,
                progress=progress,
            )

        nets, history = [], []
        for member, seed in enumerate(seeds):
            held_out = None
            if early:
                fraction = settings.validation_fraction
                held_out = held_out_rows(rows, np.arange(n), fraction, seed)
                held_out = self._with_something_before(rows, held_out)
            net, records = trained(member, seed, held_out, epochs, progress)
            if held_out is not None:
                # The last positives say most of what comes next, and a user's vector
                # knows what it was trained on: once more, with all of them.
                best = int(np.argmin([record["valid_loss"] for record in records]))
                net, _ = trained(member, seed, None, best + 1)
            nets.append(net)
            history += [{"member": member, **record} for record in records]
        self.nets = nets
        return history

    def _with_something_before(self, rows, held_out):
        """Those held out that can be told from an earlier row; None: too few can."""
        if not self.in_order:
            return held_out
        told = np.append(False, rows.user[1:] == rows.user[:-1])
        held_out = held_out[told[held_out]]
        return held_out if 0 < len(held_out) < told.sum() else None

    def _start_from(self, member, seed, settings, rows, dtype):
        """The network to train: the one there is, made ready for these rows, or new."""
        if member < len(self.nets):
            net = copy.deepcopy(self.nets[member])
            self._resume(net, rows)
        else:
            net = self._net(settings, rows, None, OwnGenerators(seed)).to(dtype)
        self._prepare(net, len(self.catalogue.items))
        lend([net], self.log_encoder)
        return net

    def _resume(self, net, rows):
        """Make a net ready for further rows, whose items may be new."""
        encoder, items = self.log_encoder, self.catalogue.items
        net.resume(len(encoder.users), len(encoder.items), rows.total)
        counts = self.catalogue.rated.sum(0)[items]
        net.criterion_.counts = torch.as_tensor(counts, dtype=net.dtype)

    def _prepare(self, net, n_items):
        """Tell the loaders how large a batch may be."""
        most = (
            positives.CELLS // n_items
            if net.criterion_.loss == "softmax"
            else positives.CELLS
        )
        options = dict(most_queries=max(most, 1))
        if self.in_order:
            options["length"] = self.log_encoder.history_length
        for name, value in options.items():
            for part in ("train", "valid"):
                setattr(net, f"iterator_{part}__{name}", value)

    # -- scores --------------------------------------------------------------------

    def _with_pasts(self, rows):
        """Rows with the last positives of their users, where these are read."""
        if self.in_order and rows.history is None:
            rows = copy.copy(rows)
            rows.history = self.catalogue.history[
                np.minimum(rows.user, self.catalogue.n_users)
            ]
        return rows

    def predict(self, rows, index=None):
        """Scores of rows, as the outcome of a Prediction.

        Parameters
        ----------
        rows : Rows
            Encoded rows.
        index : ndarray of int or None, default=None
            Positions of the rows to score; None: all.

        Returns
        -------
        Prediction
            Without exposure.
        """
        rows = self._with_pasts(rows)
        X = network_inputs(rows)
        lend(self.nets, self.log_encoder)
        scores = sum(net.outputs(X, index)[0] for net in self.nets) / len(self.nets)
        new = self._unknown(rows)
        user, item = (
            (new, rows.item) if index is None else (new[index], rows.item[index])
        )
        scores[user] = self._popularity(item[user])[:, None]
        return Prediction(scores, None)

    def products(self, queries, items):
        """Scores of all pairs of some queries and some items.

        Parameters
        ----------
        queries : Rows
            One row for each query, of any item.
        items : Rows
            One row for each item, of any user.

        Returns
        -------
        ndarray of shape (n_queries, n_items)
            The scores.
        """
        queries = self._with_pasts(queries)
        lend(self.nets, self.log_encoder)
        scores = sum(net.products(queries, items) for net in self.nets) / len(self.nets)
        scores[self._unknown(queries)] = self._popularity(items.item)
        return scores

    def _unknown(self, rows):
        """Whether nothing is known of who asks: no positives, no past, no features.

        The networks have a mean user for these, who likes no more popular items than
        others do; a list for everybody does better.
        """
        if self.nets[0].module_.of_query or self.options.popularity:
            return np.zeros(len(rows), bool)
        chosen = self.catalogue.rated if self.kind.query.reads_users else None
        return positives.nothing_known(rows, chosen)

    def _popularity(self, item):
        """The logarithm of 1 + the number of users who chose each item, of late more.

        Networks that went on with further rows count all users alike.
        """
        return positives.log_popularity(self.catalogue.rated, self.lately, item)

    @property
    def of_item(self):
        """Whether each feature is read with the item; (n_features,)."""
        network = self.nets[0].module_
        return np.isin(
            np.arange(len(network.of_item) + len(network.of_query)), network.of_item
        )
