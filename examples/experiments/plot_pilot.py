"""
The pilot was in one town: does it hold elsewhere?
==================================================

A campaign was tested in a town of students and raised sales. The country is older, and
the campaign works better on the young. The pilot's average is the answer to a question
about students. What will it do in the country?
"""

# %%
# The pilot
# ---------
# 4,000 people in the town, by lot; of the country only the ages are known. Simulated.

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import SplineTransformer

from sklearn_causalrec import CausalGraph, DoCalculusEffect, NotIdentifiableError
from sklearn_causalrec.plot import EffectDisplay

rng = np.random.default_rng(0)


def effect(age):
    return np.clip(6 - 0.1 * (age - 20), 0, None)


town = pd.DataFrame({"age": rng.gamma(4, 4, 4_000) + 18})
country = pd.DataFrame({"age": rng.gamma(5, 5, 4_000) + 18})
town["ad"] = rng.integers(0, 2, len(town))
sales = 20 + 0.1 * town["age"] + effect(town["age"]) * town["ad"]
sales = (sales + rng.normal(0, 6, len(town))).rename("sales")

# %%
# May the answer be carried over?
# -------------------------------
# Town and country differ in the age of people. Given the age, does the ad do the same?
# The graph says what follows from that.

graph = CausalGraph("age -> sales; ad -> sales")
print(graph.transport("sales", "ad", differs="age"))

# %%
# If shops differ, too, in what nobody measured, so that sales come about otherwise,
# nothing can be carried over:

try:
    graph.transport("sales", "ad", differs=["age", "sales"])
except NotIdentifiableError as error:
    print(error)

# %%
# The number
# ----------
# Old people of the town stand for those of the country: rows are weighted so that the
# ages are as there. A classifier of "town or country" gives the weights.

everybody = pd.concat([town[["age"]], country])
where = np.repeat([0, 1], [len(town), len(country)])
classifier = make_pipeline(SplineTransformer(6), LogisticRegression())
chance = classifier.fit(everybody, where).predict_proba(town[["age"]])[:, 1]
weight = chance / (1 - chance)


def ask(weight=None):
    model = DoCalculusEffect(graph, treatment="ad", cv=3, random_state=0)
    return model.fit(town, sales, sample_weight=weight)


pilot, carried = ask(), ask(weight / weight.mean())
truth = effect(town["age"]).mean(), effect(country["age"]).mean()
rows = {
    "the pilot's town": (pilot.ate(), *pilot.ate_interval(), truth[0]),
    "the country": (carried.ate(), *carried.ate_interval(), truth[1]),
}
estimates = pd.DataFrame(rows, index=["estimate", "low", "high", "truth"]).T
print(estimates.round(2))

# %%
# Averaging the effects of people over the country, ``pilot.ate(country)``, answers the
# same question. Its interval counts less of what is not known of ages that the town
# hardly has: prefer the weights if two places differ as much as these.

# %%
# In a picture
# ------------

figure, (left, right) = plt.subplots(1, 2, figsize=(11, 3.6), layout="constrained")
bins = np.arange(18, 90, 3)
left.hist(town["age"], bins, color="0.75", label="town")
left.hist(country["age"], bins, histtype="step", color="#D55E00", label="country")
weights = weight * len(country) / weight.sum()
left.hist(
    town["age"], bins, weights=weights, histtype="step", color="#0072B2",
    label="town, weighted",
)  # fmt: skip
left.legend(frameon=False)
left.set(xlabel="age", ylabel="people", title="Who lives where")
EffectDisplay.from_frame(estimates, label="sales that the ad adds", ax=right)
right.set_title("The pilot, and what to expect")
plt.show()

# %%
# **Answer.** The pilot's 4.6 is for a young town. In the country expect 3.6 (interval
# 3.0 to 4.2; in truth 3.7). The interval is wider, because the town has few old people,
# and they have to stand for many. Nobody younger or older than the town's people is
# spoken for. The answer holds if at the same age the ad works the same in both places.
#
# :meth:`CausalGraph.transport <sklearn_causalrec.CausalGraph.transport>` says which
# variables one has to weight by.
