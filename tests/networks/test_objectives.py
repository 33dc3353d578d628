"""Objectives and exposure models: the loss by hand, and what each is for."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy.special import expit
from scipy.stats import spearmanr
from sklearn.ensemble import RandomForestClassifier
from sklearn.linear_model import LogisticRegression

from sklearn_causalrec import CausalDNNRecommender
from sklearn_causalrec.encoding.exposure import (
    ClassifierExposure,
    NaiveBayesExposure,
    PopularityExposure,
    popularity_shift,
)
from sklearn_causalrec.encoding.log_encoder import Rows
from sklearn_causalrec.networks import OBJECTIVES
from sklearn_causalrec.networks.network import Output
from sklearn_causalrec.ranking.catalogue import Catalogue

# -- the loss, by hand -----------------------------------------------------------

ARM = np.array([0, 1, 1, 0, 1])
ROW = np.arange(5)
WEIGHT = np.array([0.5, 1.5, 1.0, 1.0, 1.0])
OUTCOME, LOGITS, IMPUTED = np.random.default_rng(0).normal(size=(3, 5, 2))
CLICKED = np.array([0.0, 1.0, 0.0, 0.0, 1.0])


def as_output(outcome, logits, imputed):
    parts = [None if p is None else torch.tensor(p) for p in (outcome, logits, imputed)]
    return Output(*parts)


def value(name, y, binary, output=None, pairs=None, n_arms=2, tilt=None, **batch):
    criterion = OBJECTIVES[name](n_arms, binary, clip=1e-3, tilt=tilt, share=0.2)
    batch = {"arm": ARM if n_arms > 1 else 0 * ARM, "weight": WEIGHT} | batch
    batch = {key: torch.tensor(part) for key, part in batch.items()}
    output = output or as_output(OUTCOME, LOGITS, IMPUTED)
    return criterion.double()(output, torch.tensor(y), batch, pairs).item()


def log_loss(link, y):
    return np.log1p(np.exp(link)) - y * link


def arm_probability():
    e = np.exp(LOGITS)
    return (e / e.sum(1, keepdims=True))[ROW, ARM]


def exposure_loss():
    return np.mean(WEIGHT * -np.log(arm_probability()))


@pytest.mark.parametrize("name", ["dr", "mrdr", "stable_dr", "escm2"])
def test_doubly_robust_losses(name):
    g, y, imputed = arm_probability(), CLICKED, expit(IMPUTED)
    w = WEIGHT / g
    if name == "stable_dr":
        w = w * 2 * WEIGHT.sum() / w.sum()
    e = log_loss(OUTCOME, imputed)
    taken = OUTCOME[ROW, ARM]
    e_taken = e[ROW, ARM]
    outcome = np.mean(WEIGHT * e.sum(1)) + np.mean(w * (log_loss(taken, y) - e_taken))
    v = w * (1 - g) / g if name == "mrdr" else w
    imputation = np.mean(v * log_loss(IMPUTED[ROW, ARM], y))
    expected = outcome / 2 + imputation / 2 + exposure_loss()
    if name == "stable_dr":
        expected += np.mean((e_taken - e.mean(0)[ARM]) / g) ** 2
    if name == "escm2":
        click = (np.exp(LOGITS) / np.exp(LOGITS).sum(1, keepdims=True))[:, 1]
        both, label = click * expit(OUTCOME[:, 1]), ARM * y
        expected -= np.mean(
            WEIGHT * (label * np.log(both) + (1 - label) * np.log(1 - both))
        )
    assert value(name, y, True) == pytest.approx(expected, rel=1e-10)


def test_variance_of_a_density_ratio():
    """With one arm, 1 - g is 1 - share * ratio, and e is of the pairs drawn."""
    one = as_output(OUTCOME[:, :1], None, IMPUTED[:, :1])
    drawn = as_output(OUTCOME[:, 1:], None, IMPUTED[:, 1:])
    ratio = np.array([0.5, 1.0, 2.0, 3.0, 6.0])
    w = WEIGHT / ratio
    y = CLICKED
    e = log_loss(OUTCOME[:, 1], expit(IMPUTED[:, 1])).mean()
    correction = log_loss(OUTCOME[:, 0], y) - log_loss(
        OUTCOME[:, 0], expit(IMPUTED[:, 0])
    )
    v = w * np.array([0.9, 0.8, 0.6, 0.4, 0.0]) / ratio
    expected = e + np.mean(w * correction) + np.mean(v * log_loss(IMPUTED[:, 0], y))
    got = value("mrdr", y, True, one, drawn, n_arms=1, exposure=ratio)
    assert got == pytest.approx(expected, rel=1e-10)


def targeted_imputation(g_all, outcome=OUTCOME):
    """Loss of "tdr" by hand: l where it was seen, elsewhere e + eta (1 / g - 1)."""
    g, e = g_all[ROW, ARM], log_loss(outcome, expit(IMPUTED))
    seen = log_loss(outcome[ROW, ARM], CLICKED)
    total = WEIGHT @ seen
    for arm in (0, 1):
        had, v = ARM == arm, 1 / g_all[:, arm] - 1
        r, u = WEIGHT[had], v[had]
        eta = r @ (u * (seen - e[:, arm])[had]) / (r @ u**2)
        total += (WEIGHT * (e[:, arm] + eta * v))[~had].sum()
    imputation = np.mean(WEIGHT / g * log_loss(IMPUTED[ROW, ARM], CLICKED))
    return total / 10 + imputation / 2 + exposure_loss()


def test_targeted_imputation_leaves_nothing_to_correct():
    e = np.exp(LOGITS)
    head = e / e.sum(1, keepdims=True)
    assert value("tdr", CLICKED, True) == pytest.approx(
        targeted_imputation(head), rel=1e-10
    )
    known = np.array([0.3, np.nan, 0.6, np.nan, 0.2])
    g = np.where(np.isnan(known), head[ROW, ARM], known)
    both = np.empty((5, 2))
    both[ROW, ARM], both[ROW, 1 - ARM] = g, 1 - g
    got = value("tdr", CLICKED, True, propensity=known)
    assert got == pytest.approx(targeted_imputation(both), rel=1e-10)


def test_gradient_goes_through_the_targeted_imputation():
    """By differences of the loss by hand; that of "dr" is another."""
    e = np.exp(LOGITS)
    head = e / e.sum(1, keepdims=True)
    expected = np.empty((5, 2))
    for place in np.ndindex(5, 2):
        step = np.zeros((5, 2))
        step[place] = 1e-5
        rise = targeted_imputation(head, OUTCOME + step)
        expected[place] = (rise - targeted_imputation(head, OUTCOME - step)) / 2e-5
    found = {}
    for name in ("tdr", "dr"):
        output = as_output(OUTCOME, LOGITS, IMPUTED)
        output.outcome.requires_grad_()
        criterion = OBJECTIVES[name](2, True, clip=1e-3).double()
        batch = {"arm": torch.tensor(ARM), "weight": torch.tensor(WEIGHT)}
        criterion(output, torch.tensor(CLICKED), batch).backward()
        found[name] = output.outcome.grad.numpy()
    np.testing.assert_allclose(found["tdr"], expected, atol=1e-8)
    assert np.abs(found["dr"] - expected).max() > 0.01


@pytest.mark.parametrize("wrong", ["imputation", "exposure"])
@pytest.mark.parametrize("name", ["dr", "tdr"])
def test_loss_over_all_assignments_is_that_of_all_outcomes(name, wrong):
    """Every row with every arm, by its probability: the loss, and its gradient."""
    rng = np.random.default_rng(4)
    n, arms = 4, 3
    p, guess = rng.dirichlet(np.ones(arms), size=(2, n))
    outcomes, link = rng.normal(size=(2, n, arms))
    imputed = outcomes if wrong == "exposure" else rng.normal(size=(n, arms))
    g = p if wrong == "imputation" else guess
    row, arm = np.divmod(np.arange(n * arms), arms)
    output = as_output(link[row], np.log(g)[row], imputed[row])
    output.outcome.requires_grad_()
    criterion = OBJECTIVES[name](arms, False, clip=1e-6).double()
    batch = {"arm": torch.tensor(arm), "weight": torch.tensor(p[row, arm] * arms)}
    criterion.further_terms = lambda *_: []
    term = criterion(output, torch.tensor(outcomes[row, arm]), batch)
    term.backward()
    full = np.mean((link - outcomes) ** 2)
    assert term.item() == pytest.approx(full, rel=1e-10)
    gradient = np.zeros((n, arms))
    np.add.at(gradient, row, output.outcome.grad.numpy())
    expected = 2 * (link - outcomes) / (n * arms)
    np.testing.assert_allclose(gradient, expected, rtol=1e-8, atol=1e-12)


def test_targeted_imputation_of_pairs():
    """With one arm, g is the share of pairs that was logged times the ratio."""
    ratio = np.array([0.5, 1.0, 2.0, 3.0, 6.0])
    seen = log_loss(OUTCOME[:, 0], CLICKED)
    e, others = log_loss(OUTCOME, expit(IMPUTED)).T
    v = 1 / np.minimum(0.2 * ratio, 1) - 1
    v_others = 1 / np.minimum(0.2 * np.exp(LOGITS[:, 1]), 1) - 1
    eta = np.sum(WEIGHT * v * (seen - e)) / np.sum(WEIGHT * v**2)
    w = WEIGHT / ratio
    outcome = np.mean(others + eta * v_others) + np.mean(w * (seen - e - eta * v))
    imputation = np.mean(w * log_loss(IMPUTED[:, 0], CLICKED))
    drawn = as_output(OUTCOME[:, 1:], LOGITS[:, 1:], IMPUTED[:, 1:])
    one = as_output(OUTCOME[:, :1], np.log(ratio)[:, None], IMPUTED[:, :1])
    exposure = np.mean(WEIGHT * np.log1p(1 / ratio))
    exposure += np.mean(np.log1p(np.exp(LOGITS[:, 1])))
    got = value("tdr", CLICKED, True, one, drawn, n_arms=1)
    assert got == pytest.approx(outcome + imputation + exposure, rel=1e-10)


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("drawn", [False, True])
def test_uplift_ranking_loss(binary, drawn):
    y = CLICKED if binary else np.array([-1.0, 0.5, 2.0, 1.0, -0.3])
    other = np.random.default_rng(1).normal(size=(5, 2)) if drawn else OUTCOME
    pairs = as_output(other, None, None) if drawn else None
    z = np.where(ARM == 1, y, -y) / arm_probability()
    effect, others = OUTCOME[:, 1] - OUTCOME[:, 0], other[:, 1] - other[:, 0]
    others = others if drawn else np.roll(others, 1)
    ranking = np.abs(z) * np.log1p(np.exp(-np.sign(z) * (effect - others)))
    taken = OUTCOME[ROW, ARM]
    outcome = log_loss(taken, y) if binary else (taken - y) ** 2
    expected = np.mean(WEIGHT * (outcome + ranking)) + exposure_loss()
    got = value("uplift_rank", y, binary, pairs=pairs)
    assert got == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("weighted", [False, True])
def test_targeted_loss_and_gradients_are_those_of_the_plain_formula(
    binary, known, weighted
):
    """Terms that share what they read, against each written on its own."""
    F = torch.nn.functional
    y = torch.tensor(CLICKED if binary else np.array([-1.0, 0.5, 2.0, 1.0, -0.3]))
    batch = {"arm": torch.tensor(ARM)}
    weight = torch.tensor(WEIGHT) if weighted else torch.ones(5).double()
    if weighted:
        batch["weight"] = weight
    propensity = torch.tensor([0.3, np.nan, 0.9, np.nan, 0.5]).double()
    if known:
        batch["propensity"] = propensity

    def leaves():
        parts = torch.tensor(OUTCOME), torch.tensor(3 * LOGITS)
        return [part.requires_grad_() for part in parts]

    criterion = OBJECTIVES["targeted"](2, binary, clip=0.1).double()
    criterion.epsilon.data[:] = torch.tensor([0.2, -0.4])
    outcome, logits = leaves()
    loss = criterion(Output(outcome, logits, None), y, batch)
    loss.backward()

    plain_outcome, plain_logits = leaves()
    epsilon = torch.tensor([0.2, -0.4]).double().requires_grad_()
    taken = plain_outcome[torch.arange(5), batch["arm"]]
    g = plain_logits.softmax(1)[torch.arange(5), batch["arm"]]
    g = torch.where(propensity.isnan(), g, propensity) if known else g
    mean = taken.sigmoid() if binary else taken
    moved = mean + epsilon[batch["arm"]] / g.clamp(min=0.1)
    error = F.binary_cross_entropy_with_logits if binary else F.mse_loss
    losses = error(taken, y, reduction="none") + (moved - y).square()
    losses = losses + F.cross_entropy(plain_logits, batch["arm"], reduction="none")
    expected = (weight * losses).mean()
    expected.backward()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-12)
    for got, want in (
        (outcome.grad, plain_outcome.grad),
        (logits.grad, plain_logits.grad),
        (criterion.epsilon.grad, epsilon.grad),
    ):
        torch.testing.assert_close(got, want, rtol=1e-10, atol=1e-12)


def test_relevance_loss_is_unbiased_for_full_exposure():
    """The loss by hand; and its mean over exposures is the loss of the relevance."""
    theta = np.array([0.9, 0.5, 0.2, 0.7, 0.4])
    link = OUTCOME[:, :1]
    output = as_output(link, None, None)
    losses = [
        CLICKED / theta * np.log1p(np.exp(-link[:, 0])),
        (1 - CLICKED / theta) * np.log1p(np.exp(link[:, 0])),
    ]
    got = value("relmf", CLICKED, True, output, n_arms=1, exposure=theta)
    assert got == pytest.approx(np.mean(WEIGHT * sum(losses)), rel=1e-10)
    known = value("relmf", CLICKED, True, output, n_arms=1, propensity=theta)
    assert known == pytest.approx(got)
    relevant = np.array([1.0, 0.0, 1.0, 1.0, 0.0])
    mean = 0.0
    for code in range(32):
        shown = code >> ROW & 1
        chance = np.prod(np.where(shown, theta, 1 - theta))
        mean += chance * value(
            "relmf", relevant * shown, True, output, n_arms=1, exposure=theta
        )
    full = np.mean(WEIGHT * log_loss(link[:, 0], relevant))
    assert mean == pytest.approx(full, rel=1e-10)


def test_popularity_shifts_the_link_and_the_imputation_sees_the_tilt():
    shift = np.array([1.0, -1.0, 0.5, 0.0, 2.0])
    one = as_output(OUTCOME[:, :1], None, IMPUTED[:, :1])
    got = value("pda", CLICKED, True, one, n_arms=1, tilt=0.7, shift=shift)
    expected = np.mean(WEIGHT * log_loss(OUTCOME[:, 0] + 0.7 * shift, CLICKED))
    assert got == pytest.approx(expected, rel=1e-6)
    got = value("dr", CLICKED, True, one, Output(*one), 1, tilt=0.7, shift=shift)
    predicted, imputed = OUTCOME[:, 0] + 0.7 * shift, IMPUTED[:, 0] + 0.7 * shift
    expected = (
        log_loss(OUTCOME[:, 0], expit(IMPUTED[:, 0])).mean()
        + np.mean(WEIGHT * log_loss(predicted, CLICKED))
        - np.mean(WEIGHT * log_loss(predicted, expit(imputed)))
        + np.mean(WEIGHT * log_loss(imputed, CLICKED))
    )
    assert got == pytest.approx(expected, rel=1e-6)


def test_balance_reaches_the_exposure_head_alone():
    output = as_output(OUTCOME, LOGITS, IMPUTED)
    for part in output:
        part.requires_grad_()
    gradients = {}
    for name in ("stable_dr", "naive"):
        criterion = OBJECTIVES[name](2, True, clip=1e-3)
        batch = {"arm": torch.tensor(ARM)}
        loss = criterion(output, torch.tensor(CLICKED), batch)
        gradients[name] = torch.autograd.grad(loss, output, allow_unused=True)
    assert not torch.allclose(gradients["stable_dr"][1], gradients["naive"][1])
    assert gradients["naive"][2] is None


# -- what each is for ------------------------------------------------------------

LINEAR = dict(
    hidden_layer_sizes=(),
    effect_learner="t",
    learning_rate=2e-2,
    l2=0.0,
    max_epochs=40,
    batch_size=512,
    learning_rate_schedule="cosine",
    early_stopping=False,
    random_state=0,
)


def bent(n=4000, binary=False, seed=0):
    """Exposure by x, outcomes bent in x: a line fits where the rows are."""
    rng = np.random.default_rng(seed)
    x = rng.uniform(-2, 2, n)
    g = expit(1.5 * x)
    t = rng.binomial(1, g)
    mu = x**2 if not binary else expit(1.5 * x**2 - 2)
    y = mu + 0.3 * rng.normal(size=n) if not binary else rng.binomial(1, mu)
    if binary:  # no conversion without a click
        y = y * t
    return x[:, None], y, t, np.where(t == 1, g, 1 - g), mu


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("name", ["ips", "snips", "dr", "mrdr", "stable_dr", "tdr"])
def test_weighting_fits_where_nobody_was_shown(name, known):
    X, y, t, propensity, mu = bent()

    def bias(objective):
        model = CausalDNNRecommender(**LINEAR, objective=objective)
        model.fit(X, y, treatment=t, propensity=propensity if known else None)
        return abs(model.predict(X, treatment=1).mean() - mu.mean())

    assert bias(name) < 0.3 * bias("naive")


def test_escm2_knows_conversions_of_what_nobody_clicked():
    X, y, click, _, mu = bent(6000, binary=True)

    def bias(objective):
        model = CausalDNNRecommender(
            **LINEAR, task="classification", objective=objective
        ).fit(X, y, treatment=click)
        return abs(model.predict_proba(X, treatment=1)[:, 1].mean() - mu.mean())

    assert bias("escm2") < 0.6 * bias("naive")


def test_uplift_rank_ranks_by_effect():
    """Both heads are lines and the baseline is bent: their difference follows the
    confounder, the pairwise term the effect."""
    rng = np.random.default_rng(0)
    X = rng.uniform(-2, 2, (6000, 2))
    g = expit(1.5 * X[:, 0])
    t = rng.binomial(1, g)
    effect = 0.4 * X[:, 1]
    y = X[:, 0] ** 2 + t * effect + 0.3 * rng.normal(size=len(X))
    found = {}
    for name in ("naive", "uplift_rank"):
        model = CausalDNNRecommender(**LINEAR, objective=name).fit(X, y, treatment=t)
        found[name] = spearmanr(model.effect(X), effect)[0]
    assert found["uplift_rank"] > found["naive"] + 0.1


IDS = dict(user="user", item="item")


def every_pair(n_users, n_items):
    user, item = np.divmod(np.arange(n_users * n_items), n_items)
    return pd.DataFrame({"user": user, "item": item})


def test_relmf_tells_relevance_from_clicks():
    """Exposure grows with popularity; what is not clicked may not have been seen."""
    rng = np.random.default_rng(0)
    pairs = every_pair(400, 30)
    appeal = np.linspace(0.2, 0.9, 30)[pairs["item"]]
    relevance = appeal
    clicks = (rng.random(len(pairs)) < appeal) & (rng.random(len(pairs)) < relevance)
    found = {}
    for name, known in (("naive", None), ("relmf", None), ("relmf", appeal)):
        model = CausalDNNRecommender(
            **LINEAR | dict(l2=2.0, max_epochs=20),
            **IDS,
            encoder="mf",
            embedding_dim=1,
            task="classification",
            objective=name,
        ).fit(pairs, clicks, propensity=known)
        p = model.predict_proba(pairs)[:, 1]
        bias = pd.Series(p - relevance).groupby(pairs["item"]).mean()
        found[name, known is None] = bias.abs().mean()
    assert found["relmf", True] < 0.5 * found["naive", True]
    assert found["relmf", False] < 0.5 * found["naive", True]


def popular_in_waves(seed=0, n_items=20, n=12000):
    """Items shown in a wave of their own, in which they are liked for being popular."""
    rng = np.random.default_rng(seed)
    time = rng.random(n)
    peak = rng.random(n_items)
    height = np.linspace(0, 3, n_items)
    heat = height * np.cos(2 * np.pi * (time[:, None] - peak))
    chance = np.exp(heat)
    chance /= chance.sum(1, keepdims=True)
    item = (rng.random((n, 1)) > chance.cumsum(1)).sum(1).clip(max=n_items - 1)
    z = np.log(chance[np.arange(n), item])
    quality = rng.normal(size=n_items)
    mean = np.log(chance).mean()
    y = quality[item] + 0.8 * (z - z.mean()) + 0.3 * rng.normal(size=n)
    # at the popularity that the average row has
    return pd.DataFrame({"item": item, "time": time}), y, quality, mean


def test_pda_leaves_popularity_out():
    X, y, quality, _ = popular_in_waves()
    items = pd.DataFrame({"item": np.arange(20), "time": 0.5})
    found = {}
    for name in ("naive", "pda"):
        model = CausalDNNRecommender(
            **LINEAR | dict(l2=1.0), item="item", time="time", objective=name
        ).fit(X, y)
        error = model.predict(items) - quality
        found[name] = np.std(error)
    assert found["pda"] < 0.5 * found["naive"]


# -- exposure models -------------------------------------------------------------


def test_popularity_by_hand():
    rows = Rows(
        np.zeros((6, 0)),
        item=np.array([0, 0, 0, 1, 1, 2]),
        weight=np.ones(6),
        y=np.array([1.0, 1, 1, 1, 0, 0]),
    )
    ratio = PopularityExposure().fit(rows, None, None).ratio(rows)
    np.testing.assert_allclose(ratio, np.array([3, 3, 3, 2, 2, 1]) / 2)
    implicit = PopularityExposure(implicit=True).fit(rows, None, None).ratio(rows)
    np.testing.assert_allclose(implicit[[0, 3]], [1, (1 / 3) ** 0.5])
    unseen = Rows(np.zeros((1, 0)), item=np.array([3]))
    assert PopularityExposure().fit(rows, None, None).ratio(unseen) == [0.5]


def test_naive_bayes_by_hand():
    random = np.repeat([True, False], [8, 18])
    y = np.repeat([1.0, 0, 1, 0], [2, 6, 12, 6])
    rows = Rows(
        np.zeros((26, 0)),
        weight=np.ones(26),
        y=y,
        propensity=np.where(random, 0.1, np.nan),
    )
    model = NaiveBayesExposure().fit(rows, None, None)
    # shares with one row more of each: 13 / 20 against 3 / 10, 7 / 20 against 7 / 10
    ratio = model.logged_ratio(rows)
    np.testing.assert_allclose(ratio[y == 1], 0.65 / 0.3)
    np.testing.assert_allclose(ratio[y == 0], 0.35 / 0.7)
    with pytest.raises(ValueError, match="needs the outcome of a row"):
        model.ratio(rows)


def test_naive_bayes_of_a_continuous_outcome():
    rng = np.random.default_rng(0)
    y = rng.normal(size=40000)
    shown = rng.random(len(y)) < expit(2 * y)
    random = np.arange(len(y)) % 10 == 0
    kept = shown | random
    rows = Rows(
        np.zeros((kept.sum(), 0)),
        weight=np.ones(kept.sum()),
        y=y[kept],
        propensity=np.where(random[kept], 0.1, np.nan),
    )
    w = 1 / NaiveBayesExposure().fit(rows, None, None).logged_ratio(rows)
    system = np.isnan(rows.propensity)
    assert rows.y[system].mean() > 0.5
    assert abs(np.average(rows.y[system], weights=w[system])) < 0.1


def test_popularity_shift_by_hand():
    rows = Rows(
        np.zeros((8, 0)),
        item=np.array([0, 0, 0, 1, 1, 1, 1, 0]),
        time=np.array([3, 1, 2, 4, 8, 7, 6, 5]),
        weight=np.ones(8),
    )
    z = popularity_shift(rows, n_stages=2)
    raw = np.log(np.array([4, 4, 4, 2, 4, 4, 4, 2]) / 6)
    np.testing.assert_allclose(z, (raw - raw.mean()) / raw.std())


CONSTANT = dict(  # a penalty that leaves the mean alone to be fitted
    **IDS,
    encoder="mf",
    embedding_dim=1,
    l2=2e3,
    optimizer="sgd",
    learning_rate=2e-2,
    max_epochs=15,
    batch_size=256,
    early_stopping=False,
    random_state=0,
)


def shown_by_item(seed=0):
    rng = np.random.default_rng(seed)
    pairs = every_pair(200, 40)
    appeal = np.linspace(-1, 1, 40)[pairs["item"]]
    shown = rng.random(len(pairs)) < expit(2 * appeal - 1)
    y = appeal + 0.3 * rng.normal(size=len(pairs))
    return pairs, y, shown


@pytest.mark.parametrize(
    "exposure_model",
    ["popularity", LogisticRegression()],
    ids=["popularity", "estimator"],
)
def test_exposure_models_undo_selection_by_item(exposure_model):
    pairs, y, shown = shown_by_item()
    settings = dict(objective="ips", clip=0.01, exposure_model=exposure_model)
    model = CausalDNNRecommender(**CONSTANT, **settings).fit(pairs[shown], y[shown])
    naive = CausalDNNRecommender(**CONSTANT, objective="naive")
    naive.fit(pairs[shown], y[shown])
    bias = model.predict(pairs).mean() - y.mean()
    assert abs(bias) < 0.3 * (naive.predict(pairs).mean() - y.mean())
    assert model.overlap_["calibration"][1] == pytest.approx(1, abs=0.15)
    ratio = model.propensity_scores(pairs)[:, 0]
    assert spearmanr(ratio, pairs["item"])[0] > 0.9
    assert model.nets_[0].module_.exposure is None


def test_naive_bayes_undoes_selection_on_the_outcome():
    rng = np.random.default_rng(0)
    pairs = every_pair(200, 40)
    y = rng.binomial(1, 0.3, len(pairs))
    random = rng.random(len(pairs)) < 0.08
    shown = random | (rng.random(len(pairs)) < np.where(y == 1, 0.6, 0.2))
    known = np.where(random, 0.08, np.nan)[shown]
    means = {}
    for name, model in (("ips", "naive_bayes"), ("targeted", "naive_bayes"),
                        ("naive", "auto")):  # fmt: skip
        fitted = CausalDNNRecommender(
            **CONSTANT | dict(optimizer="adam"),
            task="classification",
            objective=name,
            exposure_model=model,
            clip=0.01,
        ).fit(pairs[shown], y[shown], propensity=known)
        means[name] = fitted.predict_proba(pairs)[:, 1].mean()
    assert means["naive"] > 0.45
    assert means["ips"] == pytest.approx(y.mean(), abs=0.04)
    assert means["targeted"] == pytest.approx(y.mean(), abs=0.08)


def test_a_net_with_a_tilt_goes_on_with_rows_of_the_system_alone():
    pairs, y, shown = shown_by_item()
    known = np.where(np.arange(len(pairs)) % 9 == 0, 0.1, np.nan)
    model = CausalDNNRecommender(**CONSTANT, objective="dr")
    model.partial_fit(pairs[shown], y[shown], propensity=known[shown])
    assert model.nets_[0].criterion_.tilt is not None
    model.partial_fit(pairs[shown], y[shown])
    assert np.isfinite(model.predict(pairs)).all()


def test_a_given_propensity_wins():
    pairs, y, shown = shown_by_item()
    known = np.linspace(0.2, 0.8, shown.sum())
    settings = dict(CONSTANT, objective="ips", max_epochs=2)
    first, second = (
        CausalDNNRecommender(**settings, exposure_model=model)
        .fit(pairs[shown], y[shown], propensity=known)
        .predict(pairs)
        for model in ("popularity", "head")
    )
    np.testing.assert_allclose(first, second, atol=1e-6)


def test_a_classifier_that_memorises_finds_nothing_in_even_exposure():
    """Ratios are cross-fitted, and a pair does not count in its own user and item."""
    rng = np.random.RandomState(0)
    pairs = every_pair(100, 100)
    pairs = pairs[rng.random_sample(len(pairs)) < 0.1]
    user, item = pairs["user"].to_numpy(), pairs["item"].to_numpy()
    features = np.zeros((len(user), 0), np.float32)
    rows = Rows(features, user=user, item=item, weight=np.ones(len(user)))
    catalogue = Catalogue(rows, 100, 100)
    forest = RandomForestClassifier(50, random_state=0)
    model = ClassifierExposure(forest).fit(rows, catalogue, rng)
    assert np.median(model.logged_ratio(rows)) == pytest.approx(1, abs=0.15)
    assert np.median(model.ratio(rows)) > 1.25


def test_overlap_of_several_arms_reports_calibration():
    X, y, t, _, _ = bent(2000)
    model = CausalDNNRecommender(**LINEAR, objective="naive").fit(X, y, treatment=t)
    for arm in (0, 1):
        assert model.overlap_["calibration"][arm] == pytest.approx(1, abs=0.15)


# -- bad input -------------------------------------------------------------------


@pytest.mark.parametrize(
    ("settings", "treated", "message"),
    [
        (dict(objective="relmf"), True, "'relmf' needs implicit feedback"),
        (dict(objective="relmf", task="regression"), False, "'relmf' needs implicit"),
        (dict(objective="pda", item="item"), False, "'pda' needs popularity .*time="),
        (dict(objective="escm2"), False, "'escm2' needs two arms"),
        (
            dict(objective="uplift_rank"),
            False,
            "'uplift_rank' needs rows that",
        ),
        (dict(exposure_model="popularity"), True, r"here every row|arms \[0, 1\]"),
        (dict(exposure_model="popularity"), False, "name the item column"),
        (dict(exposure_model="naive_bayes", **IDS), False, "pass propensity= to fit"),
        (dict(exposure_model=LogisticRegression()), False, "name the columns of both"),
        (dict(exposure_model="oracle"), False, "'exposure_model' parameter"),
        (
            dict(objective="relmf", exposure_model="head", **IDS),
            False,
            "exposure_model='head' has nothing to learn from",
        ),
    ],
)
def test_objectives_refuse_what_they_are_not_for(settings, treated, message):
    pairs = every_pair(5, 4)
    y = np.arange(20) % 2
    settings = {"task": "classification"} | settings
    model = CausalDNNRecommender(**settings)
    with pytest.raises(ValueError, match=message):
        model.fit(pairs, y, treatment=y if treated else None)


def test_estimators_with_an_exposure_model_clone_and_pickle():
    import pickle

    from sklearn.base import clone

    pairs, y, shown = shown_by_item()
    model = CausalDNNRecommender(
        **CONSTANT | dict(max_epochs=1),
        objective="ips",
        exposure_model=LogisticRegression(),
    )
    again = clone(model).fit(pairs[shown], y[shown])
    loaded = pickle.loads(pickle.dumps(again))
    np.testing.assert_array_equal(
        loaded.propensity_scores(pairs), again.propensity_scores(pairs)
    )
    assert again.fit(pairs[shown], y[shown]).predict(pairs[:1]) == loaded.predict(
        pairs[:1]
    )


@pytest.mark.parametrize("name", ["ips", "snips", "dr", "relmf"])
def test_least_exposures(name):
    """A density ratio has mean 1: it is clipped at ten times the clip, at most at 1."""
    kind = OBJECTIVES[name]
    ratio = kind.exposure != "probability"
    for clip, of_ratio in [(0.02, 0.2), (0.3, 1.0)]:
        wanted = of_ratio if ratio else clip
        assert kind(1, False, clip=clip).clip == pytest.approx(wanted)
        assert kind.least_exposure(1, clip) == pytest.approx(wanted)
        assert kind(2, False, clip=clip).clip == pytest.approx(clip)
