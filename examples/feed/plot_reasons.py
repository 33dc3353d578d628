"""
Why am I shown this, and does showing it do anything?
=====================================================

A feed can show what people would have opened anyway, or what they open *because* it is
shown. The second list is the useful one, and it looks strange. So each entry gets a
reason that a person can read, and the team learns what makes effects differ.
"""

# %%
# The log
# -------
# 3,000 simulated decisions of a feed about 100 users and 60 posts.

import matplotlib.pyplot as plt

from sklearn_causalrec import CausalDNNRecommender, explain_effect, reasons, recommend
from sklearn_causalrec.datasets import make_exposure_log

log = make_exposure_log(
    3_000, n_users=100, n_items=60, n_features=8, outcome="binary", overlap=2.0,
    noise=0.5, random_state=0,
)  # fmt: skip
names = {
    "user_x0": "age", "user_x1": "friends", "user_x2": "sessions", "user_x3": "tenure",
    "item_x0": "length", "item_x1": "pictures", "item_x2": "freshness",
    "item_x3": "followers",
}  # fmt: skip
X = log.X.rename(columns=names)
model = CausalDNNRecommender(
    task="classification", user="user", item="item", n_folds=2, random_state=0
)
model.fit(X, log.y, treatment=log.treatment)

# %%
# Lists, and why
# --------------

top = recommend(model, users=[3, 4], k=3)
for _, row in reasons(model, top).iterrows():
    print(f"user {row['user']}, post {row['item']}: {row['reason']}")

# %%
# The two lists of a user have little in common. What are they worth, in truth?

users = X["user"].unique()
worth = {}
for by in ("effect", "outcome"):
    lists = recommend(model, users=users, k=5, by=by)
    worth[by] = log.counterfactual(lists["user"], lists["item"]).effect.mean()
    print(f"five by {by}: each adds {worth[by]:.3f} openings")
print(f"a post of the log, on average: {log.effect.mean():.3f}")

# %%
# What makes effects differ
# -------------------------
# What matters for the effect need not matter for the outcome.

parts = explain_effect(model, X.head(200), background=X, groups="column")
print(parts.importance.round(3).to_string())

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
bars = {"by effect": worth["effect"], "by outcome": worth["outcome"]}
bars["a post of the log"] = log.effect.mean()
left.bar(
    list(bars), list(bars.values()), color=["#D55E00", "#0072B2", "0.7"], width=0.6
)
left.set(ylabel="openings because a post is shown, in truth")
left.set_title("What a place in the list is worth")
shares = parts.importance.set_index("group")[["effect", "outcome"]].iloc[:8]
shares.iloc[::-1].plot.barh(ax=right, color=["#D55E00", "#0072B2"], width=0.7)
right.legend(["of the effect", "of the outcome"], loc="lower right", frameon=False)
right.set(xlabel="share of the variance", ylabel="")
right.set_title("What makes posts differ")
plt.show()

# %%
# **Answer.** A post listed by effect is opened 0.25 times more because it is shown, one
# listed by outcome 0.14 times, a post of the log 0.06 times. Reasons say what a score
# rests on, and how sure it is: "may", since the interval of one pair is wide. Followers
# of the author explain much of who opens a post, and little of what showing changes;
# age the other way round. So what predicts openings is a poor guide to what a place in
# the feed changes.
#
# The same reasons in Chinese: ``reasons(model, top, language="zh")``. See
# :func:`~sklearn_causalrec.reasons` and :func:`~sklearn_causalrec.explain_effect`.
