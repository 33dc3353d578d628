"""
From the raw log to the list: one script
========================================

A shop has no matrix. It has tables: who its users are, what it sells, what it showed to
whom, and a stream of events with duplicates, robots, five spellings of one user and
times in three time zones. What does showing change in this shop, and what should be
shown to whom? This example goes from the tables to lists of ten items for every user
and to a report of what showing changes, in seven steps.

The tables are simulated, so that in the end everything can be held against the truth.
"""

import os
import time
from pathlib import Path

# Networks this small gain nothing from a second thread, and lose on a busy machine.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline

from sklearn_causalrec import CausalDNNRecommender, effect, recommend
from sklearn_causalrec.datasets import load_kuairec_slice, make_event_log
from sklearn_causalrec.interactions import (
    LastOutSplit,
    PastAggregates,
    TimeSplit,
    build_examples,
    clean_log,
    make_preprocessor,
)
from sklearn_causalrec.plot import OverlapDisplay

start = time.perf_counter()

# %%
# The tables
# ----------

log = make_event_log(20_000, n_users=400, n_items=120, random_state=0)
print(log.events.head(3), log.impressions.head(3), log.item_table.head(3), sep="\n\n")

# %%
# Step 1: clean
# -------------
# Each rule says what it found and what it removed, and the numbers add up. A rule can
# be set to "flag" or "off". The one about purchases before the showing only flags by
# itself, as such purchases may be real; here we know that they are not.

KEYS = dict(user="user", item="item", time="time")
shown = log.impressions[log.impressions["shown"] == 1]
events, report = clean_log(
    log.events,
    **KEYS,
    event="event",
    ranges={"value": (0, 5)},
    exposures=shown,
    conversions="purchase",
    before_exposure="drop",
    users=log.user_table["user"],
    items=log.item_table["item"],
)
print(report)

# %%
# Step 2: one row a decision
# --------------------------
# What was done is the treatment, a purchase within seven days the outcome. Decisions
# whose week is not over are left out. What users and items did before comes in as
# features, and is checked to be from before.

impressions = log.impressions.assign(time=log.impressions["time"].dt.tz_localize(None))
examples = build_examples(
    events,
    impressions,
    **KEYS,
    event="event",
    outcome="purchase",
    window="7D",
    treatment="shown",
    propensity="propensity",
    users=log.user_table,
    items=log.item_table,
    features={"past": PastAggregates(event="event")},
    random_state=0,
)
print(examples.attrs["rows"])

# %%
# A feature that looks ahead is refused. This one counts all events of a user, those
# after the decision too:

try:
    build_examples(
        events,
        impressions,
        **KEYS,
        window="7D",
        treatment="shown",
        features={
            "activity": lambda decisions, events: decisions["user"].map(
                events["user"].value_counts()
            )
        },
    )
except ValueError as error:
    print(error)

# %%
# Step 3: columns to features
# ---------------------------
# A proposal, printed as code to be edited.

ROLES = {**KEYS, "treatment": "treatment", "propensity": "propensity"}
preprocessor = make_preprocessor(
    examples, **ROLES, outcome=["outcome", "sample_weight"]
)
print(preprocessor)

# %%
# Step 4: does it predict the future?
# -----------------------------------


def pipeline():
    model = CausalDNNRecommender(
        **ROLES, task="classification", n_folds=2, max_epochs=40, random_state=0
    )
    return make_pipeline(preprocessor, model)


[(train, test)] = TimeSplit("time").split(examples)
past, future = examples.iloc[train], examples.iloc[test]
early = pipeline().fit(past, past["outcome"])
seen = future[future["treatment"] == 1]
auc = roc_auc_score(seen["outcome"], early.predict_proba(seen)[:, 1])
print(f"ROC AUC over what was shown in the last fifth: {auc:.3f}")

# %%
# Step 5: fit on everything, and ask what showing changes
# -------------------------------------------------------

model = pipeline().fit(examples, examples["outcome"])
truth = impressions.assign(truth=log.effect)[["user", "item", "truth"]]
truth = examples[["user", "item"]].merge(truth, how="left")["truth"]
taken = examples["treatment"] == 1
low, high = model[-1].ate_interval()
effects = effect(model, examples)

# %%
# Step 6: ten items for every user
# --------------------------------

by_effect = recommend(model, k=10)
by_outcome = recommend(model, k=10, by="outcome")
print(by_effect.head(10))


def worth(chosen):
    """Purchases a user because of the list, in truth."""
    user, item = (chosen[c].str[1:].astype(int).to_numpy() for c in ("user", "item"))
    gain = log.rate * log.world.counterfactual(user, item).effect
    return gain.sum() / chosen["user"].nunique()


# What could have been chosen: all pairs that were not decided about yet.
users, items = (examples[c].unique() for c in ("user", "item"))
every = pd.MultiIndex.from_product([users, items], names=["user", "item"])
new = every.difference(pd.MultiIndex.from_frame(examples[["user", "item"]]))
at_random = new.to_frame(index=False).groupby("user").sample(10, random_state=0)

# %%
# Step 7: the report
# ------------------

lines = {
    "raw events": len(log.events),
    "clean events": len(events),
    "decisions with a full week": len(examples),
    "effect of showing, truth": truth.mean(),
    "effect of showing, estimate": model[-1].ate(),
    "95 % interval, low": low,
    "95 % interval, high": high,
    "shown minus not shown in the log": examples.loc[taken, "outcome"].mean()
    - examples.loc[~taken, "outcome"].mean(),
    "correlation of effects with the truth": np.corrcoef(effects, truth)[0, 1],
    "gain a user, ten by effect": worth(by_effect),
    "gain a user, ten by outcome": worth(by_outcome),
    "gain a user, ten at random": worth(at_random),
}
print(pd.Series(lines).map("{:,.3f}".format).str.removesuffix(".000").to_string())

figure, (left, right) = plt.subplots(
    1, 2, figsize=(10.5, 4), layout="constrained", width_ratios=[1, 1.2]
)
removed = report.to_frame()["removed"]
removed[removed > 0].plot.barh(ax=left, color="#0072B2")
left.invert_yaxis()
left.set(xscale="log", xlim=(1, None), xlabel="events removed", ylabel="")
OverlapDisplay.from_estimator(model[-1], model[:-1].transform(examples), ax=right)

here = Path(__file__).parent if "__file__" in globals() else Path.cwd()
output = here / "output"
output.mkdir(exist_ok=True)
figure.savefig(output / "raw_log_to_report.png", dpi=150)
print(f"\nPlot: {output.resolve()}/raw_log_to_report.png")

# %%
# Real videos through the same door
# ---------------------------------
# KuaiRec's slice as a stream: a view, and a "finish" where the video was watched to the
# end. It has no times, so that the rows' order stands in; every row was shown, so that
# there is no effect to ask for, but an outcome to predict.

kuairec = load_kuairec_slice().frame
kuairec = kuairec.assign(time=np.arange(len(kuairec)), event="view")
finished = kuairec[kuairec["watch_ratio"] >= 1]
stream = pd.concat([kuairec, finished.assign(event="finish")])
names = dict(user="user_id", item="item_id", time="time", event="event")
options = dict(near_window=0.5, bursts="off")  # of a clock that counts rows
stream, report = clean_log(stream.drop(columns="watch_ratio"), **names, **options)
print(report)
views = build_examples(stream, **names, exposure="view", outcome="finish", window=0.5)
[(train, test)] = LastOutSplit("user_id", "time", n_last=10).split(views)
mf = CausalDNNRecommender(
    user="user_id",
    item="item_id",
    task="classification",
    encoder="mf",
    embedding_dim=32,
    max_epochs=15,
    batch_size=1024,
    early_stopping=False,
    random_state=0,
)
X, y = views[["user_id", "item_id"]], views["outcome"]
mf.fit(X.iloc[train], y.iloc[train])
auc = roc_auc_score(y.iloc[test], mf.predict_proba(X.iloc[test])[:, 1])
print(f"KuaiRec, ten videos a user left out: ROC AUC {auc:.3f}")
print(f"\n{time.perf_counter() - start:.0f} s in all")

# %%
# **Answer.** In this shop a showing adds 0.026 purchases (interval 0.013 to 0.040; in
# truth 0.022); the log says 0.078. Ten items by effect bring 0.34 purchases a user that
# would not have come otherwise, ten at random 0.23, and the ten with the best outcomes
# 0.19: those are bought anyway. Of the seven steps,
# :func:`~sklearn_causalrec.interactions.clean_log` and
# :func:`~sklearn_causalrec.interactions.build_examples` are where most logs go wrong.
