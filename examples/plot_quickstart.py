"""
Quickstart: from a log to lists that change behaviour
=====================================================

A recommender learns from a log of what it showed itself. Two things go wrong there.
What is shown is what people like anyway, so a model of the log is too optimistic about
everything else. And what people like anyway needs no showing: the list with the best
outcomes is not the list that changes most.

How far off is such a model, and how much is a list of what changes worth? This example
meets the first on real data and the second in a simulation, where the truth about every
pair of user and item is known.
"""

# %%
# Part 1: what happens if it is shown
# -----------------------------------
# A slice of KuaiRec: 700 users, each with 83 short videos that were drawn at random.
# The outcome is whether a video was watched to the end. All 58,100 outcomes are known,
# so they are the truth to judge by.
#
# On top of them we simulate a system that shows liked videos more often. It knows the
# watch ratio in advance (which is unrealistic and the hardest case: the outcome itself
# selects the rows), and has a whim about every video. Besides, it shows 5 % of all
# pairs at random, whatever they are.

import os
import time
from pathlib import Path

# Networks this small gain nothing from a second thread, and lose on a busy machine.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy.special import expit
from scipy.stats import zscore
from sklearn.metrics import brier_score_loss, roc_auc_score

from sklearn_causalrec import CausalDNNRecommender, recommend
from sklearn_causalrec.datasets import load_kuairec_slice, make_exposure_log
from sklearn_causalrec.plot import OverlapDisplay, TrainingCurveDisplay

start = time.perf_counter()
kuairec = load_kuairec_slice()
pairs, watched = kuairec.data, (kuairec.target >= 1).to_numpy()

rng = np.random.default_rng(0)
whim = rng.normal(size=pairs["item_id"].max() + 1)[pairs["item_id"]]
score = -1.6 + 1.2 * zscore(kuairec.target.clip(upper=5)) + 0.5 * zscore(whim)
by_system = rng.uniform(size=len(pairs)) < expit(score)
at_random = rng.uniform(size=len(pairs)) < 0.05

logged = by_system | at_random
log, y = pairs[logged], watched[logged]
# Known for the random traffic; nobody knows why the system showed the others.
propensity = np.where(at_random, 0.05, np.nan)[logged]

print(
    f"KuaiRec: {len(pairs):,} pairs, {watched.mean():.1%} watched to the end; "
    f"logged {len(log):,} ({at_random.sum():,} at random), {y.mean():.1%} of them."
)

# %%
# Both models see the same rows. The naive one takes the log as it is. The other is told
# which rows were random, learns from them how the system selects, and undoes it.

settings = dict(
    task="classification",
    user="user_id",
    item="item_id",
    encoder="mf",
    embedding_dim=32,
    l2=2.0,
    max_epochs=25,
    batch_size=1024,
    learning_rate=2e-3,
    learning_rate_schedule="cosine",
    early_stopping=False,
    n_estimators=2,
    verbose=1,
    random_state=0,
)
naive = CausalDNNRecommender(objective="naive", **settings).fit(log, y)
corrected = CausalDNNRecommender(**settings).fit(log, y, propensity=propensity)

predictions = {
    "naive": naive.predict_proba(pairs)[:, 1],
    "corrected": corrected.predict_proba(pairs)[:, 1],
}
table = pd.DataFrame(
    {
        "mean prediction": {name: float(p.mean()) for name, p in predictions.items()},
        "Brier score": {
            name: brier_score_loss(watched, p) for name, p in predictions.items()
        },
        "ROC AUC": {name: roc_auc_score(watched, p) for name, p in predictions.items()},
    }
)
table.loc["truth", "mean prediction"] = watched.mean()
print("\nWatched to the end, over all pairs")
print(table.to_string(float_format="{:.3f}".format, na_rep=""))

# %%
# Part 2: what changes because it is shown
# ----------------------------------------
# Now a log with rows that were not shown as well, and an outcome that may come either
# way: a purchase. The system showed what would be bought anyway more often; which arm
# it chose in a row is the treatment.

shop = make_exposure_log(40_000, outcome="binary", random_state=0)
model = CausalDNNRecommender(
    task="classification", user="user", item="item", verbose=1, random_state=0
)
model.fit(shop.X, shop.y, treatment=shop.treatment)

shown = shop.treatment == 1
low, high = model.ate_interval()
print(
    f"\nAverage effect of showing on purchases: {shop.effect.mean():+.3f} in truth, "
    f"{model.ate():+.3f} estimated (95 % interval {low:+.3f} to {high:+.3f}); "
    f"shown minus not shown in the log: "
    f"{shop.y[shown].mean() - shop.y[~shown].mean():+.3f}."
)

# %%
# Most of the difference in the log is what would have been bought anyway, and the model
# removes most of it. Not all: the features reveal half of what drives both showing and
# buying, and ids of 80 rows a user have to stand for the rest. The interval counts what
# a user and an item may confound only together.
#
# Now ten items for every user, once by what happens if shown and once by what changes
# because shown. The simulator knows what any list is worth. Two more lists put this in
# proportion: ten items at random, and the ten of the largest true effect.

users, items = shop.world.users, shop.world.items
everything = pd.MultiIndex.from_product(
    [users["user"], items["item"]], names=["user", "item"]
).to_frame(index=False)
everything["effect"] = shop.counterfactual(
    everything["user"], everything["item"]
).effect
by_truth = everything.sort_values("effect", ascending=False).groupby("user")

lists = {
    "top 10 by outcome": recommend(
        model, users, items, by="outcome", exclude_seen=False
    ),
    "top 10 by effect": recommend(model, users, items, by="effect", exclude_seen=False),
    "10 at random": everything.groupby("user").sample(10, random_state=0),
    "best possible 10": by_truth.head(10),
}


def worth(chosen):
    """Purchases a user, in truth: in all, and because of the list."""
    truth = shop.counterfactual(chosen["user"], chosen["item"])
    return {
        "bought if shown": truth.mu[:, 1].sum() / len(users),
        "because shown": truth.effect.sum() / len(users),
    }


value = pd.DataFrame({name: worth(chosen) for name, chosen in lists.items()}).T
print("\nPurchases a user and list of ten, in truth")
print(value.to_string(float_format="{:.2f}".format))

# %%
# The two in one picture
# ----------------------

here = Path(__file__).parent if "__file__" in globals() else Path.cwd()
output = here / "output"
output.mkdir(exist_ok=True)
BLUE, VERMILION, GREY = "#0072B2", "#D55E00", "0.6"
plt.rcParams.update(
    {"font.size": 11, "axes.titlesize": 12, "axes.titlelocation": "left"}
)

figure, (left, right) = plt.subplots(
    1, 2, figsize=(10.5, 4.3), layout="constrained", width_ratios=[1, 1.15]
)
left.plot([0, 1], [0, 1], color=GREY, lw=1)
left.text(0.93, 0.97, "perfect", color="0.4", ha="right", va="center")
for (name, p), color, marker in zip(
    predictions.items(), (VERMILION, BLUE), ("s", "o"), strict=True
):
    bins = pd.qcut(p, 10, labels=False)
    mean = pd.DataFrame({"predicted": p, "watched": watched}).groupby(bins).mean()
    left.plot(
        mean["predicted"], mean["watched"], marker=marker, color=color, lw=2, label=name
    )
left.set(
    xlim=(0, 1),
    ylim=(0, 1),
    aspect="equal",
    xlabel="predicted probability",
    ylabel="share watched to the end",
    title="What happens if it is shown\nKuaiRec, all pairs, by tenths",
)
left.legend(frameon=False, loc="upper left")

order = ["10 at random", "top 10 by outcome", "top 10 by effect", "best possible 10"]
because = value.loc[order, "because shown"]
bars = right.barh(order, because, height=0.62, color=[GREY, VERMILION, BLUE, GREY])
right.bar_label(bars, fmt="%.2f", padding=4)
right.invert_yaxis()
right.set(
    xlim=(0, 1.12 * because.max()),
    xlabel="purchases a user that showing brought about",
    title="What changes because it is shown\nsimulated shop, lists judged by the truth",
)
right.tick_params(axis="y", length=0)
for ax in (left, right):
    ax.spines[["top", "right"]].set_visible(False)
figure.savefig(output / "quickstart.png", dpi=150)

# %%
# Can the model be trusted?
# -------------------------
# Where one of the two sides is empty, nothing was observed to compare with.

overlap = OverlapDisplay.from_estimator(model, shop.X, shop.treatment)
overlap.figure_.savefig(output / "overlap.png", dpi=150)
print("\nOverlap of shown and not shown")
print(overlap.summary.to_string(float_format="{:.3g}".format))

# %%
# Training stopped when the validation loss no longer fell.

curves = TrainingCurveDisplay.from_estimator(model)
curves.figure_.savefig(output / "training.png", dpi=150)

print(f"\nPlots: {output.resolve()}/quickstart.png, overlap.png, training.png")
print(f"{time.perf_counter() - start:.0f} s")

# %%
# **Answer.** Taken as it is, the log says that 52 % of all pairs would be watched to
# the end; the model that knows which rows were random says 36 %, and 34 % is true. In
# the shop the ten items with the best outcomes bring 1.3 purchases a user, the ten with
# the largest estimated effects 2.9, of 3.2 that are possible. The effect of showing is
# 0.073 on average (interval 0.025 to 0.121; in truth 0.064), where the log shows 0.21.
# From here: :class:`~sklearn_causalrec.CausalDNNRecommender`,
# :func:`~sklearn_causalrec.recommend`.
