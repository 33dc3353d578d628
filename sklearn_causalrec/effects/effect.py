"""``effect``: through any Pipeline or search."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from sklearn_causalrec._utils.typing import Arm
from sklearn_causalrec._utils.unwrap import unwrap


def effect(fitted: Any, X: ArrayLike, T0: Arm = 0, T1: Arm = 1) -> np.ndarray:
    """Effect of arm T1 against arm T0 on each row, through any Pipeline or search.

    Parameters
    ----------
    fitted : estimator, Pipeline or search, fitted
    X : array-like or frame of shape (n, p)
        As it enters the pipeline.
    T0, T1 : scalar
        Arms.

    Returns
    -------
    ndarray of shape (n,)
        In the units of y.

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
    return estimator.effect(transform(X), T0=T0, T1=T1)
