"""Qini and AUUC beside scikit-uplift and CausalML on the same arrays.

The peers may be installed in an environment of their own: ``write`` draws the arrays
and our figures, ``compare`` reads them where the peers are::

    python benchmarks/bench_uplift.py write FILE
    python benchmarks/bench_uplift.py compare FILE   # in the peers' environment

Five random logs; scikit-uplift's metrics need a 0/1 outcome. Scores with ties are for
scikit-uplift alone: CausalML's value of a tied score depends on the order of the rows.
"""

import sys
import warnings

import numpy as np

CASES = [(seed, ties) for seed in range(5) for ties in (False, True)]


def case(seed, ties):
    rng = np.random.default_rng(seed)
    n = 2_000
    x = rng.normal(size=n)
    t = rng.binomial(1, 0.3, n)
    y = rng.binomial(1, 1 / (1 + np.exp(1 - 0.5 * x - t * (0.3 + 0.5 * x))))
    score = x + rng.normal(size=n)
    return y, np.round(score) if ties else score, t


def ours(y, score, t):
    from sklearn_causalrec.metrics import auuc_score, qini_score, uplift_at_k

    values = {"uplift_at_k": uplift_at_k(y, score, t, k=600)}
    for convention in "scikit-uplift", "causalml":
        values[f"auuc {convention}"] = auuc_score(y, score, t, convention=convention)
        values[f"qini {convention}"] = qini_score(y, score, t, convention=convention)
    return values


def peers(y, score, t, ties):
    import pandas as pd
    from causalml.metrics.visualize import auuc_score, qini_score
    from sklift import metrics

    values = {
        "auuc scikit-uplift": metrics.uplift_auc_score(y, score, t),
        "qini scikit-uplift": metrics.qini_auc_score(y, score, t),
    }
    if not ties:
        frame = pd.DataFrame({"y": y, "w": t, "score": score})
        values["uplift_at_k"] = metrics.uplift_at_k(y, score, t, "overall", k=600)
        values["auuc causalml"] = auuc_score(frame)["score"]
        values["qini causalml"] = qini_score(frame)["score"]
    return values


if __name__ == "__main__":
    command, path = sys.argv[1:]
    if command == "write":
        stored = {}
        for seed, ties in CASES:
            for name, value in ours(*case(seed, ties)).items():
                stored[f"{seed} {ties} {name}"] = value
        np.savez(path, **stored)
    else:
        warnings.simplefilter("ignore")
        stored = np.load(path)
        worst, example = {}, {}
        for seed, ties in CASES:
            for name, theirs in peers(*case(seed, ties), ties).items():
                mine = float(stored[f"{seed} {ties} {name}"])
                worst[name] = max(worst.get(name, 0), abs(mine - theirs))
                example.setdefault(name, (mine, theirs))
        print("largest difference; first value: ours, theirs")
        for name, gap in worst.items():
            print(f"{name:22s} {gap:9.1e} {example[name][0]:.10f}", end=" ")
            print(f"{example[name][1]:.10f}")
