import subprocess
import sys

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from sklearn_causalrec.plot import OverlapDisplay, TrainingCurveDisplay


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def _history(n_epochs=(4, 6), scores=True):
    return [
        {
            "member": member,
            "epoch": epoch,
            "train_loss": 1 / epoch + member,
            "valid_loss": (epoch - 3) ** 2 + member,
            "valid_score": epoch / 10 if scores else float("nan"),
            "seconds": 0.1,
        }
        for member, n in enumerate(n_epochs)
        for epoch in range(1, n + 1)
    ]


class Logged(ClassifierMixin, BaseEstimator):
    """What the displays read of an estimator, with a propensity easy to recompute."""

    def __init__(self, treatment=None, clip=0.1):
        self.treatment = treatment
        self.clip = clip

    def fit(self, X, y):
        self.classes_ = np.unique(y)
        self.arms_ = np.array(["no", "yes"])
        self.history_ = _history()
        return self

    def predict(self, X):
        return np.full(len(X), self.classes_[0])

    def propensity_scores(self, X):
        yes = 1 / (1 + np.exp(-np.asarray(X)[:, 0].astype(float)))
        return np.column_stack([1 - yes, yes])


@pytest.fixture
def rows():
    rng = np.random.default_rng(0)
    X = rng.normal(3, 2, size=(300, 2))
    yes = 1 / (1 + np.exp(-(X[:, 0] - 3) / 2))
    treatment = np.where(rng.uniform(size=300) < yes, "yes", "no")
    return X, rng.integers(2, size=300), treatment


def test_curves_hold_the_history():
    display = TrainingCurveDisplay(_history(), score_name="AUC").plot()
    assert set(display.lines_) == {"train_loss", "valid_loss", "valid_score"}
    loss, score = display.axes_
    assert (loss.get_ylabel(), score.get_ylabel()) == ("loss", "AUC")

    # The mean runs as far as the shorter member: 1/e + (0 + 1)/2.
    x, y = display.lines_["train_loss"].get_data()
    drawn = ~np.isnan(y)
    np.testing.assert_array_equal(x[drawn], [1, 2, 3, 4])
    np.testing.assert_allclose(y[drawn], 1 / np.arange(1, 5) + 0.5)
    # Two members and a mean for either loss, and the dots of the best epochs.
    assert len(loss.lines) == 7
    dots = loss.lines[-1]
    np.testing.assert_array_equal(dots.get_data(), [[3, 3], [0, 1]])


@pytest.mark.parametrize("missing", [None, float("nan"), "absent"])
def test_a_single_member_without_validation(missing):
    history = [
        {"member": 0, "epoch": e, "train_loss": 1.0 / e, "valid_loss": missing}
        for e in (1, 2, 3)
    ]
    if missing == "absent":
        history = [
            {k: r[k] for k in ("member", "epoch", "train_loss")} for r in history
        ]
    display = TrainingCurveDisplay(history).plot()
    assert set(display.lines_) == {"train_loss"}
    (axis,) = display.axes_
    assert [text.get_text() for text in axis.get_legend().get_texts()] == ["training"]


def test_curves_take_one_axis_or_one_a_panel():
    figure, ax = plt.subplots()
    display = TrainingCurveDisplay(_history()).plot(ax=ax)
    assert display.figure_ is figure and len(display.axes_) == 2
    assert not ax.axison

    figure, (left, right) = plt.subplots(1, 2)
    display = TrainingCurveDisplay(_history()).plot(ax=(left, right))
    assert display.axes_[0] is left and display.axes_[1] is right

    _, ax = plt.subplots()
    display = TrainingCurveDisplay(_history(scores=False)).plot(ax=ax)
    assert display.axes_[0] is ax and ax.axison

    with pytest.raises(ValueError, match="1 or 2 axes, got 3"):
        TrainingCurveDisplay(_history()).plot(ax=plt.subplots(1, 3)[1])
    with pytest.raises(ValueError, match="pass 2 axes"):
        TrainingCurveDisplay(_history()).plot(ax=plt.figure().add_axes((0, 0, 1, 1)))


def test_from_estimator_sees_through_search_and_pipeline(rows):
    X, y, treatment = rows
    pipeline = make_pipeline(StandardScaler(), Logged())
    search = GridSearchCV(pipeline, {"logged__clip": [0.2]}, cv=2).fit(X, y)
    display = TrainingCurveDisplay.from_estimator(search)
    assert set(display.lines_) == {"train_loss", "valid_loss", "valid_score"}
    assert display.axes_[1].get_ylabel() == "ROC AUC"

    display = OverlapDisplay.from_estimator(search, X, treatment)
    expected = 1 / (1 + np.exp(-(X[:, 0] - X[:, 0].mean()) / X[:, 0].std()))
    np.testing.assert_allclose(display.propensity[:, 1], expected)
    assert display.clip == 0.2


def test_no_history_is_an_error():
    with pytest.raises(ValueError, match="Logged has no training history: fit it"):
        TrainingCurveDisplay.from_estimator(Logged())


def test_overlap_reads_the_treatment_column(rows):
    X, y, treatment = rows
    frame = pd.DataFrame({"x": X[:, 0], "shown": treatment})
    estimator = Logged(treatment="shown").fit(frame, y)
    display = OverlapDisplay.from_estimator(
        make_pipeline(FunctionTransformer(), estimator), frame
    )
    np.testing.assert_array_equal(display.treatment, treatment)
    with pytest.raises(ValueError, match=r"pass treatment=.*which is None"):
        OverlapDisplay.from_estimator(Logged().fit(X, y), X)


def test_overlap_histograms_are_shares_of_each_arm(rows):
    X, y, treatment = rows
    estimator = Logged().fit(X, y)
    display = OverlapDisplay.from_estimator(estimator, X, treatment, bins=10)
    (axis,) = display.axes_
    above, below = (patch.get_data() for patch in axis.patches)
    yes = estimator.propensity_scores(X)[:, 1]
    for stairs, arm, sign in (above, "yes", 1), (below, "no", -1):
        of_arm = yes[treatment == arm]
        shares = [
            np.mean((of_arm >= low / 10) & (of_arm < (low + 1) / 10))
            for low in range(10)
        ]
        np.testing.assert_allclose(sign * stairs.values, shares)
    np.testing.assert_allclose(
        [line.get_xdata()[0] for line in axis.lines[:2]], [0.1, 0.9]
    )
    low, high = axis.get_ylim()
    assert low == -high


def test_overlap_summary_known_values():
    propensity = [0.5, 0.5, 0.02, 0.2, 0.9]
    treatment = [1, 1, 1, 0, 0]
    display = OverlapDisplay.from_predictions(propensity, treatment, clip=0.25)
    # Weights of arm 1: 2, 2, 4; of arm 0: 1/.8 and 1/.25 as .1 is raised to .25.
    sizes = [(1.25 + 4) ** 2 / (1.25**2 + 16), 8**2 / (4 + 4 + 16)]
    np.testing.assert_allclose(display.summary["effective_sample_size"], sizes)
    np.testing.assert_allclose(display.summary["clipped"], [1 / 2, 1 / 3])
    assert display.summary["rows"].tolist() == [2, 3]
    legend = [text.get_text() for text in display.axes_[0].get_legend().get_texts()]
    assert legend == [
        "arm 1: 3 rows, 33.3 % clipped, ESS 3",
        "arm 0: 2 rows, 50.0 % clipped, ESS 2",
        "clipped at 0.25",
    ]


def test_effective_size_without_clip_survives_a_zero_propensity():
    display = OverlapDisplay.from_predictions([0.0, 0.5, 0.5, 0.5], [1, 1, 0, 0])
    np.testing.assert_allclose(display.summary["effective_sample_size"], [2, 1])
    np.testing.assert_allclose(display.summary["clipped"], [0, 0.5])


def test_an_arm_without_rows_is_drawn_empty():
    display = OverlapDisplay.from_predictions(
        np.full((4, 3), 1 / 3), ["a", "b", "a", "b"], arms=["a", "b", "c"], clip=0.1
    )
    assert display.summary.loc["c", "rows"] == 0
    assert display.summary.loc["c", "effective_sample_size"] == 0
    assert np.isnan(display.summary.loc["c", "clipped"])
    assert not display.axes_[2].patches[0].get_data().values.any()


def test_overlap_with_three_arms_has_a_panel_each():
    rng = np.random.default_rng(1)
    propensity = rng.dirichlet([2, 2, 2], size=400)
    arms = ["large", "none", "small"]
    treatment = np.array([arms[rng.choice(3, p=p)] for p in propensity])
    display = OverlapDisplay.from_predictions(propensity, treatment, clip=0.05)
    assert len(display.axes_) == 3
    for axis, arm, column in zip(display.axes_, arms, propensity.T):
        assert axis.get_xlabel() == f"probability of arm {arm}"
        shares = axis.patches[0].get_data().values
        middles = (np.arange(40) + 0.5) / 40
        assert shares @ middles == pytest.approx(
            column[treatment == arm].mean(), abs=0.0125
        )


@pytest.mark.parametrize(
    "propensity, treatment, match",
    [
        ([0.5, 1.2], [0, 1], "between 0 and 1, got 1.2"),
        ([0.5, np.nan], [0, 1], "between 0 and 1, got nan"),
        ([0.5, 0.5, 0.5], [0, 1], r"2 rows.*the shape \(3, 2\)"),
        ([0.5, 0.5], [1, 1], r"arms \[1\], got the shape \(2, 2\)"),
    ],
)
def test_overlap_bad_input(propensity, treatment, match):
    with pytest.raises(ValueError, match=match):
        OverlapDisplay.from_predictions(propensity, treatment)


def test_overlap_unknown_arm():
    with pytest.raises(ValueError, match=r"holds 2, an arm unseen .* are \[0, 1\]"):
        OverlapDisplay.from_predictions([0.5, 0.5], [0, 2], arms=[0, 1])


def test_matplotlib_is_loaded_late_and_its_absence_named():
    code = """
import sys
import sklearn_causalrec.plot as plot
assert "matplotlib" not in sys.modules
sys.modules["matplotlib"] = None
try:
    plot.TrainingCurveDisplay([]).plot()
except ImportError as error:
    print(error)
"""
    output = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    ).stdout
    assert "TrainingCurveDisplay.plot needs matplotlib" in output
    assert "sklearn-causalrec[plot]" in output
