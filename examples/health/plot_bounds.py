"""
Nothing is identified: how large can the effect be?
===================================================

Doctors gave a drug to patients whom they thought fit for it, and nobody wrote down why.
No adjustment helps, and there was no lottery. Is the log worthless? No: some effects
are impossible all the same. And what would be gained by an instrument: that some
clinics prescribe the drug more readily?
"""

# %%
# The log
# -------
# 5,000 patients, simulated. The drug raises the chance to recover by 0.15.

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from sklearn_causalrec import CausalGraph, NotIdentifiableError
from sklearn_causalrec.plot import CausalGraphDisplay

rng = np.random.default_rng(0)
N = 5_000
fit = rng.normal(size=N)  # in no column
log = pd.DataFrame({"clinic": rng.integers(0, 2, N)})
log["drug"] = (fit + 2.4 * log["clinic"] - 1.2 + rng.normal(0, 0.5, N) > 0).astype(int)
log["recovered"] = rng.binomial(
    1, (0.45 + 0.15 * log["drug"] + 0.15 * fit).clip(0.02, 0.98)
)
rates = log.groupby("drug")["recovered"].mean()
print(f"recovered: {rates[1]:.0%} with the drug, {rates[0]:.0%} without")

# %%
# What the graph says
# -------------------

graph = CausalGraph("clinic -> drug -> recovered; drug <-> recovered")
try:
    graph.identify("recovered", "drug")
except NotIdentifiableError as error:
    print(error)

# %%
# What is possible
# ----------------
# With two values for each column, a linear program finds the smallest and the largest
# effect that could have made this log: :meth:`CausalGraph.bounds
# <sklearn_causalrec.CausalGraph.bounds>`. No model is assumed.

alone = CausalGraph("drug -> recovered; drug <-> recovered")
found = {
    "the log alone": alone.bounds("recovered", "drug", log[["drug", "recovered"]]),
    "with the clinic": graph.bounds("recovered", "drug", log),
}
rows = {}
for name, bounds in found.items():
    low, high = bounds.effect()
    wide_low, wide_high = bounds.effect_interval()
    rows[name] = (low, high, wide_low, wide_high)
    print(f"{name}: {low:.2f} to {high:.2f}", end="; ")
    print(f"with sampling {wide_low:.2f} to {wide_high:.2f}")

# %%
# In a picture
# ------------

figure, (left, right) = plt.subplots(1, 2, figsize=(11, 3.4), layout="constrained")
CausalGraphDisplay.from_graph(graph, treatment=["drug"], outcome=["recovered"], ax=left)
left.set_title("Dashed: why the doctors chose")
for place, (low, high, wide_low, wide_high) in enumerate(rows.values()):
    right.plot([wide_low, wide_high], [place, place], color="#0072B2", linewidth=2)
    right.plot([low, high], [place, place], color="#0072B2", linewidth=9, alpha=0.5)
right.plot(rates[1] - rates[0], 2, "o", color="#0072B2")
right.axvline(0, color="0.4", linewidth=1)
right.axvline(0.15, color="#D55E00", linestyle="--")
right.set_yticks([0, 1, 2], [*rows, "difference of means"])
right.set(xlabel="effect on the chance to recover (dashed: truth)", ylim=(2.5, -0.5))
right.set_title("What the drug can do")
plt.show()

# %%
# **Answer.** From the log alone, the drug may lower the chance to recover by 0.36 or
# raise it by 0.64. Not even the sign is known, and the difference of means, 0.28, is
# one value out of many. With the clinics as an instrument it raises the chance by 0.04
# to 0.34 (with sampling 0.01 to 0.36; in truth 0.15). So it helps, if a clinic matters
# only by how readily it prescribes. No model was assumed, and nothing narrower follows
# from these columns.
#
# With one more assumption there is one number instead of a range:
# :ref:`sphx_glr_auto_examples_health_plot_encouragement.py`.
