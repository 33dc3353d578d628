"""Kernel ridge: against scikit-learn's, refits without a row, and known functions."""

import numpy as np
import pytest
from sklearn.kernel_ridge import KernelRidge as Reference

from sklearn_causalrec.effects.default_learners import stacked_outcome_learners
from sklearn_causalrec.effects.kernel_ridge import PENALTIES, KernelRidge


@pytest.fixture
def data(rng):
    X = rng.normal(size=(60, 3)) * [1, 10, 0.1] + 5
    y = np.sin(X[:, 0]) + 0.1 * X[:, 1] + 0.2 * rng.normal(size=60)
    return X, y


def kernel(model, A, B):
    """The kernel of a fitted model, from its definition."""
    A, B = ((Z - model.mean_) / model.scale_ for Z in (A, B))
    apart = ((A[:, None] - B) ** 2).mean(-1)
    return np.exp(-apart / (2 * model.width_**2)) + model.linear_ * A @ B.T / A.shape[1]


@pytest.mark.parametrize("weighted", [False, True])
def test_predictions_are_those_of_scikit_learn(data, rng, weighted):
    X, y = data
    w = rng.integers(1, 4, size=60).astype(float) if weighted else None
    model = KernelRidge().fit(X, y, w)
    reference = Reference(alpha=model.penalty_, kernel="precomputed")
    mean = np.average(y, weights=w)
    reference.fit(kernel(model, X, X), y - mean, sample_weight=w)
    new = rng.normal(size=(20, 3)) * [1, 10, 0.1] + 5
    expected = reference.predict(kernel(model, new, X)) + mean
    np.testing.assert_allclose(model.predict(new), expected, rtol=1e-6)


def test_a_weight_of_0_leaves_a_row_out_and_rows_come_in_chunks(data, rng):
    X, y = data
    w = (np.arange(60) % 3 > 0).astype(float)
    model = KernelRidge().fit(X, np.where(w > 0, y, 1e6), w)
    alone = KernelRidge().fit(X[w > 0], y[w > 0])
    many = np.tile(X, (40, 1))
    np.testing.assert_allclose(model.predict(many), np.tile(alone.predict(X), 40))


def test_the_penalty_has_the_least_error_of_refits_without_each_row(data):
    X, y = data
    model = KernelRidge(widths=(1.0,), linear=(0.5,)).fit(X, y)
    K, target = kernel(model, X, X), y - y.mean()
    errors = []
    for penalty in PENALTIES:
        error = 0.0
        for i in range(60):
            rest = np.arange(60) != i
            dual = np.linalg.solve(
                K[np.ix_(rest, rest)] + penalty * np.eye(59), target[rest]
            )
            error += (target[i] - K[i, rest] @ dual) ** 2
        errors.append(error)
    assert model.penalty_ == PENALTIES[np.argmin(errors)]


def test_it_is_linear_where_the_target_is_and_bent_where_that_is(rng):
    X = rng.normal(size=(300, 4))
    far = 6 * np.eye(4)
    line = KernelRidge().fit(X, X @ [1.0, 2, 0, 0] + 3)
    np.testing.assert_allclose(line.predict(far), far @ [1.0, 2, 0, 0] + 3, atol=1.5)
    bent = KernelRidge().fit(X, np.exp(0.5 * X[:, 0]) * X[:, 1])
    new = rng.normal(size=(200, 4))
    truth = np.exp(0.5 * new[:, 0]) * new[:, 1]
    assert np.corrcoef(bent.predict(new), truth)[0, 1] > 0.95


def test_features_without_spread_and_one_row_an_arm():
    model = KernelRidge().fit(np.ones((2, 2)), [1.0, 3.0])
    np.testing.assert_allclose(model.predict(np.ones((3, 2))), 2.0)


def test_few_rows_have_one_more_learner_than_many():
    numbers = [len(stacked_outcome_learners(n)) for n in (1_999, 2_000, 10_000)]
    assert numbers == [3, 2, 1]
