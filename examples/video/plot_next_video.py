"""
Which video next? When the order of the evening matters
=======================================================

After an episode the next one works, and a third comedy in a row does not. A model that
knows *what* a user has watched, and not in which *order*, cannot see that. Does it pay
to read the order, and how would one notice?
"""

# %%
# The log
# -------
# 4,500 simulated decisions, with what each user had watched before. What showing a
# video does depends on the last video and on this one.

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from sklearn_causalrec import CausalDNNRecommender
from sklearn_causalrec.datasets import make_sequence_log
from sklearn_causalrec.metrics import r_loss_scorer

log = make_sequence_log(4_500, order=1.0, random_state=0)
print(log.X[["user", "item", "history"]].head(3).to_string(index=False))
test = np.arange(len(log.y)) % 3 == 0

# %%
# Three ways to read a history
# ----------------------------


past = ["history", "history_gaps"]
effects, rows = {}, {}
for name, history, encoder in (
    ("no history", None, "dnn"),
    ("as a bag", past, "dnn"),
    ("in its order", past, "gru"),
):
    model = CausalDNNRecommender(
        user="user", item="item", time="time", history=history, encoder=encoder,
        effect_learner="t", clip=0.01, random_state=0,
    )  # fmt: skip
    X = log.X if history else log.X.drop(columns=past)
    model.fit(X[~test], log.y[~test], treatment=log.treatment[~test])
    effects[name] = model.effect(X[test])
    loss = -r_loss_scorer(model, X[test], log.y[test], treatment=log.treatment[test])
    error = np.sqrt(np.mean((effects[name] - log.effect[test]) ** 2))
    rows[name] = {"R-loss": loss, "error, in truth": error}
found = pd.DataFrame(rows).T
print(found.round(3).to_string())

# %%
figure, axes = plt.subplots(1, 3, figsize=(11, 3.8), sharey=True, layout="constrained")
for ax, (name, predicted) in zip(axes, effects.items()):
    ax.plot(log.effect[test], predicted, ".", color="#0072B2", alpha=0.3)
    ax.axline((1, 1), slope=1, color="#D55E00", linestyle="--")
    ax.set(xlabel="true effect", title=f"History: {name}")
axes[0].set_ylabel("predicted effect")
plt.show()

# %%
# **Answer.** It pays where the order matters. The model that reads the order is off by
# 0.6, those that do not by 1.4: they predict effects of about 2 for all pairs, with
# hardly any relation to the true ones. What a user has watched, as a bag, is worth
# nothing here. One notices it without the truth, too: the R-loss on rows kept out is
# 1.69 instead of 1.76. In this log all of the match is in the order. Where none is, the
# bag is enough: try both, and let the R-loss choose.
#
# :class:`~sklearn_causalrec.interactions.HistorySequence` makes histories from events.
