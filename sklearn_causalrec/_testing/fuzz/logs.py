"""Logs: cleaning, examples, transformers, splitters, lists and simulated data."""

from datetime import date
from decimal import Decimal
from inspect import signature
from itertools import product

import numpy as np
import pandas as pd

from sklearn_causalrec import datasets, interactions
from sklearn_causalrec._testing.fuzz.forms import a_form, a_scalar
from sklearn_causalrec.ranking import Budget, CategoryQuota, PopularityCap, rerank

IDS = {
    "int": lambda k: k,
    "int8": lambda k: k.astype(np.int8),
    "beyond int64": lambda k: k.astype(np.uint64) + np.uint64(2**63),
    "beyond 2**53": lambda k: k + 2**53,
    "huge": lambda k: np.array([2**70 + i for i in k.tolist()], object),
    "float": lambda k: k.astype(float),
    "NaN": lambda k: np.where(k == 0, np.nan, k),
    "1e300": lambda k: k * 1e300,
    "text": lambda k: [f"u{i}" for i in k],
    "string": lambda k: pd.Series([f"u{i}" for i in k], dtype="string"),
    "numbers as text": lambda k: [str(i) for i in k],
    "spellings": lambda k: [["Ann", "ann", "ANN ", "ａｎｎ", "bo"][i] for i in k],
    "category": lambda k: pd.Series([f"u{i}" for i in k]).astype("category"),
    "Int64": lambda k: pd.Series([None if i == 0 else i for i in k], dtype="Int64"),
    "arrow": lambda k: pd.Series(k, dtype="int64[pyarrow]"),
    "truth values": lambda k: k > 2,
    "mixed": lambda k: [[1, "1", 1.5, None, (1, 2)][i] for i in k],
    "tuples": lambda k: [(i, 1) for i in k.tolist()],
    "lists": lambda k: [[i] for i in k.tolist()],
    "dicts": lambda k: [{"a": i} for i in k.tolist()],
    "None": lambda k: [None] * len(k),
    "Decimal": lambda k: [Decimal(i) for i in k.tolist()],
    "complex": lambda k: k + 1j,
    "times": lambda k: pd.to_datetime(k, unit="D"),
    "bytes": lambda k: [b"u%d" % i for i in k.tolist()],
    "NUL": lambda k: [f"u\0{i}" for i in k],
    "HTML": lambda k: [f"<img src=x onerror=alert({i})>" for i in k],
    "empty text": lambda k: ["" if i == 0 else f"u{i}" for i in k],
    "long": lambda k: ["x" * 5000 + str(i) for i in k],
}
_START = pd.Timestamp("2023-01-01")


def _stamps(k):
    return _START + pd.to_timedelta(k, unit="s")


TIMES = {
    "datetimes": _stamps,
    "zoned": lambda k: _stamps(k).tz_localize("UTC"),
    "ISO": lambda k: [str(t) for t in _stamps(k)],
    "zones here and there": lambda k: [
        t.isoformat() + "Z" * (i % 2) for i, t in enumerate(_stamps(k))
    ],
    "counts": lambda k: k,
    "negative": lambda k: -k,
    "seconds": lambda k: 1_672_531_200 + k,
    "milliseconds": lambda k: (1_672_531_200 + k) * 1000,
    "floats, NaN": lambda k: np.where(k % 5 == 0, np.nan, k),
    "floats, infinite": lambda k: np.where(k % 5 == 0, np.inf, k),
    "1e303": lambda k: k * 1e303,
    "uint64": lambda k: np.full(len(k), 2**64 - 1, np.uint64),
    "beyond 2**62": lambda k: k + 2**62,
    "dates": lambda k: [t.date() for t in _stamps(k)],
    "days as numbers": lambda k: [int(t.strftime("%Y%m%d")) for t in _stamps(k)],
    "US dates": lambda k: [t.strftime("%m/%d/%Y") for t in _stamps(k * 100)],
    "two days": lambda k: [date(2023, 1, 1 + i % 2).strftime("%d/%m/%Y") for i in k],
    "junk": lambda k: [["yesterday", "2023-13-45", "", None, "now"][i % 5] for i in k],
    "NaT": lambda k: [pd.NaT] * len(k),
    "truth values": lambda k: k % 2 == 0,
    "durations": lambda k: pd.to_timedelta(k, unit="s"),
    "periods": lambda k: pd.period_range("2020", periods=len(k), freq="D"),
    "arrow": lambda k: pd.Series(_stamps(k), dtype="timestamp[ns][pyarrow]"),
    "Int64": lambda k: pd.Series(k, dtype="Int64"),
    "category": lambda k: pd.Series(_stamps(k)).astype("category"),
    "Decimal": lambda k: [Decimal(i) for i in k.tolist()],
    "complex": lambda k: k + 1j,
    "year 99999": lambda k: ["99999-01-01"] * len(k),
    "the first": lambda k: [pd.Timestamp.min] * len(k),
    "mixed": lambda k: [[1, "2023-01-01", _START, None][i % 4] for i in k],
    "long": lambda k: ["2" * 3000] * len(k),
    "spaces": lambda k: [f"2023-01-01T00:00{' ' * 2000}Z"] * len(k),
}


def a_log(rng, good=0.5):
    """A table of events, its columns as they should be or of any kind; and its name."""
    n = int(rng.integers(0, 40))
    user, make_user = ("int", IDS["int"]) if rng.random() < good else a_form(rng, IDS)
    item, make_item = ("text", IDS["text"]) if rng.random() < good else a_form(rng, IDS)
    time, make_time = "datetimes", _stamps
    if rng.random() >= good:
        time, make_time = a_form(rng, TIMES)
    log = pd.DataFrame(
        {
            "user": pd.Series(make_user(rng.integers(0, 5, n))),
            "item": pd.Series(make_item(rng.integers(0, 5, n))),
            "time": pd.Series(make_time(rng.integers(0, 100_000, n))),
            "event": rng.choice(["view", "buy", "click"], n),
            "value": rng.normal(size=n),
        }
    )
    return log, f"user {user}, item {item}, time {time}, {n} rows"


_RULES = ["id_spelling", "missing", "impossible_times", "impossible_values",
          "exact_duplicates", "near_duplicates", "bots", "bursts"]  # fmt: skip
_OPTIONS = ["n_mads", "near_window", "burst_window", "time_range", "ranges", "required",
            "timezone", "unit"]  # fmt: skip


def _clean(fuzzer):
    rng = fuzzer.rng
    log, name = a_log(rng)
    options = {}
    if rng.random() < 0.4:
        choices = ["drop", "flag", "off", "fix", "x"]
        options[str(rng.choice(_RULES))] = str(rng.choice(choices))
    if rng.random() < 0.2:
        values = [a_scalar(rng), {"value": (0, 1)}, {"value": (1,)}, ("2020", "now"),
                  (None, None), "UTC", "Mars/X", ["a"], "1h",
                  {"value": ("a", "b")}]  # fmt: skip
        options[str(rng.choice(_OPTIONS))] = values[rng.integers(len(values))]

    def check(result):
        clean, report = result
        if report.n_before != len(log) or report.n_after != len(clean):
            return "the report of clean_log does not add up"
        if report.rules["removed"].sum() != len(log) - len(clean):
            return "the rules of clean_log do not add up"
        if "<img src" in report._repr_html_():
            return "an id is not escaped in HTML"
        if options.get("missing", "drop") == "drop":
            ids = clean[["user", "item"]]
            if options.get("id_spelling") is None and ids.isna().any(axis=None):
                return "clean_log left a missing id"
        if not clean["time"].dropna().is_monotonic_increasing:
            return "clean_log did not sort by time"

    roles = dict(user="user", item="item", time="time", event="event")
    fuzzer.call(
        f"clean_log({name}, {options})",
        lambda: interactions.clean_log(log, **roles, **options),
        check,
        nan_ok=True,
        unchanged=[log],
    )


def _examples(fuzzer):
    rng = fuzzer.rng
    events, name = a_log(rng, good=0.7)
    shown, other = a_log(rng, good=0.7)
    windows = ["1D", 5, "1h", -1, 0, None, np.nan, "x", np.inf, pd.Timedelta("1h")]
    options = {"window": windows[rng.integers(len(windows))]}
    if rng.random() < 0.5:
        options["impressions"] = shown[["user", "item", "time"]].assign(
            shown=rng.integers(0, 2, len(shown))
        )
        options["treatment"] = [None, "shown"][rng.integers(2)]
    else:
        options["exposure"] = "view"
    if rng.random() < 0.3:
        options["aggregate"] = str(rng.choice(["any", "count", "sum", "first"]))
        options["value"] = "value"
    if rng.random() < 0.3:
        options["features"] = {"past": interactions.PastAggregates(by="user")}
    if rng.random() < 0.2:
        options["n_unexposed"] = a_scalar(rng)
    if rng.random() < 0.2:
        options["negative_fraction"] = a_scalar(rng)
    told = {key: value for key, value in options.items() if key != "impressions"}
    fuzzer.call(
        f"build_examples({name}; {other}; {told})",
        lambda: interactions.build_examples(
            events, user="user", item="item", time="time", event="event",
            outcome="buy", random_state=0, **options
        ),
        lambda made: None if "outcome" in made else "no outcome",
        nan_ok=True,
        unchanged=[events],
    )  # fmt: skip


def _transform(fuzzer):
    rng = fuzzer.rng
    log, name = a_log(rng, good=0.6)
    by = str(rng.choice(["user", "item", "pair"]))
    calls = {
        "PastAggregates": (lambda: interactions.PastAggregates(by=by), list(log)),
        "HistorySequence": (interactions.HistorySequence, list(log)),
        "TextBag": (interactions.TextBag, ["item"]),
        "CalendarFeatures": (interactions.CalendarFeatures, ["time"]),
        "DenseVectors": (interactions.DenseVectors, ["item"]),
        "make_preprocessor": (
            lambda: interactions.make_preprocessor(log, user="user", item="item"),
            list(log),
        ),
    }
    kind = str(rng.choice(sorted(calls)))
    make, columns = calls[kind]

    def call():
        made = make().fit(log[columns])
        return made.transform(log[columns])

    fuzzer.call(f"{kind}({name})", call, nan_ok=True, unchanged=[log])


def _split(fuzzer):
    rng = fuzzer.rng
    log, name = a_log(rng)
    kind = str(rng.choice(["TimeSplit", "LastOutSplit", "ColdUserSplit",
                           "ColdItemSplit"]))  # fmt: skip
    splitter = getattr(interactions, kind)
    known = sorted(signature(splitter).parameters)
    options = {role: role for role in ("user", "item", "time") if role in known}
    if "random_state" in known:  # None stands for numpy's own generator
        options["random_state"] = 0
    if rng.random() < 0.4:
        options[str(rng.choice(known))] = a_scalar(rng)

    def apart(splits):
        if any(np.intersect1d(train, test).size for train, test in splits):
            return f"{kind}: train and test overlap"

    fuzzer.call(
        f"{kind}({name}, {options})",
        lambda: list(splitter(**options).split(log)),
        apart,
        unchanged=[log],
    )


def _lists(fuzzer):
    rng = fuzzer.rng
    users, items, k = rng.integers(1, 4), rng.integers(1, 4), int(rng.integers(1, 4))
    frame = pd.DataFrame(list(product(range(users), range(items))))
    frame.columns = ["user", "item"]
    frame["score"] = rng.normal(size=len(frame)).round(2)
    most, limit = int(rng.integers(1, 3)), float(rng.integers(0, 6))
    genre = {item: "ab"[item % 2] for item in range(items)}
    cost = {item: item + 1.0 for item in range(items)}
    rules = {
        "cap": PopularityCap(most),
        "quota": CategoryQuota(genre, at_most=1),
        "budget": Budget(cost, limit),
    }
    used = [rule for rule in rules if rng.random() < 0.4]
    fill = [None, True, False][rng.integers(3)]
    fills = "budget" not in used if fill is None else fill

    def worth(lists):
        return (len(lists) if fills else 0, round(lists["score"].sum(), 6))

    def allowed(lists):
        of_user = lists.groupby("user")
        in_genre = lists.assign(genre=lists["item"].map(genre))
        counts = {
            "cap": lists.groupby("item").size().max() <= most,
            "quota": in_genre.groupby(["user", "genre"]).size().max() <= 1,
            "budget": not lists["item"].map(cost).groupby(lists["user"]).sum().max()
            > limit,
        }
        return of_user.size().max() <= k and all(counts[rule] for rule in used)

    def best():
        every = (frame[np.array(bits, bool)]
                 for bits in product([0, 1], repeat=len(frame)))  # fmt: skip
        return max(worth(s) for s in every if s.empty or allowed(s))

    def check(lists):
        if len(frame) <= 6 and worth(lists) != best():
            return f"rerank is not the best: {used}, fill={fill}"

    fuzzer.call(
        f"rerank({used}, most={most}, limit={limit}, k={k}, fill={fill}) of "
        f"{frame['score'].tolist()}",
        lambda: rerank(frame, k=k, constraints=[rules[r] for r in used], fill=fill),
        check,
    )
    odd = frame.copy()
    column = str(rng.choice(["user", "item", "score", "k", "rule"]))
    value = a_scalar(rng)
    if column in odd:
        odd[column] = pd.Series(a_form(rng, IDS)[1](rng.integers(0, 5, len(odd))))
    odd_rules = [PopularityCap(value), Budget(value, value), Budget(cost, value),
                 CategoryQuota(value, value), CategoryQuota(genre, value),
                 value]  # fmt: skip
    constraints = [odd_rules[rng.integers(len(odd_rules))]] if column == "rule" else []
    fuzzer.call(
        f"rerank(odd {column}, {value!r}, {constraints})",
        lambda: rerank(odd, k=value if column == "k" else k, constraints=constraints),
    )


def _simulate(fuzzer):
    rng = fuzzer.rng
    makers = {
        "make_exposure_log": dict(n_samples=50, n_users=10, n_items=10),
        "make_event_log": dict(n_users=20, n_items=20),
        "make_sequence_log": dict(n_users=20, n_items=20),
    }
    name = str(rng.choice(sorted(makers)))
    make, value = getattr(datasets, name), a_scalar(rng)
    argument = str(rng.choice(sorted(signature(make).parameters)))
    if argument == "random_state" and value is None:
        return
    options = {"random_state": 0, **makers[name], argument: value}
    if isinstance(value, int) and value > 1000:
        return

    def check(made):
        X, y = getattr(made, "X", None), getattr(made, "y", None)
        if X is not None and y is not None and len(X) != len(y):
            return f"{name}: X and y differ in length"
        if y is not None and not np.isfinite(y).all():
            return f"{name}: NaN in y"

    fuzzer.call(f"{name}({argument}={value!r})", lambda: make(**options), check,
                nan_ok=True)  # fmt: skip


_STEPS = [_clean, _examples, _transform, _split, _lists, _simulate]


def logs(fuzzer):
    """One step over the way from an event log to lists.

    Parameters
    ----------
    fuzzer : Fuzzer
        It makes the calls.
    """
    step = fuzzer.rng.choice(len(_STEPS), p=[0.35, 0.2, 0.15, 0.1, 0.12, 0.08])
    _STEPS[step](fuzzer)
