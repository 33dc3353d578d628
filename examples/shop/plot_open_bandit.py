"""
What would the other policy have earned? The Open Bandit data
=============================================================

Can a log of random choices tell what another policy would have earned, without running
it? Here the answer can be checked on real data. A fashion shop ran two policies in the
same week: one that drew articles at random, and its production policy. We take the log
of the first, ask for the value of the second, and then look at what it really earned.
"""

# %%
# The logs
# --------
# A sample of the Open Bandit Dataset (Saito, Aihara, Matsutani and Narita, 2021; under
# Apache-2.0): 10,000 impressions of 34 articles under each policy, with the probability
# of every choice. Run this in a checkout: the files are not in the package.

from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

from sklearn_causalrec.metrics import normal_interval, policy_value
from sklearn_causalrec.plot import PolicyValueDisplay

here = Path(__file__).parent if "__file__" in globals() else Path.cwd()
DATA = here.parents[1] / "benchmarks" / "data" / "obd_sample"
random = pd.read_csv(DATA / "random_men.csv.gz")
production = pd.read_csv(DATA / "bts_men.csv.gz")
for name, log in {"at random": random, "in production": production}.items():
    print(f"clicks {name}: {log['click'].sum()}")

# %%
# What the production policy did: its probability of each article at each position, by
# the week's shares.

policy = pd.crosstab(production["position"], production["item_id"], normalize="index")
policy = policy.reindex(columns=range(34), fill_value=0).to_numpy()

# %%
# Its value, from the log of random choices
# -----------------------------------------
# Each click counts as often as production would have made that choice.
# :class:`~sklearn_causalrec.plot.PolicyValueDisplay` draws it by nine estimators.

asked = dict(
    y=random["click"],
    action=random["item_id"],
    policy=policy[random["position"] - 1],
    propensity=random["propensity_score"],
)
found = policy_value(**asked, estimator="snips")
print(found)
low, high = found.interval
really = production["click"].mean()
really_low, really_high = normal_interval(production["click"])
print(f"from the random log {found.value:.4f} [{low:.4f}, {high:.4f}]")
print(f"what it really earned {really:.4f} [{really_low:.4f}, {really_high:.4f}]")

# %%
display = PolicyValueDisplay.from_predictions(**asked, reference=really)
display.ax_.set(title="Clicks an impression under the production policy")
plt.show()

# %%
# **Answer.** The log of random choices says 0.57 clicks in a hundred impressions, with
# an interval from 0.30 to 0.85. The production policy really earned 0.69: inside. The
# log itself earned 0.46. So the answer was right, and it is wide: 46 clicks cannot say
# more. They rule out that production doubles the clicks, and not that it changes
# nothing. The effective sample size says it before the value does: 2,900 of 10,000
# rows.
#
# With more rows :func:`~sklearn_causalrec.metrics.policy_value` ranks policies before
# any of them is run.
