"""
Did the feature cause the retention, or did loyal users use it?
===============================================================

Users who save posts stay. "Make everybody save posts" follows only if saving is the
cause. Loyal users save more, and would have stayed anyway. How much is left once users
of equal loyalty are compared, and how strong would something that nobody logged have to
be to explain the rest?
"""

# %%
# The log
# -------
# 5,000 users of a feed, simulated. Saving raises the chance to be active four weeks
# later by 5 points. Sessions and age of the account stand for loyalty.

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from sklearn_causalrec import DoCalculusEffect
from sklearn_causalrec.plot import EffectDisplay, SensitivityDisplay

rng = np.random.default_rng(1)
N = 5_000
loyalty = rng.normal(size=N)
X = pd.DataFrame(
    {
        "sessions": rng.poisson(np.exp(1.5 + 0.5 * loyalty)),
        "account_days": (200 * np.exp(0.4 * loyalty + rng.normal(0, 0.3, N))).round(),
        "friends": rng.poisson(20, N),
    }
)
known = 0.8 * (np.log1p(X["sessions"]) - 1.6) + 0.6 * (np.log(X["account_days"]) - 5.3)
X["saved"] = rng.binomial(1, 1 / (1 + np.exp(0.5 - 1.5 * known)))
chance = (0.45 + 0.2 * known).clip(0.05, 0.9)
active_before = rng.binomial(1, chance)  # in the four weeks before the feature existed
active = pd.Series(rng.binomial(1, chance + 0.05 * X["saved"]), name="active")

rates = active.groupby(X["saved"]).mean()
print(f"active later: {rates[1]:.0%} of those who saved, {rates[0]:.0%} of the others")

# %%
# Alike but for the saving
# ------------------------

model = DoCalculusEffect(
    treatment="saved", effect_model=None, cv=3, random_state=0
).fit(X, active)  # fmt: skip
low, high = model.ate_interval()
print(f"saving adds {model.ate():.3f} [{low:.3f}, {high:.3f}]; in truth 0.050")

# %%
# Can it be trusted?
# ------------------
# Nobody could save a post before the feature existed. An "effect" on activity of that
# time would say that loyalty is not fully in the columns.

print(model.negative_control(X, {"active before": active_before}))

# %%
# And how strong would a cause that nobody logged have to be? It is compared with the
# sessions, the best known sign of loyalty.

doubt = model.sensitivity(X, active, benchmarks=["sessions"])
print(doubt)

# %%
estimates = pd.DataFrame(
    {
        "estimate": [rates[1] - rates[0], model.ate()],
        "low": [np.nan, low],
        "high": [np.nan, high],
        "truth": 0.05,
    },
    index=["those who saved,\nless the others", "users alike"],
)
figure, (left, right) = plt.subplots(1, 2, figsize=(11, 4), layout="constrained")
EffectDisplay.from_frame(estimates, label="active four weeks later", ax=left)
left.set_title("What saving a post adds")
SensitivityDisplay.from_sensitivity(doubt, ax=right)
right.set_title("What would overturn it")
plt.show()

# %%
# **Answer.** Saving causes about a third of the difference: 5 points of 16 (interval 2
# to 9; in truth 5). The rest is loyalty. The control that cannot be affected is not, so
# the columns seem to hold what matters. But the orange line in the right picture is
# near: one more cause as strong as sessions, in no column, would explain all of it
# away. Before you redesign the feed, show the button to a half of new users, by lot.
#
# :class:`~sklearn_causalrec.plot.SensitivityDisplay` says how the right picture is
# read.
