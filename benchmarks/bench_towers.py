"""Towers by group against one layer over all features, where modalities are missing.

Users with five features; items with a text vector and an image vector of 20 numbers
each, of which three directions matter; a share of the items lacks either. Outcome and
effect follow smooth functions of the directions, the effect that of the image; an item
without an image has an effect of its own. 6,000 rows to fit, 3,000 with other items to
judge: root mean squared error of the outcome if shown and of the effect, against the
truth, of the networks alone (``effect_learner="t"``), other settings at their defaults.

Run ``python benchmarks/bench_towers.py [--seeds 10]``.
"""

import argparse

import numpy as np
import pandas as pd
import torch
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from sklearn_causalrec import CausalDNNRecommender, effect

TEXT, IMAGE = ([f"{kind}__{i}" for i in range(20)] for kind in ("text", "image"))
USER = [f"user__{i}" for i in range(5)]


def make_log(seed, lacking, n=9_000, n_items=900):
    rng = np.random.default_rng(seed)
    directions = rng.normal(size=(2, 20, 3)) / 20**0.5
    text, image = rng.normal(size=(2, n_items, 20))
    scores = np.tanh(2 * text @ directions[0]), np.tanh(2 * image @ directions[1])
    bare = rng.uniform(size=(2, n_items)) < lacking
    item, user = rng.integers(0, n_items, n), rng.normal(size=(n, 5))
    said = np.where(bare[0][:, None], 0.3, scores[0])[item]
    seen = np.where(bare[1][:, None], -0.5, scores[1])[item]
    mu0 = (said * user[:, :3]).sum(1) + 0.5 * user[:, 3]
    change = 0.5 + seen.sum(1) + 0.5 * seen[:, 0] * user[:, 4]
    t = rng.binomial(1, 1 / (1 + np.exp(-mu0)))
    y = mu0 + t * change + rng.normal(size=n)
    text[bare[0]], image[bare[1]] = np.nan, np.nan
    X = pd.DataFrame(np.hstack([user, text[item], image[item]]))
    X.columns = [*USER, *TEXT, *IMAGE]
    return X, y, t, mu0 + change, change, item % 3 == 0


def methods():
    def model(**options):
        return CausalDNNRecommender(effect_learner="t", random_state=0, **options)

    def frames(step):
        return step.set_output(transform="pandas")

    zero = FunctionTransformer(lambda X: X.fillna(0.0))
    mean = frames(SimpleImputer(add_indicator=True))
    return {
        "one layer, zeros": make_pipeline(zero, model()),
        "one layer, means and indicators": make_pipeline(mean, model()),
        "towers": make_pipeline(FunctionTransformer(), model(towers="prefix")),
    }


def one_log(seed, lacking):
    X, y, t, mu1, change, judged = make_log(seed, lacking)
    errors = {}
    for name, pipe in methods().items():
        pipe.fit(X[~judged], y[~judged], causaldnnrecommender__treatment=t[~judged])
        found = pipe.predict(X[judged]), effect(pipe, X[judged])
        truth = mu1[judged], change[judged]
        errors[name] = [np.sqrt(np.mean((f - g) ** 2)) for f, g in zip(found, truth)]
    return pd.DataFrame(errors, index=["outcome", "effect"]).stack()


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first", type=int, default=800)
    args = parser.parse_args()
    torch.set_num_threads(1)
    for lacking in (0.0, 0.3):
        seeds = range(args.first, args.first + args.seeds)
        found = pd.DataFrame([one_log(seed, lacking) for seed in seeds])
        print(f"\n{lacking:.0%} of items lack a modality: mean and sd of the error")
        print(found.agg(["mean", "std"]).T.unstack(0).round(3).to_string(), flush=True)


if __name__ == "__main__":
    main()
