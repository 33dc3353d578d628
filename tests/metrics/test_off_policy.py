import itertools

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm
from sklearn.base import BaseEstimator
from sklearn.linear_model import LinearRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from sklearn_causalrec.metrics import (
    bernstein_interval,
    bootstrap_interval,
    confidence_sequence,
    cross_fit_outcomes,
    effective_sample_size,
    ips_confidence_sequence,
    make_causal_scorer,
    normal_interval,
    policy_value,
    recommender_policy,
    slate_policy_value,
    slope,
)

Q = np.array([[0.1, 0.9], [0.5, 0.2], [0.3, 0.3]])  # true rewards of 3 contexts
LOGGING = np.array([[0.8, 0.2], [0.5, 0.5], [0.3, 0.7]])
POLICY = np.array([[0.1, 0.9], [0.6, 0.4], [1.0, 0.0]])
WRONG_Q = np.array([[0.7, 0.0], [0.2, 0.9], [0.0, 0.5]])


def expectation(logging, **kwargs):
    """Mean of every estimator over all actions that may be logged, rewards exact."""
    rows, total = np.arange(3), 0.0
    for action in itertools.product([0, 1], repeat=3):
        action = np.array(action)
        result = policy_value(
            Q[rows, action],
            action,
            POLICY,
            propensity=logging[rows, action],
            parameters={"switch_dr": np.inf, "dr_os": 1e12, "sg_ips": 0, "sg_dr": 0},
            **kwargs,
        )
        total += LOGGING[rows, action].prod() * result.table["value"]
    return total


UNBENT = ["switch_dr", "dr_os", "sg_dr"]


def test_unbiased_exactly_where_theory_says_so():
    truth = (POLICY * Q).sum(axis=1).mean()
    values = expectation(LOGGING, outcome=WRONG_Q, estimators=["dr", "ips", *UNBENT])
    np.testing.assert_allclose(values, truth, rtol=1e-9)
    wrong = np.full_like(LOGGING, 0.5)
    values = expectation(wrong, outcome=Q, estimators=["dm", "dr", *UNBENT])
    np.testing.assert_allclose(values, truth, rtol=1e-9)
    both_wrong = expectation(wrong, outcome=WRONG_Q, estimators=["dm", "dr", "ips"])
    assert (abs(both_wrong - truth) > 0.05).all()


def test_every_estimator_by_hand():
    y, action = np.array([1.0, 0.0, 1.0]), [1, 0, 0]
    q = WRONG_Q
    w = np.array([0.9 / 0.2, 0.6 / 0.5, 1 / 0.3])
    base = np.array([0.07, 0.6 * 0.2 + 0.4 * 0.9, 0.0])
    rest = y - [0.0, 0.2, 0.0]
    result = policy_value(
        y,
        action,
        POLICY,
        propensity=[0.2, 0.5, 0.3],
        outcome=q,
        parameters={"switch_dr": 4, "dr_os": 2, "sg_ips": 0.3, "sg_dr": 0.3, "ips": 2},
    )
    sg = w / (0.7 + 0.3 * w)
    expected = {
        "dm": base.mean(),
        "ips": (np.minimum(w, 2) * y).mean(),
        "snips": (w * y).sum() / w.sum(),
        "dr": (base + w * rest).mean(),
        "sndr": base.mean() + (w * rest).sum() / w.sum(),
        "switch_dr": (base + [0, 1, 1] * w * rest).mean(),
        "dr_os": (base + 2 * w / (w**2 + 2) * rest).mean(),
        "sg_ips": (sg * y).mean(),
        "sg_dr": (base + sg * rest).mean(),
    }
    assert result.table["value"].to_dict() == pytest.approx(expected)
    assert result.effective_sample_size == pytest.approx(w.sum() ** 2 / (w**2).sum())
    assert result.mean_weight == pytest.approx(w.mean())
    assert result.logged_value == pytest.approx(2 / 3)
    assert result.value == pytest.approx(expected["dr"])
    # Agreement of dr and dm: the paired difference over its own standard error.
    difference = w * rest
    z = difference.mean() / (difference.std(ddof=1) / np.sqrt(3))
    assert result.agreement.loc["dr", "dm"] == pytest.approx(z)
    assert result.agreement.loc["dm", "dr"] == pytest.approx(-z)
    influence = w * (y - expected["snips"]) / w.mean()
    stderr = influence.std(ddof=1) / np.sqrt(3)
    assert result.table.at["snips", "stderr"] == pytest.approx(stderr)
    assert "dr" in str(result)


def test_the_logging_policy_judges_itself_by_its_mean():
    rng = np.random.default_rng(0)
    action = rng.integers(0, 3, 400)
    y = rng.binomial(1, 0.2 + 0.1 * action)
    result = policy_value(y, action, [1 / 3] * 3, propensity=np.full(400, 1 / 3))
    assert result.table.loc[["ips", "snips"], "value"].tolist() == pytest.approx(
        [y.mean()] * 2
    )
    assert result.effective_sample_size == pytest.approx(400)
    low, high = result.table.loc["ips", ["low", "high"]]
    assert (low, high) == pytest.approx(normal_interval(y))


def bandit(seed, n=2000):
    rng = np.random.default_rng(seed)
    context = rng.integers(0, 3, n)
    action = (rng.uniform(size=n) < LOGGING[context, 1]).astype(int)
    y = rng.binomial(1, Q[context, action]).astype(float)
    return context, action, y, LOGGING[context, action]


def test_agreement_finds_the_wrong_model():
    context, action, y, taken = bandit(0)
    given = dict(propensity=taken, outcome=WRONG_Q[context])
    result = policy_value(y, action, POLICY[context], **given)
    assert abs(result.agreement.loc["dm", "dr"]) > 10
    assert abs(result.agreement.loc["ips", "dr"]) < 3
    assert abs(result.value - (POLICY * Q).sum(axis=1).mean()) < 0.05


def test_models_of_the_outcome_are_cross_fitted():
    context, action, y, taken = bandit(1, n=600)
    means = cross_fit_outcomes(y, action, 2, cv=600)
    others = np.delete(np.arange(600), 5)
    same = others[action[others] == 1]
    pulled = (y[same].sum() + 10 * y[others].mean()) / (len(same) + 10)
    assert means[5, 1] == pytest.approx(pulled)
    X = np.eye(3)[context]
    result = policy_value(
        y, action, POLICY[context], propensity=taken, X=X, outcome=LinearRegression()
    )
    assert abs(result.value - (POLICY * Q).sum(axis=1).mean()) < 0.1


def test_slope_by_hand():
    # 2.39 is the quantile at .05 / 2 / 3; the third is off by more than it allows.
    quantile = norm.isf(0.05 / 6)
    reach = quantile * (0.01 + (np.sqrt(6) - 1) * 0.3)
    near, far = 1.0 - 0.99 * reach, 1.0 - 1.01 * reach
    assert slope([(1.0, 0.3), (0.9, 0.3), (near, 0.01)]) == 2
    assert slope([(1.0, 0.3), (0.9, 0.3), (far, 0.01)]) == 1
    assert slope([(1.0, 0.3)]) == 0


def test_slope_clips_what_is_rare_and_spares_what_matters():
    rng = np.random.default_rng(2)
    n = 4000
    action = (rng.uniform(size=n) < 0.01).astype(int)
    taken = np.where(action == 1, 0.01, 0.99)
    y = rng.normal(0.5, 0.1, n)  # the action doesn't matter: clipping costs little
    policy = np.tile([0.9, 0.1], (n, 1))
    free = policy_value(y, action, policy, propensity=taken, estimator="snips")
    chosen = policy_value(
        y, action, policy, propensity=taken, estimator="snips", clip="slope"
    )
    assert chosen.table.at["snips", "parameter"] < 10
    assert chosen.table.at["snips", "stderr"] <= free.table.at["snips", "stderr"]
    y = np.where(action == 1, 50.0, 0.0) + rng.normal(0, 0.1, n)
    kept = policy_value(y, action, policy, propensity=taken, estimator="ips")
    chosen = policy_value(
        y, action, policy, propensity=taken, estimator="ips", clip="slope"
    )
    assert chosen.value == pytest.approx(kept.value, rel=0.5)
    clipped = policy_value(
        y, action, policy, propensity=taken, estimator="ips", clip=1.0
    )
    assert clipped.value < 0.2 * kept.value


def test_intervals_by_their_formulas():
    rng = np.random.default_rng(3)
    x = rng.uniform(size=500)
    reach = 1.959964 * x.std(ddof=1) / np.sqrt(500)
    assert normal_interval(x) == pytest.approx((x.mean() - reach, x.mean() + reach))
    assert bootstrap_interval(x, n_bootstrap=4000) == pytest.approx(
        normal_interval(x), abs=0.003
    )
    w = rng.uniform(size=500)
    low, high = bootstrap_interval(x, weight=w)
    assert low < np.average(x, weights=w) < high
    log = np.log(80)
    reach = np.sqrt(2 * x.var(ddof=1) * log / 500) + 7 * log / (3 * 499)
    assert bernstein_interval(x, lower=0, upper=1) == pytest.approx(
        (x.mean() - reach, x.mean() + reach)
    )


@pytest.mark.parametrize("kind", ["normal", "bootstrap", "bernstein", "sequence"])
def test_every_interval_of_every_estimator_holds_its_value(kind):
    context, action, y, taken = bandit(4, n=500)
    given = dict(propensity=taken, interval=kind, bounds=(-10, 20), n_bootstrap=200)
    table = policy_value(y, action, POLICY[context], **given).table
    assert (table["low"] < table["value"]).all()
    assert (table["value"] < table["high"]).all()
    assert table["stderr"].gt(0).all()


def test_normal_intervals_cover():
    truth = (np.bincount([0, 1, 2]) @ (POLICY * Q).sum(axis=1)) / 3
    inside = []
    for seed in range(300):
        context, action, y, taken = bandit(seed, n=400)
        names = ["ips", "snips", "dr", "sndr"]
        given = dict(propensity=taken, outcome=Q[context], estimators=names)
        table = policy_value(y, action, POLICY[context], **given).table
        inside.append((table["low"] < truth) & (truth < table["high"]))
    # Three standard errors of a coverage of 0.95 over 300 seeds.
    assert (abs(np.mean(inside, axis=0) - 0.95) < 0.038).all()


@pytest.mark.parametrize("method", ["asymptotic", "bernstein"])
def test_confidence_sequences_hold_at_all_times(method):
    missed, width = [], []
    for seed in range(100):
        x = np.random.default_rng(seed).beta(1, 3, size=1000)
        low, high = confidence_sequence(x, method=method, lower=0, upper=1)
        missed.append((low > 0.25).any() or (high < 0.25).any())
        width.append(high[-1] - low[-1])
        if method == "bernstein":
            assert (np.diff(low) >= 0).all() and (np.diff(high) <= 0).all()
    assert np.mean(missed) < 0.05 + 3 * np.sqrt(0.05 * 0.95 / 100)
    assert np.mean(width) < (0.04 if method == "asymptotic" else 0.06)


def test_importance_weighted_sequence_holds_without_a_bound_on_weights():
    missed = []
    for seed in range(60):
        rng = np.random.default_rng(seed)
        shown = rng.uniform(size=2000) < 0.1
        y = rng.binomial(1, np.where(shown, 0.6, 0.1))
        low, high = ips_confidence_sequence(y, shown / 0.1)
        missed.append((low > 0.6).any() or (high < 0.6).any())
    assert np.mean(missed) < 0.1
    assert low[-1] > 0.3 and high[-1] < 0.9


# -- slates: two positions, three items, without replacement ---------------------------

ITEMS = list(itertools.permutations(range(3), 2))
ATTRACTION = np.array([0.9, 0.5, 0.2])


def slate_probability(strength):
    """First and second conditional probability of each slate; marginals alike."""
    weight = np.exp(np.asarray(strength))
    first = np.array([weight[a] / weight.sum() for a, _ in ITEMS])
    second = np.array([weight[b] / (weight.sum() - weight[a]) for a, b in ITEMS])
    joint = first * second
    at_second = np.array(
        [sum(j for j, s in zip(joint, ITEMS) if s[1] == b) for _, b in ITEMS]
    )
    return np.column_stack([first, second]), np.column_stack([first, at_second]), joint


def cascade(a, b):
    """A click above makes one below rarer."""
    return ATTRACTION[a], ATTRACTION[b] * (1 - 0.5 * ATTRACTION[a])


def independent(a, b):
    return ATTRACTION[a], 0.6 * ATTRACTION[b]


def unrestricted(a, b):
    return ATTRACTION[a] * ATTRACTION[b], ATTRACTION[b] * (1 - ATTRACTION[a])


@pytest.mark.parametrize("model", [independent, cascade, unrestricted])
def test_slates_are_unbiased_under_their_click_models(model):
    theirs, their_marginal, logged = slate_probability([0.0, 0.5, 1.0])
    ours, our_marginal, wanted = slate_probability([1.0, 0.0, -0.5])
    rewards = np.array([model(a, b) for a, b in ITEMS])
    truth = wanted @ rewards.sum(axis=1)
    rng = np.random.default_rng(0)
    q_first, q_second = rng.uniform(size=3), rng.uniform(size=(3, 3))  # any model
    shown = np.array([[q_first[a], q_second[a, b]] for a, b in ITEMS])
    first_mean = sum(ours[i, 0] * q_first[a] / 2 for i, (a, _) in enumerate(ITEMS))
    second_mean = [
        sum(ours[i, 1] * q_second[s] for i, s in enumerate(ITEMS) if s[0] == a)
        for a, _ in ITEMS
    ]
    mean = np.column_stack([np.full(len(ITEMS), first_mean), second_mean])
    values = {
        name: 0.0 for name in ["standard", "reward_interaction", "independent"]
    } | {"cascade_dr": 0.0}
    for i, chance in enumerate(logged):
        pick = np.array([i, i])  # two equal slates, for a variance to exist
        table = slate_policy_value(
            rewards[pick],
            ours[pick],
            propensity=theirs[pick],
            marginal=(our_marginal[pick], their_marginal[pick]),
            outcome=(shown[pick], mean[pick]),
        ).table
        for name in values:
            values[name] += chance * table.at[name, "value"]
    right = {
        independent: {"standard", "reward_interaction", "independent", "cascade_dr"},
        cascade: {"standard", "reward_interaction", "cascade_dr"},
        unrestricted: {"standard"},
    }[model]
    for name, value in values.items():
        assert (abs(value - truth) < 1e-9) == (name in right), name


def test_a_chosen_clip_comes_with_the_interval_of_the_unclipped():
    rng = np.random.default_rng(5)
    action = rng.integers(0, 20, 2000)
    y = rng.binomial(1, 0.01, 2000)
    policy = rng.dirichlet(np.full(20, 0.3))
    given = dict(propensity=np.full(2000, 0.05))
    free = policy_value(y, action, policy, **given).table
    table = policy_value(y, action, policy, clip="slope", **given).table
    assert table.at["ips", "parameter"] < policy.max() / 0.05
    for name in "ips", "snips", "dr", "sndr":
        assert table.loc[name, "low"] <= table.at[name, "value"]
        assert table.at[name, "value"] <= table.at[name, "high"]
        width = table.at[name, "high"] - table.at[name, "low"]
        assert width == pytest.approx(free.at[name, "high"] - free.at[name, "low"])


def test_sequences_of_rare_rewards_stay_wide():
    y = np.zeros(3000)
    y[[900, 2000]] = 1
    low, high = confidence_sequence(y)
    assert np.isinf(high[:900]).all()
    assert low[-1] <= y.mean() <= high[-1]


@pytest.mark.parametrize("kind", ["normal", "bootstrap", "bernstein", "sequence"])
@pytest.mark.parametrize("clip", [None, "slope"])
def test_deterministic_policies_on_few_rows_stay_finite(kind, clip):
    rng = np.random.default_rng(6)
    action, y = rng.integers(0, 6, 60), rng.uniform(size=60)
    table = policy_value(
        y,
        action,
        [0, 0, 0, 0, 0, 1],
        propensity=np.full(60, 1 / 6),
        interval=kind,
        clip=clip,
        n_bootstrap=200,
    ).table
    assert np.isfinite(table[["value", "stderr", "low", "high"]].to_numpy()).all()
    # Weights pulled all the way are 1 for rows of the policy, and 0 for others.
    full = policy_value(
        y,
        action,
        [0, 0, 0, 0, 0, 1],
        propensity=np.full(60, 1 / 6),
        parameters={"sg_ips": 1.0},
    )
    assert full.table.at["sg_ips", "value"] == pytest.approx(y[action == 5].sum() / 60)


def test_slates_say_what_they_need():
    y, p = np.ones((4, 2)), np.full((4, 2), 0.5)
    with pytest.raises(ValueError, match="needs marginal="):
        slate_policy_value(y, p, propensity=p, estimator="independent")
    with pytest.raises(ValueError, match="needs outcome="):
        slate_policy_value(y, p, propensity=p, estimator="cascade_dr")
    with pytest.raises(ValueError, match=r"propensity is .* in slate 0"):
        slate_policy_value(y, p, propensity=0 * p)
    with pytest.raises(ValueError, match="a row a slate"):
        slate_policy_value(y, p[:, :1], propensity=p)


# -- recommenders as policies ----------------------------------------------------------


class Arms:
    arms_ = np.array([0, 1])

    def predict(self, X, treatment=None):
        return np.asarray(X)[:, 0] * (treatment or 0)


class Items:
    item = "item"

    def predict(self, X):
        return (X["item"] == X["likes"]).to_numpy(float)


class Corrected(Arms, BaseEstimator):
    """Its effects, which were corrected, say the contrary of its outcomes."""

    def effect(self, X, T0=0, T1=1):
        return (T1 - T0) * -np.asarray(X)[:, 0]


class CorrectedItems(Items):
    arms_ = np.array([0, 1])

    def effect(self, X, T0=0, T1=1):
        return -self.predict(X)


def test_policies_by_effect_or_by_outcome():
    X = np.array([[2.0], [-2.0]])
    by_effect, by_outcome = [[1, 0], [0, 1]], [[0, 1], [1, 0]]
    for by, right in (
        (None, by_effect),
        ("effect", by_effect),
        ("outcome", by_outcome),
    ):
        found = recommender_policy(Corrected(), X, [0, 1], by=by)
        np.testing.assert_array_equal(found, right)
        found = recommender_policy(make_pipeline(Corrected()), X, [1, 0], by=by)
        np.testing.assert_array_equal(found, np.array(right)[:, ::-1])
    soft = recommender_policy(Corrected(), X, [0, 1], temperature=1.0)
    np.testing.assert_allclose(soft[:, 1], 1 / (1 + np.exp(X[:, 0])))
    found = recommender_policy(Arms(), X, [0, 1])  # it has no effects
    np.testing.assert_array_equal(found, by_outcome)
    frame = pd.DataFrame({"item": [10, 10], "likes": [20, 30]})
    found = recommender_policy(CorrectedItems(), frame, [20, 30])
    np.testing.assert_array_equal(found, [[0, 1], [1, 0]])
    found = recommender_policy(CorrectedItems(), frame, [20, 30], by="outcome")
    np.testing.assert_array_equal(found, [[1, 0], [0, 1]])
    with pytest.raises(ValueError, match=r'Arms has no effects.*by="outcome"'):
        recommender_policy(Arms(), X, [0, 1], by="effect")
    with pytest.raises(ValueError, match="by is 'uplift': choose"):
        recommender_policy(Corrected(), X, [0, 1], by="uplift")
    with pytest.raises(ValueError, match="effect predicted in row 1 is NaN"):
        recommender_policy(Corrected(), [[0.0], [np.nan]], [0, 1])


def test_value_by_effect_or_by_outcome():
    y, action, half = [1.0, 0.0, 1.0, 5.0], [1, 0, 0, 1], [0.5] * 4
    X = [[1.0], [2.0], [-1.0], [-2.0]]
    given = dict(propensity=half, X=X, estimator="ips")
    by_outcome = policy_value(y, action, Corrected(), by="outcome", **given)
    assert by_outcome.value == (2 * 1 + 2 * 1) / 4
    by_effect = policy_value(y, action, Corrected(), **given)
    assert by_effect.value == (2 * 0 + 2 * 5) / 4
    for by, right in (("effect", 2.5), ("outcome", 1.0)):
        scorer = make_causal_scorer("policy_value", by=by, estimator="ips")
        assert scorer(Corrected(), X, y, treatment=action, propensity=half) == right
    with pytest.raises(ValueError, match="by is 'effect', which says how an estimator"):
        policy_value(y, action, [0, 1], propensity=half, by="effect")


@pytest.mark.parametrize("names", [[0, 1, 2], ["email", "none", "sms"], [10.0, 20, 30]])
def test_labels_as_policies(names):
    rng = np.random.default_rng(0)
    taken, chosen = rng.integers(0, 3, size=(2, 50))
    y, given = rng.normal(size=50), dict(propensity=np.full(50, 1 / 3))
    names = np.array(names)
    right = policy_value(y, taken, np.eye(3)[chosen], **given).table
    for labels in (names[chosen], names[chosen].tolist(), pd.Series(names[chosen])):
        found = policy_value(y, names[taken], labels, **given).table
        pd.testing.assert_frame_equal(found, right)
    backwards = policy_value(y, names[taken], labels, actions=names[::-1], **given)
    assert backwards.value == pytest.approx(right.loc["dr", "value"])
    always = policy_value(y, names[taken], names[2], **given)
    assert always.value == policy_value(y, taken, [0, 0, 1], **given).value


def test_labels_are_spelt_as_in_the_log():
    action, given = ["a", "b", "a"], dict(propensity=[0.5] * 3)
    with pytest.raises(ValueError, match=r"policy holds 'A', .*\['a', 'b'\].*actions="):
        policy_value([1, 2, 3], action, "A", **given)
    with pytest.raises(ValueError, match="policy holds 7"):
        policy_value([1, 2, 3], [0, 1, 0], [0, 1, 7], **given)
    named = policy_value(
        [1, 2, 3], action, ["a", "b", "c"], actions=list("abc"), **given
    )
    assert named.effective_sample_size == 2
    of_flags = policy_value([1, 2, 3], [0, 1, 0], [True, True, False], **given)
    assert (
        of_flags.value == policy_value([1, 2, 3], [0, 1, 0], [1, 1, 0], **given).value
    )


def test_labels_or_probabilities_is_asked_where_both_may_be_meant():
    y, given = [1.0, 2.0, 3.0], dict(propensity=[0.5] * 3)
    with pytest.raises(ValueError, match="may be the action of each of the 3 rows"):
        policy_value(y, [0, 1, 0], [0, 1, 0], **given)
    labels = policy_value(y, [0, 1, 0], [0, 1, 0], actions=[0, 1], **given)
    np.testing.assert_allclose(labels.effective_sample_size, 3)
    chances = policy_value(y, [0, 1, 2], [0.5, 0.25, 0.25], **given)
    assert (
        chances.value
        == policy_value(y, [0, 1, 2], np.tile([0.5, 0.25, 0.25], (3, 1)), **given).value
    )


def test_policies_of_recommenders():
    X = np.array([[2.0], [-2.0], [0.0]])
    greedy = recommender_policy(Arms(), X, [0, 1])
    np.testing.assert_array_equal(greedy, [[0, 1], [1, 0], [0.5, 0.5]])
    soft = recommender_policy(Arms(), X, [0, 1], temperature=1.0)
    np.testing.assert_allclose(soft[:, 1], 1 / (1 + np.exp(-X[:, 0])))
    shifted = make_pipeline(FunctionTransformer(lambda X: X + 1), Arms())
    np.testing.assert_array_equal(
        recommender_policy(shifted, X, [0, 1]), [[0, 1], [1, 0], [0, 1]]
    )
    frame = pd.DataFrame({"item": [1, 1], "likes": [2, 3]})
    picked = recommender_policy(Items(), frame, [1, 2, 3])
    np.testing.assert_array_equal(picked, [[0, 1, 0], [0, 0, 1]])
    with pytest.raises(ValueError, match="no arms of the estimator"):
        recommender_policy(Arms(), X, [5, 6])

    y, action = [1.0, 0.0, 1.0], [1, 0, 0]
    by_model = policy_value(y, action, Arms(), propensity=[0.5] * 3, X=X)
    by_hand = policy_value(y, action, greedy, propensity=[0.5] * 3)
    assert by_model.value == pytest.approx(by_hand.value)


def test_effective_sample_size():
    assert effective_sample_size([2, 2, 2]) == pytest.approx(3)
    assert effective_sample_size([1e200, 0]) == 1
    assert effective_sample_size([0, 0]) == 0


@pytest.mark.parametrize(
    "kwargs, match",
    [
        (dict(propensity=None), "propensity is missing"),
        (dict(propensity=[0, 1, 1]), "propensity is 0.0 in row 0"),
        (dict(policy=[0.5, 0.6]), r"policy is \[0.5, 0.6\] in row 0"),
        (dict(policy=[[0.5, 0.5]]), "policy has the shape"),
        (dict(action=[0, 1, 7]), "action holds 7"),
        (
            dict(action=[0, 0, 0], policy=[0, 1]),
            "never takes an action that was logged",
        ),
        (dict(estimator="drr"), "estimator is 'drr'"),
        (dict(interval="x"), "interval is 'x'"),
        (dict(clip=0), "clip is 0"),
        (dict(clip="best"), "clip is 'best'"),
        (dict(outcome=np.ones((3, 5))), "outcome has the shape"),
        (dict(outcome=LinearRegression()), "pass X="),
        (dict(policy=Arms()), "pass X="),
        (dict(y=[0, np.nan, 1]), "y is nan in row 1"),
    ],
)
def test_bad_input(kwargs, match):
    good = dict(y=[0, 1, 1], action=[0, 1, 1], policy=[0.5, 0.5], propensity=[0.5] * 3)
    with pytest.raises(ValueError, match=match):
        policy_value(**good | kwargs)


def test_bounds_must_hold():
    with pytest.raises(ValueError, match="outside of the bounds"):
        bernstein_interval([0, 2], lower=0, upper=1)
    with pytest.raises(ValueError, match="needs the bounds"):
        confidence_sequence([0, 1], method="bernstein")


def test_weights_alone_fit_no_model():
    class Refuses(BaseEstimator):
        def fit(self, X, y):
            raise RuntimeError("fitted")

        def predict(self, X):
            raise RuntimeError("fitted")

    rng = np.random.default_rng(0)
    action, X = rng.integers(0, 2, 200), rng.normal(size=(200, 1))
    y = 1.0 * action + rng.normal(size=200)
    options = dict(propensity=np.full(200, 0.5), X=X, outcome=Refuses())
    found = policy_value(
        y, action, [0, 1], estimator="ips", estimators=["snips"], **options
    )
    assert found.value == pytest.approx(np.mean(2 * y * action))
    with pytest.raises(RuntimeError, match="fitted"):
        policy_value(y, action, [0, 1], estimator="dr", estimators=[], **options)
