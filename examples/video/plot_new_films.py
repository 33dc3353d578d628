"""
What do I do with a film that nobody has seen?
==============================================

A new film has no viewers, so its id says nothing, and a recommender that knows ids
alone has no reason to show it or not. The catalogue knows something: genre, length,
cast. How good is a list of new films that rests on that?
"""

# %%
# The log
# -------
# 9,000 simulated decisions about 80 films; 40 more films arrive later.

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from sklearn_causalrec import CausalDNNRecommender, explain, recommend
from sklearn_causalrec.datasets import make_exposure_log

log = make_exposure_log(
    9_000, n_users=200, n_items=120, n_features=12, revealed=0.8, noise=0.5,
    random_state=0,
)  # fmt: skip
known = (log.X["item"] < 80).to_numpy()
films = log.world.items
new = films.iloc[80:]


def fit(columns):
    """The networks, with these columns."""
    model = CausalDNNRecommender(
        user="user", item="item", encoder="mf", effect_learner="t", random_state=0
    )
    return model.fit(
        log.X.loc[known, columns], log.y[known], treatment=log.treatment[known]
    )


model, ids_alone = fit(list(log.X)), fit(["user", "item"])

# %%
# Lists of new films
# ------------------
# By ids alone all new films are the average film, and score alike.


def worth(lists):
    """What the five films of a list add, in truth."""
    return log.counterfactual(lists["user"], lists["item"]).effect.mean()


users = log.world.users
pairs = pd.MultiIndex.from_product([users["user"], new["item"]])
every = log.counterfactual(*pairs.to_frame().T.to_numpy()).effect
every = every.reshape(len(users), -1)
gains = {
    "any new films": every.mean(),
    "by ids alone": worth(recommend(ids_alone, items=new[["item"]], k=5)),
    "by the catalogue": worth(recommend(model, users=users, items=new, k=5)),
    "the best possible": np.sort(every)[:, -5:].mean(),
}
for name, gain in gains.items():
    print(f"{name}: {gain:.2f}")

# %%
# Where does a score come from? ``explain`` says it: the film is known by its content
# alone, from no rows, and these films of the log are the nearest.

why = explain(model, users=users.head(1), items=new, k=2)
print(why[["item", "score", "item_source", "item_rows", "item_neighbors"]].to_string())

# %%
figure, ax = plt.subplots(figsize=(6.5, 3.2), layout="constrained")
ax.barh(list(gains), list(gains.values()), color=["0.75", "#0072B2", "#D55E00", "0.75"])
ax.invert_yaxis()
ax.set(xlabel="what each of five films adds, in truth")
ax.set_title("Lists of films that nobody has seen")
plt.show()

# %%
# **Answer.** A list of new films by what the catalogue says of them adds 0.60 a film,
# twice as much as a list by ids alone, which is no better than any new films (0.3). The
# best possible is 0.78. So let new films in by their features, and log what was shown
# at random among them: after ten rows or so an id begins to speak for itself.
#
# ``cold_start=`` of :func:`~sklearn_causalrec.recommend` says what stands for a new id.
