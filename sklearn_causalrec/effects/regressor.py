"""The effect of a fitted model as what a regressor predicts."""

from sklearn.base import BaseEstimator, RegressorMixin
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from sklearn_causalrec.effects.effect import effect


class EffectRegressor(RegressorMixin, BaseEstimator):
    """The effect of a fitted model, as what ``predict`` returns.

    Scikit-learn's tools of inspection look at ``predict``: with this estimator,
    ``partial_dependence``, ``PartialDependenceDisplay`` and ``permutation_importance``
    show the effect instead of the outcome.

    Parameters
    ----------
    estimator : estimator, Pipeline or search
        The fitted model, as :func:`effect` takes it.
    T0 : scalar, default=None
        The arm that `T1` is compared with. With None, that of :func:`effect`.
    T1 : scalar, default=None
        The arm whose effect is predicted. With None, that of :func:`effect`.

    See Also
    --------
    effect : Predict the effect on given rows.

    Notes
    -----
    ``score`` is :math:`R^2`, and effects are never observed. The effects that the model
    itself predicts can stand for y, as below: a column then is important as far as the
    predicted effects change when it is shuffled. That says what the model makes of the
    column, and nothing of whether its effects are right.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.inspection import partial_dependence, permutation_importance
    >>> from sklearn_causalrec import CausalDNNRecommender, EffectRegressor
    >>> rng = np.random.default_rng(0)
    >>> X, t = rng.normal(size=(1000, 2)), rng.integers(0, 2, 1000)
    >>> y = 5 * X[:, 1] + X[:, 0] * t
    >>> model = CausalDNNRecommender(effect_learner="t", random_state=0)
    >>> effects = EffectRegressor(model.fit(X, y, treatment=t))

    The effect rises with the first column, and the outcome with the second:

    >>> found = partial_dependence(effects, X, [0], custom_values={0: [-1.0, 1.0]})
    >>> bool(np.allclose(found["average"], [[-1.0, 1.0]], atol=0.3))
    True
    >>> found = permutation_importance(effects, X, effects.predict(X), random_state=0)
    >>> found.importances_mean.argmax()
    np.int64(0)
    """

    def __init__(self, estimator, *, T0=None, T1=None):
        self.estimator = estimator
        self.T0 = T0
        self.T1 = T1

    def __sklearn_is_fitted__(self):
        try:
            check_is_fitted(self.estimator)
        except NotFittedError:
            return False
        return True

    def fit(self, X, y=None):
        """Refuse: the estimator is fitted by itself, before.

        Parameters
        ----------
        X : array-like of shape (n, p)
            The rows.
        y : array-like of shape (n,), default=None
            The outcome.

        Raises
        ------
        TypeError
            Always. The method is here because scikit-learn asks estimators for one.
        """
        raise TypeError(
            f"EffectRegressor shows the effects of a {type(self.estimator).__name__} "
            "that is fitted, and has nothing to fit: fit that one, with its treatment."
        )

    def predict(self, X):
        """Predict the effect of T1 against T0.

        Parameters
        ----------
        X : array-like or frame of shape (n, p)
            The rows, as they enter the estimator.

        Returns
        -------
        ndarray of shape (n,)
            The effect on each row, in units of y.
        """
        check_is_fitted(self)
        arms = {"T0": self.T0, "T1": self.T1}
        return effect(
            self.estimator,
            X,
            **{name: arm for name, arm in arms.items() if arm is not None},
        )
