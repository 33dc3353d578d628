from itertools import product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.base import BaseEstimator

from sklearn_causalrec.causal.checks.risk import e_value, risk_ratio
from sklearn_causalrec.causal.checks.robustness import sensitivity
from sklearn_causalrec.causal.checks.sensitivity import Sensitivity

DARFUR = (0.09731581928495575, 0.023256537809811115, 783)


def _ols(y, *columns):
    """Coefficients, standard errors, degrees of freedom and residuals."""
    A = np.column_stack([np.ones(len(y)), *columns])
    coef = np.linalg.lstsq(A, y, rcond=None)[0]
    rest = y - A @ coef
    dof = len(y) - A.shape[1]
    error = np.sqrt(np.diag(np.linalg.inv(A.T @ A)) * (rest @ rest) / dof)
    return coef, error, dof, rest


def _partial_r2(full, short):
    return 1 - (full @ full) / (short @ short)


@pytest.fixture(scope="module")
def confounded():
    rng = np.random.default_rng(5)
    n = 300
    x, u = rng.normal(size=(2, n))
    t = 0.6 * x + 0.7 * u + rng.normal(size=n)
    y = t + x - 0.8 * u + rng.normal(size=n)
    return x, u, t, y


# -- regression ---------------------------------------------------------------------


def test_darfur_as_published_and_as_sensemakr_says():
    found = Sensitivity.from_regression(
        *DARFUR,
        partial_r2={
            "female": (0.10903391542784029, 0.009081065190329713),
            "pastvoted": (0.005068412524614862, 0.0014897406029036277),
        },
    )
    # sensemakr (R and Python) on the data of the study.
    rv = found.robustness_value
    assert rv() == pytest.approx(0.1387763538897367, abs=1e-9)
    assert rv(q=0.5) == pytest.approx(0.07202697579144632, abs=1e-9)
    assert rv(alpha=0.05) == pytest.approx(0.07625796554485595, abs=1e-9)
    assert rv(q=0.5, alpha=0.05) == pytest.approx(0.004562760814388259, abs=1e-9)
    female = found.benchmarks.loc["female"]
    assert female["cf_d"] == pytest.approx(0.009164, abs=5e-7)
    assert female["cf_y"] == pytest.approx(0.124641, abs=5e-7)
    voted = found.benchmarks.loc["pastvoted"]
    assert voted["cf_d"] == pytest.approx(0.001492, abs=5e-7)
    assert voted["cf_y"] == pytest.approx(0.005109, abs=5e-7)
    bounds = found.bounds(female["cf_y"], female["cf_d"])
    assert bounds.lower == pytest.approx(0.075220, abs=5e-7)
    assert bounds.low == pytest.approx(0.032283, abs=5e-7)


def test_robustness_of_the_limit_where_less_of_the_outcome_does_more_harm():
    found = Sensitivity.from_regression(80.0, 1.0, 30).robustness_value(alpha=0.05)
    assert found == pytest.approx(0.994661398998918, abs=1e-12)


def test_regression_bound_is_the_bias_of_what_was_left_out(confounded):
    """The omitted-variable-bias formula is an identity in every sample."""
    x, u, t, y = confounded
    long, _, _, rest_long = _ols(y, t, x, u)
    short, error, dof, rest_short = _ols(y, t, x)
    cf_y = _partial_r2(rest_long, rest_short)
    cf_d = _partial_r2(_ols(t, x, u)[3], _ols(t, x)[3])
    found = Sensitivity.from_regression(short[1], error[1], dof)
    assert short[1] < long[1]
    assert found.bounds(cf_y, cf_d).upper == pytest.approx(long[1], abs=1e-10)

    v, w = _ols(t, x)[3], _ols(y, x)[3]
    linear = Sensitivity.from_partially_linear(w, v)
    assert linear.estimate == pytest.approx(short[1], abs=1e-10)
    assert linear.bounds(cf_y, cf_d).upper == pytest.approx(long[1], abs=1e-10)
    # ... and the standard error of the long regression, but for lost freedom.
    _, long_error, _, _ = _ols(y, t, x, u)
    half = found.bounds(cf_y, cf_d).high - long[1]
    from scipy.stats import t as student

    assert half == pytest.approx(long_error[1] * student.ppf(0.975, dof - 1), rel=1e-9)


def test_benchmarks_of_a_regression_are_exact_for_a_twin(confounded):
    """A confounder exactly as strong as x, and unrelated to it, has those shares."""
    rng = np.random.default_rng(3)
    n = 400
    # Orthogonal by construction: x and u are exchangeable in both equations.
    Q = np.linalg.qr(np.column_stack([np.ones(n), rng.normal(size=(n, 4))]))[0][:, 1:]
    x, u, e, s = Q.T
    t = 0.5 * x + 0.5 * u + e
    y = t + 0.7 * x + 0.7 * u + s
    short, error, dof, rest = _ols(y, t, x)
    r2_y = _partial_r2(rest, _ols(y, t)[3])
    r2_d = _partial_r2(_ols(t, x)[3], t - t.mean())
    found = Sensitivity.from_regression(
        short[1], error[1], dof, partial_r2={"x": (r2_y, r2_d)}
    )
    true_y = _partial_r2(_ols(y, t, x, u)[3], rest)
    true_d = _partial_r2(_ols(t, x, u)[3], _ols(t, x)[3])
    row = found.benchmarks.loc["x"]
    assert row["cf_d"] == pytest.approx(true_d, abs=1e-10)
    assert row["cf_y"] >= true_y - 1e-10
    assert found.bounds(row["cf_y"], row["cf_d"]).lower <= 1 + 1e-10


# -- cross-fitted models ------------------------------------------------------------


@pytest.fixture(scope="module")
def doubleml_arrays():
    i = np.arange(60)
    x, p = np.sin(i), 0.5 + 0.35 * np.sin(1.3 * i)
    d = (np.cos(2.1 * i**1.1) < 2 * p - 1).astype(int)
    g = np.column_stack([x, x + 1 + 0.3 * np.cos(i)])
    y = g[i, d] + (1 + 0.5 * d) * np.sin(7.7 * i)
    return x, p, d, g, y


# What DoubleML 0.11.4 makes of these arrays as external predictions: the bounds and
# their standard errors. Its standard errors belong to the opposite bounds (its scores
# are divided by a derivative of -1 and the bias is not): here they are exchanged.
INTERACTIVE = [
    (0.03, 0.03, 1.0, 1.1746710855109, 1.2690523360748276)
    + (0.3324557072117529, 0.33311303708441364, 0.5367793),
    (0.2, 0.1, -0.5, 1.1063877422371853, 1.3373356793485423)
    + (0.3328864108238874, 0.33449051828550613, 0.76486907),
]
LINEAR = [
    (0.03, 0.03, 1.0, 1.0973064263169923, 1.2082132429175358)
    + (0.23165570726681145, 0.23197843663570814, 0.46370813),
    (0.2, 0.1, -0.5, 1.0170670971697235, 1.2884525720648046)
    + (0.2316866222040477, 0.23247543260098327, 0.69704731),
]


@pytest.mark.parametrize("model", ["interactive", "linear"])
def test_doubleml(doubleml_arrays, model):
    x, p, d, g, y = doubleml_arrays
    if model == "interactive":
        found = Sensitivity.from_interactive(y, d, g, np.column_stack([1 - p, p]))
        assert found.estimate == pytest.approx(1.2218617107928638, abs=1e-12)
    else:
        found = Sensitivity.from_partially_linear(y - (x + p), d - p)
        assert found.estimate == pytest.approx(1.152759834617264, abs=1e-12)
    for case in INTERACTIVE if model == "interactive" else LINEAR:
        cf_y, cf_d, rho, lower, upper, se_lower, se_upper, rv = case
        bounds = found.bounds(cf_y, cf_d, rho)
        assert bounds.lower == pytest.approx(lower, abs=1e-10)
        assert bounds.upper == pytest.approx(upper, abs=1e-10)
        z = 1.959963984540054
        assert (bounds.lower - bounds.low) / z == pytest.approx(se_lower, abs=1e-10)
        assert (bounds.high - bounds.upper) / z == pytest.approx(se_upper, abs=1e-10)
        # DoubleML minimises numerically, to about 1e-6.
        assert found.robustness_value(rho=rho) == pytest.approx(rv, abs=1e-5)


def test_doubleml_gains(doubleml_arrays):
    _, p, d, g, y = doubleml_arrays
    found = Sensitivity.from_interactive(y, d, g, np.column_stack([1 - p, p]))
    mean = np.column_stack([np.full(60, y[d == a].mean()) for a in (0, 1)])
    share = np.tile([1 - d.mean(), d.mean()], (60, 1))
    row = found.benchmark({"x": Sensitivity.from_interactive(y, d, mean, share)})
    assert row.loc["x", "cf_y"] == pytest.approx(0.67505771, abs=1e-8)
    assert row.loc["x", "cf_d"] == 0
    assert row.loc["x", "rho"] == -1
    assert row.loc["x", "change"] == pytest.approx(-0.22100327, abs=1e-8)
    assert found.benchmarks is row


def _population():
    """Every cell of (u, x, arm, y) as rows, as often as its probability says."""
    rows = []
    for u, x in product((0, 1), (0, 1)):
        treated = (0.25, 0.5, 0.5, 0.75)[2 * u + x]
        for a in (0, 1):
            mass = treated if a else 1 - treated
            success = 0.2 + 0.1 * a + 0.2 * x + 0.2 * u + 0.1 * a * u
            for y in (0, 1):
                count = 4000 * 0.25 * mass * (success if y else 1 - success)
                rows += [(u, x, a, y)] * round(count)
    return np.array(rows)


def _exact(arm, y, *covariates):
    """Conditional means and frequencies of a population, by cell."""
    cell = np.unique(np.column_stack(covariates), axis=0, return_inverse=True)[1]
    cell = cell.ravel()
    p = np.bincount(cell, arm) / np.bincount(cell)
    g = [
        (np.bincount(cell, y * (arm == a)) / np.bincount(cell, arm == a))[cell]
        for a in (0, 1)
    ]
    return np.column_stack(g), np.column_stack([1 - p[cell], p[cell]])


def test_interactive_bound_is_the_bias_of_what_was_left_out():
    """By enumeration: long less short effect, at the true shares and correlation."""
    u, x, a, y = _population().T
    g, p = _exact(a, y, x, u)
    gs, ps = _exact(a, y, x)
    long = Sensitivity.from_interactive(y, a, g, p)
    short = Sensitivity.from_interactive(y, a, gs, ps)
    truth = np.mean(g[:, 1] - g[:, 0])
    assert long.estimate == pytest.approx(truth, abs=1e-12)
    assert short.estimate > truth + 0.02

    row = np.arange(len(y))
    sign = 2 * a - 1
    alpha, alpha_s = sign / p[row, a], sign / ps[row, a]
    d_g, d_alpha = g[row, a] - gs[row, a], alpha - alpha_s
    assert long.nu2 == pytest.approx(np.mean(alpha**2), abs=1e-10)
    cf_y = np.mean(d_g**2) / np.mean((y - gs[row, a]) ** 2)
    cf_d = 1 - np.mean(alpha_s**2) / np.mean(alpha**2)
    rho = np.mean(d_g * d_alpha) / np.sqrt(np.mean(d_g**2) * np.mean(d_alpha**2))
    assert 0 < abs(rho) <= 1
    assert short.bounds(cf_y, cf_d, rho).lower == pytest.approx(truth, abs=1e-10)
    assert short.bounds(cf_y, cf_d).lower <= truth

    # The gains that the long model reports for u: the same quantities, in its terms.
    gains = long.benchmark({"u": short}).loc["u"]
    assert gains["cf_d"] == pytest.approx(cf_d / (1 - cf_d), abs=1e-10)
    assert gains["cf_y"] == pytest.approx(np.mean(d_g**2) / long.sigma2, abs=1e-10)
    assert gains["rho"] == pytest.approx(abs(rho), abs=1e-10)
    assert gains["change"] == pytest.approx(short.estimate - truth, abs=1e-12)


def test_other_arms_do_not_bear_on_a_contrast(doubleml_arrays):
    _, p, d, g, y = doubleml_arrays
    two = Sensitivity.from_interactive(y, d, g, np.column_stack([1 - p, p]))
    # A third arm whose rows are all in its own half: halves what the others weigh.
    y3 = np.concatenate([y, y + 100])
    g3 = np.tile(np.column_stack([g, y]), (2, 1))
    arm = np.concatenate([d, np.full(60, 2)])
    p3 = np.tile(np.column_stack([(1 - p) / 2, p / 2, np.full(60, 0.5)]), (2, 1))
    three = Sensitivity.from_interactive(y3, arm, g3, p3)
    assert three.estimate == pytest.approx(two.estimate, abs=1e-12)
    assert three.sigma2 == pytest.approx(two.sigma2 / 2, abs=1e-12)
    back = Sensitivity.from_interactive(y3, arm, g3, p3, contrast=(1, 0))
    assert back.estimate == -three.estimate
    assert back.robustness_value() == pytest.approx(three.robustness_value())


def test_limits_follow_the_sampling_distribution():
    """Spread of the two bounds over samples, which are not alike here."""
    rng = np.random.default_rng(0)
    lower, upper, found = [], [], []
    for _ in range(300):
        n = 1500
        x = rng.normal(size=n)
        p = 1 / (1 + np.exp(-x))
        d = rng.binomial(1, p)
        g = np.column_stack([x, x + 1])
        # Skew noise, larger where treated: estimate and S vary together.
        y = g[np.arange(n), d] + (1 + d) * (rng.exponential(size=n) - 1)
        s = Sensitivity.from_interactive(y, d, g, np.column_stack([1 - p, p]))
        b = s.bounds(0.3, 0.4)
        lower.append(b.lower)
        upper.append(b.upper)
        found.append((b.lower - b.low, b.high - b.upper))
    low, high = np.mean(found, 0) / 1.959964
    assert np.std(upper) > 1.15 * np.std(lower)
    assert low == pytest.approx(np.std(lower), rel=0.1)
    assert high == pytest.approx(np.std(upper), rel=0.1)


shares = st.floats(0.01, 0.9)


@settings(max_examples=40, deadline=None)
@given(q=st.floats(0.1, 2), rho=st.floats(0.1, 1), scale=st.floats(0.01, 50))
def test_robustness_value_brings_the_estimate_exactly_there(q, rho, scale):
    rng = np.random.default_rng(1)
    v, e = rng.normal(size=(2, 200))
    found = Sensitivity.from_partially_linear((2 * v + e) * scale, v)
    back = Sensitivity.from_partially_linear(-(2 * v + e), v)
    assert back.robustness_value(q) == pytest.approx(found.robustness_value(q))
    share = found.robustness_value(q, rho=rho)
    bounds = found.bounds(share, share, rho)
    goal = (1 - q) * found.estimate
    near = bounds.lower if found.estimate > 0 else bounds.upper
    assert near == pytest.approx(goal, abs=1e-7 * abs(found.estimate))
    share = found.robustness_value(q, alpha=0.1, rho=rho)
    if share:
        bounds = found.bounds(share, share, rho, alpha=0.1)
        near = bounds.low if found.estimate > 0 else bounds.high
        assert near == pytest.approx(goal, abs=1e-7 * abs(found.estimate))


@settings(max_examples=40, deadline=None)
@given(cf_y=shares, cf_d=shares, more=st.floats(0.001, 0.09))
def test_stronger_confounding_widens_the_bounds(cf_y, cf_d, more):
    rng = np.random.default_rng(1)
    found = Sensitivity.from_partially_linear(*rng.normal(size=(2, 100)))
    small, large = found.bounds(cf_y, cf_d), found.bounds(cf_y + more, cf_d)
    assert large.lower < small.lower <= small.upper < large.upper
    large = found.bounds(cf_y, cf_d + more)
    assert large.lower < small.lower <= small.upper < large.upper


def test_an_interval_around_zero_needs_no_confounder():
    rng = np.random.default_rng(1)
    found = Sensitivity.from_partially_linear(*rng.normal(size=(2, 100)))
    low, high = found.bounds(0, 0)[2:]
    assert low < 0 < high
    assert found.robustness_value(alpha=0.05) == 0
    assert "contains zero as it is" in str(found)


def test_contour_holds_the_bounds(doubleml_arrays):
    _, p, d, g, y = doubleml_arrays
    for sign in (1, -1):
        found = Sensitivity.from_interactive(
            sign * y, d, sign * g, np.column_stack([1 - p, p])
        )
        at = found.contour([0.1, 0.2], [0.0, 0.3])
        limit = found.contour([0.1, 0.2], [0.0, 0.3], alpha=0.05)
        assert at.columns.name == "cf_d" and at.index.name == "cf_y"
        for cf_d, cf_y in product((0.1, 0.2), (0.0, 0.3)):
            lower, upper, low, high = found.bounds(cf_y, cf_d)
            assert at.loc[cf_y, cf_d] == pytest.approx(lower if sign > 0 else upper)
            assert limit.loc[cf_y, cf_d] == pytest.approx(low if sign > 0 else high)
        rv = found.robustness_value()
        whole = found.contour()
        assert whole.columns[-1] > rv and whole.index[-1] > rv
        assert (np.sign(whole.to_numpy()) == sign).any()
        assert (np.sign(whole.to_numpy()) == -sign).any()


# -- an estimator -------------------------------------------------------------------


class Cells(BaseEstimator):
    """Adjusts by exact means in the cells of binary covariates."""

    def __init__(self, treatment=None, graph=None):
        self.treatment, self.graph = treatment, graph

    def fit(self, X, y, treatment=None):
        arm = X[self.treatment] if treatment is None else treatment
        covariates = X.drop(columns=[self.treatment] if treatment is None else [])
        self.columns_ = list(covariates)
        self.arms_ = np.unique(arm)
        self.arm_ = np.searchsorted(self.arms_, arm)
        self.outcomes_, self.propensity_ = _exact(
            self.arm_, np.asarray(y), covariates.to_numpy()
        )
        took = self.arm_[:, None] == [0, 1]
        self.scores_ = self.outcomes_ + took / self.propensity_ * (
            np.asarray(y)[:, None] - self.outcomes_
        )
        return self


def test_an_estimator_is_benchmarked_by_refits():
    frame = pd.DataFrame(_population(), columns=["u", "x", "a", "y"])
    X, y = frame[["u", "x", "a"]], frame["y"]
    fitted = Cells(treatment="a", graph="any").fit(X, y)
    found = sensitivity(fitted, X, y, benchmarks=["u", "x"])
    g, p = _exact(X["a"].to_numpy(), y.to_numpy(), X["x"].to_numpy())
    short = Sensitivity.from_interactive(y, X["a"], g, p)
    long = Sensitivity.from_interactive(y, X["a"], fitted.outcomes_, fitted.propensity_)
    assert found.benchmarks.index.tolist() == ["u", "x"]
    np.testing.assert_allclose(
        found.benchmarks.loc["u"], long.benchmark({"u": short}).loc["u"]
    )
    passed = Cells().fit(X[["u", "x"]], y, treatment=X["a"])
    again = sensitivity(
        passed, X[["u", "x"]], y, X["a"], benchmarks={"the latent one": "u"}
    )
    np.testing.assert_allclose(again.benchmarks.iloc[0], found.benchmarks.loc["u"])
    assert "One like the latent one" in str(again)

    with pytest.raises(ValueError, match=r"\['z'\] are not among the covariates"):
        sensitivity(fitted, X, y, benchmarks="z")
    with pytest.raises(ValueError, match="no covariate is left"):
        sensitivity(fitted, X, y, benchmarks={"all": ["u", "x"]})
    with pytest.raises(ValueError, match=r"T1=2 is not an arm; the arms are \[0, 1\]"):
        sensitivity(fitted, X, y, T1=2)
    with pytest.raises(ValueError, match="Cells has no scores_, outcomes_"):
        sensitivity(Cells(), X, y)


# -- errors -------------------------------------------------------------------------


def test_bad_input(doubleml_arrays):
    _, p, d, g, y = doubleml_arrays
    both = np.column_stack([1 - p, p])
    found = Sensitivity.from_interactive(y, d, g, both)
    with pytest.raises(ValueError, match=r"cf_y is a share of variance.*got 1"):
        found.bounds(cf_y=1)
    with pytest.raises(ValueError, match=r"cf_d is a share of variance.*got -0.1"):
        found.bounds(cf_d=-0.1)
    with pytest.raises(ValueError, match=r"rho is a correlation.*got 2"):
        found.bounds(rho=2)
    with pytest.raises(ValueError, match="alpha must lie between 0 and 1, got 0"):
        found.bounds(alpha=0)
    with pytest.raises(ValueError, match="q is a positive share"):
        found.robustness_value(q=0)
    with pytest.raises(ValueError, match="above 0: clip them first"):
        Sensitivity.from_interactive(y, d, g, np.zeros_like(both))
    with pytest.raises(ValueError, match=r"60 rows.*\(60, 2\) and \(60,\)"):
        Sensitivity.from_interactive(y, d, g, p)
    with pytest.raises(ValueError, match=r"columns 0 to 1, got \(0, 2\)"):
        Sensitivity.from_interactive(y, d, g, both, contrast=(0, 2))
    with pytest.raises(ValueError, match="nothing is left of the treatment"):
        Sensitivity.from_partially_linear(y, np.zeros(60))
    with pytest.raises(ValueError, match="same length"):
        Sensitivity.from_partially_linear(y, y[1:])
    with pytest.raises(ValueError, match="stderr must be positive"):
        Sensitivity.from_regression(1, 0, 10)
    with pytest.raises(ValueError, match="no confounder can be as strong as 'x'"):
        Sensitivity.from_regression(1, 1, 10, partial_r2={"x": (0.1, 0.6)})
    with pytest.raises(TypeError, match="benchmarked by partial R²"):
        Sensitivity.from_regression(1, 1, 10).benchmark({})


# -- risk ratios --------------------------------------------------------------------


@given(ratio=st.floats(1.001, 100))
def test_e_value_explains_the_ratio_exactly(ratio):
    """Ding & VanderWeele's bounding factor at the E-value is the risk ratio."""
    e = e_value(ratio).estimate
    assert e * e / (2 * e - 1) == pytest.approx(ratio, rel=1e-9)
    assert e_value(1 / ratio).estimate == pytest.approx(e, rel=1e-9)


def test_e_value_of_limits():
    assert e_value(3.9, 1.8, 8.7) == pytest.approx((7.263, 3.0), abs=1e-3)
    assert e_value(0.8, 0.71, 0.91) == pytest.approx((1.809, 1.429), abs=1e-3)
    assert e_value(1.2, 0.9, 1.6).limit == 1
    assert e_value(1.0, 0.9, 1.1) == (1, 1)
    assert e_value(2.0).limit is None
    with pytest.raises(ValueError, match="lies outside its limits"):
        e_value(1.0, 1.2, 1.4)
    with pytest.raises(ValueError, match="lower must be positive"):
        e_value(1.0, -0.2)


def test_risk_ratio_of_a_trial_is_the_textbook_interval():
    treated, control = np.repeat([1, 0], [30, 70]), np.repeat([1, 0], [15, 135])
    n = 250
    s1 = np.concatenate([treated * n / 100, np.zeros(150)])
    s0 = np.concatenate([np.zeros(100), control * n / 150])
    # Influence function of each mean, that of its own arm only.
    s1[:100] += 0.3 * (1 - n / 100)
    s1[100:] += 0.3
    s0[100:] += 0.1 * (1 - n / 150)
    s0[:100] += 0.1
    ratio, low, high = risk_ratio(s0, s1)
    error = np.sqrt(1 / 30 - 1 / 100 + 1 / 15 - 1 / 150)
    assert ratio == pytest.approx(3)
    assert low == pytest.approx(3 * np.exp(-1.959964 * error), rel=1e-6)
    assert high == pytest.approx(3 * np.exp(1.959964 * error), rel=1e-6)
    with pytest.raises(ValueError, match="is the outcome 0 and 1"):
        risk_ratio(0.1, 3.0)
