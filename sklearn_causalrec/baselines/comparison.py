"""Several models by their lists, on rows that were kept out, beside the baselines."""

import time as clock
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from scipy.sparse import csr_array
from sklearn.base import clone
from sklearn.utils import get_tags
from tqdm.auto import tqdm

from sklearn_causalrec._utils.typing import Frame
from sklearn_causalrec.baselines.ease import EASE
from sklearn_causalrec.baselines.popularity import Popularity
from sklearn_causalrec.effects.intervals import check_alpha, normal_interval
from sklearn_causalrec.encoding.checks import choice, column, several, whole_number
from sklearn_causalrec.encoding.frames import as_frame
from sklearn_causalrec.encoding.roles import as_ids
from sklearn_causalrec.interactions.splitters import LastOutSplit, TimeSplit
from sklearn_causalrec.metrics.lists import ACCURACY, BEYOND, ListHits
from sklearn_causalrec.ranking.recommend import recommend

SPLITS = ("user_time", "time", "last")


class _Fold(NamedTuple):
    """One split: rows to fit on, and what the lists are compared with."""

    train: np.ndarray
    users: np.ndarray  # ids of the users who have a relevant item
    user: np.ndarray  # of the relevant pairs, positions in `users`
    item: np.ndarray  # of the relevant pairs, codes
    history: csr_array  # positives of the training rows
    owner: np.ndarray  # row of the history of each of `users`


def evaluate_lists(
    models: Any,
    log: Frame,
    y: ArrayLike | str | None = None,
    *,
    relevant: ArrayLike | str | None = None,
    user: str | None = None,
    item: str | None = None,
    time: str | None = None,
    split: Any = "user_time",
    k: int | Iterable[int] = (5, 10, 20),
    metrics: Iterable[str] | Mapping[str, Callable] = (
        "recall",
        "ndcg",
        "coverage",
        "novelty",
        "diversity",
        "serendipity",
        "popularity_lift",
    ),
    by: Literal["outcome", "effect"] = "outcome",
    against: str | None = None,
    alpha: float = 0.05,
    verbose: int = 0,
) -> pd.DataFrame:
    """Compare the lists of several models on rows that were kept out of their fits.

    Every model is cloned and fitted to the training rows. Its lists hold items of the
    training rows that the user has no row of there. Popularity and EASE are always
    among the models.

    Parameters
    ----------
    models : estimator, sequence of estimators, or dict of name to estimator
        The models, fitted or not. They may be pipelines and searches. A model that is
        called "Popularity" or "EASE" stands in for the one that would be added. Pass
        ``[]`` for these two alone.
    log : pandas or polars frame of n rows
        The log, with one row for each time that a user met an item. All its columns but
        that of y go to ``fit`` of the models.
    y : array-like of shape (n,), str or None, default=None
        The outcome of each row, or the column that holds it. Rows with y > 0 are
        positives. With None, all rows are.
    relevant : array-like of bool of shape (n,), str or None, default=None
        Which rows are to be found by lists, or the column that says so: what models
        learn from may be weaker than what counts, such as all ratings against the
        best ones. With None, those with y > 0.
    user, item : str, default=None
        The columns of ids. With None, those that the models name, or "user" and "item".
    time : str, default=None
        The column of times, for the split and for EASE. With None, the one that a model
        names, or "time" if the log has it.
    split : {"user_time", "time", "last"}, splitter or pair, default="user_time"
        Which rows are kept out. "user_time" keeps out the last fifth of the rows of
        each user, "time" the last fifth of all rows, "last" the last row of each user.
        A splitter of scikit-learn or of ``interactions`` is possible, and so is a pair
        of the positions of training and test rows. Of several folds, the values of a
        user are averaged.
    k : int or sequence of int, default=(5, 10, 20)
        The lengths of the lists.
    metrics : sequence of str, or dict of name to callable, default=("recall", ...)
        What is measured. Of each user: "recall" (hits over the smaller of k and the
        number of relevant items), "ndcg", "precision", "hit_rate", "mrr", "map";
        "novelty" (in bits), "diversity" (one less the mean cosine of two items),
        "serendipity" (recall of hits that Popularity does not have) and
        "popularity_lift" (0 if lists are as popular as the user's past). Of all lists:
        "coverage". A callable takes the lists, as a
        ``sklearn_causalrec.metrics.lists.ListHits``, and k. It returns one value for
        each user, or one number.
    by : {"outcome", "effect"}, default="outcome"
        What the lists of the models are ranked by. Popularity and EASE have outcomes
        only.
    against : str, default=None
        The name of a model. The others then show their differences from it, with
        intervals of the paired differences.
    alpha : float, default=0.05
        One minus the level of the intervals, which are normal ones over users.
    verbose : int, default=0
        Whether a progress bar is shown.

    Returns
    -------
    DataFrame
        One row for each model. ``table["ndcg@10"]`` has the columns ``mean``, ``low``
        and ``high``; ``table["seconds"]`` has ``fit`` and ``lists``. Intervals are NaN
        where there is one number for all lists. ``table.attrs["n_users"]`` is the
        number of users who count.

    Raises
    ------
    ValueError
        If a column is missing, the split leaves nothing to test on, or a name is
        unknown.

    See Also
    --------
    recommend : Make the lists of one model.
    sklearn_causalrec.baselines.EASE : One of the two models that are always there.
    sklearn_causalrec.metrics.recall_at_k : The recall of scored rows.

    Notes
    -----
    A test row counts if it is relevant and the user has no row of the item in the
    training rows. Users without such a row are left out. An item that the training rows
    do not contain counts as relevant, although no list can hold it.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from sklearn_causalrec import evaluate_lists
    >>> from sklearn_causalrec.baselines import ImplicitALS
    >>> rng = np.random.default_rng(0)
    >>> log = pd.DataFrame({"user": np.repeat(np.arange(50), 12)})
    >>> log["item"] = 2 * rng.integers(0, 15, 600) + log["user"] % 2
    >>> log["time"] = np.arange(600)
    >>> log = log.drop_duplicates(["user", "item"])
    >>> model = ImplicitALS(user="user", item="item", n_factors=4, random_state=0)
    >>> table = evaluate_lists(model, log, k=5)
    >>> table["recall@5"]["mean"].idxmin()
    'Popularity'
    """
    untold = y is None
    frame, y, relevant = _log(log, y, relevant)
    models = _named(models)
    user, item, time = _columns(models, frame, user, item, time)
    lengths = sorted({whole_number(n, "k") for n in np.atleast_1d(list(_many(k)))})
    if not lengths:
        raise ValueError(f"k={k!r} has no length of a list: pass one, such as 10.")
    metrics = _metrics(metrics)
    check_alpha(alpha)
    choice(by, "by", {"outcome", "effect"})
    models = _with_baselines(models, user, item, time)
    if against is not None:
        choice(against, "against", set(models))
    frame = frame.reset_index(drop=True)
    ids = [as_ids(frame[name].to_numpy(), name) for name in (user, item)]
    item_code, items = pd.factorize(ids[1])
    folds = [
        _fold(ids[0], item_code, len(items), y, relevant, *rows)
        for rows in _splits(split, frame, y, user, time)
    ]
    steps = tqdm(total=len(folds) * len(models), unit="fit", disable=not verbose)
    found = {name: [] for name in models}
    seconds = {name: np.zeros(2) for name in models}
    for fold in folds:
        popular = None
        for name, (model, names, score) in models.items():
            steps.set_description(name)
            began = clock.perf_counter()
            X = frame if names is None else frame[names]
            # Without y, a model that can do without hears of none.
            silent = untold and not get_tags(_last(model)).target_tags.required
            given = None if silent else y[fold.train]
            fitted = clone(model).fit(X.iloc[fold.train], given)
            ready = clock.perf_counter()
            seen = frame[[user, item]].iloc[fold.train]
            lists = _lists(
                fitted, fold, seen, items, lengths[-1], by if score is None else score
            )
            popular = lists if popular is None else popular
            seconds[name] += (ready - began, clock.perf_counter() - ready)
            hits = ListHits(
                lists,
                fold.user,
                fold.item,
                history=fold.history,
                owner=fold.owner,
                popular=popular,
            )
            found[name].append(_measure(hits, metrics, lengths, fold.users))
            steps.update()
    steps.close()
    return _table(found, seconds, against, alpha)


# -- what the call asks for --------------------------------------------------------


def _many(value):
    return value if np.iterable(value) else [value]


def _log(log, *given):
    """The columns of the log that are neither y nor relevant, and these two."""
    frame = as_frame(log, "log")
    found, named = [], []
    for name, values in zip(("y", "relevant"), given):
        if isinstance(values, str):
            if values not in frame.columns:
                raise ValueError(
                    f"{name}={values!r} is not a column of log, whose columns are "
                    f"{list(frame.columns)}."
                )
            named.append(values)
            values = frame[values]
        if values is None:
            values = found[0] > 0 if found else np.ones(len(frame))
        found.append(column(values, name, len(frame)))
    return frame.drop(columns=named), found[0], found[1] > 0


def _named(models):
    if isinstance(models, Mapping):
        return dict(models)
    found = {}
    for model in models if isinstance(models, list | tuple) else [models]:
        name = first = type(_last(model)).__name__
        number = 2
        while name in found:
            name, number = f"{first} {number}", number + 1
        found[name] = model
    return found


def _last(model):
    """The estimator at the end of a pipeline or search, fitted or not."""
    while True:
        if hasattr(model, "steps"):
            model = model.steps[-1][1]
        elif hasattr(model, "estimator") and hasattr(model, "cv"):
            model = model.estimator
        else:
            return model


def _columns(models, frame, *given):
    found = []
    for role, name in zip(("user", "item", "time"), given):
        told = [getattr(_last(model), role, None) for model in models.values()]
        told = [one for one in told if isinstance(one, str) and one in frame.columns]
        default = role if role in frame.columns else None
        name = name if name is not None else (told[0] if told else default)
        if name is None and role != "time":
            raise ValueError(
                f"Which column of log holds the {role}s? Name it, {role}=…, among "
                f"{list(frame.columns)}."
            )
        if name is not None and (
            not isinstance(name, Hashable) or name not in frame.columns
        ):
            raise ValueError(
                f"{role}={name!r} is not a column of log, whose columns are "
                f"{list(frame.columns)}."
            )
        found.append(name)
    return found


def _metrics(metrics):
    if isinstance(metrics, Mapping):
        return dict(metrics)
    known = ACCURACY | BEYOND
    return {
        name: known[choice(name, "metrics", set(known))]
        for name in _many_names(metrics)
    }


def _many_names(names):
    return [names] if isinstance(names, str) else several(names, "metrics", '["ndcg"]')


def _with_baselines(models, user, item, time):
    """Models by name; with the columns that a baseline gets, and what it ranks by."""
    columns = [user, item] if time is None else [user, item, time]
    ours = {
        "Popularity": (Popularity(user=user, item=item), [user, item], "outcome"),
        "EASE": (EASE(user=user, item=item, time=time), columns, "outcome"),
    }
    given = {name: (model, None, None) for name, model in models.items()}
    popular = given.pop("Popularity", ours.pop("Popularity"))
    return {"Popularity": popular, **ours, **given}


def _splits(split, frame, y, user, time):
    if isinstance(split, tuple) and len(split) == 2:
        return [tuple(np.asarray(rows) for rows in split)]
    if isinstance(split, str):
        choice(split, "split", set(SPLITS))
        if time is None:
            raise ValueError(
                f"split={split!r} needs the column of times: name it, time=…, or pass "
                "a splitter that needs none, such as sklearn's ShuffleSplit."
            )
        split = {
            "user_time": LastOutSplit(user, time, n_last=0.2),
            "time": TimeSplit(time, test_size=0.2),
            "last": LastOutSplit(user, time),
        }[split]
    if isinstance(split, bytes) or not hasattr(split, "split"):
        raise TypeError(
            f"split is {split!r}: one of {SPLITS}, a splitter, or a pair of positions "
            "is needed."
        )
    return list(split.split(frame, y))


def _fold(users, item, n_items, y, relevant, train, test):
    """What a split leaves to fit on and to compare with."""
    user, known = pd.factorize(users[np.concatenate([train, test])])
    user_of = {"train": user[: len(train)], "test": user[len(train) :]}
    seen = np.unique(user_of["train"].astype(np.int64) * n_items + item[train])
    cell = user_of["test"].astype(np.int64) * n_items + item[test]
    wanted = np.unique(cell[relevant[test] & ~np.isin(cell, seen)])
    if len(wanted) == 0:
        raise ValueError(
            "No user has a positive among the test rows that is new to them: nothing "
            "to test on. Change split=, or look at y."
        )
    code, relevant_item = np.divmod(wanted, n_items)
    codes, position = np.unique(code, return_inverse=True)
    chosen = y[train] > 0
    pairs = np.unique(
        user_of["train"][chosen].astype(np.int64) * n_items + item[train][chosen]
    )
    shape = (len(known), n_items)
    history = csr_array((np.ones(len(pairs)), np.divmod(pairs, n_items)), shape=shape)
    return _Fold(
        train, np.asarray(known)[codes], position, relevant_item, history, codes
    )


# -- lists and what they are worth -------------------------------------------------


def _lists(fitted, fold, seen, items, k, by):
    """The lists of a fitted model as codes, -1 where a list is shorter."""
    top = recommend(fitted, fold.users, k=k, by=by, exclude=seen, exclude_seen=False)
    out = np.full((len(fold.users), k), -1)
    user = pd.Index(fold.users).get_indexer(pd.Index(top.iloc[:, 0]))
    out[user, top["rank"] - 1] = pd.Index(items).get_indexer(pd.Index(top.iloc[:, 1]))
    return out


def _measure(hits, metrics, lengths, users):
    """Values by metric: a Series over users, or a number."""
    found = {}
    for name, metric in metrics.items():
        for k in lengths:
            value = metric(hits, k)
            if np.ndim(value):
                value = pd.Series(np.asarray(value, float), index=users)
            found[f"{name}@{k}"] = value
    return found


def _table(found, seconds, against, alpha):
    merged = {}
    for name, folds in found.items():
        merged[name] = {
            metric: _over_folds([fold[metric] for fold in folds]) for metric in folds[0]
        }
    rows, n_users = {}, 0
    for name, values in merged.items():
        row = {}
        for metric, value in values.items():
            if against not in (None, name):
                value = value - merged[against][metric]
            if np.ndim(value) == 0:
                row[metric, "mean"], row[metric, "low"] = float(value), np.nan
                row[metric, "high"] = np.nan
                continue
            n_users = max(n_users, len(value))
            value = value.dropna()
            mean, n = value.mean(), max(len(value), 1)
            bounds = normal_interval(mean, value.std() / np.sqrt(n), alpha)
            row[metric, "mean"] = mean
            row[metric, "low"], row[metric, "high"] = bounds
        row["seconds", "fit"], row["seconds", "lists"] = seconds[name]
        rows[name] = row
    table = pd.DataFrame.from_dict(rows, orient="index")
    table.columns = pd.MultiIndex.from_tuples(table.columns)
    table.index.name = "model"
    table.attrs["n_users"] = n_users
    return table


def _over_folds(values):
    if np.ndim(values[0]) == 0:
        return float(np.mean(values))
    whole = pd.concat(values)
    return whole if len(values) == 1 else whole.groupby(level=0).mean()
