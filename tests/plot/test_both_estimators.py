"""Every display with both estimators: drawn, or refused by name with the way out."""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from matplotlib.legend import Legend

from sklearn_causalrec import (
    CausalDNNRecommender,
    CausalGraph,
    CounterfactualPolicy,
    DoCalculusEffect,
    plot,
)
from sklearn_causalrec.causal.checks.sensitivity import Sensitivity

N = 300


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


@pytest.fixture(scope="module")
def log():
    rng = np.random.default_rng(0)
    X = pd.DataFrame(
        {
            "user": rng.integers(0, 20, N),
            "item": rng.integers(0, 12, N),
            "a": rng.normal(size=N),
            "b": rng.normal(size=N),
        }
    )
    t = (rng.uniform(size=N) < 1 / (1 + np.exp(-X["a"]))).to_numpy(int)
    y = X["a"] + t * (1 + X["b"]) + rng.normal(size=N)
    return X, t, y.rename("bought")


@pytest.fixture(scope="module")
def fitted(log):
    X, t, y = log
    plain = X[["a", "b"]]
    recommender = CausalDNNRecommender(
        user="user", item="item", n_folds=2, max_epochs=2, random_state=0
    )
    graph = CausalGraph("a -> shown -> bought; a -> bought; b -> bought")
    with_graph = DoCalculusEffect(graph, treatment="shown", cv=2, random_state=0)
    rng = np.random.default_rng(1)
    click = (rng.uniform(size=N) < 0.2 + 0.5 * t).astype(int)
    front = DoCalculusEffect(
        CausalGraph("shown -> click -> bought; shown <-> bought"),
        treatment="shown", cv=2, random_state=0,
    )  # fmt: skip
    seen = pd.DataFrame({"shown": t, "click": click})
    return {
        "recommender": (recommender.fit(X, y, treatment=t), X, t),
        "columns": (
            DoCalculusEffect(cv=2, random_state=0).fit(plain, y, treatment=t),
            plain,
            t,
        ),
        "graph": (with_graph.fit(plain.assign(shown=t), y), plain.assign(shown=t), t),
        "front door": (front.fit(seen, y), seen, t),
    }


def _calls(model, X, t, y):
    """How each display is made of a fitted model."""
    chance = np.full(N, 0.5)
    return {
        "OverlapDisplay": lambda d: d.from_estimator(model, X, t),
        "EffectDisplay": lambda d: d.from_estimator(model),
        "CausalGraphDisplay": lambda d: d.from_estimator(model),
        "BalanceDisplay": lambda d: d.from_estimator(model),
        "TrainingCurveDisplay": lambda d: d.from_estimator(model),
        "NetworkDisplay": lambda d: d.from_estimator(model, X),
        "SensitivityDisplay": lambda d: d.from_estimator(
            model, X, y, None if "shown" in X else t
        ),
        "UpliftCurveDisplay": lambda d: d.from_estimator(
            model, X, y, treatment=t, n_bootstrap=3
        ),
        "CalibrationDisplay": lambda d: d.from_estimator(
            model, X, y, treatment=t, propensity=chance,
            outcomes=np.zeros((N, 2)), n_bins=3,
        ),
        "PolicyValueDisplay": lambda d: d.from_estimator(
            model, X, y, t, propensity=chance
        ),
    }  # fmt: skip


# What is refused, and the words that say why and what to do instead.
REFUSED = {
    ("recommender", "CausalGraphDisplay"): "no graph to draw: fit it, with graph=",
    ("recommender", "BalanceDisplay"): "noted no balance of arms: it does not adjust",
    ("recommender", "SensitivityDisplay"): "need an effect of arms by adjustment",
    ("columns", "TrainingCurveDisplay"): "fit it first, if it trains networks",
    ("graph", "TrainingCurveDisplay"): "fit it first, if it trains networks",
    ("front door", "TrainingCurveDisplay"): "fit it first, if it trains networks",
    ("columns", "NetworkDisplay"): "holds no network to draw: it is not fitted, or",
    ("graph", "NetworkDisplay"): "holds no network to draw: it is not fitted, or",
    ("front door", "NetworkDisplay"): "holds no network to draw: it is not fitted, or",
    ("front door", "OverlapDisplay"): "noted no propensities: .* not by adjustment",
    ("front door", "BalanceDisplay"): "noted no balance of arms: it does not adjust",
    ("front door", "SensitivityDisplay"): "need an effect of arms by adjustment",
}


@pytest.mark.parametrize("name", plot.__all__)
@pytest.mark.parametrize("who", ["recommender", "columns", "graph", "front door"])
@pytest.mark.filterwarnings("ignore")
def test_each_display_draws_or_says_why_not(who, name, fitted, log):
    model, X, t = fitted[who]
    make = _calls(model, X, t, log[2])[name]
    if (who, name) in REFUSED:
        with pytest.raises(ValueError, match=REFUSED[who, name]):
            make(getattr(plot, name))
        return
    display = make(getattr(plot, name))
    display.figure_.draw_without_rendering()
    renderer = display.figure_.canvas.get_renderer()
    for axes in np.ravel(getattr(display, "axes_", getattr(display, "ax_", ()))):
        assert axes.get_children()
        inside = axes.get_window_extent(renderer).shrunk(0.98, 0.98)
        legends = [a for a in axes.get_children() if isinstance(a, Legend)]
        assert not any(
            legend.get_window_extent(renderer).overlaps(inside) for legend in legends
        ), "the legend lies on the data"


def test_legends_stay_off_the_truth_and_the_scores():
    frame = pd.DataFrame({"estimate": [1.0], "low": [0.5], "high": [1.5], "truth": 1.2})
    history = [
        {"member": 0, "epoch": e, "train_loss": 1 / e, "valid_loss": 1 / e,
         "valid_score": 1 - 1 / e} for e in (1, 2, 3)
    ]  # fmt: skip
    score = plot.TrainingCurveDisplay(history).plot().axes_
    effect = plot.EffectDisplay.from_frame(frame).ax_
    for axes in (effect, *score):
        axes.figure.draw_without_rendering()
        renderer = axes.figure.canvas.get_renderer()
        legend = axes.get_legend().get_window_extent(renderer)
        assert legend.y0 >= axes.get_window_extent(renderer).y1 - 1


def test_the_overlap_of_a_graph_is_that_of_the_rows_of_fit(fitted):
    model, X, t = fitted["columns"]
    display = plot.OverlapDisplay.from_estimator(model)
    np.testing.assert_array_equal(display.propensity, model.propensity_)
    np.testing.assert_array_equal(display.treatment, t)
    noted = model.diagnostics_["overlap"]
    assert display.summary["rows"].tolist() == noted["rows"].tolist()
    with pytest.raises(ValueError, match="the 300 rows of fit, and cannot predict"):
        plot.OverlapDisplay.from_estimator(model, X.head(10))
    with pytest.raises(ValueError, match="predicts propensities: pass X, the rows"):
        plot.OverlapDisplay.from_estimator(fitted["recommender"][0])
    with pytest.raises(ValueError, match="noted no propensities: it is not fitted"):
        plot.OverlapDisplay.from_estimator(DoCalculusEffect())


def test_sensitivity_takes_what_the_recommender_lacks():
    """The way out that the refusal names: bounds from figures of one's own."""
    found = Sensitivity.from_regression(0.3, 0.1, 200)
    assert plot.SensitivityDisplay.from_sensitivity(found).contour_ is not None


# -- networks ------------------------------------------------------------------------


def _networks(log):
    X, t, y = log
    rng = np.random.default_rng(0)
    past = X.assign(past=[list(rng.integers(0, 12, rng.integers(0, 5))) for _ in y])
    common = {"max_epochs": 1, "random_state": 0}
    ids = {**common, "user": "user", "item": "item", "effect_learner": "t"}
    yield "mf", CausalDNNRecommender(encoder="mf", **ids).fit(X, y, treatment=t), X
    model = CausalDNNRecommender(encoder="transformer", history="past", **ids)
    yield "transformer", model.fit(past, y, treatment=t), past
    model = CausalDNNRecommender(objective="dr", towers={"p": ["a"], "q": ["b"]}, **ids)
    yield "towers", model.fit(X, y, treatment=t), X
    del ids["effect_learner"]
    yield "lists", CausalDNNRecommender(objective="implicit", **ids).fit(X), X
    policy, plain = CounterfactualPolicy(**common), X[["a", "b"]]
    chance = np.full(N, 0.5)
    yield "policy", policy.fit(plain, y, treatment=t, propensity=chance), plain


@pytest.mark.filterwarnings("ignore")
def test_parameters_of_a_network_add_up_and_arrows_are_what_is_read(fitted, log):
    drawn = {}
    first = ("dnn", *fitted["recommender"][:2])
    for name, model, X in (first, *_networks(log)):
        net = model.nets_[0] if hasattr(model, "nets_") else model.net_
        before = {k: v.clone() for k, v in net.module_.state_dict().items()}
        display = drawn[name] = plot.NetworkDisplay.from_estimator(model, X)
        n = sum(p.numel() for p in net.module_.parameters())
        assert display.table["n_parameters"].sum() == n
        assert f"{n:,} parameters" in display.ax_.get_title()
        after = net.module_.state_dict()
        assert all((before[k] == after[k]).all() for k in before)
        assert not any(layer._forward_hooks for layer in net.module_.modules())
    arrows = {name: set(display.arrows_) for name, display in drawn.items()}
    # What the modules' own code says, and nothing else.
    assert arrows["dnn"] == {
        ("features", "encoder.dense.0"), ("features", "wide"),
        ("features", "exposure.wide"),
        ("user", "vectors.user"), ("user", "wide"), ("user", "exposure.wide"),
        ("item", "vectors.item"), ("item", "wide"), ("item", "exposure.wide"),
        ("vectors.user", "encoder.dense.0"), ("vectors.item", "encoder.dense.0"),
        ("encoder.dense.0", "encoder.heads"), ("encoder.dense.0", "exposure.deep"),
        ("encoder.heads", "outcome"),
        ("exposure.deep", "exposure"), ("wide", "outcome"),
        ("exposure.wide", "exposure"),
    }  # fmt: skip
    assert ("vectors.user", "outcome") in arrows["mf"]
    assert ("encoder.arm_scale", "outcome") in arrows["mf"]
    assert ("history", "vectors.item") in arrows["transformer"]
    assert ("history", "vectors.user") not in arrows["transformer"]
    assert ("features", "towers") in arrows["towers"]
    assert ("features", "encoder.dense.0") not in arrows["towers"]
    assert ("imputation.deep", "imputation") in arrows["towers"]
    # The imputation reads the representation, detached: autograd does not tell.
    assert ("encoder.dense.0", "imputation.deep") in arrows["towers"]
    assert ("wide", "outcome") in arrows["lists"]
    assert not any("user" in start for start, _ in arrows["policy"])
    assert drawn["dnn"].table.loc["vectors.user", "what"] == "Embedding 21 × 16"


@pytest.mark.filterwarnings("ignore")
def test_words_of_a_network_stay_inside_of_their_boxes(fitted):
    model, X, _ = fitted["recommender"]
    display = plot.NetworkDisplay.from_estimator(model, X)
    renderer = display.figure_.canvas.get_renderer()
    for box, text in zip(display._boxes, display.texts_.values()):
        around, own = (part.get_window_extent(renderer) for part in (box, text))
        assert around.x0 <= own.x0 and own.x1 <= around.x1
        assert around.y0 <= own.y0 + 1 and own.y1 <= around.y1 + 1
