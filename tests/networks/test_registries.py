"""An objective and an encoder of one's own: one class and its registration each."""

import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV
from torch import nn

from sklearn_causalrec import CausalDNNRecommender, CounterfactualPolicy, recommend
from sklearn_causalrec.networks import (
    ENCODERS,
    OBJECTIVES,
    POLICY_OBJECTIVES,
    Encoder,
    Objective,
    PolicyObjective,
    Requires,
)
from sklearn_causalrec.networks.objectives.base import weighted_mean
from sklearn_causalrec.networks.objectives.weighted import IPS

# -- what a third party would write ------------------------------------------------


class Median(IPS):
    """The weighted absolute error, which the conditional median minimises."""

    requires = Requires(arms=(2, None), words="two arms or more")

    def outcome_term(self, rows, output, batch, pairs):
        return weighted_mean((rows.predicted - rows.y).abs(), rows.weight)


class Bilinear(Encoder):
    """A product of the two vectors under a matrix that is learned, by arm."""

    requires = Requires(roles=("user", "item"), words="multiplies users and items")
    reads_history = False

    def __init__(self, inputs, n_arms, **options):
        super().__init__(inputs, n_arms, **options)
        size = self.embedding_dim
        self.width = size
        self.weight = nn.Parameter(0.1 * torch.randn(n_arms, size, size))

    def forward(self, x, vectors, user, item, past):
        user, item = vectors(user, item)
        outcome = torch.einsum("nj,ajk,nk->na", user, self.weight, item)
        return outcome, user * item

    def of_users(self, vectors, users, arm):
        return vectors.user(users) @ self.weight[arm]


class Centred(PolicyObjective):
    """Rewards less their median."""

    @staticmethod
    def translations(y, mean, scale, multipliers):
        return [(float(np.median(y)), scale)]


@pytest.fixture
def registered():
    OBJECTIVES.register("median")(Median)
    ENCODERS.register("bilinear")(Bilinear)
    POLICY_OBJECTIVES.register("centred")(Centred)
    yield
    del OBJECTIVES["median"], ENCODERS["bilinear"], POLICY_OBJECTIVES["centred"]


FAST = dict(
    user="user",
    item="item",
    embedding_dim=4,
    hidden_layer_sizes=(8,),
    n_folds=2,
    max_epochs=3,
    random_state=0,
)


@pytest.fixture(scope="module")
def log():
    rng = np.random.default_rng(0)
    X = pd.DataFrame(rng.integers(0, 20, (800, 2)), columns=["user", "item"])
    t = rng.integers(0, 2, 800)
    return X, X["user"] % 3 + t + rng.normal(size=800), t


# -- through the estimators --------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [dict(objective="median"), dict(encoder="bilinear"),
     dict(objective="median", encoder="bilinear")],
    ids=["objective", "encoder", "both"],
)  # fmt: skip
def test_what_is_registered_fits(registered, log, options):
    X, y, t = log
    model = CausalDNNRecommender(**FAST, **options).fit(X, y, treatment=t)
    low, high = model.ate_interval()
    assert low < 1 < high
    again = clone(model).fit(X, y, treatment=t)
    np.testing.assert_array_equal(again.predict(X), model.predict(X))
    loaded = pickle.loads(pickle.dumps(model))
    np.testing.assert_array_equal(loaded.effect(X), model.effect(X))
    loaded.partial_fit(X[:50], y[:50], treatment=t[:50])
    assert len(recommend(model, [1, 2], k=3)) == 6


def test_the_objective_is_what_is_minimised(registered):
    """The median of skewed outcomes is below their mean."""
    rng = np.random.default_rng(0)
    X, t = rng.normal(size=(1500, 1)), rng.integers(0, 2, 1500)
    y = rng.exponential(size=1500) ** 2
    options = dict(hidden_layer_sizes=(), effect_learner="t", learning_rate=2e-2)
    mean, median = (
        CausalDNNRecommender(objective=name, random_state=0, **options)
        .fit(X, y, treatment=t)
        .predict(X)
        .mean()
        for name in ("ips", "median")
    )
    assert mean == pytest.approx(2, abs=0.4)
    assert median == pytest.approx(np.log(2) ** 2, abs=0.3)


def test_a_search_over_registered_names(registered, log, enable_routing):
    X, y, t = log
    grid = dict(objective=["naive", "median"], encoder=["dnn", "bilinear"])
    model = CausalDNNRecommender(**FAST | dict(max_epochs=1), effect_learner="t")
    search = GridSearchCV(model, grid, cv=2).fit(X, y, treatment=t)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()


def test_a_matrix_ranks_as_the_rows_do(registered, log):
    X, y, t = log
    model = CausalDNNRecommender(**FAST, encoder="bilinear", effect_learner="t")
    model.fit(X, y, treatment=t)
    scores = model.pair_scores(by="outcome")
    assert scores.matrix is not None
    top = recommend(model, [3], k=20, by="outcome", exclude_seen=False)
    pairs = pd.DataFrame({"user": 3, "item": top["item"]})
    np.testing.assert_allclose(top["score"], model.predict(pairs), atol=1e-5)


def test_an_objective_of_policies(registered):
    rng = np.random.default_rng(0)
    X, arm = rng.normal(size=(600, 2)), rng.integers(0, 2, 600)
    y = (arm == (X[:, 0] > 0)) + 0.1 * rng.normal(size=600)
    policy = CounterfactualPolicy(objective="centred", random_state=0)
    policy.fit(X, y, treatment=arm, propensity=np.full(600, 0.5))
    assert policy.offset_ == np.median(y)
    assert (policy.predict(X) == (X[:, 0] > 0)).mean() > 0.9


# -- what they require -------------------------------------------------------------


def test_what_is_lacking_is_said(registered, log):
    X, y, t = log
    with pytest.raises(ValueError, match="'median' needs two arms or more"):
        CausalDNNRecommender(**FAST, objective="median").fit(X, y)
    options = FAST | dict(user=None, encoder="bilinear")
    with pytest.raises(ValueError, match='"bilinear" multiplies users and items'):
        CausalDNNRecommender(**options).fit(X, y, treatment=t)
    options = FAST | dict(history="past", encoder="bilinear")
    X = X.assign(past=[[1]] * len(X))
    with pytest.raises(ValueError, match='encoder="bilinear" reads no history'):
        CausalDNNRecommender(**options).fit(X, y, treatment=t)


@pytest.mark.parametrize("options", [dict(objective="median"), dict(encoder="fm")])
def test_what_is_not_registered_is_refused(log, options):
    X, y, t = log
    with pytest.raises(ValueError, match="must be a str among"):
        CausalDNNRecommender(**FAST, **options).fit(X, y, treatment=t)


@pytest.mark.parametrize(
    ("requires", "log", "met"),
    [
        (Requires(), dict(n_arms=1, binary=False), True),
        (Requires(arms=(2, 2)), dict(n_arms=3), False),
        (Requires(arms=(2, None)), dict(n_arms=3), True),
        (Requires(arms=(2, None)), dict(n_arms=1), False),
        (Requires(binary=True), dict(n_arms=1, binary=False), False),
        (Requires(roles=("item",)), dict(roles={"item", "time"}), True),
        (Requires(roles=("item", "time")), dict(roles={"item"}), False),
    ],
)
def test_requirements(requires, log, met):
    assert requires.met(**log) == met


@pytest.mark.parametrize("registry", [OBJECTIVES, ENCODERS, POLICY_OBJECTIVES])
def test_every_component_is_described(registry):
    base = {"objective": (Objective, PolicyObjective), "encoder": Encoder}
    docs = [component.__doc__ for component in registry.values()]
    assert len(set(docs)) == len(registry)
    for name, component in registry.items():
        assert issubclass(component, base[registry.kind])
        assert component.name == name


def test_an_encoder_without_forward_is_refused_when_it_is_made():
    class Silent(Encoder):
        pass

    with pytest.raises(TypeError, match=r"abstract.*forward"):
        Silent(None, 2)
