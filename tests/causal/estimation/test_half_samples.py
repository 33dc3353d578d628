"""Errors from halves of the rows: right where one nuisance is wrong."""

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t as student
from sklearn.dummy import DummyClassifier
from sklearn.linear_model import LinearRegression, LogisticRegression

from sklearn_causalrec import CausalGraph, DoCalculusEffect
from sklearn_causalrec.causal.estimation.dose_response import DoseResponse

RIGHT = {
    "outcome_model": LinearRegression(),
    "treatment_model": LogisticRegression(),
    "effect_model": None,
    "random_state": 0,
}


def model(graph, treatment="T", halves=20, **options):
    given = {**RIGHT, "n_half_samples": halves, **options}
    return DoCalculusEffect(graph, treatment=treatment, outcome="Y", **given)


def trial(n=600):
    """A randomised trial of shops, whose sales go together."""
    rng = np.random.default_rng(0)
    shop = np.repeat(np.arange(n // 10), 10)
    T = rng.binomial(1, 0.4, n // 10)[shop]
    y = rng.binomial(
        1, np.clip(0.3 + 0.2 * T + 0.2 * rng.normal(size=n // 10)[shop], 0, 1)
    )
    return pd.DataFrame({"T": T}), y, shop


def error(fitted, halves=None):
    """The standard error behind the interval."""
    width = np.ptp(fitted.ate_interval())
    return width / 2 / (student.ppf(0.975, halves - 1) if halves else 1.959964)


def test_errors_of_a_difference_of_means():
    """The textbook's, of rows and of clusters, since halves are many."""
    X, y, shop = trial()
    graph = CausalGraph("T -> Y")
    plain, halved = (model(graph, halves=h).fit(X, y) for h in (None, 400))
    assert halved.ate() == plain.ate() and halved.strategy_ == "adjustment"
    groups = [y[X["T"] == t] for t in (0, 1)]
    textbook = np.sqrt(sum(g.var() / len(g) for g in groups))
    # 400 halves: an error of 3.5 % in the error
    spread = np.std(halved._answer._means.halves @ [-1, 1], ddof=1)
    assert spread == pytest.approx(textbook, rel=0.11)
    assert np.ptp(halved.ate_interval()) >= np.ptp(plain.ate_interval())
    plain, halved = (
        model(graph, halves=h).fit(X, y, cluster=shop) for h in (None, 400)
    )
    rows = halved.ate_interval(cluster=False)
    assert rows == pytest.approx(plain.ate_interval(cluster=False))
    by_shop = np.ptp(plain.ate_interval())
    assert np.ptp(halved.ate_interval()) == pytest.approx(by_shop, rel=0.15)
    assert by_shop > 1.5 * np.ptp(rows)


def test_a_fit_says_the_same_of_its_error_again():
    X, y, _ = trial(300)
    first, again = (model(CausalGraph("T -> Y")).fit(X, y) for _ in range(2))
    low, high = first.ate_interval()
    assert again.ate_interval() == (low, high)
    row = first.ate_table().iloc[0]
    assert (row["low"], row["high"]) == (low, high)
    assert first.ate_range().interval == (low, high)


def test_the_error_where_a_nuisance_is_wrong():
    """Two treatments in sequence, every probability a constant. 200 logs of 2,000 rows
    have a spread of 0.135 and a mean error of 0.120 by the influence function."""
    rng, n = np.random.default_rng(50_000), 2000
    C, U = rng.normal(size=(2, n))
    A = rng.binomial(1, 1 / (1 + np.exp(-C)))
    L = A + C + U + rng.normal(size=n)
    B = rng.binomial(1, 1 / (1 + np.exp(-0.5 * L + 0.5 * A)))
    y = A + L + B + C + U + rng.normal(size=n)
    graph = CausalGraph(
        "C -> A; C -> L; C -> Y; A -> L; A -> B; A -> Y; L -> B; L -> Y; B -> Y; "
        "L <-> Y"
    )
    fitted = model(graph, ["A", "B"], halves=40, treatment_model=DummyClassifier())
    fitted.fit(pd.DataFrame({"C": C, "A": A, "L": L, "B": B}), y)
    influence = fitted.scores_[:, 3] - fitted.scores_[:, 0]
    assert influence.std() / n**0.5 < 0.95 * error(fitted, 40)
    halves = fitted._answer._means.halves
    assert error(fitted, 40) == pytest.approx(
        np.std(halves[:, 3] - halves[:, 0], ddof=1)
    )
    # the first treatment alone: the larger error of the two
    for arm in (1, 2):
        gaps = np.std(halves[:, arm] - halves[:, 0], ddof=1) * student.ppf(0.975, 39)
        influence = fitted.scores_[:, arm] - fitted.scores_[:, 0]
        reach = max(gaps, 1.959964 * influence.std() / n**0.5)
        arms = fitted.arms_[0], fitted.arms_[arm]
        found = np.ptp(fitted.ate_interval(T0=arms[0], T1=arms[1])) / 2
        assert found == pytest.approx(reach, rel=1e-4)
    assert error(fitted, 40) == pytest.approx(0.135, rel=0.25)


def test_curves_and_derivatives_have_it_too():
    rng, n = np.random.default_rng(0), 400
    Z = rng.normal(size=n)
    t = Z + rng.normal(size=n)
    y = t + Z + rng.normal(size=n)
    X = pd.DataFrame({"Z": Z, "T": t})
    graph = CausalGraph("Z -> T -> Y; Z -> Y")
    dose = {"treatment_model": LinearRegression()}
    plain, halved = (model(graph, halves=h, **dose).fit(X, y) for h in (None, 20))
    grid = [-1.0, 0.0, 1.0]
    curves = [fitted.dose_response(grid) for fitted in (plain, halved)]
    assert (curves[0]["mean"] == curves[1]["mean"]).all()
    ratio = (curves[1]["high"] - curves[1]["low"]) / (
        curves[0]["high"] - curves[0]["low"]
    )
    assert ((ratio >= 1) & (ratio < 2)).all() and (ratio > 1).any()
    # by hand: the same splines, fitted to the halves
    curve = halved._answer.curve_
    linear, fold = (LinearRegression(), LinearRegression()), np.arange(n) % 5
    whole = DoseResponse(*linear).fit(y, t, Z[:, None], fold)
    halves = [rng.permutation(n)[: n // 2] for _ in range(10)]
    whole.count_halves(y, halves)
    found = [
        DoseResponse(*linear)
        .fit(y[r], t[r], Z[r, None], fold[r], spline=whole._spline)
        .contrast(0, 1)
        .value
        for r in halves
    ]
    design = whole._spline.transform([[0.0], [1.0]])
    step = design[1] - design[0]
    covariance, _, degrees = whole.halves_
    assert step @ covariance @ step == pytest.approx(np.var(found, ddof=1))
    by_influence = step @ whole.covariance_ @ step
    reach = max(
        student.ppf(0.975, 9) * np.std(found, ddof=1), 1.959964 * by_influence**0.5
    )
    assert np.ptp(whole.contrast(0, 1).interval(0.05)) / 2 == pytest.approx(reach)
    assert degrees == 9 and curve.halves_[2] == 19
    low, high = halved.average_derivative()[1:]
    assert low < 1 < high and high - low >= np.ptp(plain.average_derivative()[1:])


def test_what_has_no_halves_is_refused():
    X, y, _ = trial(100)
    graph = CausalGraph("T -> Y")
    for number in (0, 9, 2.5, True, "auto"):
        with pytest.raises(ValueError, match="n_half_samples is"):
            model(graph, halves=number).fit(X, y)
    two = np.column_stack([np.arange(100) % 10, np.arange(100) // 10])
    with pytest.raises(ValueError, match="draws clusters of one way"):
        model(graph).fit(X, y, cluster=two)
    one_shop = np.repeat([0, 1], 50)
    half = pd.DataFrame({"T": one_shop})
    with pytest.raises(ValueError, match="lack an arm"):
        model(graph, cv=2).fit(half, y, cluster=one_shop)
    X["I"] = np.arange(100) % 2
    iv = model(CausalGraph("I -> T -> Y; T <-> Y"), strategy="instrument")
    with pytest.raises(ValueError, match="intervals of an instrument are its own"):
        iv.fit(X, y)
