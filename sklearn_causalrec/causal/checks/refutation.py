"""Attempts to refute an estimate: changes of the data whose effect is known."""

from functools import partial
from html import escape
from itertools import count

import numpy as np
import pandas as pd
from joblib import delayed
from scipy.stats import norm
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted

from sklearn_causalrec._utils.process import parallel
from sklearn_causalrec._utils.tables import html_table, text_table
from sklearn_causalrec.causal.checks.refits import (
    average_effect,
    check_refits,
    refit,
)
from sklearn_causalrec.causal.checks.refuters import (
    EXPECTED,
    FEW,
    Changes,
    p_value_of,
)
from sklearn_causalrec.causal.falsification import adjust_p_values
from sklearn_causalrec.effects.intervals import check_alpha, standard_error
from sklearn_causalrec.encoding.checks import whole_number
from sklearn_causalrec.encoding.contrasts import contrast_of
from sklearn_causalrec.encoding.frames import as_frame


def _one(estimator, change, seed, T0, T1):
    """Estimate and limits of one refit, or the error that it raised."""
    X, y, treatment, params = change(np.random.default_rng(seed))
    try:
        fitted = refit(estimator, X, y, treatment, seed=seed, **params)
        return average_effect(fitted, T0, T1)
    except (ValueError, np.linalg.LinAlgError) as error:
        return error


class Refutation:
    """What became of the attempts to refute an estimate.

    Attributes
    ----------
    results : DataFrame
        By method: ``expected``; ``estimate``, the original; ``refuted``, the mean of
        the refits; ``p_value`` of what was expected; ``adjusted``, the p-value
        corrected for the number of methods (Holm); and ``verdict``.
    refits : dict of str to DataFrame
        Estimate and limits of every refit: columns ``estimate``, ``low``, ``high``;
        for the methods that expect no change also ``base``, the estimate that the
        refit is compared with.
    """

    def __init__(self, results, refits, alpha=0.05):
        self.results = results
        self.refits = refits
        self.alpha = alpha

    @property
    def passed(self):
        """Whether no method contradicts the estimate."""
        return not (self.results["adjusted"] < self.alpha).any()

    def to_frame(self):
        """The results."""
        return self.results.copy()

    def _headline(self):
        failed = list(self.results.index[self.results["adjusted"] < self.alpha])
        if failed:
            return f"The estimate is in doubt: {', '.join(failed)}."
        open_ = list(self.results.index[self.results["p_value"].isna()])
        tried = len(self.results) - len(open_)
        return f"None of {tried} attempts refutes the estimate." + (
            f" Not to be had: {', '.join(open_)}." if open_ else ""
        )

    def __str__(self):
        shown = self.results.drop(columns="adjusted")
        level = f"{100 * self.alpha:g} % for all together, by Holm's correction"
        return f"{self._headline()}\n\n{text_table(shown)}\n\nVerdicts: at {level}."

    __repr__ = __str__

    def _repr_html_(self):
        return f"<p>{escape(self._headline())}</p>{html_table(self.results)}"


def refute(
    estimator,
    X,
    y,
    treatment=None,
    *,
    methods=("placebo", "random_common_cause", "subset", "dummy_outcome"),
    n_simulations=1,
    T0=None,
    T1=None,
    tolerance=0.1,
    alpha=0.05,
    random_state=None,
    n_jobs=None,
    verbose=0,
):
    """Try to refute an average effect by refits on changed data.

    Parameters
    ----------
    estimator : object
        A fitted estimator with ``fit(X, y, treatment=None)``, ``ate`` and
        ``ate_interval``. Clones of it are refitted.
    X : DataFrame or array-like of shape (n, p)
        The rows given to ``fit``.
    y : array-like of shape (n,)
        The outcomes given to ``fit``.
    treatment : array-like of shape (n,), default=None
        The treatments, where they were given to ``fit`` beside X.
    methods : sequence of str, default=("placebo", "random_common_cause", "subset", \
            "dummy_outcome")
        The changes to try:

        - "placebo": the treatment is permuted, so that it does nothing;
        - "dummy_outcome": the outcome is permuted, so that nothing acts on it;
        - "random_common_cause": a random covariate is added, in the graph as a cause
          of treatment and outcome; a coin where all columns have two values;
        - "subset": a random fifth of the rows is left out, or a half of them where
          `n_simulations` is 1 or 2;
        - "parts": the rows are split at random into ten parts that share none, or into
          fewer of 100 rows each. Each is fitted once, whatever `n_simulations` is, and
          their estimates must not differ by more than their errors say: it finds
          intervals that are too narrow;
        - "confounded_placebo": the treatment is drawn anew with the probabilities that
          boosted trees give it from the covariates adjusted for. It does nothing but
          is as confounded as the true one was by those: an adjustment that isn't
          flexible enough finds an effect. For an effect of arms by adjustment.
    n_simulations : int, default=1
        The number of refits for each method. More find smaller faults: one refit finds
        a bias of three standard errors nine times in ten, and an interval half as wide
        as it should be every second time; twenty always do, and "parts" of 1,000 rows
        nine times in ten. With 3 or more, as many refits on the original data are the
        yardstick of "no change", since estimators have randomness of their own.

        Where `estimator` counts that rows of a cluster go together, "subset" and
        "parts" draw clusters, with all of their rows: of two ways, those of the first.
    T0, T1 : scalar, default=None
        The arms or doses whose average effect is tried. None are those of the
        estimator's ``ate``.
    tolerance : float, default=0.1
        The bias or change, in standard errors of the estimate, that is not held against
        it. A tenth lowers the coverage of a 95 % interval to 94.9 %. With 0, many
        simulations find fault with every estimator that is only asymptotically
        unbiased.
    alpha : float, default=0.05
        The level of the verdicts, for all methods together.
    random_state : int, RandomState instance or None, default=None
        The seed of the changes. An int makes the result reproducible.
    n_jobs : int, default=None
        The number of refits at once, through joblib.
    verbose : int, default=0
        With 1 the progress is shown.

    Returns
    -------
    Refutation
        The verdict of each method and the refits. ``passed`` says whether no method
        found fault.

    Raises
    ------
    ValueError
        For an unknown method, without a refit, or without a treatment.

    See Also
    --------
    negative_control : Finds confounders that were never measured.
    Sensitivity : How strong a confounder must be to overturn the effect.

    Notes
    -----
    A refit comes with its own standard error, so that one or two are a test already: of
    "placebo" and "dummy_outcome" the estimates are held against zero by their own
    errors, of "subset" the difference from the original against what the variances of
    nested samples differ by [1]_, each by a chi-square test. That difference is of the
    variance that the half itself states, or, if this is more, of the one that a mean of
    half of the rows has: the error of a curve of doses, whose smoothing follows the
    number of rows, grows by more than that of a mean. "random_common_cause" must
    not move the estimate by more than its standard error, which a sound estimator
    nearly never does. An estimator that moves with its seed as much as with the rows
    needs 3 simulations or more. "parts" is Cochran's test [2]_ that independent
    estimates are of one number, by the errors that they state. What all parts have in
    common, such as a bias, it does not see.

    With 3 or more, the refits of a method are independent given the data, and their
    mean is tested by a t-test: of the estimates themselves where no effect is expected,
    of their differences from refits on the original data where no change is. The first
    is joined (Bonferroni) by a binomial test that no more of the 95 % intervals than
    promised exclude zero, "subset" by a chi-square test that the estimates vary no
    more between subsets than the standard error implies.

    The draws of "confounded_placebo" are not independent: their mean is held against
    the standard error of one. So all methods together reject a sound estimator with a
    probability of about ``alpha`` at most.

    None of this sees a confounder that was never measured: see
    :func:`negative_control` and :mod:`sklearn_causalrec.causal.checks.sensitivity`.

    References
    ----------
    .. [1] Hausman, J. A. (1978). "Specification tests in econometrics." Econometrica
       46(6).
    .. [2] Cochran, W. G. (1954). "The combination of estimates from different
       experiments." Biometrics 10(1).

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from sklearn.linear_model import LinearRegression, LogisticRegression
    >>> from sklearn_causalrec import DoCalculusEffect
    >>> from sklearn_causalrec.causal import refute
    >>> rng = np.random.default_rng(0)
    >>> a = rng.normal(size=500)
    >>> t = rng.binomial(1, 1 / (1 + np.exp(-a)))
    >>> X, y = pd.DataFrame({"a": a, "t": t}), a + t + rng.normal(size=500)
    >>> fitted = DoCalculusEffect(
    ...     treatment="t",
    ...     outcome_model=LinearRegression(),
    ...     treatment_model=LogisticRegression(),
    ...     random_state=0,
    ... ).fit(X, y)
    >>> found = refute(fitted, X, y, random_state=0)
    >>> found.passed
    True
    >>> print(found.results.loc["placebo", "verdict"])
    passes
    """
    known = dict.fromkeys([methods] if isinstance(methods, str) else methods)
    unknown = [m for m in known if m not in EXPECTED]
    if unknown or not known:
        raise ValueError(f"methods must be among {list(EXPECTED)}, got {unknown}.")
    n_simulations = whole_number(n_simulations, "n_simulations")
    check_alpha(alpha)
    check_is_fitted(estimator)
    check_refits(estimator)
    T0, T1 = contrast_of(estimator, T0, T1)
    few = n_simulations < FEW
    # The smaller the share, the less the estimator's own randomness, which few refits
    # don't show, weighs beside what the rows make of the difference.
    share = 0.5 if few else 0.8
    changes = Changes(estimator, X, y, treatment, share)
    rng = check_random_state(random_state)
    point, low, high = average_effect(estimator, T0, T1)
    stderr = standard_error(high - low)
    if "confounded_placebo" in known:
        changes.learn_propensity(rng.randint(2**31 - 1))

    jobs = []
    if {"random_common_cause", "subset"} & set(known) and not few:
        jobs += [("base", s) for s in rng.randint(2**31 - 1, size=n_simulations)]
    for method in known:
        seeds = [s for m, s in jobs if m == "base"]
        if method == "parts":
            seeds = rng.randint(2**31 - 1, size=changes.split(rng.randint(2**31 - 1)))
        elif method != "random_common_cause" or not seeds:
            seeds = rng.randint(2**31 - 1, size=n_simulations)
        jobs += [(method, s) for s in seeds]
    found = _run(changes, jobs, T0, T1, n_jobs, verbose)

    base, rows, refits = found.pop("base", None), {}, {}
    for method in known:
        table, errors = found[method]
        p = np.nan
        if method == "subset" or method == "random_common_cause":
            own = np.full(n_simulations, point) if few else base[0]["estimate"]
            table["base"] = own
        there = np.flatnonzero(~np.isnan(list(table.values())).any(axis=0))
        table = {name: values[there] for name, values in table.items()}
        if len(there) >= (2 if method == "parts" else min(FEW, n_simulations)):
            p = p_value_of(method, table, stderr, tolerance, share)
        values = np.transpose(list(table.values()))
        refits[method] = pd.DataFrame(values, index=there, columns=list(table))
        rows[method] = {
            "expected": EXPECTED[method],
            "estimate": point,
            "refuted": table["estimate"].mean() if len(there) else np.nan,
            "p_value": p,
            "errors": errors,
        }
    return _judged(rows, refits, alpha)


def _run(changes, jobs, T0, T1, n_jobs, verbose):
    """Columns of the refits and their errors, by method."""
    turn = count()  # of the parts
    work = (
        delayed(_one)(
            changes.estimator,
            partial(changes.part, next(turn)) if m == "parts" else getattr(changes, m),
            int(s), T0, T1,
        )
        for m, s in jobs
    )  # fmt: skip
    done = parallel(n_jobs, return_as="generator")(work)
    if verbose:
        from tqdm.auto import tqdm

        done = tqdm(done, total=len(jobs), desc="refute")
    found = {}
    for result, (method, _) in zip(done, jobs):
        failed = isinstance(result, Exception)
        rows, errors = found.setdefault(method, ([], []))
        rows.append((np.nan,) * 3 if failed else result)
        if failed:
            errors.append(result)
    names = ("estimate", "low", "high")
    return {
        m: (dict(zip(names, np.transpose(r))), errors)
        for m, (r, errors) in found.items()
    }


def _judged(rows, refits, alpha):
    """The results with p-values corrected, and a verdict in words."""
    p = np.array([row["p_value"] for row in rows.values()])
    there, adjusted = ~np.isnan(p), np.full(len(p), np.nan)
    if there.any():
        adjusted[there] = adjust_p_values(p[there], "holm")
    for row, adjusted_p in zip(rows.values(), adjusted.tolist()):
        failed = row.pop("errors")
        if np.isnan(adjusted_p):
            why = failed[0] if failed else "too few refits have an estimate"
            verdict = f"no verdict: {why}"
        else:
            verdict = "fails" if adjusted_p < alpha else "passes"
            if failed:
                verdict += f" ({len(failed)} refits raised: {failed[0]})"
        row |= {"adjusted": adjusted_p, "verdict": verdict}
    index = pd.Index(list(rows), name="method")
    results = pd.DataFrame(list(rows.values()), index=index)
    return Refutation(results, refits, alpha)


def negative_control(
    estimator, X, outcomes, treatment=None, *, T0=None, T1=None, alpha=0.05
):
    """Effects on outcomes that the treatment is known not to have.

    An outcome that shares the confounders of the true one but that the treatment
    can't act on (what was bought the week before) shows what the adjustment leaves of
    them: unlike the methods of :func:`refute` it can find confounders never
    measured [1]_.

    Parameters
    ----------
    estimator : object
        A fitted estimator. A clone is refitted for each outcome.
    X : DataFrame or array-like of shape (n, p)
        The rows given to ``fit``.
    outcomes : str, sequence of str, or dict of str to array-like of shape (n,)
        Columns of X that were not adjusted for, or the values themselves by label.
    treatment : array-like of shape (n,), default=None
        The treatments, where they were given to ``fit`` beside X.
    T0, T1 : scalar, default=None
        The arms or doses whose average effect is tried. None are those of the
        estimator's ``ate``.
    alpha : float, default=0.05
        The level of the verdicts, for all outcomes together.

    Returns
    -------
    Refutation
        The table has a row for each outcome: ``refuted`` is the effect on it, and
        ``refits`` holds its interval.

    Raises
    ------
    ValueError
        If X has no such column.

    See Also
    --------
    refute : Refits on changed data.
    Sensitivity : How strong a confounder must be to overturn the effect.

    References
    ----------
    .. [1] Lipsitch, M., Tchetgen Tchetgen, E. and Cohen, T. (2010). "Negative controls:
       a tool for detecting confounding and bias in observational studies."
       Epidemiology 21(3).

    Examples
    --------
    >>> import numpy as np, pandas as pd
    >>> from sklearn.linear_model import LinearRegression, LogisticRegression
    >>> from sklearn_causalrec import DoCalculusEffect
    >>> from sklearn_causalrec.causal import negative_control
    >>> rng = np.random.default_rng(0)
    >>> taste = rng.normal(size=500)
    >>> t = rng.binomial(1, 1 / (1 + np.exp(-taste)))
    >>> X = pd.DataFrame({"age": rng.normal(size=500), "t": t})
    >>> fitted = DoCalculusEffect(
    ...     treatment="t",
    ...     outcome_model=LinearRegression(),
    ...     treatment_model=LogisticRegression(),
    ...     random_state=0,
    ... ).fit(X, taste + t + rng.normal(size=500))
    >>> last_week = taste + rng.normal(size=500)
    >>> negative_control(fitted, X, {"last week": last_week}).passed
    False
    """
    check_alpha(alpha)
    check_is_fitted(estimator)
    T0, T1 = contrast_of(estimator, T0, T1)
    X = as_frame(X, arrays=True)
    if not isinstance(outcomes, dict):
        names = [outcomes] if isinstance(outcomes, str) else list(outcomes)
        missing = [name for name in names if name not in X]
        if missing:
            raise ValueError(f"X has no columns {missing}: it has {list(X)}.")
        outcomes = {name: X[name] for name in names}
    graph = getattr(estimator, "graph", None)
    adjusted_for = getattr(estimator, "adjustment_set_", None) or ()
    rows, refits = {}, {}
    point, _, _ = average_effect(estimator, T0, T1)
    for name, values in outcomes.items():
        if graph is not None and name in adjusted_for:
            raise ValueError(
                f"{name!r} is adjusted for: it can't be a negative control as well."
            )
        # Without a graph every column would be taken for a confounder.
        kept = X.drop(columns=name) if graph is None and name in X else X
        values = np.asarray(values)
        if values.shape != (len(X),):
            raise ValueError(
                f"the control outcome {name!r} must have the shape ({len(X)},), got "
                f"{values.shape}."
            )
        own = getattr(estimator, "outcome_name_", name)
        y = pd.Series(values, index=X.index, name=own)
        effect, low, high = average_effect(refit(estimator, kept, y, treatment), T0, T1)
        stderr = standard_error(high - low)
        refits[name] = pd.DataFrame({"estimate": [effect], "low": low, "high": high})
        rows[name] = {
            "expected": "no effect: a negative control",
            "estimate": point,
            "refuted": effect,
            "low": low,
            "high": high,
            "p_value": float(2 * norm.sf(abs(effect) / stderr)),
            "errors": [],
        }
    return _judged(rows, refits, alpha)
