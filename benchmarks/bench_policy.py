"""Off-policy values: bias and coverage with a known truth, obp, and Open Bandit.

``simulate``: 500 logs of 2,000 rows of a bandit with eight contexts and five actions,
whose value is known exactly. Mean error in its own standard errors, and coverage of the
95 % intervals, with the outcome model and the propensities right or wrong in turn.
``slates``: 500 logs of 1,000 slates of two out of four items under a cascade.
``obd``: the value of each policy from the log of the other, Open Bandit, "men".
``write FILE`` and ``compare FILE``: every estimator with fixed parameters beside obp
(0.4.1), the latter where obp is installed, which may be an environment of its own.

Run ``python benchmarks/bench_policy.py [simulate slates obd] [--seeds N]``.
"""

import argparse
import itertools
from pathlib import Path

import numpy as np

DATA = Path(__file__).parent / "data" / "obd_sample"
N_CONTEXTS, N_ACTIONS = 8, 5
PARAMETERS = {"switch_dr": 2.0, "dr_os": 5.0, "sg_ips": 0.2, "sg_dr": 0.2}


def softmax(values):
    weight = np.exp(values)
    return weight / weight.sum(axis=-1, keepdims=True)


class Bandit:
    """Rewards, logging policy and policy to be judged, by context."""

    def __init__(self):
        rng = np.random.default_rng(2024)
        shape = N_CONTEXTS, N_ACTIONS
        self.reward = rng.uniform(0.05, 0.6, shape)
        self.logging = softmax(0.7 * rng.normal(size=shape))
        self.policy = softmax(4 * self.reward + rng.normal(size=shape))
        self.truth = (self.policy * self.reward).sum(axis=1).mean()
        self.wrong_reward = rng.uniform(0, 0.6, shape)
        # Towards uniform: off by up to a factor of two.
        self.wrong_logging = 0.5 * self.logging + 0.5 / N_ACTIONS

    def log(self, seed, n=2_000):
        rng = np.random.default_rng([7, seed])
        context = rng.integers(0, N_CONTEXTS, n)
        uniform = rng.uniform(size=(n, 1))
        action = (uniform > self.logging[context].cumsum(axis=1)).sum(axis=1)
        action = np.minimum(action, N_ACTIONS - 1)
        y = rng.binomial(1, self.reward[context, action]).astype(float)
        return context, action, y


SETTINGS = {
    # name: (outcome model, propensities)
    "both right": ("reward", "logging"),
    "cross-fitted means, propensities right": (None, "logging"),
    "outcome wrong": ("wrong_reward", "logging"),
    "propensities wrong": ("reward", "wrong_logging"),
    "both wrong": ("wrong_reward", "wrong_logging"),
}


def simulate(n_seeds):
    from sklearn_causalrec.metrics import ips_confidence_sequence, policy_value

    bandit = Bandit()
    largest = (bandit.policy / bandit.logging).max()
    print(f"largest weight {largest:.2f}")
    print(f"value {bandit.truth:.6f}; {n_seeds} logs of 2,000 rows")
    for name, (outcome, propensity) in SETTINGS.items():
        errors, inside = [], {}
        for seed in range(n_seeds):
            context, action, y = bandit.log(seed)
            given = dict(
                policy=bandit.policy[context],
                propensity=getattr(bandit, propensity)[context, action],
                outcome=None if outcome is None else getattr(bandit, outcome)[context],
                n_bootstrap=300,
            )
            kinds = ["normal"]
            if name in ("both right", "cross-fitted means, propensities right"):
                kinds = ["normal", "bootstrap", "bernstein", "sequence"]
            for kind in kinds:
                bounds = (-2 * largest, 2 * largest)
                table = policy_value(
                    y, action, interval=kind, bounds=bounds, **given
                ).table
                hit = (table["low"] <= bandit.truth) & (bandit.truth <= table["high"])
                inside.setdefault(kind, []).append(hit)
            errors.append(table["value"] - bandit.truth)
        errors = np.array(errors)
        bias, sd = errors.mean(axis=0), errors.std(axis=0, ddof=1)
        print(f"\n{name}: bias, bias / se, sd; coverage {' '.join(kinds)}")
        for i, estimator in enumerate(table.index):
            z = bias[i] / max(sd[i] / np.sqrt(n_seeds), 1e-15)
            print(f"{estimator:10s} {bias[i]:9.5f} {z:8.2f} {sd[i]:.5f}", end="")
            print("".join(f"{np.mean(inside[k], axis=0)[i]:8.3f}" for k in kinds))

    always = dict.fromkeys(["asymptotic, dr", "importance-weighted, ips"], 0)
    widths = dict.fromkeys(always, 0.0)
    for seed in range(n_seeds):
        for name in always:
            low, high = sequence(name, bandit, seed, ips_confidence_sequence)
            always[name] += bool(((low <= bandit.truth) & (bandit.truth <= high)).all())
            widths[name] += (high[-1] - low[-1]) / n_seeds
    print("\nsequences: truth inside at every row; width after the last")
    for name, hits in always.items():
        print(f"{name:26s} {hits / n_seeds:.3f} {widths[name]:.4f}")


def sequence(name, bandit, seed, ips_confidence_sequence):
    from sklearn_causalrec.metrics import confidence_sequence

    context, action, y = bandit.log(seed)
    policy, reward = bandit.policy[context], bandit.reward[context]
    rows = np.arange(len(y))
    weight = policy[rows, action] / bandit.logging[context, action]
    if name.startswith("importance"):
        return ips_confidence_sequence(y, weight)
    values = (policy * reward).sum(axis=1) + weight * (y - reward[rows, action])
    return confidence_sequence(values)


def slates(n_seeds):
    from sklearn_causalrec.metrics import slate_policy_value

    items = list(itertools.permutations(range(4), 2))
    attraction = np.array([0.7, 0.5, 0.3, 0.15])
    clicks = np.array(
        [(attraction[a], attraction[b] * (1 - 0.6 * attraction[a])) for a, b in items]
    )

    def probabilities(strength):
        weight = np.exp(np.array(strength))
        first = np.array([weight[a] / weight.sum() for a, _ in items])
        second = np.array([weight[b] / (weight.sum() - weight[a]) for a, b in items])
        joint = first * second
        later = [sum(j for j, s in zip(joint, items) if s[1] == b) for _, b in items]
        return np.column_stack([first, second]), np.column_stack([first, later]), joint

    theirs, their_marginal, logged = probabilities([0.0, 0.3, 0.6, 0.9])
    ours, our_marginal, wanted = probabilities([1.0, 0.6, 0.3, 0.0])
    truth = wanted @ clicks.sum(axis=1)
    # The right model of what is still to come, for cascade_dr, and a wrong one.
    after = {
        a: sum(ours[i, 1] * clicks[i, 1] for i, s in enumerate(items) if s[0] == a)
        for a in range(4)
    }
    shown = np.array(
        [(clicks[i, 0] + after[a], clicks[i, 1]) for i, (a, _) in enumerate(items)]
    )
    top = sum(ours[i, 0] * shown[i, 0] / 3 for i in range(len(items)))
    mean = np.array([(top, after[a]) for a, _ in items])
    errors, inside = [], []
    for seed in range(n_seeds):
        rng = np.random.default_rng([11, seed])
        pick = rng.choice(len(items), size=1_000, p=logged)
        y = rng.binomial(1, clicks[pick])
        table = slate_policy_value(
            y,
            ours[pick],
            propensity=theirs[pick],
            marginal=(our_marginal[pick], their_marginal[pick]),
            outcome=(shown[pick], mean[pick]),
        ).table
        errors.append(table["value"] - truth)
        inside.append((table["low"] <= truth) & (truth <= table["high"]))
    errors = np.array(errors)
    print(f"\nslates, value {truth:.6f}: bias, bias / se, sd, coverage")
    for i, name in enumerate(table.index):
        bias, sd = errors[:, i].mean(), errors[:, i].std(ddof=1)
        print(
            f"{name:20s} {bias:9.5f} {bias / sd * n_seeds**0.5:8.2f} {sd:.5f}", end=""
        )
        print(f"{np.mean(inside, axis=0)[i]:8.3f}")


# -- beside obp ------------------------------------------------------------------------


def arrays(seed):
    """A log with positions as obp has them: policies may differ by position."""
    bandit, rng = Bandit(), np.random.default_rng([5, seed])
    context, action, y = bandit.log(seed, 500)
    outcome = rng.uniform(size=(500, N_ACTIONS))
    propensity = bandit.logging[context, action]
    slate = {
        "y": rng.binomial(1, 0.3, (200, 3)).astype(float),
        "theirs": rng.uniform(0.1, 1, (200, 3)),
        "ours": rng.uniform(0, 1, (200, 3)),
    }
    return y, action, bandit.policy[context], propensity, outcome, slate


def write(path):
    from sklearn_causalrec.metrics import policy_value, slate_policy_value

    stored = {}
    for seed in range(5):
        y, action, policy, propensity, outcome, slate = arrays(seed)
        given = dict(propensity=propensity, outcome=outcome, parameters=PARAMETERS)
        table = policy_value(y, action, policy, **given).table
        both = slate["ours"], slate["theirs"]
        of_slates = slate_policy_value(
            slate["y"], slate["ours"], propensity=slate["theirs"], marginal=both
        ).table
        for name, value in [*table["value"].items(), *of_slates["value"].items()]:
            stored[f"{seed} {name}"] = value
    np.savez(path, **stored)


def compare(path):
    from obp.ope import estimators as obp
    from obp.ope import estimators_slate as obp_slates

    stored, worst = np.load(path), {}
    for seed in range(5):
        y, action, policy, propensity, outcome, slate = arrays(seed)
        given = dict(
            reward=y,
            action=action,
            pscore=propensity,
            action_dist=policy[:, :, None],
            estimated_rewards_by_reg_model=outcome[:, :, None],
            position=np.zeros(len(y), int),
        )
        plain = {
            k: v for k, v in given.items() if k != "estimated_rewards_by_reg_model"
        }
        snips = obp.SelfNormalizedInverseProbabilityWeighting()
        values = {
            "ips": obp.InverseProbabilityWeighting().estimate_policy_value(**plain),
            "snips": snips.estimate_policy_value(**plain),
            "dm": obp.DirectMethod().estimate_policy_value(**given),
            "dr": obp.DoublyRobust().estimate_policy_value(**given),
            "sndr": obp.SelfNormalizedDoublyRobust().estimate_policy_value(**given),
            "switch_dr": obp.SwitchDoublyRobust(
                tau=PARAMETERS["switch_dr"]
            ).estimate_policy_value(**given),
            "dr_os": obp.DoublyRobustWithShrinkage(
                lambda_=PARAMETERS["dr_os"]
            ).estimate_policy_value(**given),
        }
        n, length = slate["y"].shape
        flat = dict(
            slate_id=np.repeat(np.arange(n), length),
            reward=slate["y"].ravel(),
            position=np.tile(np.arange(length), n),
        )
        theirs, ours = slate["theirs"], slate["ours"]
        whole = [np.repeat(p.prod(axis=1), length) for p in (theirs, ours)]
        cascade = [p.cumprod(axis=1).ravel() for p in (theirs, ours)]
        values["standard"] = obp_slates.SlateStandardIPS(len_list=3)
        values["standard"] = values["standard"].estimate_policy_value(
            **flat, pscore=whole[0], evaluation_policy_pscore=whole[1]
        )
        values["independent"] = obp_slates.SlateIndependentIPS(
            len_list=3
        ).estimate_policy_value(
            **flat,
            pscore_item_position=theirs.ravel(),
            evaluation_policy_pscore_item_position=ours.ravel(),
        )
        values["reward_interaction"] = obp_slates.SlateRewardInteractionIPS(
            len_list=3
        ).estimate_policy_value(
            **flat,
            pscore_cascade=cascade[0],
            evaluation_policy_pscore_cascade=cascade[1],
        )
        # Not in obp 0.4.1: the formula, written out.
        w = policy[np.arange(len(y)), action] / propensity
        lam = PARAMETERS["sg_ips"]
        sg = w / ((1 - lam) + lam * w)
        base = (policy * outcome).sum(axis=1)
        rest = y - outcome[np.arange(len(y)), action]
        values["sg_ips"], values["sg_dr"] = (sg * y).mean(), (base + sg * rest).mean()
        for name, theirs in values.items():
            gap = abs(float(stored[f"{seed} {name}"]) - theirs)
            worst[name] = max(worst.get(name, 0), gap)
    print("largest difference to obp over five logs (sg_*: to the formula)")
    for name, gap in worst.items():
        print(f"{name:20s} {gap:.1e}")


# -- Open Bandit -----------------------------------------------------------------------


def obd():
    import pandas as pd

    from sklearn_causalrec.metrics import normal_interval, policy_value

    logs = {
        name: pd.read_csv(DATA / f"{name}_men.csv.gz") for name in ("random", "bts")
    }
    for name, log in logs.items():
        low, high = normal_interval(log["click"])
        clicks = log["click"].sum()
        print(
            f"on-policy {name}: {log['click'].mean():.4f} [{low:.4f}, {high:.4f}]",
            end="",
        )
        print(f" ({clicks} clicks)")

    prior = pd.read_csv(DATA / "prior_bts_men.csv")
    rng = np.random.default_rng(0)
    draws = rng.beta(prior["alpha"], prior["beta"], size=(200_000, 34))
    best = np.argsort(-draws, axis=1)[:, :3]
    start = np.stack(
        [np.bincount(best[:, k], minlength=34) / 200_000 for k in range(3)]
    )
    bts = logs["bts"]
    week = pd.crosstab(bts["position"], bts["item_id"], normalize="index")
    week = week.reindex(columns=range(34), fill_value=0).to_numpy()
    uniform = np.full((3, 34), 1 / 34)
    for name, policy, log in (
        ("bts, its mean over the week, from the random log", week, logs["random"]),
        ("bts at the week's start, from the random log", start, logs["random"]),
        ("random, from the bts log", uniform, logs["bts"]),
    ):
        by_row = policy[log["position"] - 1]
        given = dict(
            y=log["click"],
            action=log["item_id"],
            policy=by_row / by_row.sum(axis=1, keepdims=True),
            propensity=log["propensity_score"],
        )
        for clip in None, "slope":
            result = policy_value(**given, clip=clip)
            print(f"\n{name}; clip={clip}")
            print(f"effective sample size {result.effective_sample_size:.0f}", end=", ")
            print(f"mean weight {result.mean_weight:.3f}")
            print(result.table.to_string(float_format="%.5f"))
        for kind in "bootstrap", "bernstein", "sequence":
            rows = policy_value(**given, interval=kind).table.loc[
                ["ips", "snips", "dr"]
            ]
            text = [f"{r.Index} [{r.low:.4f}, {r.high:.4f}]" for r in rows.itertuples()]
            print(f"{kind}: {', '.join(text)}")
        print("largest disagreement of two estimators, in standard errors", end=" ")
        print(f"{policy_value(**given).agreement.abs().to_numpy().max():.1f}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("what", nargs="*", default=["simulate", "slates", "obd"])
    parser.add_argument("--seeds", type=int, default=500)
    options = parser.parse_args()
    if options.what[0] in ("write", "compare"):
        {"write": write, "compare": compare}[options.what[0]](options.what[1])
    if "simulate" in options.what:
        simulate(options.seeds)
    if "slates" in options.what:
        slates(options.seeds)
    if "obd" in options.what:
        obd()
