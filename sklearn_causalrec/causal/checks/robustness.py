"""Sensitivity of fitted estimators, benchmarked by refits."""

from sklearn_causalrec.causal.checks.refits import refit_without
from sklearn_causalrec.causal.checks.sensitivity import Sensitivity
from sklearn_causalrec.encoding.contrasts import contrast, contrast_of
from sklearn_causalrec.encoding.frames import as_frame


def sensitivity(estimator, X, y, treatment=None, *, T0=None, T1=None, benchmarks=()):
    """Sensitivity of a fitted estimator that adjusts for covariates.

    Parameters
    ----------
    estimator : object
        Fitted, with ``scores_``, ``outcomes_``, ``propensity_``, ``arm_``, ``arms_``.
    X, y, treatment
        As given to ``fit``.
    T0, T1 : scalar, default=None
        Arms. None are the control and the other one.
    benchmarks : sequence of names, or dict of label to names
        Covariates, or groups of them, that a confounder is compared with: without
        each, a clone with ``graph=None`` is fitted on the other covariates.

    Returns
    -------
    Sensitivity

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from sklearn.linear_model import LinearRegression, LogisticRegression
    >>> from sklearn_causalrec import DoCalculusEffect
    >>> from sklearn_causalrec.causal.checks.robustness import sensitivity
    >>> rng = np.random.default_rng(0)
    >>> X = pd.DataFrame({"a": rng.normal(size=500), "b": rng.normal(size=500)})
    >>> X["t"] = rng.binomial(1, 1 / (1 + np.exp(-0.5 * X["a"])))
    >>> y = X["a"] + X["t"] + rng.normal(size=500)
    >>> fitted = DoCalculusEffect(
    ...     treatment="t",
    ...     outcome_model=LinearRegression(),
    ...     treatment_model=LogisticRegression(),
    ...     random_state=0,
    ... ).fit(X, y)
    >>> found = sensitivity(fitted, X, y, benchmarks=["a"])
    >>> bool(found.benchmarks.loc["a", "cf_y"] > found.robustness_value())
    True
    """
    needed = ("scores_", "outcomes_", "propensity_", "arm_", "arms_")
    missing = [name for name in needed if getattr(estimator, name, None) is None]
    if missing:
        raise ValueError(
            "bounds for omitted confounders need an effect of arms by adjustment; "
            f"{type(estimator).__name__} has no {', '.join(missing)} after fit."
        )

    T0, T1 = contrast_of(estimator, T0, T1)

    def of(fitted):
        arms = list(fitted.arms_)
        return Sensitivity.from_interactive(
            y,
            fitted.arm_,
            fitted.outcomes_,
            fitted.propensity_,
            contrast=contrast(arms, None, T0, T1),
            scores=fitted.scores_,
        )

    frame, found = as_frame(X, arrays=True), of(estimator)
    if not isinstance(benchmarks, dict):
        names = [benchmarks] if isinstance(benchmarks, str) else benchmarks
        benchmarks = {name: [name] for name in names}
    if benchmarks:
        groups = {
            k: [v] if isinstance(v, str) else list(v) for k, v in benchmarks.items()
        }
        found.benchmark(
            {
                label: of(refit_without(estimator, frame, y, treatment, names))
                for label, names in groups.items()
            }
        )
    return found
