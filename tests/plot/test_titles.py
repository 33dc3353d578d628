"""A title that a user gives stands above the legend, not on it."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

from sklearn_causalrec.plot import OverlapDisplay, PolicyValueDisplay


def _overlap(n_arms, clip, ax):
    rng = np.random.default_rng(0)
    chance = rng.dirichlet(np.ones(n_arms), 200)
    arm = rng.integers(0, n_arms, 200)
    chance = chance[:, 1] if n_arms == 2 else chance
    return OverlapDisplay.from_predictions(chance, arm, clip=clip, ax=ax).axes_


def _policy(ax):
    y, action = np.tile([0, 1, 1, 0], 50), np.tile([0, 1], 100)
    given = dict(propensity=np.full(200, 0.5), estimators=["ips", "dr"])
    made = PolicyValueDisplay.from_predictions(y, action, [0.4, 0.6], ax=ax, **given)
    return [made.ax_]


@pytest.mark.parametrize("given", [False, True])
@pytest.mark.parametrize(
    "draw",
    [
        lambda ax: _overlap(2, None, ax),
        lambda ax: _overlap(2, 0.1, ax),
        lambda ax: _overlap(3, 0.1, None),
        _policy,
    ],
)
def test_titles_are_above_legends(draw, given):
    axes = draw(plt.subplots()[1] if given else None)
    for ax in axes:
        ax.set_title("What is seen here")
        ax.figure.canvas.draw()
        legend = ax.get_legend().get_window_extent()
        assert ax.title.get_window_extent().y0 >= legend.y1 - 1
        assert ax.title.get_window_extent().y0 <= legend.y1 + 15  # and near to it
    plt.close("all")
