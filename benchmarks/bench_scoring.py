"""Compiled scores against the models they are made of: rows, all pairs, searches.

CPU seconds of one thread, the least of some repeats; both sides of a ratio in one run.

Run ``python benchmarks/bench_scoring.py rows``, ``pairs`` or ``search``; the latter
takes the number of items, and fits a log of twice as many rows first.
"""

import argparse
import time
import warnings
from functools import partial

import numpy as np
import torch

from sklearn_causalrec import CausalDNNRecommender, EffectIndex, recommend
from sklearn_causalrec.datasets import make_exposure_log
from sklearn_causalrec.ranking.pairs import Pairs
from sklearn_causalrec.serving import compile_scorer

KINDS = {"dnn": {}, "mf": {"encoder": "mf"}, "mf and features": {"encoder": "mf"}}


def seconds(work, repeats, rounds=5):
    work()
    found = []
    for _ in range(rounds):
        start = time.process_time()
        for _ in range(repeats):
            work()
        found.append((time.process_time() - start) / repeats)
    return min(found)


def fitted(kind, n, n_items, as_array=False, **options):
    log = make_exposure_log(
        n, n_users=1000, n_items=n_items, effect="nonlinear", random_state=1
    )
    X = log.X[["user", "item"]] if kind == "mf" else log.X
    roles = dict(user=0, item=1) if as_array else dict(user="user", item="item")
    if as_array:
        X = X.to_numpy()
    options = dict(random_state=0, max_epochs=10) | KINDS[kind] | roles | options
    model = CausalDNNRecommender(**options).fit(X, log.y, treatment=log.treatment)
    return model, X, log


def by_models(model, X):
    """Effects and bounds as before tables: torch, and each model of the stack."""
    rows = model.log_encoder_.rows(model, X)
    outcome = model._ensemble.predict(rows).outcome
    features, groups = model._effect_features(rows, outcome), model._groups(rows)
    stage = model.effects_.stages[1]
    parts, *more = stage._by_fold(features, outcome, groups)
    center = stage._stack(parts)
    bounds = stage._row_errors.interval(center, parts, *more, 0.05)
    scale, moved = stage._scale, model.effects_.offset[1]
    return center * scale + moved, [b * scale + moved for b in bounds]


def rows():
    print(
        "| model | trees | rows | before | estimator | compiled | largest difference |"
    )
    print("|---|---|---|---|---|---|---|")
    for kind in KINDS:
        model, X, _ = fitted(kind, 20_000, 5_000, as_array=True)
        scorer = compile_scorer(model)
        n_trees = len(model.effects_.stages[1].compiled.tables.trees)
        expected = by_models(model, X)
        found = scorer.effect(X), scorer.effect_interval(X)
        apart = [np.abs(np.subtract(a, b)).max() for a, b in zip(found, expected)]
        for n in (1, 1000, 20_000):
            Z, times = X[:n], max(1, 200 // n)
            before = seconds(partial(by_models, model, Z), max(1, 5 // n), 3)
            cells = []
            for one in (model, scorer):
                asks = (one.predict, one.effect, one.effect_interval)
                ms = [1e3 * seconds(partial(ask, Z), times) for ask in asks]
                cells.append(" / ".join(f"{t:.3g}" for t in ms))
            print(
                f"| {kind} | {n_trees} | {n} | {1e3 * before:.3g} | {cells[0]} | "
                f"{cells[1]} | {max(apart):.0e} |",
                flush=True,
            )


def pairs():
    print("| model | items | by | by rows, pairs/s | by sides | times | difference |")
    print("|---|---|---|---|---|---|---|")
    for kind in KINDS:
        model, *_ = fitted(kind, 20_000, 5_000)
        asked = Pairs(model, None, model, None, None)
        for by in ("effect", "outcome"):
            scorer = model.pair_scores(by)
            plain = scorer._replace(split=None, matrix=None)
            size = 20 * len(asked.items)
            fast = seconds(partial(asked.scores, scorer, 0, 20), 1)
            slow = seconds(partial(asked.scores, plain, 0, 20), 1, 2)
            apart = np.abs(asked.scores(scorer, 0, 20) - asked.scores(plain, 0, 20))
            print(
                f"| {kind} | {len(asked.items)} | {by} | {size / slow:,.0f} | "
                f"{size / fast:,.0f} | {slow / fast:.1f} | {apart.max():.0e} |",
                flush=True,
            )


def search(n_items):
    model, _, log = fitted("dnn", 2 * n_items, n_items, max_epochs=3)
    items = log.world.items
    start = time.process_time()
    index = EffectIndex(model, items=items)
    built = time.process_time() - start
    users = np.random.default_rng(0).choice(np.unique(log.X["user"]), 200, False)
    exact = EffectIndex(model, items=items, recall=1)
    full = 1e3 * seconds(lambda: exact.recommend(users[:1]), 1)
    index.recommend(users)  # the users' vectors are kept

    def each():
        for user in users:
            index.recommend([user])

    short = 1e3 * seconds(each, 1, 3) / len(users)
    expected = recommend(model, users, items=items)
    found = expected.merge(index.recommend(users), on=["user", "item"])
    print(
        "| items | build, s | rank | candidates | recall_ | recall | exact | indexed |"
    )
    print("|---|---|---|---|---|---|---|---|")
    print(
        f"| {len(items)} | {built:.1f} | {index.rank_} | {index.n_candidates_} | "
        f"{index.recall_:.3f} | {len(found) / len(expected):.3f} | {full:.3g} ms | "
        f"{short:.3g} ms |"
    )


if __name__ == "__main__":
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("part", choices=["rows", "pairs", "search"])
    parser.add_argument("items", type=int, nargs="?", default=100_000)
    given = parser.parse_args()
    if given.part == "search":
        search(given.items)
    else:
        {"rows": rows, "pairs": pairs}[given.part]()
