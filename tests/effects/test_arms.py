"""Effects between arms: the bookkeeping around the stacked effects, in closed form."""

import numpy as np
import pytest

from sklearn_causalrec.effects.arms import ArmEffects
from sklearn_causalrec.effects.cross_fitting import stratified_folds


class ScoresAlone:
    """A second stage whose model of the effect is zero and whose scores are true."""

    def __init__(self, **_):
        pass

    def fit(self, X, y, t, **_):
        self.scores_ = X[:, 0] * 1.0  # the true effect of a row is its feature
        self.effect_oof_ = np.zeros(len(X))
        self.influence_ = self.scores_ - self.scores_.mean()
        self.outcome_oof_ = np.zeros((len(X), 2))
        self.calibrated_ = np.full(len(X), 0.5)
        return self

    def effect(self, X, outcome=None, groups=None):
        return np.zeros(len(X))


@pytest.fixture
def scores_alone(monkeypatch):
    monkeypatch.setattr(ArmEffects, "stage_class", ScoresAlone)


def fit(X, arm, exposure):
    n, n_arms = exposure.shape
    ones, fold = np.ones(n), np.arange(n) % 2
    return ArmEffects(n_arms, 1e-3, 0).fit(
        X, np.zeros(n), arm, ones, fold, np.zeros((n, n_arms)), exposure
    )


def test_rows_of_a_pair_speak_for_all_rows(scores_alone):
    """Rows in the pair count by 1 / P(pair | x): the mean is that of all rows."""
    rng = np.random.default_rng(0)
    x = rng.uniform(0, 1, 40_000)
    third = 0.1 + 0.8 * x  # the higher the effect, the rarer the pair (0, 1)
    exposure = np.column_stack([(1 - third) / 2, (1 - third) / 2, third])
    arm = (rng.random(len(x))[:, None] > exposure.cumsum(1)).sum(1)
    mean, error, _ = fit(x[:, None], arm, exposure).ate(0, 1)
    assert abs(mean - x.mean()) < 4 * error
    unweighted = x[arm < 2].sum() / len(x)
    assert abs(unweighted - x.mean()) > 20 * error


@pytest.mark.parametrize("n_arms", [2, 3])
def test_average_over_other_rows_is_corrected_by_the_scores(scores_alone, n_arms):
    """The model of the effect is zero: all that is known is in the residuals."""
    X = np.linspace(0, 2, 600)[:, None]
    arm, exposure = np.arange(600) % n_arms, np.full((600, n_arms), 1 / n_arms)
    effects = fit(X, arm, exposure)
    new, outcome = np.array([[2.5], [3.5]]), np.zeros((2, n_arms))
    at_home = effects.ate(0, 1)
    if n_arms == 2:  # the scores are the line x, which holds elsewhere
        assert effects.ate(0, 1, new, outcome).value == pytest.approx(3, abs=0.05)
        assert at_home.value == pytest.approx(1)
    same = effects.ate(0, 1, X, np.zeros((600, n_arms)))
    assert same.value == pytest.approx(at_home.value)
    assert same.error == pytest.approx(at_home.error, rel=0.02)
    there = effects.ate(1, 0, new, outcome)
    assert there.value == -effects.ate(0, 1, new, outcome).value
    last = effects.ate(0, n_arms - 1, new, outcome)
    back = effects.ate(n_arms - 1, 0, new, outcome)
    assert last.value == -back.value and last.error == back.error


def test_folds_spread_every_arm():
    arm = np.repeat([0, 1, 2], [100, 13, 7])
    fold = stratified_folds(arm, 3, np.random.RandomState(0))
    counts = np.array([np.bincount(fold[arm == a], minlength=3) for a in range(3)])
    assert (np.ptp(counts, axis=1) <= 1).all()
