"""Every objective and baseline on KuaiRec, watched to the end, under three exposures.

700 users x 83 random videos; y = watch ratio >= 1, judged on the true y of all 58,100
pairs, of which the model sees those that a simulated system showed. With r the ratio
clipped at 5, z standardised and e normal noise, shown with probability sigmoid(lin):

outcome        lin = -1.6 + 1.2 z(r) + 0.5 z(e_item): it depends on the outcome itself.
deterministic  lin = 8 (s - quantile(s, 0.8)), s = z(mean r of the user)
               + z(mean r of the item) + z(e_user) + z(e_item): most pairs are shown
               almost always or almost never, by user and item.
trait          lin = -2.2 + 2.5 c + 0.5 z(e_item), where the pair's trait c is 1 with
               probability sigmoid(1.5 z(r)) and nobody records it.

Each from the log alone, and with 5 % of all pairs shown at random besides, marked by
their propensity 0.05; the others have none.

Network settings are those of bench_kuairec.py, the same in every row. "relmf" gets what
it is made for instead: all pairs, y = 1 where shown and watched to the end, and not a
word on what was shown; "naive, implicit" is the plain fit to the same. "escm2" and
"uplift_rank" need rows that were not shown, "pda" a time, which these data lack.

Run ``python benchmarks/bench_objectives.py [--seeds 10] [--first 200] [--only NAME ...]
[--mechanisms NAME ...] [--max-epochs 25] [--save FILE]``.
"""

import argparse
import time

import numpy as np
import pandas as pd
import torch
from scipy.special import expit
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import ndcg_score, roc_auc_score

from sklearn_causalrec import CausalDNNRecommender
from sklearn_causalrec.baselines import GlobalMean, Popularity, UserItemBias
from sklearn_causalrec.datasets import load_kuairec_slice

IDS = dict(task="classification", user="user_id", item="item_id")
NETWORK = dict(
    encoder="mf",
    embedding_dim=32,
    l2=2.0,
    batch_size=1024,
    learning_rate_schedule="cosine",
    early_stopping=False,
)


def objective(name, **settings):
    return lambda epochs, seed: CausalDNNRecommender(
        **IDS,
        **NETWORK,
        objective=name,
        max_epochs=epochs,
        random_state=seed,
        **settings,
    )


METHODS = {
    "global mean": lambda epochs, seed: GlobalMean(**IDS),
    "popularity": lambda epochs, seed: Popularity(**IDS),
    "user + item bias": lambda epochs, seed: UserItemBias(**IDS),
    "naive": objective("naive"),
    "targeted": objective("targeted"),
    "ips": objective("ips"),
    "snips": objective("snips"),
    "dr": objective("dr"),
    "mrdr": objective("mrdr"),
    "stable_dr": objective("stable_dr"),
    "tdr": objective("tdr"),
    "ips, popularity": objective("ips", exposure_model="popularity"),
    "ips, logistic": objective("ips", exposure_model=LogisticRegression()),
    "ips, naive Bayes": objective("ips", exposure_model="naive_bayes"),
    "dr, naive Bayes": objective("dr", exposure_model="naive_bayes"),
    "targeted, naive Bayes": objective("targeted", exposure_model="naive_bayes"),
    "naive, implicit": objective("naive"),
    "relmf, implicit": objective("relmf"),
}


def z(values):
    return (values - values.mean()) / values.std()


def lin_outcome(frame, ratio, rng):
    item = rng.normal(size=frame["item_id"].max() + 1)[frame["item_id"]]
    return -1.6 + 1.2 * z(ratio) + 0.5 * z(item)


def lin_deterministic(frame, ratio, rng):
    score = 0.0
    for key in ("user_id", "item_id"):
        mean = pd.Series(ratio).groupby(frame[key].to_numpy()).transform("mean")
        noise = rng.normal(size=frame[key].max() + 1)[frame[key]]
        score = score + z(mean.to_numpy()) + z(noise)
    return 8 * (score - np.quantile(score, 0.8))


def lin_trait(frame, ratio, rng):
    trait = rng.random(len(frame)) < expit(1.5 * z(ratio))
    item = rng.normal(size=frame["item_id"].max() + 1)[frame["item_id"]]
    return -2.2 + 2.5 * trait + 0.5 * z(item)


MECHANISMS = {
    "outcome": lin_outcome,
    "deterministic": lin_deterministic,
    "trait": lin_trait,
}


def judge(frame, y, p):
    """Of all pairs; NDCG@10 over each user's 83, where the user has a positive."""
    order = np.argsort(frame["user_id"].to_numpy(), kind="stable")
    n_users = frame["user_id"].nunique()
    by_user = [values[order].reshape(n_users, -1) for values in (y, p)]
    some = by_user[0].any(1)
    return {
        "Brier": np.mean((p - y) ** 2),
        "calibration": p.mean() - y.mean(),
        "AUC": roc_auc_score(y, p),
        "NDCG@10": ndcg_score(by_user[0][some], by_user[1][some], k=10),
    }


def study(frame, mechanism, seed, methods, epochs):
    """Records of every method on one draw of who was shown what."""
    y = (frame["watch_ratio"] >= 1).astype(int).to_numpy()
    ratio = frame["watch_ratio"].to_numpy().clip(max=5)
    pairs = frame[["user_id", "item_id"]]
    rng = np.random.default_rng([seed, list(MECHANISMS).index(mechanism)])
    shown = rng.random(len(frame)) < expit(MECHANISMS[mechanism](frame, ratio, rng))
    random = rng.random(len(frame)) < 0.05
    propensity = np.where(random, 0.05, np.nan)
    for log, logged in (("log alone", shown), ("5 % random", shown | random)):
        for name in methods:
            alone, implicit = log == "log alone", "implicit" in name
            if ("Bayes" in name and alone) or (implicit and not alone):
                continue
            start = time.perf_counter()
            model = METHODS[name](epochs, seed)
            known = {}
            if not alone and isinstance(model, CausalDNNRecommender):
                known = {"propensity": propensity[logged]}
            if implicit:
                model.fit(pairs, y * logged)
            else:
                model.fit(pairs[logged], y[logged], **known)
            p = model.predict_proba(pairs)[:, 1]
            yield {
                "mechanism": mechanism,
                "log": log,
                "method": name,
                "seed": seed,
                "logged": logged.mean(),
                **judge(frame, y, p),
                "seconds": time.perf_counter() - start,
            }


def against_naive(table, column, sign):
    """Mean gain on naive in standard errors of the paired difference, by method.

    None where all that differs is the rounding of float32.
    """
    wide = table.pivot(index="seed", columns="method", values=column)
    gain = sign * wide.sub(wide["naive"], axis=0)
    spread = gain.std() / np.sqrt(len(gain))
    return gain.mean() / spread.where(gain.abs().max() > 1e-5)


def report(records):
    table = pd.DataFrame(records)
    measures = ["Brier", "calibration", "AUC", "NDCG@10"]
    for key, part in table.groupby(["mechanism", "log"], sort=False):
        n = part["seed"].nunique()
        out = part.groupby("method", sort=False)[[*measures, "seconds"]].mean()
        if "naive" in out.index and n > 1:
            for column, sign in (("Brier", -1), ("AUC", 1), ("NDCG@10", 1)):
                out[f"{column} se"] = against_naive(part, column, sign).round(1)
        print(f"\n{key[0]}, {key[1]}: {n} seeds, {part['logged'].mean():.1%} logged")
        print(out.round(4).to_string(), flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--first", type=int, default=200)
    parser.add_argument("--only", nargs="+", choices=list(METHODS), default=None)
    parser.add_argument("--mechanisms", nargs="+", default=list(MECHANISMS))
    parser.add_argument("--max-epochs", type=int, default=25)
    parser.add_argument("--save", default=None)
    args = parser.parse_args()
    torch.set_num_threads(1)
    frame = load_kuairec_slice().frame
    records = []
    for seed in range(args.first, args.first + args.seeds):
        for mechanism in args.mechanisms:
            methods = args.only or METHODS
            records += study(frame, mechanism, seed, methods, args.max_epochs)
        if args.save:
            pd.DataFrame(records).to_csv(args.save, index=False)
        print(f"seed {seed} done", flush=True)
    report(records)


if __name__ == "__main__":
    main()
