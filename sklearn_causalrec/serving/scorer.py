"""compile_scorer: a fitted recommender as arrays, for rows in microseconds."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from sklearn_causalrec._utils.typing import Arm
from sklearn_causalrec._utils.unwrap import unwrap
from sklearn_causalrec.effects.intervals import check_alpha
from sklearn_causalrec.effects.second_stage import read_outcomes
from sklearn_causalrec.encoding.arms import (
    arm_codes,
    arm_position,
    check_arms,
    listed,
    read_treatment,
)
from sklearn_causalrec.encoding.contrasts import contrast
from sklearn_causalrec.encoding.frames import as_array, refuse_unclear
from sklearn_causalrec.encoding.roles import EXACT, as_ids
from sklearn_causalrec.serving.flat_networks import FlatNetworks

FEW = 64  # rows whose ids are looked up one by one
_NUMBERS = frozenset((int, float, np.float64, np.float32, np.int64, np.int32))


class CannotCompileError(TypeError):
    """A model that cannot be compiled; the message names why, and the way out."""


def compile_scorer(fitted: Any) -> CompiledScorer:
    """Compile a fitted recommender to arrays that score numpy rows.

    Parameters
    ----------
    fitted : CausalDNNRecommender, or a search over one
        The fitted recommender, without steps before it.

    Returns
    -------
    CompiledScorer
        The scorer. It does not change if `fitted` is trained further.

    Raises
    ------
    TypeError
        If the model is another estimator, has steps before it, reads texts, histories
        or towers, has an encoder other than "dnn" and "mf", is on a GPU, or its second
        stage has learners that are not the package's own. The message says what to
        call instead.

    See Also
    --------
    save : Write the scorer to a file, which needs no torch to be read.
    EffectIndex : Lists of the items with the largest effects.
    to_onnx : The same for onnxruntime.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_causalrec import CausalDNNRecommender
    >>> from sklearn_causalrec.serving import compile_scorer
    >>> rng = np.random.default_rng(0)
    >>> X, t = rng.normal(size=(400, 3)), rng.integers(0, 2, 400)
    >>> model = CausalDNNRecommender(random_state=0).fit(X, X[:, 0] + t, treatment=t)
    >>> scorer = compile_scorer(model)
    >>> bool(np.allclose(scorer.effect(X[:5]), model.effect(X[:5]), atol=1e-6))
    True
    """
    try:
        _, model = unwrap(fitted)
    except TypeError as error:
        raise CannotCompileError(str(error)) from None
    if not hasattr(model, "_ensemble") or not hasattr(model, "log_encoder_"):
        raise CannotCompileError(
            f"{type(model).__name__} is not compiled: compile_scorer takes a fitted "
            "CausalDNNRecommender. Call the estimator itself."
        )
    steps = getattr(getattr(fitted, "best_estimator_", fitted), "steps", [None])
    if len(steps) > 1:
        names = [type(step).__name__ for _, step in steps[:-1]]
        raise CannotCompileError(
            f"The steps before the recommender, {', '.join(names)}, are not compiled: "
            "compile the last step, compile_scorer(pipeline[-1]), and pass it what "
            "pipeline[:-1].transform returns."
        )
    texts = model.log_encoder_.roles.texts
    if texts is not None:
        raise CannotCompileError(
            f"The networks read texts, the column {texts.column!r}, by a pretrained "
            "encoder, which is not arrays for numpy: call the estimator itself; or "
            "make features of the texts before (TextEmbedding), and fit to them."
        )
    networks = FlatNetworks.of(model._ensemble)
    if networks is None:
        raise CannotCompileError(
            "The networks read histories or towers, have an encoder other than "
            '"dnn" and "mf" or objective="implicit", or lie on a GPU: call the '
            "estimator itself, whose second stage is compiled in any case."
        )
    answers = model.effects_
    if answers is not None:
        answers = answers.compiled()
        if answers is None:
            raise CannotCompileError(
                "The second stage has learners that are not the package's own: call "
                "the estimator itself."
            )
    return CompiledScorer(model, networks.copy(), answers)


class CompiledScorer:
    """A recommender as arrays: outcomes, effects and intervals of numpy rows.

    It answers as the estimator does, to within the rounding of float32. Rows are
    checked at the edge: their width, ids, and that features are finite numbers. There
    is no pandas, torch or scikit-learn behind. :func:`compile_scorer` makes it; it can
    be pickled, and written by :func:`sklearn_causalrec.save`.

    Parameters
    ----------
    model : CausalDNNRecommender
        What it was compiled from. It is not kept.
    networks : FlatNetworks
        The networks.
    answers : ArmAnswers or None
        The second stage.

    Attributes
    ----------
    columns : list of str or int
        The columns of a row, in order: those of ``fit``.
    arms_ : ndarray of shape (n_arms,)
        The treatment values, sorted.
    control_ : scalar or None
        The arm that effects are against.

    See Also
    --------
    compile_scorer : Makes it.

    Examples
    --------
    See :func:`compile_scorer`.
    """

    def __init__(self, model: Any, networks: FlatNetworks, answers: Any) -> None:
        encoder = copy.copy(model.log_encoder_)
        encoder.kept = None  # as long as the log
        networks.log_encoder = encoder
        self._encoder, self._networks, self._answers = encoder, networks, answers
        self.arms_, self.control_ = model.arms_, model.control_
        self._classes = model.classes_ if model.task == "classification" else None
        self._unidentified = model._unidentified
        roles = encoder.roles
        width = model.n_features_in_
        self.columns = list(getattr(model, "feature_names_in_", range(width)))
        place = {name: position for position, name in enumerate(self.columns)}
        names = getattr(roles, "feature_columns_", self.columns)
        self._features: Any = np.array([place[name] for name in names], int)
        if len(names) == width:
            self._features = slice(None)
        self._of = {role: place[name] for role, name in roles.columns_.items()}
        self._tables: dict[str, Any] = {}
        for role, index in (("user", encoder.users), ("item", encoder.items)):
            if role in self._of:
                ids = index.ids.to_numpy().tolist()
                self._tables[role] = dict(zip(ids, range(len(ids))))
        # Floats beyond are rounded, so that two ids could be one.
        self._quick = all(
            not isinstance(i, int) or abs(i) < EXACT
            for table in self._tables.values()
            for i in table
        )

    # -- rows ------------------------------------------------------------------

    def _read(self, X):
        """Features, and codes of users and items, of rows that are checked here."""
        if hasattr(X, "columns"):
            raise TypeError(
                "X came as a frame, whose columns may be in another order: pass "
                "X[scorer.columns].to_numpy()."
            )
        refuse_unclear(X)
        X = as_array(X)
        if X.ndim == 1:
            X = X[None]
        if X.ndim != 2 or X.shape[1] != len(self.columns):
            raise ValueError(
                f"X has the shape {X.shape}: rows of the {len(self.columns)} columns "
                f"{self.columns} are needed."
            )
        if len(X) == 0:
            raise ValueError("Found array with 0 sample(s): X is empty.")
        codes = [self._codes(X, role) for role in ("user", "item")]
        return X, self._read_features(X[:, self._features]), *codes

    def _read_features(self, part):
        columns = self._encoder.roles._columns
        quick = part.dtype.kind in "fiu"
        if part.dtype == object and len(part) <= FEW:
            quick = set(map(type, part.ravel().tolist())) <= _NUMBERS
        if quick:
            values = part.astype(np.float64)
            if columns.offset_.any():
                values -= columns.offset_
            with np.errstate(over="ignore"):
                values = values.astype(np.float32)
            if np.isfinite(values).all():
                return values
        names = getattr(self._encoder.roles, "feature_columns_", self.columns)
        if not len(names):
            return np.zeros((len(part), 0), np.float32)
        return columns.read(part, names, type(self).__name__, reset=False)

    def _codes(self, X, role):
        """Codes of ids; ids of another kind than the log's are refused by its index."""
        if role not in self._of:
            return None
        ids, table = X[:, self._of[role]], self._tables[role]
        if len(ids) <= FEW and (self._quick or X.dtype.kind in "iu"):
            try:
                codes = [table.get(value, -1) for value in ids.tolist()]
            except TypeError:  # what cannot be looked up, as_ids names
                codes = [-1]
            if -1 not in codes:
                return np.array(codes)
        encoder = self._encoder
        index = encoder.users if role == "user" else encoder.items
        words = len(getattr(encoder.roles, "feature_columns_", self.columns)) > 0
        return index.codes(as_ids(ids, role), words=words)

    def _stage_inputs(self, X):
        """What the second stage reads of rows: features, outcomes, codes."""
        _, features, user, item = self._read(X)
        outcome = self._networks.outcome(features, user, item)
        groups = [codes for codes in (user, item) if codes is not None]
        if not groups:
            return features, outcome, None
        read = read_outcomes(self._encoder, outcome)
        return np.hstack([features, read]), outcome, np.array(groups).T

    # -- outcomes --------------------------------------------------------------

    def _mean(self, X, treatment):
        X, features, user, item = self._read(X)
        outcome = self._networks.outcome(features, user, item)
        return outcome[np.arange(len(X)), self._arms_of(X, treatment)]

    def _arms_of(self, X, treatment):
        arms = self.arms_.tolist()
        if treatment is not None:
            if np.ndim(treatment) == 0:
                return arm_position(treatment, arms, "treatment")
            return arm_codes(read_treatment(treatment, len(X)), self.arms_)
        if "treatment" in self._of:
            return check_arms(X[:, self._of["treatment"]], len(X), self.arms_)[0]
        if len(arms) == 1:
            return 0
        if len(arms) > 2 or self.control_ is None:
            raise ValueError(
                f"Which of the arms {listed(self.arms_)}? Pass treatment= to predict, "
                "one arm or one a row."
            )
        return 1 - arms.index(self.control_)

    def predict(self, X: ArrayLike, treatment: Any = None) -> np.ndarray:
        """Predict the outcome if shown, or under the given arm.

        Parameters
        ----------
        X : array-like of shape (n, p) or (p,)
            The rows, with the columns of ``fit`` in their order.
        treatment : scalar or array-like of shape (n,), default=None
            The arm, as in :meth:`CausalDNNRecommender.predict`.

        Returns
        -------
        ndarray of shape (n,)
            The mean outcome; with ``task="classification"``, the class.

        Raises
        ------
        ValueError
            If the rows or the arm cannot be used; the message says why.
        """
        mean = self._mean(X, treatment)
        if self._classes is None:
            return mean
        return self._classes[(mean > 0.5).astype(int)]

    def predict_proba(self, X: ArrayLike, treatment: Any = None) -> np.ndarray:
        """Predict the probability of both classes, if shown or under the given arm.

        Parameters
        ----------
        X : array-like of shape (n, p) or (p,)
            The rows, as in :meth:`predict`.
        treatment : scalar or array-like of shape (n,), default=None
            The arm, as in :meth:`predict`.

        Returns
        -------
        ndarray of shape (n, 2)
            The probabilities.

        Raises
        ------
        ValueError
            If the model is no classifier, or rows or arm cannot be used.
        """
        if self._classes is None:
            raise ValueError('predict_proba needs a model of task="classification".')
        p = self._mean(X, treatment)
        return np.column_stack([1 - p, p])

    # -- effects ---------------------------------------------------------------

    def _contrast(self, T0, T1):
        if len(self.arms_) == 1:
            raise ValueError(
                "The effect is not identified: fit saw a single treatment value, so "
                "nothing says what happens otherwise."
            )
        if self._unidentified is not None:
            raise self._unidentified
        return contrast(self.arms_.tolist(), self.control_, T0, T1)

    def effect(
        self, X: ArrayLike, T0: Arm | None = None, T1: Arm | None = None
    ) -> np.ndarray:
        """Estimate the effect of arm T1 against arm T0 on each row.

        Parameters
        ----------
        X : array-like of shape (n, p) or (p,)
            The rows, as in :meth:`predict`.
        T0 : scalar, default=None
            The arm that the effect is against. None stands for ``control_``.
        T1 : scalar, default=None
            The arm of interest. None stands for the other of two arms.

        Returns
        -------
        ndarray of shape (n,)
            The effects in units of y.

        Raises
        ------
        ValueError
            If the effect is not identified, or rows or arms cannot be used.
        """
        t0, t1 = self._contrast(T0, T1)
        features, outcome, groups = self._stage_inputs(X)
        if self._answers is None:
            return outcome[:, t1] - outcome[:, t0]
        return self._answers.effect(features, outcome, t0, t1, groups)

    def effect_interval(
        self,
        X: ArrayLike,
        alpha: float = 0.05,
        T0: Arm | None = None,
        T1: Arm | None = None,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return bounds of the effect of each row.

        Parameters
        ----------
        X : array-like of shape (n, p) or (p,)
            The rows, as in :meth:`predict`.
        alpha : float, default=0.05
            One minus the coverage.
        T0, T1 : scalar, default=None
            The arms, as in :meth:`effect`.

        Returns
        -------
        low, high : ndarray of shape (n,)
            The bounds; what they cover is said in
            :meth:`CausalDNNRecommender.effect_interval`.

        Raises
        ------
        ValueError
            If there is no second stage, or as in :meth:`effect`.
        """
        check_alpha(alpha)
        t0, t1 = self._contrast(T0, T1)
        if self._answers is None:
            raise ValueError(
                "effect_interval comes from the cross-fitted effect learner, which "
                "was not fitted."
            )
        features, outcome, groups = self._stage_inputs(X)
        return self._answers.effect_interval(features, outcome, t0, t1, alpha, groups)
