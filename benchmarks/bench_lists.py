"""What lists of ten are worth: by effect, by outcome, at random, best possible.

Logs of `make_exposure_log` with its defaults (continuous outcome, linear effect, good
overlap) or other overlap; the estimator with its defaults. The worth of a list is the
mean true effect of its items, so that 1.0 is what an oracle reaches.

Run ``python benchmarks/bench_lists.py [--seeds 5]``.
"""

import argparse

import numpy as np
import pandas as pd
import torch

from sklearn_causalrec import CausalDNNRecommender, recommend
from sklearn_causalrec.datasets import make_exposure_log

SETTINGS = {
    "good overlap": {},
    "good overlap, nonlinear effect": {"effect": "nonlinear"},
    "poor overlap": {"overlap": 0.4},
}


def share_of_oracle(seed, **options):
    """Mean true effect of the lists over that of the best ten."""
    log = make_exposure_log(20_000, random_state=seed, **options)
    model = CausalDNNRecommender(user="user", item="item", random_state=0)
    model.fit(log.X, log.y, treatment=log.treatment)
    users, items = log.world.users, log.world.items
    pairs = pd.MultiIndex.from_product([users["user"], items["item"]])
    pairs = pairs.set_names(["user", "item"]).to_frame(index=False)
    truth = log.counterfactual(pairs["user"], pairs["item"]).effect
    pairs["effect"] = truth
    best = pairs.sort_values("effect", ascending=False).groupby("user").head(10)
    found = {"at random": truth.mean()}
    for by in ("outcome", "effect"):
        top = recommend(model, users, items, by=by, exclude_seen=False)
        found[f"by {by}"] = log.counterfactual(top["user"], top["item"]).effect.mean()
    return {k: v / best["effect"].mean() for k, v in found.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--first", type=int, default=320)
    args = parser.parse_args()
    torch.set_num_threads(1)
    for name, options in SETTINGS.items():
        seeds = range(args.first, args.first + args.seeds)
        frame = pd.DataFrame([share_of_oracle(s, **options) for s in seeds])
        print(f"{name}: share of the best possible, mean and sd of {args.seeds} logs")
        print(frame.agg(["mean", "std"]).round(3).to_string(), flush=True)
        assert np.isfinite(frame.to_numpy()).all()


if __name__ == "__main__":
    main()
