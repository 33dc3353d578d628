from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from matplotlib.colors import to_hex
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from sklearn_causalrec import CausalGraph
from sklearn_causalrec._testing.graph_strategies import admgs
from sklearn_causalrec.causal.checks.sensitivity import Sensitivity
from sklearn_causalrec.causal.graphs.drawing import HEIGHT, Layout, along
from sklearn_causalrec.plot import (
    BalanceDisplay,
    CausalGraphDisplay,
    EffectDisplay,
    SensitivityDisplay,
)
from sklearn_causalrec.plot._common import BLUE, VERMILION


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


SHOP = CausalGraph(
    "age -> browse; age -> rating; browse -> purchase -> rating; browse <-> rating; "
    "season -> purchase; season -> rating; rating -> review"
)


# -- layout --------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(admgs())
def test_layout_has_room_for_everything(graph):
    layout = Layout(graph)
    wide, high = layout.size
    boxes = list(zip(layout.center, layout.width))
    for k, ((x, y), width) in enumerate(boxes):
        assert width / 2 <= x <= wide - width / 2
        assert HEIGHT / 2 <= y <= high - HEIGHT / 2
        for (x2, y2), width2 in boxes[:k]:
            apart = abs(x - x2) >= (width + width2) / 2 or abs(y - y2) >= HEIGHT
            assert apart
    for *_, points in layout.edges:
        for x, y in along(*points):
            assert 0 <= x <= wide and 0 <= y <= high
    number = {name: i for i, name in enumerate(graph.topological_order)}
    drawn = [(i, j) for i, j, hidden, _ in layout.edges if not hidden]
    assert sorted(drawn) == sorted(
        (number[a], number[b]) for a, b in graph.directed_edges
    )
    assert all(layout.center[i][0] < layout.center[j][0] for i, j in drawn)


@pytest.mark.parametrize(
    "text",
    [
        "a -> b -> c -> d; a -> d; a -> c; a <-> d; b <-> d; a <-> b; a <-> c",
        str(SHOP),
        "w1 -> w2 -> x -> y; w1 <-> x; w1 <-> y",
    ],
)
def test_edges_keep_clear_of_other_nodes_and_of_each_other(text):
    layout = Layout(CausalGraph(text))
    for i, j, _, points in layout.edges:
        for x, y in along(*points):
            for k, (cx, cy) in enumerate(layout.center):
                inside = abs(x - cx) < layout.width[k] / 2 and abs(y - cy) < HEIGHT / 2
                assert k in (i, j) or not inside
    middles = [along(*points)[12] for *_, points in layout.edges]
    assert len({(round(x), round(y)) for x, y in middles}) == len(middles)


# -- the graph -----------------------------------------------------------------------


def test_graph_roles_and_colours():
    display = CausalGraphDisplay.from_graph(
        SHOP, treatment="browse", outcome="rating", adjustment_set=["age"]
    )
    assert display.roles == {
        "browse": "treatment",
        "rating": "outcome",
        "age": "adjusted for",
        "purchase": "on a causal path",
        "season": None,
        "review": None,
    }
    assert len(display.arrows_) == 8
    color = {key: to_hex(a.get_edgecolor()) for key, a in display.arrows_.items()}
    on_path = {key for key, c in color.items() if c == BLUE.lower()}
    assert on_path == {("browse", "purchase", "->"), ("purchase", "rating", "->")}
    (latent,) = [key for key in display.arrows_ if key[2] == "<->"]
    assert set(latent[:2]) == {"browse", "rating"}
    assert color[latent] == VERMILION.lower()
    assert display.arrows_[latent].get_linestyle() not in ("-", "solid")
    legend = [text.get_text() for text in display.ax_.get_legend().get_texts()]
    assert legend == [
        *("treatment", "outcome", "adjusted for", "on a causal path"),
        "latent common cause",
    ]


def test_effect_of_a_set_goes_along_proper_paths():
    graph = CausalGraph("a -> b -> y; a -> y")
    display = CausalGraphDisplay.from_graph(graph, treatment=["a", "b"], outcome="y")
    width = {key[:2]: arrow.get_linewidth() for key, arrow in display.arrows_.items()}
    assert width["a", "b"] < width["b", "y"] == width["a", "y"]


def test_names_stay_inside_their_boxes_on_any_axes():
    long = CausalGraph("a_rather_long_name -> y -> the_longest_name_of_them_all")
    figure, axes = plt.subplots(1, 2, figsize=(7, 2.5), layout="constrained")
    for display in (
        CausalGraphDisplay.from_graph(SHOP, ax=axes[0]),
        CausalGraphDisplay.from_graph(long, ax=axes[1]),
        CausalGraphDisplay.from_graph(long),
    ):
        display.figure_.draw_without_rendering()
        renderer = display.figure_.canvas.get_renderer()
        for name, text in display.texts_.items():
            box = display.boxes_[name].get_window_extent(renderer)
            own = text.get_window_extent(renderer)
            assert box.x0 < own.x0 < own.x1 < box.x1
            assert box.y0 < own.y0 < own.y1 < box.y1
            assert text.get_text() == name
    assert axes[0].figure is figure


def test_graph_of_an_estimator():
    fitted = SimpleNamespace(
        graph_=SHOP,
        treatment_names_=("browse",),
        outcome_name_="rating",
        adjustment_set_=None,
    )
    display = CausalGraphDisplay.from_estimator(
        make_pipeline(FunctionTransformer(), fitted)
    )
    assert display.roles["browse"] == "treatment"
    with pytest.raises(ValueError, match="SimpleNamespace has no graph to draw"):
        CausalGraphDisplay.from_estimator(SimpleNamespace(graph_=None))


def test_graph_bad_names_and_small_graphs():
    with pytest.raises(ValueError, match="'brows' not in the graph"):
        CausalGraphDisplay.from_graph(SHOP, treatment="brows")
    with pytest.raises(ValueError, match="'age' cannot be both"):
        CausalGraphDisplay.from_graph(SHOP, outcome="age", adjustment_set=["age"])
    assert CausalGraphDisplay.from_graph(CausalGraph("a")).ax_.get_legend() is None
    assert not CausalGraphDisplay.from_graph(CausalGraph("")).texts_


# -- effects -------------------------------------------------------------------------


def _forest():
    return pd.DataFrame(
        {
            "estimate": [1.9, 2.1, 1.7],
            "low": [1.3, 1.8, np.nan],
            "high": [2.6, 2.4, np.nan],
            "truth": [2.0, 2.0, 2.0],
        },
        index=["front-door", "adjustment", "instrument"],
    )


def test_forest_holds_the_frame():
    display = EffectDisplay.from_frame(_forest(), label="effect on the rating")
    ax = display.ax_
    assert ax.get_xlabel() == "effect on the rating"
    labels = dict(zip(ax.get_yticks(), (t.get_text() for t in ax.get_yticklabels())))
    assert [labels[k] for k in sorted(labels, reverse=True)] == list(_forest().index)
    by_label = {line.get_label(): line for line in ax.lines}
    np.testing.assert_allclose(by_label["estimate"].get_xdata(), [1.9, 2.1, 1.7])
    np.testing.assert_allclose(by_label["truth"].get_xdata(), [2, 2, 2])
    (intervals,) = ax.collections
    drawn = [s for s in intervals.get_segments() if np.isfinite(s).all() and len(s)]
    np.testing.assert_allclose([s[:, 0] for s in drawn], [[1.3, 2.6], [1.8, 2.4]])
    for segment, name in zip(drawn, _forest().index):
        assert labels[segment[0, 1]] == name
    plain = EffectDisplay.from_frame(_forest().drop(columns="truth"), null=None)
    assert plain.ax_.get_legend() is None and len(plain.ax_.lines) == 1


def test_curve_holds_the_doses_in_order():
    dose = np.array([2.0, 0, 1])
    display = EffectDisplay.from_curve(
        *(dose, dose**2, dose**2 - 1, dose**2 + 1),
        truth=dose,
        observed=[-1, 0.5, 1.5, 9],
        dose_label="minutes",
    )
    by_label = {line.get_label(): line for line in display.ax_.lines}
    np.testing.assert_allclose(
        by_label["estimate"].get_xydata(), [[0, 0], [1, 1], [2, 4]]
    )
    np.testing.assert_allclose(by_label["truth"].get_ydata(), [0, 1, 2])
    ticks = next(line for line in display.ax_.lines if line.get_marker() == "|")
    np.testing.assert_allclose(ticks.get_xdata(), [0.5, 1.5])
    (band,) = display.ax_.collections
    corners = band.get_paths()[0].vertices
    assert {(0, -1), (1, 2), (2, 3), (2, 5)} <= set(map(tuple, corners))
    assert display.ax_.get_xlabel() == "minutes"


class Fitted:
    arms_ = ["none", "mail", "call"]
    outcome_name_, treatment_names_ = "sales", ("contact",)
    means = {"none": 1.0, "mail": 1.5, "call": 4.0}

    def ate(self, X=None, T0=0, T1=1):
        return self.means[T1] - self.means[T0]

    def ate_interval(self, X=None, alpha=0.05, T0=0, T1=1):
        return self.ate(T0=T0, T1=T1) - 1, self.ate(T0=T0, T1=T1) + 1

    def dose_response(self, grid=None, alpha=0.05):
        dose = np.linspace(0, 1, 5)
        return pd.DataFrame(
            {"dose": dose, "mean": 2 * dose, "low": dose, "high": 3 * dose}
        )


def test_effects_of_an_estimator():
    display = EffectDisplay.from_estimator(Fitted())
    assert display.frame.index.tolist() == ["mail against none", "call against none"]
    assert display.frame.to_numpy().tolist() == [[0.5, -0.5, 1.5], [3, 2, 4]]
    assert display.ax_.get_xlabel() == "effect of contact on sales"
    fitted = Fitted()
    fitted.arms_ = []
    display = EffectDisplay.from_estimator(fitted)
    np.testing.assert_allclose(display.ax_.lines[0].get_ydata(), [0, 0.5, 1, 1.5, 2])
    assert display.ax_.get_xlabel() == "contact"
    assert display.ax_.get_ylabel() == "mean sales"


def test_effects_bad_input():
    with pytest.raises(ValueError, match=r"it lacks \['high'\]"):
        EffectDisplay.from_frame(_forest().drop(columns="high"))
    with pytest.raises(ValueError, match="the frame has no rows"):
        EffectDisplay.from_frame(_forest().iloc[:0])


# -- balance -------------------------------------------------------------------------


def _balance():
    return pd.DataFrame(
        {"before": [0.1, -0.6, np.inf, 0.3], "after": [0.0, 0.05, np.inf, -0.02]},
        index=["a", "b", "c", "d"],
    )


def test_love_plot_holds_the_differences_largest_on_top():
    display = BalanceDisplay.from_frame(_balance(), threshold=0.2)
    ax = display.ax_
    assert [t.get_text() for t in ax.get_yticklabels()] == ["c", "b", "d", "a"]
    assert list(ax.get_yticks()) == [3, 2, 1, 0]
    by_label = {line.get_label(): line for line in ax.lines}
    before = by_label["before weighting"].get_xdata()
    np.testing.assert_allclose(before[1:], [-0.6, 0.3, 0.1])
    np.testing.assert_allclose(
        by_label["after weighting"].get_xdata()[1:], [0.05, -0.02, 0]
    )
    # Beyond any scale: at the edge, but still there.
    assert before[0] == ax.get_xlim()[1] > 0.6

    few = BalanceDisplay.from_frame(_balance(), max_rows=2)
    assert few.frame.index.tolist() == ["c", "b"]
    plain = BalanceDisplay.from_frame(_balance()[["before"]])
    assert plain.ax_.get_legend() is None


def test_balance_of_an_estimator_and_bad_input():
    fitted = SimpleNamespace(diagnostics_={"balance": _balance()})
    assert len(BalanceDisplay.from_estimator(fitted).frame) == 4
    with pytest.raises(ValueError, match="has noted no balance of arms"):
        BalanceDisplay.from_estimator(SimpleNamespace(diagnostics_={}))
    with pytest.raises(ValueError, match=r"got \['after'\] with 4 rows"):
        BalanceDisplay.from_frame(_balance()[["after"]])


# -- sensitivity ---------------------------------------------------------------------


@pytest.mark.parametrize("sign", [1, -1])
def test_contours_hold_the_bounds(sign):
    found = Sensitivity.from_regression(
        *(sign * 0.0973, 0.0233, 783),
        partial_r2={"female": (0.109, 0.00908), "age": (0.006, 0.0016)},
    )
    display = SensitivityDisplay.from_sensitivity(found)
    for level, lines in zip(display.contour_.levels, display.contour_.allsegs):
        for cf_d, cf_y in np.vstack(lines)[::20]:
            bounds = found.bounds(cf_y, cf_d)
            near = bounds.lower if sign > 0 else bounds.upper
            assert near == pytest.approx(level, abs=2e-4)
    rv = found.robustness_value()
    zero = next(
        c
        for c in display.ax_.collections
        if getattr(c, "levels", None) is not None and list(c.levels) == [0]
    )
    points = np.vstack(zero.allsegs[0])
    assert np.abs(points - rv).max(1).min() < 0.01
    texts = [t.get_text() for t in display.texts_]
    assert texts == [
        f"estimate as it is: {sign * 0.0973:.3g}",
        "one like female",
        "one like age",
    ]
    crosses = [tuple(np.ravel(line.get_xydata())) for line in display.ax_.lines[1:]]
    assert crosses == [
        tuple(found.benchmarks.loc[k, ["cf_d", "cf_y"]]) for k in ("female", "age")
    ]
    assert display.ax_.get_xlim()[1] > found.benchmarks["cf_d"].max()


def test_notes_do_not_lie_on_each_other():
    strong = {f"covariate {k}": (0.01 + 0.001 * k, 0.01) for k in range(4)}
    found = Sensitivity.from_regression(0.0973, 0.0233, 783, partial_r2=strong)
    display = SensitivityDisplay.from_sensitivity(found, alpha=0.05)
    renderer = display.figure_.canvas.get_renderer()
    boxes = [t.get_window_extent(renderer) for t in display.texts_]
    for k, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[:k])
    assert display.texts_[0].get_text().startswith("limit as it is: 0.0")


def test_a_benchmark_off_the_scale_is_said_to_be():
    found = Sensitivity.from_regression(0.0973, 0.0233, 783)
    found.benchmarks = pd.DataFrame({"cf_y": [0.2], "cf_d": [1.0]}, index=["age"])
    display = SensitivityDisplay.from_sensitivity(found)
    assert display.texts_[1].get_text() == "one like age (off the scale)"
    cross = display.ax_.lines[1].get_xydata()
    np.testing.assert_allclose(cross, [[display.ax_.get_xlim()[1], 0.2]])
