"""Lists from positives alone, on MovieLens small; and what large logs cost.

``movielens DIR``: DIR holds ratings.csv and movies.csv (or .csv.gz) of MovieLens
"ml-latest-small" (GroupLens). Positives are ratings of 4 or more. The last fifth of the
rows of each user by time (rounded up) is held out; lists of ten are made of all items
that the user has no row of before that. Recall divides by min(10, positives); users
without a positive are left out. Everything was chosen on the last fifth of each user's
training rows: ``--validation`` is the same table on that split.

``default DIR``: the same split, with the positives alone as the log, which is what
``CausalDNNRecommender(user=, item=)`` reads as who chose what. Rows below 4 are left
out of lists by ``exclude``, so that they are those of ``movielens``.

``large``: 1,000,000 positives of 100,000 users and 20,000 items, drawn from a power law
and 50 tastes; seconds and the peak of the memory of the process.

``metrics``: recall and NDCG at 5, 10 and 20 of 100,000 lists, against the same sums in
bare numpy.

``next DIR``: the next item. The log is the positives of MovieLens small alone; the last
one of each user is held out ("last"), or the last fifth of the log in time ("time").

Run ``python benchmarks/bench_implicit_lists.py movielens DIR [--validation]``, ``...
default DIR``, ``... next DIR [--split last|time] [--validation]``, ``... large [--model
ease|als|near|blend|factors|sequences]`` or ``... metrics``. The networks of ``large``
are trained for one epoch.
"""

import argparse
import resource
import time
from pathlib import Path

import numpy as np
import pandas as pd

from sklearn_causalrec import CausalDNNRecommender, evaluate_lists, recommend
from sklearn_causalrec.baselines import (
    EASE,
    BlendRecommender,
    ImplicitALS,
    NeighborhoodRecommender,
    Popularity,
)
from sklearn_causalrec.interactions import LastOutSplit, TimeSplit
from sklearn_causalrec.metrics.lists import ListHits, ndcg, recall
from sklearn_causalrec.networks import Implicit

WORK = ("movielens", "default", "next", "large", "metrics")
IDS = dict(user="user", item="item")
SPLIT = LastOutSplit("user", "time", n_last=0.2)
NEXT = {
    "last": LastOutSplit("user", "time"),
    "time": TimeSplit("time", test_size=0.2),
}
METRICS = ("recall", "ndcg", "coverage", "novelty", "diversity")


def implicit(encoder="mf", objective="implicit", **options):
    """The networks, trained on positives alone."""
    given = dict(encoder=encoder, objective=objective, time="time", random_state=0)
    return CausalDNNRecommender(**IDS, **given, **options)


def table_of(folder, name):
    """A table of the data set, packed or not."""
    path = next(Path(folder).glob(f"{name}.csv*"))
    return pd.read_csv(path)


def movielens(folder, validation):
    """The log with its ratings, and the genres of the movies."""
    log = table_of(folder, "ratings")
    log.columns = ["user", "item", "rating", "time"]
    if validation:
        log = log.iloc[next(SPLIT.split(log))[0]].reset_index(drop=True)
    genres = table_of(folder, "movies").set_index("movieId")["genres"]
    genres = genres.str.get_dummies("|").drop(columns="(no genres listed)")
    return log, genres.astype(float)


def chosen(models, only):
    """The models whose names begin with one of these words; all without words."""
    return {
        name: model
        for name, model in models.items()
        if not only or name.startswith(tuple(only))
    }


def compare(folder, validation, against, only):
    """One table for each kind of input: positives, graded ones, genres beside them."""
    log, genres = movielens(folder, validation)
    liked = (log["rating"] >= 4) * 1.0
    graded = np.maximum(log["rating"] - 2.5, 0.0)  # what is above the middle
    log = log.drop(columns="rating")
    wide = log.merge(genres, left_on="item", right_index=True, how="left").fillna(0.0)
    wide = wide.loc[log.index]
    plain = {
        "EASE": EASE(**IDS),  # without times: the reference
        "EASE, recency": EASE(**IDS, time="time"),
        "EASE, l2=50": EASE(**IDS, l2=50.0),
        "EASE, l2=200": EASE(**IDS, l2=200.0),
        "ALS": ImplicitALS(**IDS, random_state=0),
        "item cosine": NeighborhoodRecommender(**IDS),
        "item BM25": NeighborhoodRecommender(**IDS, similarity="bm25"),
        "user cosine": NeighborhoodRecommender("user", **IDS, n_neighbors=50),
        "blend": BlendRecommender(**IDS, time="time", random_state=0),
        "networks, mf": implicit(),
        "networks, dnn": implicit("dnn"),
        "networks, mf, sampled": implicit(objective=Implicit("sampled_softmax")),
        "networks, mf, bpr": implicit(objective=Implicit("bpr")),
        "networks, mf, 1 / propensity": implicit(exposure_model="popularity"),
        "networks, mf, popularity": implicit(objective=Implicit(popularity=0.3)),
        "relmf": implicit(objective="relmf", task="classification"),
    }
    timed = {
        "EASE, recency": EASE(**IDS, time="time"),
        "ALS": ImplicitALS(**IDS, random_state=0),
        "blend": BlendRecommender(**IDS, time="time", random_state=0),
    }
    featured = {
        "EASE, recency": EASE(**IDS, time="time"),
        "blend": BlendRecommender(**IDS, time="time", random_state=0),
    }
    inputs = {
        "y = rating >= 4": (plain, log, liked),
        "y = max(rating - 2.5, 0)": (timed, log, graded),
        "the same, genres as columns": (featured, wide, graded),
    }
    for name, (models, frame, y) in inputs.items():
        models = {"EASE": plain["EASE"], **chosen(models, only)}
        table = evaluate_lists(
            models,
            frame,
            y,
            relevant=liked,
            time="time",
            split=SPLIT,
            k=10,
            metrics=METRICS,
            against=against,
        )
        show(name, table)


def show(name, table):
    """Means, half intervals and seconds."""
    print(f"\n{name}: {table.attrs['n_users']} users")
    means = table.xs("mean", axis=1, level=1)
    half = table.xs("high", axis=1, level=1) - means
    means = means.join(half[["recall@10", "ndcg@10"]].add_suffix(" ±"))
    print(means.join(table["seconds"]).round(4).to_string(), flush=True)


def compare_next(folder, validation, split, against, only):
    """What follows: the last positive of each user, or all after a time."""
    log, _ = movielens(folder, False)
    log = log.loc[log["rating"] >= 4, ["user", "item", "time"]].reset_index(drop=True)
    if validation:
        log = log.iloc[next(NEXT[split].split(log))[0]].reset_index(drop=True)
    models = {
        "EASE": EASE(**IDS),
        "EASE, recency": EASE(**IDS, time="time"),
        "ALS": ImplicitALS(**IDS, random_state=0),
        "item cosine": NeighborhoodRecommender(**IDS),
        "blend": BlendRecommender(**IDS, time="time", random_state=0),
        "networks, mf": implicit(),
        "networks, transformer": implicit("transformer"),
        "networks, transformer, sampled": implicit(
            "transformer", Implicit("sampled_softmax", 500)
        ),
        "networks, gru, sampled": implicit("gru", Implicit("sampled_softmax", 500)),
    }
    models = chosen(models, only)
    options = dict(split=NEXT[split], k=10, metrics=METRICS, against=against)
    show(f"next item, {split}", evaluate_lists(models, log, time="time", **options))


def compare_default(folder, validation):
    """What the estimator does with positives if nothing is chosen, beside EASE."""
    log, _ = movielens(folder, validation)
    train, test = (log.iloc[part] for part in next(SPLIT.split(log)))
    seen, test = train[["user", "item"]], test[test["rating"] >= 4]
    train = train.loc[train["rating"] >= 4, ["user", "item", "time"]]
    codes = pd.Index(log["item"].unique())
    users = pd.Index(test["user"].unique())
    for name, model in {
        "Popularity": Popularity(**IDS),
        "EASE": EASE(**IDS),
        "default": CausalDNNRecommender(**IDS, random_state=0),
        "EASE, time": EASE(**IDS, time="time"),
        "default, time": CausalDNNRecommender(**IDS, time="time", random_state=0),
    }.items():
        began = time.perf_counter(), time.process_time()
        model.fit(train if "time" in name else train[list(IDS)])
        took = spent(began)
        top = recommend(model, users, k=10, exclude=seen)
        lists = np.full((len(users), 10), -1)
        place = users.get_indexer(top["user"]), top["rank"] - 1
        lists[place] = codes.get_indexer(top["item"])
        relevant = users.get_indexer(test["user"]), codes.get_indexer(test["item"])
        hits = ListHits(lists, *relevant)
        found = [np.nanmean(metric(hits, 10)) for metric in (recall, ndcg)]
        print(f"{name}: recall {found[0]:.4f}, NDCG {found[1]:.4f}; fit {took}")
        if getattr(model, "blend_", None) is not None:
            print(f"    weights {model.blend_.weights_}", flush=True)


def drawn_log(n_rows=1_000_000, n_users=100_000, n_items=20_000, seed=0):
    """Positives of a power law, whose users prefer one of 50 tastes."""
    rng = np.random.default_rng(seed)
    popular = (np.arange(n_items) + 10.0) ** -0.8
    user = rng.integers(0, n_users, int(1.15 * n_rows))
    taste = rng.random(len(user)) < 0.6
    item = rng.choice(n_items, len(user), p=popular / popular.sum())
    item = np.where(taste, item - item % 50 + user % 50, item) % n_items
    log = pd.DataFrame({"user": user, "item": item}).drop_duplicates()
    return log.sample(min(n_rows, len(log)), random_state=0).reset_index(drop=True)


def peak():
    """The largest memory of the process so far, in GiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def spent(began):
    """Seconds on the clock and of the processor since then, and the peak of memory."""
    clock, cpu = time.perf_counter() - began[0], time.process_time() - began[1]
    return f"{clock:.1f} s, processor {cpu:.1f} s, peak {peak():.2f} GiB"


def large(name):
    """Fit one model to a large log, and make lists for all its users."""
    models = {
        "ease": EASE(**IDS),
        "als": ImplicitALS(**IDS, random_state=0),
        "near": NeighborhoodRecommender(**IDS),
        "blend": BlendRecommender(**IDS, random_state=0),
        "factors": implicit(max_epochs=1, early_stopping=False),
        "sequences": implicit("transformer", max_epochs=1, early_stopping=False),
    }
    log = drawn_log()
    if name in ("factors", "sequences"):
        log["time"] = np.arange(len(log))
    print(f"{len(log)} positives, {log['user'].nunique()} users, {peak():.2f} GiB")
    began = time.perf_counter(), time.process_time()
    model = models[name].fit(log)
    print(f"{name}: fit {spent(began)}", flush=True)
    began = time.perf_counter(), time.process_time()
    top = recommend(model, k=10, by="outcome")
    print(f"{len(top)} places: {spent(began)}", flush=True)


def metrics(n_users=100_000, n_items=20_000, length=20, repeats=5):
    """The metrics of evaluate_lists, against the least that numpy has to do."""
    rng = np.random.default_rng(0)
    lists = rng.integers(0, n_items, (n_users, length))
    user, item = rng.integers(0, n_users, 500_000), rng.integers(0, n_items, 500_000)

    def ours():
        hits = ListHits(lists, user, item)
        return [f(hits, k) for f in (recall, ndcg) for k in (5, 10, 20)]

    def floor():
        relevant = np.unique(user * n_items + item)
        cells = np.arange(n_users)[:, None] * n_items + lists
        found = np.isin(cells, relevant)
        n = np.bincount(relevant // n_items, minlength=n_users)
        discount = 1 / np.log2(np.arange(2, length + 2))
        best = np.append(0, np.cumsum(discount))
        out = []
        with np.errstate(invalid="ignore"):
            for k in (5, 10, 20):
                out.append(found[:, :k].sum(axis=1) / np.minimum(n, k))
                out.append(found[:, :k] @ discount[:k] / best[np.minimum(n, k)])
        return out

    for name, work in (("ours", ours), ("numpy", floor)):
        seconds = []
        for _ in range(repeats):
            began = time.perf_counter()
            found = work()
            seconds.append(time.perf_counter() - began)
        mean = np.nanmean(found[0])
        print(f"{name}: {np.median(seconds):.3f} s (recall@5 {mean:.5f})")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("what", choices=list(WORK))
    parser.add_argument("folder", nargs="?")
    parser.add_argument("--validation", action="store_true")
    parser.add_argument("--split", choices=list(NEXT), default="last")
    parser.add_argument("--against")
    parser.add_argument("--only", nargs="+")
    parser.add_argument("--model", default="ease")
    args = parser.parse_args()
    if args.what == "movielens":
        compare(args.folder, args.validation, args.against, args.only)
    elif args.what == "default":
        compare_default(args.folder, args.validation)
    elif args.what == "next":
        how = args.validation, args.split, args.against, args.only
        compare_next(args.folder, *how)
    elif args.what == "large":
        large(args.model)
    else:
        metrics()


if __name__ == "__main__":
    main()
