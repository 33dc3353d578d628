"""Predicted effects through any Pipeline or search."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from sklearn_causalrec._utils.typing import Arm
from sklearn_causalrec._utils.unwrap import unwrap
from sklearn_causalrec.encoding.contrasts import named_arms


def effect(
    fitted: Any, X: ArrayLike, T0: Arm | None = None, T1: Arm | None = None
) -> np.ndarray:
    """Predict the effect of arm T1 against arm T0 on each row.

    It works through any Pipeline or search, which have no method ``effect`` of their
    own.

    Parameters
    ----------
    fitted : estimator, Pipeline or search
        The fitted model. Its last step is an estimator with a method ``effect``.
    X : array-like or frame of shape (n, p)
        The rows, as they enter the pipeline.
    T0 : scalar, default=None
        The arm that `T1` is compared with. None stands for the control.
    T1 : scalar, default=None
        The arm whose effect is predicted. None stands for the other of two arms. Of
        more arms it has to be named, but for 1 against a control of 0.

    Returns
    -------
    ndarray of shape (n,)
        The effect on each row, in units of y.

    Raises
    ------
    ValueError
        If the effect is not identified, or an arm is unknown, or has to be named.

    See Also
    --------
    recommend : Recommend the items with the largest effects.
    CausalDNNRecommender : An estimator of effects for logs of users and items.
    DoCalculusEffect : An estimator of effects from a causal graph.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn.preprocessing import StandardScaler
    >>> from sklearn_causalrec import CausalDNNRecommender, effect
    >>> rng = np.random.default_rng(0)
    >>> X, t = rng.normal(size=(400, 3)), rng.integers(0, 2, 400)
    >>> y = X[:, 0] + 2 * t
    >>> pipe = make_pipeline(StandardScaler(), CausalDNNRecommender(random_state=0))
    >>> pipe = pipe.fit(X, y, causaldnnrecommender__treatment=t)
    >>> bool(abs(effect(pipe, X).mean() - 2) < 0.1)
    True
    """
    transform, estimator = unwrap(fitted)
    if not hasattr(estimator, "effect"):
        raise ValueError(
            f"{type(estimator).__name__} has no effects: nothing says what happens "
            "otherwise. They need a log with rows that were not shown, and treatment=."
        )
    return estimator.effect(transform(X), **named_arms(T0, T1))
