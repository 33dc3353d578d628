"""
What do I show to somebody who is new?
======================================

On the first evening a user has no history, and a new film has no viewers. Ids say
nothing about either. What the sign-up form and the catalogue say about them may. How
much of the gain for known users do new ones get?
"""

# %%
# The log
# -------
# 6,000 simulated decisions; 50 of 250 users are kept out: they sign up later.

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from sklearn_causalrec import CausalDNNRecommender, explain, recommend
from sklearn_causalrec.datasets import make_exposure_log

log = make_exposure_log(
    6_000, n_users=250, n_items=80, n_features=12, revealed=0.7, noise=0.5,
    random_state=0,
)  # fmt: skip
known = (log.X["user"] < 200).to_numpy()
films = log.world.items
old, new = log.world.users.iloc[:200], log.world.users.iloc[200:]


def fit(columns):
    """The networks, with these columns."""
    model = CausalDNNRecommender(
        user="user", item="item", encoder="mf", effect_learner="t", random_state=0
    )
    return model.fit(
        log.X.loc[known, columns], log.y[known], treatment=log.treatment[known]
    )


model, ids_alone = fit(list(log.X)), fit(["user", "item"])


def worth(lists):
    """What the five films of a list add, in truth."""
    return log.counterfactual(lists["user"], lists["item"]).effect.mean()


# %%
# Lists for known and new users
# -----------------------------
# Without features a new user is the average user, and all new users have the same list.

pairs = pd.MultiIndex.from_product([new["user"], films["item"]]).to_frame()
every = log.counterfactual(pairs[0], pairs[1]).effect.reshape(len(new), -1)
gains = {
    "any films": every.mean(),
    "new, by ids alone": worth(recommend(ids_alone, users=new[["user"]], k=5)),
    "new, by features": worth(recommend(model, users=new, items=films, k=5)),
    "known, by both": worth(recommend(model, users=old, items=films, k=5)),
    "new, the best possible": np.sort(every)[:, -5:].mean(),
}
for name, gain in gains.items():
    print(f"{name}: {gain:.2f}")

# %%
# Where does a score come from? ``explain`` says it.

why = explain(model, users=new.head(1), items=films, k=2)
print(why[["item", "score", "user_source", "user_rows", "item_source"]].to_string())

# %%
figure, ax = plt.subplots(figsize=(6.5, 3.2), layout="constrained")
colors = ["0.75", "#0072B2", "#D55E00", "0.75", "0.75"]
ax.barh(list(gains), list(gains.values()), color=colors)
ax.invert_yaxis()
ax.set(xlabel="what each of the five films adds, in truth")
ax.set_title("Lists for users who are new")
plt.show()

# %%
# **Answer.** TODO
