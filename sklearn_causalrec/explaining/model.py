"""A fitted model as explanations see it: rows go in as people have them."""

import numpy as np
import pandas as pd

from sklearn_causalrec._utils.unwrap import unwrap
from sklearn_causalrec.encoding.contrasts import contrast, named_arms
from sklearn_causalrec.encoding.frames import as_frame, refuse_unclear
from sklearn_causalrec.encoding.moments import weighted_moments

# Who a column tells of. Towers keep their own names.
OWNERS = ("user", "item", "history", "context")
_IDLE = ("treatment", "propensity", "cluster", "time")


def _plain(arm):
    return arm.item() if isinstance(arm, np.generic) else arm


def _made_of(name, column):
    """Whether a transformer's column is the caller's: "num__age", "cat__town_Bonn"."""
    return name == column or f"__{column}_" in f"{name}_"


class Model:
    """A fitted model, through any pipeline, and the two arms that are compared.

    Parameters
    ----------
    fitted : estimator, Pipeline or search
        The fitted model.
    T0, T1 : scalar, default=None
        The arms, as in :func:`~sklearn_causalrec.effect`.

    Attributes
    ----------
    transform : callable
        The steps before the estimator.
    estimator : estimator
        The estimator at the end of `fitted`.
    refusal : ValueError or None
        Why there is no effect; None where there is one.
    arms : list
        The arms as the estimator calls them; empty for doses.
    control : scalar or None
        The arm that effects are against.
    pair : tuple of two
        The two arms, or doses, that are compared. Without an effect both are None.
    """

    def __init__(self, fitted, T0=None, T1=None):
        self.fitted, self.arrays = fitted, False
        self.transform, self.estimator = unwrap(fitted)
        for name in ("predict", "effect"):
            if hasattr(self.estimator, name):
                break
        else:
            raise TypeError(
                f"{type(self.estimator).__name__} neither predicts outcomes nor has "
                "effects: pass a fitted model of this package, or a pipeline that ends "
                "with one."
            )
        self.arms = [_plain(arm) for arm in getattr(self.estimator, "arms_", [])]
        self.control = _plain(getattr(self.estimator, "control_", None))
        self.named = named_arms(T0, T1)
        self.refusal, self.pair = None, (None, None)
        try:
            self.pair = self._pair(T0, T1)
        except ValueError as refusal:
            # Arms that have to be named are not an effect that is not identified.
            several = len(self.arms) > 1
            unidentified = getattr(self.estimator, "_unidentified", None) is not None
            if self.named or (several and not unidentified):
                raise
            self.refusal = refusal

    def _pair(self, T0, T1):
        if not hasattr(self.estimator, "_contrast"):
            raise ValueError(
                f"{type(self.estimator).__name__} predicts outcomes and has no effects."
            )
        t0, t1 = self.estimator._contrast(T0, T1)
        if self.arms:
            self.positions = t0, t1
            return self.arms[t0], self.arms[t1]
        return t0, t1

    @property
    def name(self):
        """What the outcome is called."""
        return str(getattr(self.estimator, "outcome_name_", "the outcome"))

    def need_parts(self, frame):
        """Refuse, in the estimator's words, where no effect of rows is identified."""
        known = getattr(self.estimator, "effect_modifiers_", ())
        if known is None:
            self.effect(frame[:1])

    def need_effect(self):
        """Refuse, in the estimator's words, where no effect is identified."""
        if self.refusal is not None:
            raise self.refusal

    # -- rows ------------------------------------------------------------------

    def frame(self, X):
        """X as a frame, which `given` turns back into what came: frame or array."""
        refuse_unclear(X)
        self.arrays = not hasattr(X, "columns")
        named = self.encoder is None and hasattr(self.estimator, "feature_names_in_")
        if self.arrays and named:
            raise TypeError(
                f"X is {type(X).__name__}: a frame is needed, with the columns that "
                f"this {type(self.estimator).__name__} was fitted to."
            )
        return as_frame(X, arrays=True).reset_index(drop=True)

    def given(self, frame):
        """Rows in the form in which X came."""
        return frame.to_numpy() if self.arrays else frame

    def effect(self, frame):
        """The effect of each row, (n,)."""
        rows = self.transform(self.given(frame))
        return np.asarray(self.estimator.effect(rows, **self.named), float)

    def outcome(self, frame):
        """The mean outcome of each row under the arm of interest; None if none."""
        rows = self.transform(self.given(frame))
        options = {}
        if self.refusal is None and len(self.arms) != 1:
            options["treatment"] = self.pair[1]
        if hasattr(self.estimator, "predict_proba"):
            return self.estimator.predict_proba(rows, **options)[:, 1]
        if not hasattr(self.estimator, "predict"):
            return None
        return np.asarray(self.estimator.predict(rows, **options), float)

    def outputs(self):
        """What can be asked of rows, by name: "effect" and "outcome", callables."""
        found = {} if self.refusal is not None else {"effect": self.effect}
        return {**found, "outcome": self.outcome}

    # -- columns ---------------------------------------------------------------

    @property
    def encoder(self):
        """The reader of column roles, of estimators that have one, or None."""
        return getattr(self.estimator, "log_encoder_", None)

    def _raw(self, key, columns):
        """The column of the caller that the estimator calls `key`."""
        if key in columns:
            return key
        if isinstance(key, (int, np.integer)):
            return columns[key] if self.encoder.roles.has_names_ is False else None
        found = [c for c in columns if str(key).endswith(f"__{c}")]
        return found[0] if len(found) == 1 else None

    def roles(self, columns):
        """The role of each column that has one: a dict of column to role."""
        found = {}
        if self.encoder is None:
            estimator = self.estimator
            for name in getattr(estimator, "treatment_names_", ()):
                found[name] = "treatment"
            reader = getattr(estimator, "_reader", None)
            for name in getattr(reader, "_ids", ()):
                found[name] = "cluster"
        else:
            roles = self.encoder.roles
            named = [(role, key) for role, key in roles.columns_.items()]
            named += [("history", key) for key in roles.histories]
            named += [("cluster", key) for key in roles.clusters]
            for role, key in named:
                found.setdefault(self._raw(key, columns), role)
        return {c: found[c] for c in columns if c in found}

    def features(self, columns):
        """The columns that the effect may depend on and that have no role."""
        roles = self.roles(columns)
        free = [c for c in columns if c not in roles]
        if not hasattr(self.estimator, "effect_modifiers_"):
            return free
        modifiers = self.estimator.effect_modifiers_
        if modifiers is None:  # one arm, or no effect of rows is identified
            return free if self.refusal is not None else []
        found = [c for c in free if any(_made_of(name, c) for name in modifiers)]
        # Steps before may have renamed all of them; without a graph all count.
        renamed = not found and modifiers and self.estimator.graph is None
        return free if renamed else found

    def groups(self, columns, by="group"):
        """Columns that count together: a dict of group to list of columns.

        Parameters
        ----------
        columns : list
            The caller's columns.
        by : "group", "column" or dict
            "group" joins what tells of the user, of the item, of the context, of the
            history, and towers such as text. "column" leaves each column alone. A dict
            names groups, as group: list of columns.

        Returns
        -------
        dict of str to list
        """
        roles = self.roles(columns)
        read = [c for c in columns if roles.get(c) not in _IDLE]
        if self.encoder is None:
            read = [c for c in self.features(columns) if c in read]
        if isinstance(by, dict):
            return self._told_groups(by, read)
        told = {"user", "item", "history"} & set(roles.values())
        towers = None if self.encoder is None else self.encoder.roles.towers_
        if (isinstance(by, str) and by == "column") or not (told or towers):
            return {str(c): [c] for c in read}
        found = {}
        for c in read:
            owner = roles.get(c) or self._owner(c, columns.index(c))
            found.setdefault(owner, []).append(c)
        order = [g for g in OWNERS if g in found]
        return {g: found[g] for g in [*order, *(g for g in found if g not in order)]}

    @staticmethod
    def _told_groups(groups, read):
        taken = [c for named in groups.values() for c in named]
        for c in taken:
            if c not in read:
                raise ValueError(
                    f"groups names {c!r}, which is no column that the model reads: "
                    f"those are {read}."
                )
        if len(set(taken)) < len(taken):
            twice = next(c for c in taken if taken.count(c) > 1)
            raise ValueError(f"Column {twice!r} is in two groups.")
        rest = [c for c in read if c not in taken]
        found = {str(g): list(named) for g, named in groups.items()}
        return {**found, "other": rest} if rest else found

    def _owner(self, column, position):
        """The tower or the owner of a column, as far as one can be told."""
        roles = self.encoder.roles
        key = column if roles.has_names_ else position
        names = enumerate(roles.feature_columns_)
        places = [j for j, name in names if _made_of(name, key)]
        for tower, inside in (roles.towers_ or {}).items():
            if tower not in (*OWNERS, "other") and places:
                if set(places) <= set(inside):
                    return tower
        catalogue = getattr(self.estimator, "catalogue_", None)
        if catalogue is None:
            return "features"
        owners = {catalogue.owner.iloc[j] for j in places}
        return owners.pop() if len(owners) == 1 else "context"

    # -- the log ---------------------------------------------------------------

    def log(self, X):
        """The frame of the rows of ``fit``, and what is kept of the effect in them.

        Parameters
        ----------
        X : frame or array-like of shape (n, p)
            The X that was given to ``fit``, in its order.

        Returns
        -------
        frame : DataFrame
            The rows of positive weight.
        scores : LogScores

        Raises
        ------
        ValueError
            If no effect is identified, or X is not the log.
        """
        self.need_effect()
        if not hasattr(self.estimator, "_log_scores"):
            raise ValueError(
                f"{type(self.estimator).__name__} keeps no scores of the log: pass a "
                "CausalDNNRecommender or a DoCalculusEffect."
            )
        scores, frame = self.estimator._log_scores(), self.frame(X)
        kept = np.ones(len(scores.scores), bool) if scores.kept is None else scores.kept
        if len(frame) != len(kept):
            raise ValueError(
                f"X has {len(frame)} rows and fit saw {len(kept)}: effects of parts of "
                "the log are means of its own scores. Pass the X that was given to "
                "fit, in its order."
            )
        frame = frame[kept].reset_index(drop=True)
        if not self._is_log(frame, scores) or not self._is_in_order(frame, scores):
            raise ValueError(
                "X holds other rows than fit saw, or the same in another order: pass "
                "the X that was given to fit, as it was."
            )
        return frame, scores

    def _is_log(self, frame, scores):
        """Whether the rows read as those of fit: by each value, or by the means."""
        rows = self.transform(self.given(frame))
        if self.encoder is not None:
            features = self.encoder.rows(self.estimator, rows).features
            if not features.shape[1]:
                return True
            mean, _ = weighted_moments(features, scores.weight)
            apart = np.abs(mean - self.encoder.mean) / self.encoder.scale
            return bool(np.all((apart < 1e-3) | ~np.isfinite(apart)))
        known = self.estimator._answer.variables
        mine = known.at(self.estimator._reader.rows(self.estimator, rows))
        names = [c for c in known.names if c in mine.names]
        a, b = known.matrix(names), mine.matrix(names)
        return np.allclose(a, b, rtol=1e-6, equal_nan=True)

    def _is_in_order(self, frame, scores):
        """Whether arms and clusters are those of each row, where columns tell them."""
        columns = list(frame.columns)
        roles = self.roles(columns)
        arms = [c for c in columns if roles.get(c) == "treatment"]
        if len(arms) == 1 and self.arms and not isinstance(self.arms[0], tuple):
            place = pd.Index(self.arms).get_indexer(pd.Index(frame[arms[0]]))
            if not np.array_equal(place, scores.arm):
                return False
        if scores.clusters is None:
            return True
        for name, codes in zip(scores.clusters.names, scores.clusters.codes.T):
            mine = [c for c in columns if c == name or roles.get(c) == name]
            if len(mine) == 1:
                found = pd.factorize(frame[mine[0]])[0]
                if not np.array_equal(found, pd.factorize(codes)[0]):
                    return False
        return True

    def clusters_in(self, frame):
        """The user, or else the cluster, of each row, for errors; or None."""
        roles = self.roles(list(frame.columns))
        for wanted in ("user", "cluster"):
            for column, role in roles.items():
                if role == wanted:
                    return frame[column]
        return None

    def positions_of(self, arm):
        """The position of an arm among all, by its label."""
        return contrast(self.arms, self.control, T0=arm, T1=arm)[0]
