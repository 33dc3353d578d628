"""
An A/B test in which users come back: how sure am I?
====================================================

A test is drawn by user, and each user comes back many times. The log has 7,500 visits,
and only 300 users. An interval that takes the visits for independent is too short, and
finds winners where there are none. How often?
"""

# %%
# Tests without an effect
# -----------------------
# In a simulated A/A test version B *is* version A. Users differ in how long they stay.

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.linear_model import LinearRegression

from sklearn_causalrec import DoCalculusEffect

N_USERS, N_VISITS = 300, 25


def run_test(rng, effect=0.0):
    """The log of one test: a row for each visit."""
    user = np.repeat(np.arange(N_USERS), N_VISITS)
    arm = rng.integers(0, 2, N_USERS)[user]
    base = 10 + 3 * rng.normal(size=N_USERS)[user]
    log = pd.DataFrame({"user": user, "arm": arm, "mobile": user % 2})
    return log, base + effect * arm + rng.normal(0, 4, len(user))


def analyse(log, minutes):
    """The effect with two intervals: of visits, and of users."""
    model = DoCalculusEffect(
        treatment="arm", cluster="user", outcome_model=LinearRegression(),
        effect_model=None, cv=2, random_state=0,
    )  # fmt: skip
    model.fit(log, minutes, propensity=np.full(len(log), 0.5))
    return model.ate(), model.ate_interval(cluster=False), model.ate_interval()


rng = np.random.default_rng(0)
tests = [analyse(*run_test(rng)) for _ in range(40)]
for position, unit in (1, "visits"), (2, "users"):
    found = sum(not low < 0 < high for low, high in (test[position] for test in tests))
    print(f"intervals that count {unit}: {found} of 40 A/A tests are 'significant'")

# %%
# A test with an effect
# ---------------------
# Version B now keeps users for a minute longer.

estimate, by_visits, by_users = analyse(*run_test(rng, effect=1.0))
print(f"B adds {estimate:.2f} minutes; in truth 1.00")
print("by visits:", np.round(by_visits, 2), " by users:", np.round(by_users, 2))

# %%
# In a picture
# ------------
# The 40 A/A tests, sorted: a line is an interval, and an orange one has missed the
# zero.

figure, axes = plt.subplots(1, 2, figsize=(9, 4), sharey=True, layout="constrained")
for ax, position, unit in zip(axes, (1, 2), ("visits", "users")):
    for place, test in enumerate(sorted(tests)):
        low, high = test[position]
        color = "#0072B2" if low < 0 < high else "#D55E00"
        ax.plot([place, place], [low, high], color=color, linewidth=2)
        ax.plot(place, test[0], "o", color=color, markersize=3)
    ax.axhline(0, color="0.4", linewidth=1)
    ax.set(xlabel="A/A test", title=f"Intervals that count {unit}")
axes[0].set_ylabel("minutes that B seems to add")
plt.show()

# %%
# **Answer.** Half of the tests in which nothing happens are "significant" if visits are
# counted; one in 40 is if users are. Name what the lot was drawn by:
# ``cluster="user"``. With it B adds 1.1 minutes, and the interval, 0.4 to 1.8, says
# what 300 users can say. More visits of the same users would not make it much shorter.
# More users would.
#
# :func:`~sklearn_causalrec.metrics.policy_value`, :func:`~sklearn_causalrec.segments`
# and the other functions count clusters in the same way.
