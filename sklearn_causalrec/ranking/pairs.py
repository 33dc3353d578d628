"""All pairs of some users and some items, as rows that an estimator can score."""

import numpy as np
import pandas as pd
from scipy.sparse import csr_array

from sklearn_causalrec.encoding.log_encoder import Rows
from sklearn_causalrec.encoding.roles import as_ids, column

PAIRS_AT_ONCE = 65536


def _query(given, key, role, known):
    """Return the ids asked for, and the frame that came with them, if any."""
    if given is None:
        return known.to_numpy(), None
    if not hasattr(given, "columns"):
        return as_ids(np.atleast_1d(np.asarray(given)), role), None
    frame = given if isinstance(given, pd.DataFrame) else given.to_pandas()
    if key not in frame.columns:
        raise ValueError(
            f"{role}s came as a frame without the column {key!r} of ids; its columns "
            f"are {list(frame.columns)}."
        )
    return as_ids(frame[key].to_numpy(), role), frame.reset_index(drop=True)


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

    Attributes
    ----------
    users, items : ndarray of ids
        The ids of the users and of the items.
    user_codes, item_codes : ndarray of int
        The codes by which the estimator scores them.
    informed : list of two bool
        Whether features of the users, and of the items, were given.
    """

    def __init__(self, fitted, transform, estimator, users, items):
        catalogue = getattr(estimator, "catalogue_", None)
        if catalogue is None:
            raise ValueError(
                "Recommending needs to know users and items: name their columns, "
                'user="…" and item="…", before fit.'
            )
        self.estimator, self.catalogue = estimator, catalogue
        encoder = estimator.log_encoder_
        roles = encoder.roles
        keys = (roles.named["user"], roles.named["item"])
        offered = encoder.items.ids[catalogue.items]
        self.users, user_frame = _query(users, keys[0], "user", encoder.users.ids)
        self.items, item_frame = _query(items, keys[1], "item", offered)
        if len(self.items) == 0:
            raise ValueError("The catalogue is empty: items holds no item.")
        self.user_codes = encoder.users.codes(self.users)
        self.item_codes = encoder.items.codes(self.items)
        self.user_table = catalogue.user_table[self.user_codes]
        self.item_table = catalogue.item_table[self.item_codes]
        self.history = self.history_values = None
        if catalogue.history is not None:
            self._read_histories(user_frame)
        frames = (user_frame, item_frame)
        featured = [f for f in frames if f is not None and f.shape[1] > 1]
        self.raw = None
        self.informed = [f is not None and f.shape[1] > 1 for f in frames]
        if featured and fitted is not estimator:
            self.raw = self._raw_frames(fitted, transform, *frames, keys)
        elif featured:
            self._read_features(frames, roles)

    def _read_features(self, frames, roles):
        catalogue, features = self.catalogue, roles.feature_columns_
        sides = (
            (frames[0], self.user_table, catalogue.of_user),
            (frames[1], self.item_table, catalogue.of_item),
        )
        for side, (frame, table, own) in enumerate(sides):
            named = [] if frame is None else frame.columns
            found = [j for j, name in enumerate(features) if name in named and own[j]]
            self.informed[side] = bool(found)
            for j in found:
                table[:, j] = roles.read_feature(j, frame[features[j]])

    def _read_histories(self, frame):
        """Read histories from the users' frame if it has them, else from the log."""
        catalogue, encoder = self.catalogue, self.estimator.log_encoder_
        named = encoder.roles.histories
        if frame is not None and named[0] in frame.columns:
            past = encoder.histories([column(frame, name) for name in named])
            self.history, self.history_values = past
            return
        self.history = catalogue.history[self.user_codes]
        if catalogue.history_values is not None:
            self.history_values = catalogue.history_values[self.user_codes]

    def _raw_frames(self, fitted, transform, users, items, keys):
        needed = list(getattr(fitted, "feature_names_in_", []))
        parts = []
        for frame, ids, key in zip((users, items), (self.users, self.items), keys):
            frame = pd.DataFrame({key: ids}) if frame is None else frame
            parts.append(frame[[c for c in needed if c in frame.columns]])
        parts[1] = parts[1].drop(columns=parts[0].columns, errors="ignore")
        encoder = self.estimator.log_encoder_
        done = {"treatment": encoder.arms[0], "propensity": np.nan}  # not asked here
        done = {encoder.roles.roles[role]: value for role, value in done.items()}
        for c in done:
            if c in needed and c not in {*parts[0], *parts[1]}:
                parts[0] = parts[0].assign(**{c: done[c]})
        missing = [c for c in needed if c not in {*parts[0], *parts[1]}]
        if missing:
            raise ValueError(
                f"The pipeline transforms the columns {needed}, and users and items "
                f"came without {missing}. Pass frames that hold them, or ids alone."
            )
        return needed, transform, *parts

    def rows(self, user, item):
        """Return the encoded rows of the pairs (users[user[i]], items[item[i]])."""
        if self.raw is not None:
            needed, transform, users, items = self.raw
            parts = [users.iloc[user], items.iloc[item]]
            parts = [part.reset_index(drop=True) for part in parts]
            X = transform(pd.concat(parts, axis=1)[needed])
            rows = self.estimator.log_encoder_.rows(self.estimator, X)
            rows.arm = None
            rows.user, rows.item = self.user_codes[user], self.item_codes[item]
            return rows
        catalogue = self.catalogue
        features = np.empty((len(user), len(catalogue.context)), np.float32)
        features[:] = catalogue.context
        features[:, catalogue.of_user] = self.user_table[user][:, catalogue.of_user]
        features[:, catalogue.of_item] = self.item_table[item][:, catalogue.of_item]
        rows = Rows(features, self.user_codes[user], self.item_codes[item])
        if self.history is not None:
            rows.history = self.history[user]
        if self.history_values is not None:
            rows.history_values = self.history_values[user]
        return rows

    def scores(self, scorer, start, stop):
        """Score the users start to stop against all items; (stop - start, n_items)."""
        if self.raw is None and scorer.matrix is not None:
            return scorer.matrix(self.user_codes[start:stop], self.item_codes)
        n_items = len(self.items)
        out = np.empty((stop - start) * n_items, np.float32)
        for first in range(0, len(out), PAIRS_AT_ONCE):
            flat = np.arange(first, min(first + PAIRS_AT_ONCE, len(out)))
            rows = self.rows(start + flat // n_items, flat % n_items)
            out[flat] = scorer.rows(rows)
        return out.reshape(stop - start, n_items)

    def excluded(self, exclude, exclude_seen):
        """Return the pairs to leave out, as a csr_array of shape (n_users, n_items)."""
        shape = (len(self.users), len(self.items))
        out = csr_array(shape, dtype=bool)
        if exclude_seen:
            encoder = self.estimator.log_encoder_
            user, item = (
                encoder.users.codes(self.users),
                encoder.items.codes(self.items),
            )
            out = self.catalogue.seen[user][:, item]
        if exclude is not None:
            pairs = np.asarray(exclude, dtype=object).reshape(-1, 2)
            user = as_ids(_plain(pairs[:, 0]), "user of exclude")
            item = as_ids(_plain(pairs[:, 1]), "item of exclude")
            listed = pd.MultiIndex.from_arrays([user, item]).unique()
            by_user = pd.Series(np.arange(shape[0]), self.users)
            by_item = pd.Series(np.arange(shape[1]), self.items)
            known = [(u, i) for u, i in listed if u in by_user and i in by_item]
            cells = [
                (a, b)
                for u, i in known
                for a in np.atleast_1d(by_user[u])
                for b in np.atleast_1d(by_item[i])
            ]
            if cells:
                a, b = np.array(cells).T
                out = out + csr_array((np.ones(len(a), bool), (a, b)), shape=shape)
        return csr_array(out)


def _plain(ids):
    return np.array(ids.tolist())
