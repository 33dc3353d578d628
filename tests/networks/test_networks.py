"""Networks, objectives, loader and validation split."""

from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skorch.dataset import Dataset
from torch.utils.data import Subset

from sklearn_causalrec import CausalDNNRecommender
from sklearn_causalrec.networks import OBJECTIVES
from sklearn_causalrec.networks.batches import SliceLoader, validation_rows
from sklearn_causalrec.networks.network import CausalNetwork, Output
from sklearn_causalrec.networks.settings import RecommenderSettings


def make_output(n=4, n_arms=2, seed=0, imputation=True):
    g = torch.Generator().manual_seed(seed)

    def draw():
        return torch.randn(n, n_arms, generator=g, dtype=torch.float64)

    return Output(draw().requires_grad_(), draw(), draw() if imputation else None)


def expected_loss(objective, output, outcomes, probability, **batch):
    """Mean of the loss over every assignment of arms, by its probability."""
    n, n_arms = outcomes.shape
    total, gradient = 0.0, 0.0
    for arms in product(range(n_arms), repeat=n):
        arm = torch.tensor(arms)
        p = probability.gather(1, arm[:, None])[:, 0]
        known = batch.get("known", p)
        weight = torch.ones(n, dtype=torch.float64)
        rows = {"arm": arm, "weight": weight, "propensity": known}
        if batch.get("known") is not None:
            rows["propensity"] = known.gather(1, arm[:, None])[:, 0]
        y = outcomes.gather(1, arm[:, None])[:, 0]
        loss = objective(output, y, rows)
        output.outcome.grad = None
        loss.backward()
        total += p.prod() * loss.detach()
        gradient += p.prod() * output.outcome.grad
    return total, gradient


@pytest.mark.parametrize("binary", [False, True])
@pytest.mark.parametrize("objective", ["ips", "dr"])
def test_unbiased_over_all_assignments(objective, binary):
    """E[gradient] under the logging policy = gradient of the loss of all outcomes."""
    output = make_output(3)
    outcomes = torch.tensor([[0.0, 1.0], [1.0, 1.0], [0.0, 1.0]], dtype=torch.float64)
    p = torch.tensor([[0.2, 0.8], [0.5, 0.5], [0.7, 0.3]], dtype=torch.float64)
    criterion = OBJECTIVES[objective](2, binary, clip=1e-3)
    _, gradient = expected_loss(criterion, output, outcomes, p)
    full = criterion.error(output.outcome, outcomes).sum(1).mean() / 2
    output.outcome.grad = None
    full.backward()
    torch.testing.assert_close(gradient, output.outcome.grad)


def test_doubly_robust_to_a_wrong_propensity():
    """With the right imputation, any propensity gives the right gradient."""
    output = make_output(3)
    outcomes = output.imputation.clone()
    p = torch.tensor([[0.2, 0.8], [0.5, 0.5], [0.7, 0.3]], dtype=torch.float64)
    wrong = torch.full_like(p, 0.9)
    criterion = OBJECTIVES["dr"](2, False, clip=1e-3)
    _, gradient = expected_loss(criterion, output, outcomes, p, known=wrong)
    full = criterion.error(output.outcome, outcomes).sum(1).mean() / 2
    output.outcome.grad = None
    full.backward()
    torch.testing.assert_close(gradient, output.outcome.grad)
    ips = OBJECTIVES["ips"](2, False, clip=1e-3)
    _, biased = expected_loss(ips, output, outcomes, p, known=wrong)
    assert not torch.allclose(biased, gradient)


def test_naive_is_the_plain_mean():
    output = make_output(4, imputation=False)
    arm = torch.tensor([0, 1, 1, 0])
    y = torch.randn(4, dtype=torch.float64)
    weight = torch.tensor([0.5, 1.5, 1.0, 1.0], dtype=torch.float64)
    batch = {"arm": arm, "weight": weight}
    taken = output.outcome[torch.arange(4), arm]
    exposure = torch.nn.functional.cross_entropy(output.exposure, arm, reduction="none")
    expected = (weight * ((taken - y) ** 2 + exposure)).mean()
    torch.testing.assert_close(
        OBJECTIVES["naive"](2, False, 0.05)(output, y, batch), expected
    )


def test_snips_weights_have_mean_one():
    """A common factor in the propensities does not matter."""
    output = make_output(5, imputation=False)
    y = torch.randn(5, dtype=torch.float64)
    p = torch.tensor([0.2, 0.4, 0.6, 0.8, 0.5], dtype=torch.float64)
    batch = {
        "arm": torch.tensor([0, 1, 0, 1, 1]),
        "weight": torch.ones(5, dtype=torch.float64),
        "propensity": p,
    }
    criterion = OBJECTIVES["snips"](2, False, 1e-3)
    first = criterion(output, y, batch)
    torch.testing.assert_close(
        first, criterion(output, y, batch | {"propensity": p / 2})
    )


def test_clip_bounds_the_weight():
    output = make_output(2, imputation=False)
    y = torch.zeros(2, dtype=torch.float64)
    batch = {
        "arm": torch.tensor([0, 0]),
        "weight": torch.ones(2, dtype=torch.float64),
    }
    losses = [
        OBJECTIVES["ips"](2, False, 0.2)(
            output, y, batch | {"propensity": torch.tensor([p, 0.5]).double()}
        )
        for p in (0.2, 1e-9)
    ]
    torch.testing.assert_close(*losses)


def test_targeted_term_vanishes_at_the_truth():
    output = make_output(3, imputation=False)
    arm = torch.tensor([0, 1, 0])
    y = output.outcome.detach()[torch.arange(3), arm]
    batch = {"arm": arm, "weight": torch.ones(3, dtype=torch.float64)}
    naive = OBJECTIVES["naive"](2, False, 0.05)(output, y, batch)
    targeted = OBJECTIVES["targeted"](2, False, 0.05).double()
    torch.testing.assert_close(targeted(output, y, batch), naive)
    targeted.epsilon.data[:] = 1.0
    assert targeted(output, y, batch) > naive


def network(**kwargs):
    sizes = dict(n_features=3, n_users=4, n_items=5, n_arms=2)
    sizes.update(kwargs)
    p = sizes["n_features"]
    return CausalNetwork(**sizes, mean=np.zeros(p), scale=np.ones(p)).eval()


@pytest.mark.parametrize("encoder", ["dnn", "mf"])
@pytest.mark.parametrize("n_features", [0, 3])
@pytest.mark.parametrize("hidden_layer_sizes", [(), (8,), (8, 4)])
def test_shapes(encoder, n_features, hidden_layer_sizes):
    net = network(
        n_features=n_features,
        encoder=encoder,
        hidden_layer_sizes=hidden_layer_sizes,
        imputation=True,
    )
    user, item = torch.tensor([0, 4]), torch.tensor([5, 1])
    out = net(torch.zeros(2, n_features), user, item)
    assert [part.shape for part in out] == [(2, 2)] * 3


def test_mf_is_biases_plus_inner_product():
    net = network(n_features=0, n_arms=1, encoder="mf", embedding_dim=2)
    for parameter in net.parameters():
        parameter.data.normal_()
    net.encoder.arm_scale.data.fill_(1.0)
    u, i = torch.tensor([2]), torch.tensor([3])
    by_hand = (
        net.wide.bias
        + net.wide.user.weight[2]
        + net.wide.item.weight[3]
        + (net.vectors.user.weight[2] * net.vectors.item.weight[3]).sum()
    )
    torch.testing.assert_close(net(torch.zeros(1, 0), u, i).outcome[0], by_hand)
    sides = net.users_side(torch.arange(4), 0), net.items_side(torch.arange(5), 0)
    matrix = sides[0] @ sides[1].T
    torch.testing.assert_close(matrix[2, 3], by_hand[0])


def test_mf_adds_the_features_of_each_side_to_its_vector():
    net = network(encoder="mf", embedding_dim=2, owners=["item", "context", "user"])
    for parameter in net.parameters():
        parameter.data.normal_()
    x, u, i = torch.randn(1, 3), torch.tensor([2]), torch.tensor([3])
    of_user = net.vectors.user.weight[2] + net.encoder.user_features.weight @ x[0, 2:]
    of_item = net.vectors.item.weight[3] + net.encoder.item_features.weight @ x[0, :1]
    by_hand = net.encoder.arm_scale @ (of_user * of_item)
    by_hand = by_hand + net.encoder.heads(net.encoder.dense(x))[0]
    by_hand = by_hand + net.wide(x, u, i)[0]
    torch.testing.assert_close(net(x, u, i).outcome[0], by_hand)


def test_a_tower_is_of_the_owner_of_all_its_features():
    owners = ["item", "user", "user", "item", "user"]
    net = network(
        n_features=5, encoder="mf", towers=[[0, 3], [1, 2], [4, 0]], owners=owners
    )
    width = net.towers.layers[0].out_features
    assert net.encoder.of_item == list(range(width))
    assert net.encoder.of_user == list(range(width, 2 * width))


def test_exposure_loss_shapes_the_representation_only_when_shared():
    for shared in (False, True):
        net = network(shared=shared)
        x = torch.randn(6, 3)
        ids = torch.zeros(6, dtype=torch.int64)
        net(x, ids, ids).exposure.sum().backward()
        assert (net.encoder.dense[0].weight.grad is not None) == shared


def test_unseen_ids_share_the_mean_and_new_ids_start_there():
    net = network(n_users=2)
    net.vectors.user.weight.data[:2] = torch.tensor([[1.0], [3.0]])
    net.settle_unseen_ids()
    assert (net.vectors.user.weight[-1] == 2.0).all()
    assert net.grow_ids(4, 5)
    assert net.vectors.user.weight.shape[0] == 5
    assert (net.vectors.user.weight[2:] == 2.0).all()
    assert not net.grow_ids(4, 5)


@given(st.integers(1, 40), st.integers(1, 17), st.booleans(), st.booleans())
@settings(max_examples=50, deadline=None)
def test_loader_gives_every_row_once(n, batch_size, shuffle, subset):
    y = torch.arange(n)
    dataset = Dataset({"features": y[:, None] * 1.0}, y)
    rows = y
    if subset:
        rows = torch.arange(0, n, 2)
        dataset = Subset(dataset, rows)
    generator = torch.Generator().manual_seed(0)
    loader = SliceLoader(dataset, batch_size, shuffle, generator)
    batches = list(loader)
    assert len(batches) == len(loader)
    for batch, target in batches:
        assert (batch["features"][:, 0] == target).all()
    assert sorted(torch.cat([b for _, b in batches]).tolist()) == rows.tolist()


@given(st.lists(st.integers(0, 5), min_size=1, max_size=80), st.floats(0.05, 0.5))
@settings(max_examples=100, deadline=None)
def test_validation_rows_leave_every_group_a_row(groups, fraction):
    groups = np.array(groups)
    rng = np.random.RandomState(0)
    held = validation_rows(len(groups), fraction, rng, groups)
    assert (np.diff(held) > 0).all()
    kept = np.setdiff1d(np.arange(len(groups)), held)
    assert set(groups[kept]) == set(groups)


def test_validation_rows_are_the_last_in_time():
    time = np.array([5, 1, 4, 2, 3, 9, 8, 7, 6, 0])
    held = validation_rows(10, 0.2, np.random.RandomState(0), order=time)
    assert held.tolist() == [5, 6]


def test_objectives_are_named_as_documented():
    page = (Path(__file__).parents[2] / "docs" / "objectives.md").read_text()
    assert len(OBJECTIVES) == 13
    assert not [name for name in OBJECTIVES if f'"{name}"' not in page]


def recommender_settings(**params):
    return RecommenderSettings.of(CausalDNNRecommender(**params), "cpu")


@pytest.mark.parametrize(
    "n_rows, activation, epochs, patience",
    [
        (300, "elu", 100, 50),  # nothing is held out, an epoch is 3 steps
        (672, "elu", 300, 30),  # 604.8 rows are 5 steps of 128
        (1_999, "elu", 100, 10),
        (2_000, "relu", 100, 10),
        (20_000, "relu", 100, 5),
    ],
)
def test_auto_counts_epochs_of_small_logs_in_steps(
    n_rows, activation, epochs, patience
):
    found = recommender_settings().of_log(n_rows, n_rows)
    assert found.activation == activation
    assert (found.max_epochs, found.n_iter_no_change) == (epochs, patience)


def test_what_is_named_is_not_auto():
    named = dict(activation="tanh", max_epochs=7, n_iter_no_change=3)
    settings = recommender_settings(**named)
    assert settings.of_log(500, 400) == settings


def test_patience_of_a_small_log_is_in_steps(rng):
    X = rng.normal(size=(500, 3))
    y = X[:, 0] + rng.normal(size=500)
    model = CausalDNNRecommender(random_state=0).fit(X, y)
    losses = [record["valid_loss"] for record in model.history_]
    assert model.n_iter_ - 1 - np.argmin(losses) <= 38  # 450 rows, 4 steps an epoch
    assert model.n_iter_ > 38
    few = CausalDNNRecommender(random_state=0, max_epochs=9).fit(X, y)
    assert few.n_iter_ == 9


@pytest.mark.parametrize("task", ["regression", "classification"])
@pytest.mark.parametrize("n_estimators", [1, 2])
@pytest.mark.parametrize("far", [0.0, 1e9])
def test_products_of_ids_are_what_is_predicted(task, n_estimators, far):
    rng = np.random.default_rng(0)
    X = pd.DataFrame({"user": rng.integers(0, 9, 300), "item": rng.integers(0, 7, 300)})
    y = far + 30 * (X["item"] + rng.normal(size=300))
    y = (y > y.median()).astype(int) if task == "classification" else y
    model = CausalDNNRecommender(
        task=task, user="user", item="item", encoder="mf", n_estimators=n_estimators,
        max_epochs=2, random_state=0,
    ).fit(X, y)  # fmt: skip
    scores = model.pair_scores("outcome").matrix
    predict = model.predict
    if task == "classification":

        def predict(pairs):
            return model.predict_proba(pairs)[:, 1]

    encoder = model.log_encoder_
    items = encoder.items.codes(np.arange(7))
    for users in (np.arange(3), np.arange(3, 9)):  # in turn, with the same items
        found = scores(encoder.users.codes(users), items).ravel()
        pairs = {"user": np.repeat(users, 7), "item": np.tile(range(7), len(users))}
        expected = predict(pd.DataFrame(pairs))
        np.testing.assert_allclose(found - far, expected - far, rtol=1e-4, atol=1e-4)
    few = encoder.users.codes(np.arange(3))
    swapped = scores(few, items[::-1].copy())
    np.testing.assert_allclose(swapped[:, ::-1], scores(few, items), rtol=1e-6)
