"""Policies from logged bandit feedback: enumeration, closed forms, the contract."""

import itertools
import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn import config_context
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_causalrec import CounterfactualPolicy
from sklearn_causalrec.metrics import (
    make_causal_scorer,
    policy_value,
    recommender_policy,
)
from sklearn_causalrec.networks import PolicyObjective
from sklearn_causalrec.networks.network import Output

# Long enough for a softmax to come close to the best policy of a few contexts.
EXACT = dict(
    hidden_layer_sizes=(),
    l2=0.0,
    learning_rate=0.1,
    max_epochs=500,
    batch_size=4096,
    early_stopping=False,
    random_state=0,
)


@pytest.fixture(scope="module")
def log():
    rng = np.random.default_rng(0)
    X, arm = rng.normal(size=(900, 2)), rng.integers(0, 3, 900)
    y = rng.binomial(1, np.where(arm == (X[:, 0] > 0), 0.8, 0.2)).astype(float)
    return X, y, arm, np.full(900, 1 / 3)


def fast(**params):
    defaults = dict(objective="offset_ips", max_epochs=15, random_state=0)
    defaults["multipliers"] = (-0.5, 0, 0.5)
    return CounterfactualPolicy(**{**defaults, **params})


# -- objectives --------------------------------------------------------------------


def table(seed=0, n=300, n_contexts=3, n_arms=3):
    """A log of a few contexts, with uneven known propensities; and its one-hot X."""
    rng = np.random.default_rng(seed)
    logging = rng.dirichlet(np.ones(n_arms) * 2, n_contexts)
    context = rng.integers(0, n_contexts, n)
    arm = np.array([rng.choice(n_arms, p=logging[c]) for c in context])
    arm[:n_arms] = np.arange(n_arms)
    y = rng.normal(rng.normal(size=(n_contexts, n_arms))[context, arm] + 1)
    return np.eye(n_contexts)[context], context, arm, logging[context, arm], y


def best_arms(context, arm, propensity, reward):
    """By context the arm of the largest sum of r / p: the best of all policies."""
    total = np.zeros((context.max() + 1, arm.max() + 1))
    np.add.at(total, (context, arm), reward / propensity)
    return total.argmax(axis=1)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("objective", ["ips", "offset_ips"])
def test_learns_the_best_of_all_policies(objective, seed):
    X, context, arm, p, y = table(seed)
    policy = CounterfactualPolicy(objective=objective, **EXACT)
    policy.fit(X, y, treatment=arm, propensity=p)
    reward = y if objective == "ips" else y - y.mean()
    best = best_arms(context, arm, p, reward)
    assert (policy.predict(np.eye(3)) == best).all()
    rows = np.arange(len(y))
    earned = np.mean(reward * policy.predict_proba(X)[rows, arm] / p)
    most = np.mean(reward * (best[context] == arm) / p)
    assert most * 0.99 < earned <= most
    assert policy.offset_ == pytest.approx(0 if objective == "ips" else y.mean())


@pytest.mark.parametrize("seed", range(4))
def test_banditnet_learns_the_best_self_normalised_policy(seed):
    X, context, arm, p, y = table(seed)
    policies = np.array(list(itertools.product(range(3), repeat=3)))
    weight = (policies[:, context] == arm) / p
    values = (weight @ y) / weight.sum(axis=1)
    best = values.argmax()
    # Fractional programming: the multiplier of the best policy is its own value.
    at_best = (values[best] - y.mean()) / y.std()
    policy = CounterfactualPolicy(multipliers=(-2, 0, at_best, 4), **EXACT)
    policy.fit(X, y, treatment=arm, propensity=p)
    assert (policy.predict(np.eye(3)) == policies[best]).all()
    assert policy.score(X, y, arm, p) == pytest.approx(values[best], rel=0.01)
    assert {r["member"] for r in policy.history_} == {0, 1, 2, 3}


@pytest.mark.parametrize("variance_penalty", [0.0, 5.0, 15.0])
def test_poem_finds_the_best_compromise(variance_penalty):
    rng = np.random.default_rng(1)
    arm = rng.binomial(1, 0.2, 400)
    p = np.where(arm == 1, 0.2, 0.8)
    y = rng.binomial(1, np.where(arm == 1, 0.6, 0.4)).astype(float)
    policy = CounterfactualPolicy(
        objective="poem", variance_penalty=variance_penalty, **EXACT
    )
    fitted = policy.fit(np.zeros((400, 1)), y, treatment=arm, propensity=p)

    chance = np.linspace(0, 1, 2001)[:, None]  # of the second arm
    gains = y * np.where(arm == 1, chance, 1 - chance) / p
    risk = variance_penalty * gains.std(axis=1) / 20 - gains.mean(axis=1)
    best = chance[risk.argmin(), 0]
    assert (best > 0.95) == (variance_penalty == 0)
    assert fitted.predict_proba([[0.0]])[0, 1] == pytest.approx(best, abs=0.01)


def test_clipping_bounds_what_a_rewarded_row_attracts():
    arm = np.repeat([0, 1], 50)
    y = np.where(arm == 0, 1.0, 0.8)
    given = dict(treatment=arm, propensity=np.full(100, 0.5))
    policy = CounterfactualPolicy(objective="ips", clip=1.2, **EXACT)
    policy.set_params(learning_rate_schedule="cosine")  # comes to rest at a kink
    policy.fit(np.zeros((100, 1)), y, **given)
    # Beyond 1.2 * 0.5 the first arm earns nothing more.
    assert policy.predict_proba([[0.0]])[0, 0] == pytest.approx(0.6, abs=0.01)
    policy.set_params(clip=None).fit(np.zeros((100, 1)), y, **given)
    assert policy.predict_proba([[0.0]])[0, 0] > 0.99
    # A reward below 0 repels whatever its weight.
    policy.set_params(clip=0.1).fit(np.zeros((100, 1)), y - 2, **given)
    assert policy.predict_proba([[0.0]])[0, 0] > 0.99


def batch_of(seed, n=40, n_arms=4):
    generator = torch.Generator().manual_seed(seed)
    draw = dict(generator=generator, dtype=torch.float64)
    batch = {
        "arm": torch.randint(n_arms, (n,), generator=generator),
        "propensity": torch.rand(n, **draw) * 0.9 + 0.1,
    }
    weight = torch.rand(n, **draw)
    batch["weight"] = weight / weight.mean()
    return torch.randn(n, n_arms, **draw), torch.randn(n, **draw), batch


def loss_of(objective, logits, reward, batch):
    return objective(Output(logits, None, None), reward, batch)


@pytest.mark.parametrize("clip", [None, 0.5])
def test_gradient_is_the_formula(clip):
    logits, r, batch = batch_of(0)
    logits.requires_grad_()
    loss = loss_of(PolicyObjective(clip=clip), logits, r, batch)
    loss.backward()
    pi = torch.softmax(logits.detach(), 1).numpy()
    arm, p, r = batch["arm"].numpy(), batch["propensity"].numpy(), r.numpy()
    w = pi[np.arange(40), arm] / p
    moves = np.ones(40) if clip is None else (r <= 0) | (w < clip)
    gains = r * w if clip is None else np.where(r > 0, r * np.minimum(w, clip), r * w)
    rows = batch["weight"].numpy()
    assert loss.item() == pytest.approx(-(rows * gains).mean())
    expected = -(rows * moves * r * w / 40)[:, None] * (np.eye(4)[arm] - pi)
    np.testing.assert_allclose(logits.grad.numpy(), expected, atol=1e-12)


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 10_000),
    step=arrays(float, (40, 4), elements=st.floats(-3, 3, width=32)),
    weighted=st.booleans(),
)
def test_the_batch_loss_bounds_the_penalised_risk(seed, step, weighted):
    logits, r, batch = batch_of(seed)
    if not weighted:
        del batch["weight"]
    objective = PolicyObjective(clip=3.0, variance_penalty=2.0, n_rows=40.0)

    def risk(logits):
        arm = batch["arm"].unsqueeze(1)
        w = logits.softmax(1).gather(1, arm)[:, 0] / batch["propensity"]
        return w, objective.risk(r, w, batch.get("weight"))

    # Equal in value and gradient where it was expanded ...
    logits.requires_grad_()
    w, at = risk(logits)
    objective.expand_at(r, w, batch.get("weight"))
    bound = loss_of(objective, logits, r, batch)
    assert bound.item() == pytest.approx(at.item())
    of_bound, of_risk = (torch.autograd.grad(x, logits)[0] for x in (bound, at))
    torch.testing.assert_close(of_bound, of_risk)
    # ... and above everywhere else.
    elsewhere = logits.detach() + torch.as_tensor(step)
    above = loss_of(objective, elsewhere, r, batch).item()
    assert above >= risk(elsewhere)[1].item() - 1e-9


@pytest.mark.parametrize("constant", [-50.0, 1.0, 1000.0])
def test_a_constant_reward_changes_nothing_but_ips(log, constant):
    X, y, arm, p = log
    for objective in ("offset_ips", "banditnet", "poem"):
        plain = fast(objective=objective).fit(X, y, arm, p)
        moved = fast(objective=objective).fit(X, y + constant, arm, p)
        np.testing.assert_allclose(
            moved.predict_proba(X), plain.predict_proba(X), atol=1e-6
        )
        assert moved.offset_ - plain.offset_ == pytest.approx(constant)
        scores = moved.score(X, y + constant, arm, p), plain.score(X, y, arm, p)
        assert scores[0] - scores[1] == pytest.approx(constant)
    plain = fast(objective="ips").fit(X, y, arm, p)
    moved = fast(objective="ips").fit(X, y + constant, arm, p)
    assert abs(plain.predict_proba(X) - moved.predict_proba(X)).max() > 0.2


def test_one_multiplier_of_zero_is_the_offset(log):
    X, y, arm, p = log
    offset = fast().fit(X, y, arm, p)
    same = fast(objective="banditnet", multipliers=[0]).fit(X, y, arm, p)
    assert (offset.predict_proba(X) == same.predict_proba(X)).all()


# -- the estimator -----------------------------------------------------------------


@pytest.mark.parametrize("objective", ["ips", "offset_ips", "poem", "banditnet"])
def test_learns_a_good_policy(log, objective):
    X, y, arm, p = log
    names = np.array(["a", "b", "c"])
    policy = CounterfactualPolicy(objective=objective, random_state=0)
    policy.fit(X, y, treatment=names[arm], propensity=p)
    new = np.random.default_rng(1).normal(size=(500, 2))
    proba, chosen = policy.predict_proba(new), policy.predict(new)
    assert (policy.arms_ == names).all()
    assert proba.shape == (500, 3)
    np.testing.assert_allclose(proba.sum(axis=1), 1)
    assert (chosen == names[proba.argmax(axis=1)]).all()
    assert (chosen == names[(new[:, 0] > 0).astype(int)]).mean() > 0.8
    assert policy.n_iter_ == max(r["epoch"] for r in policy.history_) or (
        objective == "banditnet"
    )
    last = policy.history_[-1]
    assert np.isfinite([last[k] for k in ("train_loss", "valid_loss", "seconds")]).all()
    assert 0 <= last["valid_score"] <= 1


def test_reproducible_and_picklable_and_clonable(log):
    X, y, arm, p = log
    first = fast(objective="banditnet").fit(X, y, arm, p)
    again = clone(first).fit(X, y, arm, p)
    assert (first.predict_proba(X) == again.predict_proba(X)).all()
    stored = pickle.loads(pickle.dumps(first))
    assert (first.predict_proba(X) == stored.predict_proba(X)).all()
    other = fast(random_state=1).fit(X, y, arm, p)
    assert not (first.predict_proba(X) == other.predict_proba(X)).all()


def test_progress_is_shown_on_demand(log, capsys):
    fast(max_epochs=2).fit(*log)
    assert capsys.readouterr().err == ""
    fast(max_epochs=2, verbose=1).fit(*log)
    assert "fit:" in capsys.readouterr().err


def test_sample_weight(log):
    X, y, arm, p = (part[:300] for part in log)
    exact = dict(early_stopping=False, batch_size=4096)
    weight = np.where(np.arange(300) < 200, 2.0, 0.0)
    weighted = fast(**exact).fit(X, y, arm, p, sample_weight=weight)
    twice = fast(**exact).fit(*(np.repeat(part[:200], 2, axis=0) for part in log))
    np.testing.assert_allclose(
        weighted.predict_proba(X), twice.predict_proba(X), atol=1e-5
    )
    uneven = fast(**exact).fit(X, y, arm, p, sample_weight=1.0 + 20 * (arm == 0))
    even = fast(**exact).fit(X, y, arm, p)
    gap = uneven.predict_proba(X) - even.predict_proba(X)
    assert abs(gap).max() > 0.01


def test_columns_with_roles(log):
    X, y, arm, p = log
    frame = pd.DataFrame(X, columns=["a", "b"]).assign(
        arm=arm, p=p, who=np.arange(900) % 20, when=np.arange(900)
    )
    policy = fast(treatment="arm", propensity="p", user="who", time="when")
    policy.fit(frame, y)
    assert policy.predict_proba(frame).shape == (900, 3)
    expected = policy_value(
        y, arm, policy, propensity=p, X=frame, estimator="snips"
    ).value
    assert policy.score(frame, y) == pytest.approx(expected)
    assert cross_val_score(fast(treatment="arm", propensity="p"), frame, y, cv=3).min()
    with pytest.raises(ValueError, match="treatment came twice"):
        policy.score(frame, y, treatment=arm)


def test_ids_alone_make_a_policy():
    rng = np.random.default_rng(0)
    user, arm = rng.integers(0, 10, 2000), rng.integers(0, 2, 2000)
    y = (arm == user % 2) + 0.1 * rng.normal(size=2000)
    frame = pd.DataFrame({"user": user})
    policy = fast(user="user", max_epochs=40).fit(frame, y, arm, np.full(2000, 0.5))
    assert (policy.predict(frame) == user % 2).all()
    assert policy.predict(pd.DataFrame({"user": [99]})).shape == (1,)
    # One row a user: some users are held out.
    alone = pd.DataFrame({"user": np.arange(500), "x": user[:500]})
    policy = fast(user="user").fit(alone, y[:500], arm[:500], np.full(500, 0.5))
    assert np.isfinite([record["valid_loss"] for record in policy.history_]).all()


@pytest.mark.parametrize("routed", ["pipeline", "search"])
def test_routing(log, enable_routing, routed):
    X, y, arm, p = log
    given = dict(treatment=arm, propensity=p)
    model = make_pipeline(StandardScaler(), fast())
    if routed == "search":
        grid = {"counterfactualpolicy__learning_rate": [1e-7, 5e-3]}
        model = GridSearchCV(model, grid, cv=2, error_score="raise")
    model.fit(X, y, **given)
    assert model.score(X, y, **given) > 0.6
    if routed == "search":
        assert model.best_params_ == {"counterfactualpolicy__learning_rate": 5e-3}
    scores = cross_val_score(fast(), X, y, cv=3, params=given)
    assert scores.min() > 0.5
    value = policy_value(y, arm, model, propensity=p, X=X, estimator="snips").value
    assert value == pytest.approx(model.score(X, y, **given))
    scorer = make_causal_scorer("policy_value", estimator="snips")
    assert scorer(model, X, y, **given) == pytest.approx(value)


def test_score_never_drops_metadata_silently(log):
    X, y, arm, p = log
    policy = fast().fit(X, y, arm, p)
    with pytest.raises(ValueError, match="Pass treatment= to score"):
        policy.score(X, y)
    with pytest.raises(ValueError, match="propensity is missing"):
        policy.score(X, y, treatment=arm)
    snips = policy_value(
        y, arm, policy.predict_proba(X), propensity=p, estimator="snips"
    ).value
    assert policy.score(X, y, arm, p) == pytest.approx(snips)
    # Weights count as rows do, and arms not seen in fit as never taken.
    weight = np.repeat([1, 3], 450)
    repeated = [np.repeat(part, weight, axis=0) for part in log]
    assert policy.score(X, y, arm, p, sample_weight=weight) == pytest.approx(
        policy.score(*repeated)
    )
    kept = arm != 2
    assert policy.score(X, y, np.where(kept, arm, 9), p) == pytest.approx(
        policy.score(*(part[kept] for part in log))
    )
    with pytest.raises(ValueError, match="never takes an action that was logged"):
        policy.score(X, y, np.full(900, 9), p)


def test_as_a_policy_of_more_or_fewer_actions(log):
    X, y, arm, p = log
    policy = fast().fit(X, y, arm, p)
    proba = policy.predict_proba(X)
    columns = recommender_policy(policy, X, [2, 7, 0, 1])
    np.testing.assert_array_equal(columns[:, [2, 3, 0]], proba)
    assert (columns[:, 1] == 0).all()
    with pytest.raises(ValueError, match="chooses 2 too"):
        recommender_policy(policy, X, [0, 1])
    with pytest.raises(ValueError, match="probabilities of its own"):
        recommender_policy(policy, X, [0, 1, 2], temperature=1.0)
    # A log that lacks an arm of the policy, and one that has one more.
    some = arm < 2
    fewer = policy_value(y[some], arm[some], policy, propensity=p[some], X=X[some])
    assert 0.5 < fewer.mean_weight / (3 / 2) < 1.2
    more = policy_value(y, np.where(arm == 2, 5, arm), policy, propensity=p, X=X)
    assert np.isfinite(more.value)


def test_training_curves_show_the_value(log):
    from sklearn_causalrec.plot import TrainingCurveDisplay

    policy = fast().fit(*log)
    display = TrainingCurveDisplay.from_estimator(policy)
    assert display.axes_[1].get_ylabel() == "value"


@pytest.mark.parametrize(
    "change, message",
    [
        (dict(treatment=None), "treatment is missing.*Pass treatment= to fit"),
        (dict(propensity=None), "propensity is missing:.*estimate it"),
        (dict(propensity="nan"), "propensity is missing in 1 rows"),
        (dict(propensity="zero"), r"propensity is 0.0 in row 3.*\(0, 1\]"),
        (dict(treatment=np.ones(900)), "Every row has the arm 1.0"),
        (dict(y=np.full(900, np.nan)), "NaN"),
    ],
)
def test_bad_logs_are_refused_and_leave_the_estimator_alone(log, change, message):
    X, y, arm, p = log
    policy = fast().fit(X, y, arm, p)
    before = policy.predict_proba(X)
    given = dict(y=y, treatment=arm, propensity=p, **{})
    if isinstance(change.get("propensity"), str):
        broken = p.copy()
        broken[3] = {"nan": np.nan, "zero": 0.0}[change["propensity"]]
        change = dict(propensity=broken)
    with pytest.raises(ValueError, match=message):
        policy.fit(X, **{**given, **change})
    assert (policy.predict_proba(X) == before).all()
    with pytest.raises(NotFittedError):
        clone(policy).predict(X)


@pytest.mark.parametrize(
    "params, message",
    [
        (dict(objective="dr"), "objective"),
        (dict(clip=0.0), "clip"),
        (dict(variance_penalty=-1.0), "variance_penalty"),
        (dict(multipliers=()), "multipliers.*one finite number or more"),
        (dict(multipliers=(0, np.inf)), "multipliers.*one finite number or more"),
    ],
)
def test_bad_parameters_are_named(log, params, message):
    with pytest.raises(ValueError, match=message):
        fast(**params).fit(*log)


def test_metadata_requests_survive_clone():
    with config_context(enable_metadata_routing=True):
        requests = clone(CounterfactualPolicy()).get_metadata_routing()
    for method in ("fit", "score"):
        asked = getattr(requests, method).requests
        assert asked["treatment"] is True
        assert asked["propensity"] is True
