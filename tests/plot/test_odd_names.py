"""Names with dollar signs, underscores and the like are drawn as they stand."""

import warnings
from io import BytesIO

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from sklearn_causalrec import CausalGraph
from sklearn_causalrec._testing.graph_strategies import ODD_NAMES
from sklearn_causalrec.causal.graphs.drawing import label
from sklearn_causalrec.plot import (
    BalanceDisplay,
    CausalGraphDisplay,
    EffectDisplay,
    OverlapDisplay,
    TrainingCurveDisplay,
)
from sklearn_causalrec.plot._common import literal

FORMULAS = [r"$\frac{1}$", "$$", "a_b^c$", "$_^$", r"a\$b$", "_hidden", "$x$"]


def render(figure):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph")
        figure.savefig(BytesIO(), format="png", dpi=40)
        figure.savefig(BytesIO(), format="svg")
    plt.close(figure)


@pytest.mark.parametrize("names", [FORMULAS, ODD_NAMES[:20], ODD_NAMES[20:]])
def test_a_graph_of_any_names(names):
    graph = CausalGraph.from_edges([(name, "y") for name in names], [("y", "x")])
    display = CausalGraphDisplay.from_graph(
        graph, treatment=names[0], outcome="y", adjustment_set=names[1:3]
    )
    render(display.figure_)
    for name in names:
        text = display.texts_[name]
        assert text.get_text() == label(name) and not text.get_parse_math()


def test_labels_are_short_and_on_one_line():
    assert label("a\nb\x00c") == "a b c"
    assert label("x" * 300) == "x" * 39 + "…"


def test_other_displays():
    frame = pd.DataFrame(
        {"estimate": 1.0, "low": 0.0, "high": 2.0}, index=pd.Index(FORMULAS)
    )
    display = EffectDisplay.from_frame(frame, label=r"effect on $\frac{1}$")
    assert [t.get_text() for t in display.ax_.get_yticklabels()] == FORMULAS
    render(display.figure_)
    balance = pd.DataFrame({"before": 0.1, "after": 0.0}, index=pd.Index(FORMULAS))
    render(BalanceDisplay(balance).plot().figure_)
    arms = np.array([r"$\frac{1}$", "_none"])
    propensity = np.full((20, 2), 0.5)
    display = OverlapDisplay(propensity, np.repeat(arms, 10), arms=arms, clip=0.01)
    render(display.plot().figure_)
    history = pd.DataFrame({"epoch": [1, 2], "train_loss": [1.0, 0.5]})
    display = TrainingCurveDisplay(history, score_name=r"$\frac{1}$")
    render(display.plot().figure_)


@pytest.mark.parametrize("name", FORMULAS)
def test_literal_shows_the_very_characters(name):
    figure, ax = plt.subplots()
    ax.plot([0, 1], label=literal(name))
    (text,) = ax.legend().get_texts()
    shown, is_math = text._preprocess_math(text.get_text())
    assert (shown.strip(), bool(is_math)) == (name, False)
    render(figure)
