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

from sklearn_causalrec import CausalGraph, DoCalculusEffect, NotIdentifiableError
from sklearn_causalrec.plot import EffectDisplay

rng = np.random.default_rng(0)


def effect(age):
    return np.clip(6 - 0.1 * (age - 20), 0, None)


town = pd.DataFrame({"age": rng.gamma(4, 4, 4_000) + 18})
country = pd.DataFrame({"age": rng.gamma(6, 6, 4_000) + 18})
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
# The effect given age, learned in the town, averaged over the ages of the country.

model = DoCalculusEffect(
    graph, treatment="ad", effect_modifiers=["age"], cv=3, random_state=0
).fit(town, sales)
target = country.assign(ad=0)
rows = {
    "the pilot's town": (model.ate(), *model.ate_interval(), effect(town["age"]).mean()),
    "the country": (
        model.ate(target),
        *model.ate_interval(target),
        effect(country["age"]).mean(),
    ),
}
estimates = pd.DataFrame(rows, index=["estimate", "low", "high", "truth"]).T
print(estimates.round(2))

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(11, 3.6), layout="constrained")
ages = pd.DataFrame({"age": np.linspace(20, 75, 56), "ad": 0})
left.plot(ages["age"], model.effect(ages), color="#0072B2")
left.plot(ages["age"], effect(ages["age"]), "--", color="#D55E00")
low, high = left.get_ylim()
for place, people in ((low - 0.4, town), (low - 0.9, country)):
    left.plot(people["age"][:300], np.full(300, place), "|", color="0.5")
left.set_yticks([low - 0.9, low - 0.4, 0, 3, 6], ["country", "town", 0, 3, 6])
left.set(xlabel="age", ylabel="sales that the ad adds", xlim=(18, 76))
left.set_title("The effect by age (dashed: truth), and who lives where")
EffectDisplay.from_frame(estimates, label="sales that the ad adds", ax=right)
right.set_title("The pilot, and what to expect")
plt.show()

# %%
# **Answer.** TODO
