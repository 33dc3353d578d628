import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import norm

from sklearn_causalrec.metrics import (
    ate_error,
    auuc_score,
    calibration_error,
    calibration_line,
    causal_precision_at_k,
    cdcg,
    doubly_robust_scores,
    dr_loss,
    effect_calibration,
    joint_loss,
    pehe,
    qini_curve,
    qini_score,
    r_loss,
    rate,
    toc_curve,
    uplift_at_k,
    uplift_curve,
)


def confounded(n, seed=0):
    """Effects 1 + x, outcomes and exposure that both follow x, and the nuisances."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n)
    e = 1 / (1 + np.exp(-x))
    t = rng.binomial(1, e)
    mu = np.column_stack([2 * x, 2 * x + 1 + x])
    y = mu[np.arange(n), t] + rng.normal(size=n)
    return x, y, t, np.where(t == 1, e, 1 - e), mu


def test_pehe_and_ate_error():
    assert pehe([1, 2, 3], [1, 2, 6]) == pytest.approx(np.sqrt(3))
    assert ate_error([1, 2, 3], [1, 2, 6]) == 1
    assert ate_error([1, -1], [-1, 1]) == 0


def test_scores_of_two_rows_by_hand():
    # e = .25 in both rows; means .25 and .75 as models.
    scores = doubly_robust_scores(
        [1.0, 1.0], [1, 0], propensity=[0.25, 0.75], outcomes=[[0.25, 0.75]] * 2
    )
    np.testing.assert_allclose(scores, [0.5 + 0.25 / 0.25, 0.5 - 0.75 / 0.75])


@pytest.mark.parametrize("wrong", ["nothing", "outcomes", "propensity"])
def test_scores_are_doubly_robust(wrong):
    x, y, t, taken, mu = confounded(100_000)
    if wrong == "outcomes":
        mu = np.zeros_like(mu)
    if wrong == "propensity":
        taken = np.full(len(y), 0.5)
    scores = doubly_robust_scores(y, t, propensity=taken, outcomes=mu)
    stderr = scores.std() / np.sqrt(len(y))
    assert abs(scores.mean() - 1) < 4 * stderr
    # Also the slope of the effect.
    line = calibration_line(1 + x, scores).loc["slope"]
    assert abs(line["estimate"] - 1) < 4 * line["stderr"]


def test_both_losses_are_the_squared_error_up_to_a_constant():
    x, y, t, taken, mu = confounded(200_000, seed=1)
    truth = 1 + x
    e = np.where(t == 1, taken, 1 - taken)
    mean = mu[:, 0] + e * truth
    weight = e * (1 - e)
    for guess in (np.zeros_like(x), truth + 0.7, 2 * x):
        error = (guess - truth) ** 2
        dr = [dr_loss(y, g, t, propensity=taken, outcomes=mu) for g in (guess, truth)]
        assert dr[0] - dr[1] == pytest.approx(error.mean(), rel=0.05)
        r = [r_loss(y, g, t, outcome=mean, propensity=taken) for g in (guess, truth)]
        assert r[0] - r[1] == pytest.approx((weight * error).mean(), rel=0.05)


def test_joint_loss_is_the_error_of_effects_and_mean_outcomes():
    x, y, t, taken, mu = confounded(200_000, seed=4)
    e = np.where(t == 1, taken, 1 - taken)
    truth = mu[:, 1] - mu[:, 0]
    given = dict(outcome=mu[:, 0] + e * truth, propensity=taken)
    best = joint_loss(y, truth, t, mu, **given)
    for wrong_effect, wrong_outcome in ((x, 0 * x), (0 * x, np.sin(x)), (x, 0.5 + x)):
        loss = joint_loss(
            y, truth + wrong_effect, t, mu + wrong_outcome[:, None], **given
        )
        expected = np.mean(e * (1 - e) * wrong_effect**2 + wrong_outcome**2 / 2)
        assert loss - best == pytest.approx(expected, rel=0.05)


def test_joint_loss_is_squared_error_where_effects_are_differences_of_outcomes():
    rng = np.random.default_rng(5)
    y, t, taken = rng.normal(size=50), np.tile([0, 1], 25), rng.uniform(0.1, 0.9, 50)
    arms, mean = rng.normal(size=(50, 2)), rng.normal(size=50)
    effect = arms[:, 1] - arms[:, 0]
    squared = np.mean((y - arms[np.arange(50), t]) ** 2)
    judged = r_loss(y, effect, t, outcome=mean, propensity=taken)
    joint = joint_loss(y, effect, t, arms, outcome=mean, propensity=taken)
    assert joint == pytest.approx((squared + judged) / 2)
    with pytest.raises(ValueError, match=r"outcome_pred has the shape \(50,\)"):
        joint_loss(y, effect, t, arms[:, 1], outcome=mean)


def test_curves_by_loops():
    rng = np.random.default_rng(2)
    n = 40
    y, t, effect = rng.normal(size=n), rng.integers(0, 2, n), rng.normal(size=n)
    uplift = uplift_curve(y, effect, t)
    qini = qini_curve(y, effect, t)
    order = np.argsort(-effect)
    for m in range(n + 1):
        first = order[:m]
        on, off = first[t[first] == 1], first[t[first] == 0]
        means = [y[s].mean() if len(s) else 0.0 for s in (on, off)]
        assert uplift.gain[m] == pytest.approx(m / n * (means[0] - means[1]))
        ratio = len(on) / len(off) if len(off) else 0.0
        extra = (y[on].sum() - y[off].sum() * ratio) / t.sum()
        assert qini.gain[m] == pytest.approx(extra)
        assert uplift.share[m] == m / n
    area = np.trapezoid(uplift.gain, uplift.share) - uplift.gain[-1] / 2
    assert auuc_score(y, effect, t) == pytest.approx(area)


@given(st.integers(0, 500))
@settings(deadline=None, max_examples=30)
def test_curves_depend_on_the_order_alone(seed):
    rng = np.random.default_rng(seed)
    y, t = rng.normal(size=30), np.tile([0, 1], 15)
    effect = rng.integers(0, 6, 30)
    perm = rng.permutation(30)
    for score in auuc_score, qini_score:
        value = score(y, effect, t)
        assert score(y, np.exp(effect / 3.0), t) == pytest.approx(value)
        assert score(y[perm], effect[perm], t[perm]) == pytest.approx(value)
        assert score(y, effect, np.where(t, "yes", "no")) == pytest.approx(value)
        assert score(y, np.zeros(30), t) == pytest.approx(0, abs=1e-12)


def test_areas_estimate_the_integral_of_the_true_effects():
    """Effects 1 + x of a normal x: the integral in closed form, by quadrature."""
    x, y, t, taken, _ = confounded(400_000, seed=3)
    # q E[x | top q] is the density at the quantile.
    truth = quad(lambda q: norm.pdf(norm.isf(q)), 0, 1)[0]
    assert truth == pytest.approx(1 / (2 * np.sqrt(np.pi)))
    assert auuc_score(y, x, t, propensity=taken) == pytest.approx(truth, abs=0.015)
    assert abs(auuc_score(y, x, t) - truth) > 0.1  # confounded without propensities
    assert rate(x, 1 + x, weighting="qini", n_bootstrap=2).estimate == pytest.approx(
        truth, abs=0.005
    )
    rng = np.random.default_rng(4)
    t = rng.binomial(1, 0.3, len(x))
    y = x + t * (1 + x)
    for score in auuc_score, qini_score:
        assert score(y, x, t) == pytest.approx(truth, abs=0.01)


def test_conventions_by_hand():
    y, effect, t = [1, 0, 0, 1], [4, 3, 2, 1], [1, 0, 1, 0]
    # Uplift curve in rows: 0, 1, 2, 3/2 - 0, 4 (1/2 - 1/2) = 0, which is also that of
    # a perfect order: rows 0 and 1 (y == t), then the shown non-responder.
    assert auuc_score(y, effect, t, convention="scikit-uplift") == pytest.approx(1)
    # The worst order: 0, -1, -2, -3/2, 0; random is 0 throughout.
    worst = auuc_score(y, np.negative(effect), t, convention="scikit-uplift")
    assert worst == pytest.approx(-1)
    with pytest.raises(ValueError, match="ends at 0"):
        auuc_score(y, effect, t, convention="causalml")
    y = [1, 0, 1, 1]
    # Differences of means: 0, 1/2 (interpolated), 1, 1, 1/2; times rows, over the last.
    mean = (0 + 0.5 + 2 + 3 + 2) / 5 / 2
    assert auuc_score(y, effect, t, convention="causalml") == pytest.approx(mean)
    # Qini: 0, .5 (interpolated), 1, 2, 2 - 1 * 2 / 2 = 1; random: 1 * 5 / 2.
    qini = (0 + 0.5 + 1 + 2 + 1 - 2.5) / 5 / 1
    assert qini_score(y, effect, t, convention="causalml") == pytest.approx(qini)
    with pytest.raises(ValueError, match="0/1 outcome"):
        auuc_score([2, 0, 1, 1], effect, t, convention="scikit-uplift")
    with pytest.raises(ValueError, match="knows no propensities"):
        qini_score(y, effect, t, propensity=[0.5] * 4, convention="causalml")


def test_uplift_at_k():
    y, effect, t = [1, 0, 0, 1], [4, 3, 2, 1], [1, 0, 1, 0]
    assert uplift_at_k(y, effect, t, k=2) == uplift_at_k(y, effect, t, k=0.5) == 1
    assert uplift_at_k(y, effect, t, k=4) == 0
    assert uplift_at_k(y, [1, 1, 1, 0], t, k=1) == 0.5  # ties are in together
    with pytest.raises(ValueError, match="first 1 rows are of one arm"):
        uplift_at_k(y, effect, t, k=1)
    with pytest.raises(ValueError, match="k is 5"):
        uplift_at_k(y, effect, t, k=5)


def test_toc_and_rate_by_loops():
    rng = np.random.default_rng(5)
    priority, scores = rng.normal(size=25), rng.normal(size=25)
    order = np.argsort(-priority)
    toc = [scores[order[:m]].mean() - scores.mean() for m in range(1, 26)]
    np.testing.assert_allclose(toc_curve(priority, scores).gain, toc)
    assert rate(priority, scores).estimate == pytest.approx(np.mean(toc))
    weighted = np.mean(np.array(toc) * np.arange(1, 26) / 25)
    qini = rate(priority, scores, weighting="qini")
    assert qini.estimate == pytest.approx(weighted)
    ties = rate(np.zeros(25), scores)
    assert ties.estimate == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize("weighting", ["autoc", "qini"])
def test_rate_stderr_is_that_over_samples(weighting):
    estimates, errors = [], []
    for seed in range(120):
        rng = np.random.default_rng(seed)
        x = rng.normal(size=300)
        scores = 0.5 * x + rng.normal(size=300)
        found = rate(x, scores, weighting=weighting, n_bootstrap=40)
        estimates.append(found.estimate)
        errors.append(found.stderr)
    assert np.mean(errors) == pytest.approx(np.std(estimates, ddof=1), rel=0.2)
    # q E[x | top q] is the normal density at the quantile.
    power = 1 if weighting == "autoc" else 0
    truth = 0.5 * quad(lambda q: norm.pdf(norm.isf(q)) / q**power, 1e-12, 1)[0]
    assert np.mean(estimates) == pytest.approx(truth, abs=0.03)


def test_calibration_tables():
    rng = np.random.default_rng(6)
    effect = rng.normal(size=50_000)
    scores = effect + 5 * rng.normal(size=50_000)
    table = effect_calibration(effect, scores, n_bins=8)
    assert table["rows"].tolist() == [6250] * 8
    assert table["predicted"].is_monotonic_increasing
    assert (abs(table["predicted"] - table["estimated"]) < 4 * table["stderr"]).all()
    assert calibration_error(effect, scores) < 0.06
    assert calibration_error(2 * effect, scores) == pytest.approx(0.98, abs=0.06)
    assert calibration_error(effect + 1, scores) == pytest.approx(1, abs=0.06)
    line = calibration_line(2 * effect + 1, scores)
    assert abs(line.at["slope", "estimate"] - 0.5) < 0.05
    assert len(effect_calibration([1, 1, 1, 1], [0, 1, 0, 1])) == 1
    with pytest.raises(ValueError, match="there is no slope"):
        calibration_line([1, 1], [0, 1])


def test_causal_lists():
    effect = [1.0, -1.0, 0.5, 2.0]
    score, users = [4, 3, 2, 9], ["a", "a", "a", "b"]
    a = 1 - 1 / np.log2(3) + 0.5 / 2
    assert cdcg(effect, score, users) == pytest.approx((a + 2) / 2)
    # b's list of one is filled up: (0 + 2/2) / 2.
    assert causal_precision_at_k(effect, score, users, k=2) == pytest.approx(0.5)
    tied = causal_precision_at_k([1.0, 0.0], [1, 1], k=1)
    assert tied == 0.5


def test_causal_precision_from_a_log_is_unbiased():
    """Over every assignment of arms the mean is the value of the true effects."""
    effect, p = np.array([1.0, -1.0, 0.5]), np.array([0.3, 0.6, 0.8])
    total = 0.0
    for code in range(8):
        # Two more rows, at the end of the list, so that both arms are there.
        t = np.array([code >> i & 1 for i in range(3)] + [0, 1])
        taken = np.where(t == 1, [*p, 0.5, 0.5], [*(1 - p), 0.5, 0.5])
        scores = doubly_robust_scores(
            t * [*effect, 0, 0], t, propensity=taken, outcomes=np.zeros((5, 2))
        )
        value = causal_precision_at_k(scores, [5, 4, 3, 2, 1], k=3)
        total += taken[:3].prod() * value
    assert total == pytest.approx(effect.mean())


@pytest.mark.parametrize(
    "kwargs, match",
    [
        (dict(treatment=None), "treatment is missing"),
        (dict(treatment=[1, 1, 1]), "treatment takes the values"),
        (dict(treatment=[0, 1, 2]), "treatment takes the values"),
        (dict(treatment=[0, 1, None]), "treatment is missing in row 2"),
        (dict(treatment=[0, 1]), "there are 3 rows"),
        (dict(propensity=[1, 0.5, 0.5]), "propensity is 1 in row 0"),
        (dict(propensity=[0.5, 0.5, 2]), "propensity is 2.0 in row 2"),
        (dict(y=[0, np.nan, 1]), "y is nan in row 1"),
        (dict(effect_pred=[1]), "effect_pred has 1 values"),
        (dict(convention="x"), "convention is 'x'"),
    ],
)
def test_bad_input(kwargs, match):
    good = dict(y=[0, 1, 1], effect_pred=[1, 2, 3], treatment=[0, 1, 1])
    with pytest.raises(ValueError, match=match):
        qini_score(**good | kwargs)
