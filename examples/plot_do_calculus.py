"""
May I read the effect off this log?
===================================

Whether a log can tell what showing an item changes depends on what else acts on both
the showing and the outcome. A causal graph says so; identification turns it into a
formula, or refuses.
"""

# %%
# What can be adjusted for
# ------------------------
# Interest drives what is shown (``->``), and a hidden mood acts on interest and on
# buying (``<->``).

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from sklearn_causalrec import CausalGraph, NotIdentifiableError

graph = CausalGraph("interest -> shown -> bought; interest <-> bought")
estimand = graph.identify("bought", "shown")
print(estimand)
print(f"strategy: {estimand.strategy}, adjust for {set(estimand.adjustment_set)}")

# %%
# Every formula comes with its derivation, by the rules of do-calculus.

print(estimand.derivation)

# %%
# What can't
# ----------
# If the hidden cause acts on the showing itself, no formula in the observed variables
# gives the effect. The refusal says what stands in the way and what would help.

hidden = CausalGraph("shown -> bought; shown <-> bought")
try:
    hidden.identify("bought", "shown")
except NotIdentifiableError as error:
    print(error)

# %%
# What can, though a cause is hidden
# ----------------------------------
# If showing acts by clicks alone, and the hidden cause does not act on the click, then
# the clicks carry the whole effect past it: the front door.

front = CausalGraph("shown -> click -> bought; shown <-> bought")
estimand = front.identify("bought", "shown")
print(estimand)

# %%
# The formula is not only for reading. In a simulation with a hidden eagerness we know
# what showing everybody or nobody would give, and compare.

rng = np.random.default_rng(0)
n = 500_000
eager = rng.uniform(size=n) < 0.5


def simulate(shown):
    click = rng.uniform(size=n) < 0.1 + 0.5 * shown
    return click, rng.uniform(size=n) < 0.1 + 0.3 * click + 0.4 * eager


shown = rng.uniform(size=n) < 0.2 + 0.6 * eager
click, bought = simulate(shown)
log = pd.DataFrame({"shown": shown, "click": click, "bought": bought}).astype(int)
joint = log.value_counts(normalize=True)


def bought_if(shown):
    """Probability of buying: in truth, by the formula, and in the rows of the log."""
    return {
        "truth": simulate(shown)[1].mean(),
        "front door": estimand.evaluate(joint, do={"shown": shown})[1],
        "as logged": log.loc[log["shown"] == shown, "bought"].mean(),
    }


table = pd.DataFrame({arm: bought_if(arm) for arm in (0, 1)})
table.columns = ["not shown", "shown"]
table["effect"] = table["shown"] - table["not shown"]
print(table.to_string(float_format="{:.3f}".format))

# %%
colors = {"truth": "0.6", "front door": "#0072B2", "as logged": "#D55E00"}
figure, ax = plt.subplots(figsize=(6.4, 2.6), layout="constrained")
bars = ax.barh(table.index, table["effect"], height=0.62, color=list(colors.values()))
ax.bar_label(bars, fmt="%.3f", padding=4)
ax.invert_yaxis()
ax.set(xlim=(0, 1.15 * table["effect"].max()), xlabel="effect of showing on buying")
ax.tick_params(axis="y", length=0)
ax.spines[["top", "right"]].set_visible(False)

here = Path(__file__).parent if "__file__" in globals() else Path.cwd()
output = here / "output"
output.mkdir(exist_ok=True)
figure.savefig(output / "do_calculus.png", dpi=150)
print(f"Plot: {(output / 'do_calculus.png').resolve()}")

# %%
# **Answer.** It depends on the graph, and not on the number of rows. Where the click
# carries all of the effect and nothing hidden acts on it, the formula gives 0.150,
# where the truth is 0.149 and a comparison of rows says 0.389. With one more arrow the
# same log says nothing, and :meth:`CausalGraph.identify
# <sklearn_causalrec.CausalGraph.identify>` refuses. So the work is in the graph: draw
# it with somebody who knows how the log came about.
