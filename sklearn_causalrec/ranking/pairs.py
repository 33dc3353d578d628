"""All pairs of some users and some items, as rows that an estimator can score."""

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

from sklearn_causalrec.encoding.feature_groups import check_missing
from sklearn_causalrec.encoding.log_encoder import Rows
from sklearn_causalrec.encoding.roles import column
from sklearn_causalrec.encoding.time_formats import shown
from sklearn_causalrec.ranking.asked import (
    column_of_role,
    excluded_pairs,
    in_both,
    one_row_each,
    read_context,
    read_side,
)
from sklearn_causalrec.ranking.raw_columns import has_steps, raw_columns

PAIRS_AT_ONCE = 65536


class Pairs:
    """The pairs of a recommendation, made in blocks.

    Parameters
    ----------
    fitted : estimator, Pipeline or search
        The fitted model.
    transform : callable
        The steps before the estimator.
    estimator : CausalDNNRecommender
        The estimator at the end of `fitted`.
    users, items : array-like of ids, frame, or None
        The users and items asked for, as in :func:`~sklearn_causalrec.recommend`.
    context : dict, one-row frame, or None, default=None
        The values of further columns, as in :func:`~sklearn_causalrec.recommend`.

    Attributes
    ----------
    keys : tuple of two
        The columns of the user ids and of the item ids, as the caller calls them.
    users, items : ndarray of ids
        The ids of the users and of the items.
    user_codes, item_codes : ndarray of int
        The codes by which the estimator scores them.
    informed : list of two bool
        Whether features of the users, and of the items, were given.
    """

    def __init__(self, fitted, transform, estimator, users, items, context=None):
        catalogue = getattr(estimator, "catalogue_", None)
        if catalogue is None:
            raise ValueError(
                "Recommending needs to know users and items: name their columns, "
                'user="…" and item="…", before fit.'
            )
        self.estimator, self.catalogue = estimator, catalogue
        encoder = estimator.log_encoder_
        self.roles = encoder.roles
        both = ("user", "item")
        self.keys = tuple(column_of_role(fitted, estimator, role) for role in both)
        positions = [self.roles.columns_[role] for role in both]
        offered = encoder.items.ids[catalogue.items].to_numpy()
        everybody = encoder.users.ids.to_numpy()
        self.sides = [
            read_side(given, role, key, index, known, position)
            for given, role, key, index, known, position in zip(
                (users, items), both, self.keys, (encoder.users, encoder.items),
                (everybody, offered), positions,
            )
        ]  # fmt: skip
        if len(self.sides[1].ids) == 0:
            raise ValueError("The catalogue is empty: items holds no item.")
        self.raw = None
        if not has_steps(fitted, estimator):
            known = [*self.roles.feature_columns_, *self.roles.histories]
            self.sides = [one_row_each(side, known) for side in self.sides]
        elif context is None and all(side.comes_alone for side in self.sides):
            self.sides = [one_row_each(side, []) for side in self.sides]
        else:
            self.sides, *raw = raw_columns(fitted, estimator, self.sides, context)
            self.raw = (transform, *raw)
        self.users, self.items = (side.ids for side in self.sides)
        self.user_codes, self.item_codes = (side.codes for side in self.sides)
        self._split = None, None
        self.history = self.history_values = None
        if catalogue.history is not None:
            self._read_histories(self.sides[0].frame)
        self._read_features(context)

    # -- features as the estimator reads them ----------------------------------

    def _read_features(self, context):
        """Values of users, of items and of the context, and which of them count."""
        catalogue, roles = self.catalogue, self.roles
        self.user_table = catalogue.user_table[self.user_codes]
        self.item_table = catalogue.item_table[self.item_codes]
        self.of_user, self.of_item = catalogue.of_user.copy(), catalogue.of_item.copy()
        self.context = catalogue.context.copy()
        frames = [side.frame for side in self.sides]
        self.informed = [f is not None and f.shape[1] > 0 for f in frames]
        if self.raw is not None:
            return
        given = [self._given_features(side) for side in self.sides]
        both = given[0].keys() & given[1].keys()
        if both:
            name = roles.feature_columns_[min(both)]
            raise ValueError(f"items holds {name!r}, {in_both('users')}.")
        tables = (self.user_table, self.item_table)
        masks = (self.of_user, self.of_item)
        own = (catalogue.of_user, catalogue.of_item)
        for n in (0, 1):
            self.informed[n] = any(own[n][j] for j in given[n])
            for j, values in given[n].items():
                tables[n][:, j] = values
                masks[n][j], masks[1 - n][j] = True, False
        self._read_context(context, given)
        self.given = [set(g) for g in given]
        if roles.towers_ is not None:
            self._check_towers()

    def _given_features(self, side):
        """Values of the features in the frame of a side, by position."""
        out = {}
        for name in [] if side.frame is None else side.frame.columns:
            if name not in self.roles.feature_columns_:
                continue
            j = self.roles.feature_columns_.index(name)
            owner = self.catalogue.owner.iloc[j]
            if self.catalogue.certain[j] and owner not in (side.role, "context"):
                raise ValueError(
                    f"{name!r} came with {side.role}s, and it is a feature of the "
                    f"{owner} (catalogue_.owner): pass it with {owner}s=, drop it "
                    f"there, or name it in {side.role}_features= before fit."
                )
            values = self.roles.read_feature(j, side.frame[name])
            wrong = np.isinf(values)
            if self.roles.towers_ is None:
                wrong |= np.isnan(values)
            if wrong.any():
                row = int(wrong.argmax())
                raise ValueError(
                    f"{side.role}s: {name!r} is {values[row]} for the {side.role} "
                    f"{shown(side.ids[row])}. Fill such values; or leave the column "
                    "out, and what is assumed then is in explain."
                )
            out[j] = values
        return out

    def _read_context(self, context, given):
        features, roles = self.roles.feature_columns_, self.roles
        passive = set(roles.columns_) & {"time", "treatment", "propensity"}
        known = [*features, *(roles.columns_[role] for role in sorted(passive))]
        owners, certain = self.catalogue.owner.tolist(), self.catalogue.certain
        why_not = {
            name: f"which is a feature of the {owner} (catalogue_.owner): pass it with "
            f"{owner}s="
            for name, owner, sure in zip(features, owners, certain)
            if sure and owner != "context"
        }
        for values, side in zip(given, self.sides):
            why_not |= {features[j]: in_both(f"{side.role}s") for j in values}
        shared = read_context(context, known, list(self.keys), why_not)
        for name, value in shared.items():
            if name not in features:
                continue  # lists do not depend on it
            j = features.index(name)
            self.context[j] = roles.read_feature(j, [value])[0]
            if not np.isfinite(self.context[j]) and roles.towers_ is None:
                raise ValueError(f"context: {name!r} is {value!r}. Pass a number.")
            self.of_user[j] = self.of_item[j] = False
            given[0][j] = None

    def _check_towers(self):
        """A pair may lack a whole tower, and nothing else."""
        n_users, n_items = len(self.users), len(self.items)
        pairs = (
            ("users", np.arange(n_users), np.zeros(n_users, int)),
            ("items", np.zeros(n_items, int), np.arange(n_items)),
        )
        for name, user, item in pairs if n_users else ():
            features = self.rows(user, item).features
            try:
                check_missing(features, self.roles.feature_columns_, self.roles.towers_)
            except ValueError as refusal:
                raise ValueError(f"{name}: {refusal}") from None

    def assumed(self, user, item):
        """What was assumed for columns that nobody gave.

        Parameters
        ----------
        user, item : ndarray of int of shape (n,)
            The positions of users and items.

        Returns
        -------
        list of dict of feature to value
            One dict a pair. A feature of the context counts at its mean over the log.
            A feature of a user or item that the log does not know counts at its mean
            over users or items.
        """
        if self.raw is not None:
            return [{} for _ in user]
        free = ~(self.of_user | self.of_item)
        shared = self._named(self.context, free & ~self._is_given())
        catalogue = self.catalogue
        parts = []
        for positions, table, mask, codes, n_rows in (
            (user, self.user_table, self.of_user, self.user_codes, 1),
            (item, self.item_table, self.of_item, self.item_codes, 0),
        ):
            counts = np.append(catalogue.logged.sum(n_rows)[:-1], 0)
            new = counts[np.minimum(codes, len(counts) - 1)] == 0
            open_ = mask & ~self._is_given()
            found = {p: self._named(table[p], open_) for p in {*positions} if new[p]}
            parts.append([found.get(p, {}) for p in positions])
        return [{**shared, **mine, **its} for mine, its in zip(*parts)]

    def _is_given(self):
        given = np.zeros(len(self.context), bool)
        given[list(self.given[0] | self.given[1])] = True
        return given

    def _named(self, values, chosen):
        """Values by name, in the units of the log."""
        found = self.roles.in_units(values[None].astype(np.float64))
        return {
            name: float(value[0])
            for (name, value), mine in zip(found.items(), chosen)
            if mine
        }

    def _read_histories(self, frame):
        """Read histories from the users' frame if it has them, else from the log."""
        catalogue, encoder = self.catalogue, self.estimator.log_encoder_
        named = encoder.roles.histories
        if frame is not None and named and named[0] in frame.columns:
            past = encoder.histories([column(frame, name) for name in named])
            self.history, self.history_values = past
            return
        self.history = catalogue.history[self.user_codes]
        if catalogue.history_values is not None:
            self.history_values = catalogue.history_values[self.user_codes]

    # -- rows through a pipeline ------------------------------------------------

    def _raw_rows(self, user, item):
        transform, needed, users, items = self.raw
        parts = [users.iloc[user], items.iloc[item]]
        parts = [part.reset_index(drop=True) for part in parts]
        X = pd.concat(parts, axis=1)[needed]
        try:
            rows = self.estimator.log_encoder_.rows(self.estimator, transform(X))
        except ValueError as refusal:
            gaps = X.columns[X.isna().any()].tolist()
            if not gaps:
                raise
            raise ValueError(
                f"Values are missing in the columns {gaps} of users and items, and the "
                f"pipeline does not fill them: {refusal}"
            ) from refusal
        rows.arm = None
        rows.user, rows.item = self.user_codes[user], self.item_codes[item]
        return rows

    # -- rows and scores -------------------------------------------------------

    def rows(self, user, item):
        """Return the encoded rows of the pairs (users[user[i]], items[item[i]])."""
        if self.raw is not None:
            return self._raw_rows(user, item)
        features = np.empty((len(user), len(self.context)), np.float32)
        features[:] = self.context
        features[:, self.of_user] = self.user_table[user][:, self.of_user]
        features[:, self.of_item] = self.item_table[item][:, self.of_item]
        rows = Rows(features, self.user_codes[user], self.item_codes[item])
        if self.history is not None:
            rows.history = self.history[user]
        if self.history_values is not None:
            rows.history_values = self.history_values[user]
        return rows

    def side_features(self):
        """What each side brings to the features of a pair; where nothing is raw.

        Returns
        -------
        features : tuple of two ndarray
            Of the users, with the context, and of the items.
        mine : tuple of two ndarray of bool of shape (p,)
            The features that users, and that items bring.
        """
        features = [np.tile(self.context, (len(side.ids), 1)) for side in self.sides]
        own = (self.of_user, self.of_item)
        for side, table, mine in zip(features, (self.user_table, self.item_table), own):
            side[:, mine] = table[:, mine]
        return tuple(features), (~self.of_item, self.of_item)

    def sides_of(self, scorer):
        """What scores these pairs by their two sides, or None.

        Parameters
        ----------
        scorer : PairScores

        Returns
        -------
        object or None
            Where ``scorer.split`` has one, and no steps make the rows of pairs.
        """
        if self.raw is not None or self.history is not None or scorer.split is None:
            return None
        if self._split[0] is not scorer:
            self._split = scorer, scorer.split(self)
        return self._split[1]

    def scores(self, scorer, start, stop, check=True):
        """Score the users start to stop against all items; (stop - start, n_items).

        Without ``check``, scores that are no numbers are not refused.
        """
        n_items = len(self.items)
        sides = self.sides_of(scorer)
        if self.raw is None and scorer.matrix is not None:
            codes = self.user_codes[start:stop], self.item_codes
            out = np.asarray(scorer.matrix(*codes)).ravel()
        elif sides is not None:
            out = sides.block(start, stop).ravel()
        elif scorer.products is not None and self._splits(scorer.of_item):
            users = self.rows(np.arange(start, stop), np.zeros(stop - start, int))
            items = self.rows(np.zeros(n_items, int), np.arange(n_items))
            out = np.asarray(scorer.products(users, items)).ravel()
        else:
            out = None
            size = (stop - start) * n_items
            for first in range(0, size, PAIRS_AT_ONCE):
                flat = np.arange(first, min(first + PAIRS_AT_ONCE, size))
                rows = self.rows(start + flat // n_items, flat % n_items)
                scores = np.asarray(scorer.rows(rows))
                if out is None:
                    out = np.empty(size, scores.dtype)
                out[flat] = scores
        if check and (lost := np.isnan(out)).any():
            user, item = divmod(int(lost.argmax()), n_items)
            raise self.not_a_number(start + user, item)
        return out.reshape(stop - start, n_items)

    def not_a_number(self, user, item):
        """The error of a score that is none, by the positions of user and item."""
        return ValueError(
            f"The score of the user {shown(self.users[user])} with the item "
            f"{shown(self.items[item])} is not a number."
        )

    def _splits(self, of_item):
        """Whether no feature that goes with items differs between users, or the other
        way round."""
        if self.raw is not None:
            return False
        return (
            not (self.of_user & of_item).any() and not (self.of_item & ~of_item).any()
        )

    def excluded(self, exclude, exclude_seen):
        """Return the pairs to leave out, as a csr_array of shape (n_users, n_items)."""
        encoder = self.estimator.log_encoder_
        indexes = encoder.users, encoder.items
        shape = (len(self.users), len(self.items))
        out = csr_array(shape, dtype=bool)
        pairs = seen_pairs(self.estimator, exclude_seen)
        if pairs is not None:
            user, item = (side.codes for side in self.sides)
            out = pairs[user][:, item]
        if exclude is not None:
            out = out + excluded_pairs(exclude, *self.sides, indexes)
        return csr_array(out)


def seen_pairs(estimator, exclude_seen):
    """The pairs of the log that lists leave out.

    Parameters
    ----------
    estimator : estimator, fitted
        With a catalogue.
    exclude_seen : bool or "rated"
        True: those that were shown. "rated": those with an outcome above 0.

    Returns
    -------
    csr_array of shape (n_users + 1, n_items + 1), or None
        By codes.

    Raises
    ------
    ValueError
        If it is another value, or which arm means "not shown" can't be told.
    """
    catalogue, arms = estimator.catalogue_, estimator.log_encoder_.arms
    rated = isinstance(exclude_seen, str) and exclude_seen == "rated"
    if not rated and not isinstance(exclude_seen, bool | np.bool_):
        raise ValueError(
            f"exclude_seen is {exclude_seen!r}: True leaves out pairs that were "
            'shown, "rated" those with an outcome above 0, and False none.'
        )
    if not exclude_seen:
        return None
    if rated:
        return catalogue.rated
    if len(arms) > 1 and catalogue.control is None:
        raise ValueError(
            "exclude_seen=True leaves out the pairs that were shown, and which of "
            f"the arms {arms.tolist()[:20]} means not shown can't be told: name "
            "it before fit, control=…, or set exclude_seen=False and pass the "
            "pairs as exclude=."
        )
    return catalogue.seen
