"""build_examples: from a stream of events to one row a decision."""

from copy import copy
from numbers import Integral, Real

import numpy as np
import pandas as pd
from sklearn.utils import check_random_state, check_scalar

from sklearn_causalrec.encoding.control import control_of
from sklearn_causalrec.encoding.time_formats import is_number, shown
from sklearn_causalrec.encoding.time_reader import TimeReader
from sklearn_causalrec.encoding.times import (
    as_frame,
    as_window,
    check_columns,
    plain_ids,
    same_clock,
)
from sklearn_causalrec.interactions.leaks import evaluate_feature, refuse_leaks
from sklearn_causalrec.interactions.point_in_time import (
    catalogue_of,
    check_ids,
    join_table,
    outcomes_within,
    plain_numbers,
    read_table,
    refuse_strangers,
    sample_unexposed,
)

_AGGREGATES = ("any", "count", "sum", "first")
_MADE = ("treatment", "outcome", "propensity", "sample_weight")


def _table(frame, name, keys):
    """A frame with its ids checked."""
    if len(frame) == 0:
        raise ValueError(f"{name} is empty.")
    try:
        check_columns(frame, **keys)
        check_ids(frame, [keys["user"], keys["item"]])
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None
    for key in (keys["user"], keys["item"]):
        missing = frame[key].isna().to_numpy()
        if missing.any():
            raise ValueError(
                f"{name}: {key!r} is missing in row {int(missing.argmax())}. Clean the "
                "log first (clean_log), or drop such rows."
            )
    return plain_ids(frame, [keys["user"], keys["item"]])


def _read_times(frames, time, until, timezone, unit):
    """The frames with their times read, on one clock.

    Returns
    -------
    frames : dict of str to DataFrame
    until : scalar or None
        The end of the log, read as well.
    counts : str or None
        What numeric times count since 1970, where that is known.
    """
    columns = {name: f[time] for name, f in frames.items() if time in f}
    how = dict(timezone=timezone, unit=unit)
    readers = {
        name: TimeReader(f"{name}' {time}", **how).look(values)
        for name, values in columns.items()
    }
    if until is not None and is_number(until):  # in the units of the events' times
        same_clock(readers, timezone)
        readers["until"] = copy(readers["events"])
        readers["until"].name = "until"
    elif until is not None:
        readers["until"] = TimeReader("until", **how).look([until])
    same_clock(readers, timezone)
    if until is not None:
        columns["until"] = pd.Series([until])
    times = {name: readers[name].read(values) for name, values in columns.items()}
    if len({t.dtype for t in times.values()}) > 1:  # whole numbers and others
        times = {name: t.astype("float64") for name, t in times.items()}
    until = times.pop("until").iloc[0] if until is not None else None
    read = {name: frames[name].assign(**{time: t}) for name, t in times.items()}
    return {**frames, **read}, until, readers["events"].counts


def _not_shown(treatment, control, needed):
    """The value of the treatment that means "not shown"; None where nothing asks.

    Numbers and truth values say so by 0, other values as control arms do.
    """
    dtype = treatment.dtype
    if control is None and not needed:
        return None
    if control is None and isinstance(dtype, pd.CategoricalDtype) and dtype.ordered:
        return dtype.categories[0]
    found = treatment.drop_duplicates().tolist()
    if all(is_number(arm) or isinstance(arm, bool) for arm in found):
        if control is None and 0 not in found and len(found) > 1:
            raise ValueError(
                f"The treatment holds {shown(sorted(found))}: which of them means not "
                "shown? Name it, control=; control=0 where none does."
            )
        if control is None or (is_number(control) and control == 0):
            return 0
    return control_of(treatment, control)


def _decisions(
    events, impressions, event, exposure, value, treatment, propensity, control, sample
):
    """The decisions with `treatment` and `propensity`, and what means not shown."""
    if impressions is None:
        if event is None or exposure is None:
            raise ValueError(
                "Without impressions, event= names the column and exposure= the value "
                "of the events that are showings."
            )
        decisions = events[events[event].isin(_as_list(exposure))].copy()
        if decisions.empty:
            raise ValueError(f"No event is an exposure={exposure!r}.")
        # The value of a showing, watch time for one, is what came of it.
        decisions = decisions.drop(columns=[event] + ([value] if value else []))
    else:
        decisions = impressions.copy()
    for role, name in (("treatment", treatment), ("propensity", propensity)):
        if name is None:
            continue
        check_columns(decisions, **{role: name})
        values = decisions.pop(name)
        missing = values.isna().to_numpy()
        if role == "treatment" and missing.any():
            raise ValueError(
                f"{name!r} is missing in row {int(missing.argmax())} of the decisions: "
                "drop such rows."
            )
        if role == "propensity":
            values = plain_numbers(values, f"The propensity {name!r}")
        decisions[role] = values
    if treatment is None:
        if "treatment" in decisions:
            raise ValueError('Name the column: treatment="treatment".')
        decisions["treatment"] = 1
    decisions = decisions.reset_index(drop=True)
    return decisions, _not_shown(decisions["treatment"], control, sample)


def _check_decisions(decisions, events, keys, time):
    """Refuse decisions that never meet the events, or are there twice."""
    for key in keys:
        refuse_strangers(key, decisions[key], "decisions", events[key], "events")
    twice = decisions.duplicated([*keys, time])
    if twice.any():
        row = decisions.loc[twice, [*keys, time]].iloc[0].to_dict()
        raise ValueError(
            f"{int(twice.sum())} decisions are there twice, the first {row}: one row a "
            "decision. Clean the log first (clean_log)."
        )
    if taken := {"outcome", "sample_weight"} & set(decisions.columns):
        raise ValueError(f"The decisions have a column {taken.pop()!r}: rename it.")


def _thin(followed, over, fraction, rng):
    """Which rows to keep, and by how much their weights rise."""
    negative = over & (np.nan_to_num(followed) == 0)
    left_out = negative & (rng.uniform(size=len(over)) >= fraction)
    return ~left_out, np.where(negative, 1 / fraction, 1.0)


def _as_list(values):
    return list(values) if isinstance(values, (list, tuple, set)) else [values]


def build_examples(
    events,
    impressions=None,
    *,
    user,
    item,
    time,
    event=None,
    outcome=None,
    window,
    exposure=None,
    treatment=None,
    control=None,
    propensity=None,
    value=None,
    aggregate="any",
    users=None,
    items=None,
    features=None,
    n_unexposed=0,
    negative_fraction=1.0,
    incomplete="drop",
    until=None,
    timezone=None,
    unit=None,
    leak_checks=8,
    random_state=None,
):
    """Turn a stream of events into one row a decision, for ``fit``.

    A decision is a row of `impressions`, or, without them, an event that is a showing.
    What is known at a decision is what happened strictly before it; its outcome is what
    happened to the same user and item from then on, within the window.

    Parameters
    ----------
    events : pandas or polars DataFrame
        One event a row, in any order, clean (see :func:`clean_log`).
    impressions : pandas or polars DataFrame, optional
        One decision a row. Columns other than those named here are kept as features.
    user, item, time : str
        Columns, the same in all tables.
    event : str, optional
        Column of `events`: the kind.
    outcome : str or list of str, optional
        The kinds of event that count as the outcome; all by default, which needs
        impressions.
    window : str or number
        How long after the decision an event counts: ``"7D"``, or a number in the units
        of numeric times.
    exposure : str or list of str, optional
        Without impressions: the kinds of event that are showings. Their columns are
        kept but for `event` and `value`; drop others that say what came of it.
    treatment, propensity : str, optional
        Columns of the decisions: what was done (0: not shown), and the probability of
        that. Without `treatment`, every decision is a showing.
    control : scalar, optional
        The value of the treatment that means "not shown", for `n_unexposed`. By
        default 0 or False, the first category of an ordered Categorical, or the one
        text that is control, placebo, none, no or off, however it is capitalised.
    value : str, optional
        Column of `events`, for "sum" and "first".
    aggregate : {"any", "count", "sum", "first"}, default="any"
        The outcome: whether there was an event, how many, the sum of their values (0
        without any), or the first one's value (NaN without any).
    users, items : pandas or polars DataFrame, optional
        Tables of features, joined by id. With a column `time` they say what became
        known when, and the last row strictly before the decision counts.
    features : dict of str to callable or transformer, optional
        Further features. A callable gets ``(decisions, events)``, frames sorted by
        time, the decisions without outcomes, and returns an array or frame of a row a
        decision; a transformer (:class:`PastAggregates`) is fitted on the events.
        Results are columns ``<name>``, or ``<name>_<column>`` where there are several.
    n_unexposed : int, default=0
        At each moment of a showing, so many items are drawn from the catalogue
        (`items`, else those decided about) as not shown; those shown to the user within
        a window of the moment are dropped. Their ``sample_weight``, items over draws,
        makes them stand for all the items not shown then. The decision's own columns
        are missing in such rows.
    negative_fraction : float in (0, 1], default=1.0
        Share of the rows of outcome 0 (or NaN) to keep, at random; their weight rises
        by its inverse.
    incomplete : {"drop", "keep"}, default="drop"
        What to do with decisions whose window is not over when the log ends. If kept,
        their outcome is NaN.
    until : datetime or number, optional
        The end of the log; by default the last time in it.
    timezone : str, optional
        The zone of times without one.
    unit : {"D", "h", "min", "s", "ms", "us", "ns"}, optional
        What numeric times count since 1970: they are then read as datetimes.
    leak_checks : int, default=8
        Each feature is computed again so many times from the events before some
        decision only, and must not change for the decisions up to then.
    random_state : int, RandomState instance or None, default=None

    Returns
    -------
    DataFrame
        A row a decision, sorted by time: ids, time, the decision's own columns,
        ``treatment``, ``outcome``, ``propensity`` (where logged, NaN for sampled rows)
        and ``sample_weight``, then columns of `users`, `items` and `features`.
        ``attrs["rows"]`` counts decisions, those incomplete, those sampled, and
        negatives left out; ``attrs["made"]`` names the columns made here, which are no
        features.

    Raises
    ------
    ValueError
        If a feature looks past the decision, keys are duplicated, ids or times are
        missing or not comparable, the treatment does not say what means "not shown"
        and `n_unexposed` asks, or a column or option is unknown.

    Notes
    -----
    The decisions' own columns, and tables without times, are taken to be known at the
    decision: nothing in the data can tell. Unexposed rows are pairs without a showing
    from a window before to a window after, so that no showing is in their outcome.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_causalrec.interactions import PastAggregates, build_examples
    >>> shown = pd.DataFrame({"user": ["a", "a", "b"], "item": ["x", "y", "x"],
    ...                       "time": [1, 5, 6], "shown": [1, 0, 1]})
    >>> events = pd.DataFrame({"user": ["a", "a", "b"], "item": ["x", "y", "x"],
    ...                        "time": [2, 9, 20], "event": "purchase"})
    >>> examples = build_examples(
    ...     events, shown, user="user", item="item", time="time", event="event",
    ...     outcome="purchase", window=3, treatment="shown",
    ...     features={"past": PastAggregates(by="user")},
    ... )
    >>> examples[["user", "treatment", "outcome", "past_user_past_count"]]
      user  treatment  outcome  past_user_past_count
    0    a          1      1.0                   0.0
    1    a          0      0.0                   1.0
    2    b          1      0.0                   0.0
    """
    if aggregate not in _AGGREGATES:
        raise ValueError(f"aggregate must be one of {_AGGREGATES}, got {aggregate!r}.")
    if incomplete not in ("drop", "keep"):
        raise ValueError(f'incomplete must be "drop" or "keep", got {incomplete!r}.')
    if aggregate in ("sum", "first") and value is None:
        raise ValueError(f"aggregate={aggregate!r} needs value=, a column of events.")
    if outcome is not None and event is None:
        raise ValueError("outcome= are values of event=: name its column.")
    if impressions is None and outcome is None:
        raise ValueError(
            "Without impressions, outcome= names the events that count: the showings "
            "themselves are events too."
        )
    check_scalar(n_unexposed, "n_unexposed", Integral, min_val=0)
    check_scalar(leak_checks, "leak_checks", Integral, min_val=0)
    check_scalar(
        negative_fraction, "negative_fraction", Real, min_val=0, max_val=1,
        include_boundaries="right",
    )  # fmt: skip
    rng = check_random_state(random_state)
    ids = {"user": user, "item": item}
    tables = {"events": events, "impressions": impressions}
    tables |= {"users": users, "items": items}
    frames = {k: as_frame(t, k) for k, t in tables.items() if t is not None}
    for name in ("events", "impressions"):
        if name in frames:
            frames[name] = _table(frames[name], name, {**ids, "time": time})
    check_columns(frames["events"], event=event, value=value)
    frames, until, counts = _read_times(frames, time, until, timezone, unit)
    wanted = frames["events"]
    if aggregate in ("sum", "first"):
        numbers = plain_numbers(wanted[value], f"events' {value}")
        wanted = wanted.assign(**{value: numbers})
    wanted = wanted.sort_values(time, kind="stable", ignore_index=True)
    for name in ("events", "impressions"):
        if name in frames:
            frames[name] = frames[name].sort_values(
                time, kind="stable", ignore_index=True
            )
    events, impressions = frames["events"], frames.get("impressions")
    length = as_window(window, events[time], unit=counts)
    decisions, off = _decisions(
        events, impressions, event, exposure, value, treatment, propensity, control,
        n_unexposed > 0,
    )  # fmt: skip
    keys = [user, item]
    _check_decisions(decisions, events, keys, time)
    for name, key in (("users", user), ("items", item)):
        if name in frames:
            frames[name] = read_table(frames[name], name, key, decisions)
    users, items = frames.get("users"), frames.get("items")
    decisions["sample_weight"] = 1.0
    rows = {"decisions": len(decisions)}

    if n_unexposed:
        catalogue = catalogue_of(
            decisions[[item]] if items is None else items, item, time
        )
        treatments = decisions["treatment"]
        dtype = treatments.dtype
        if isinstance(dtype, pd.CategoricalDtype) and off not in dtype.categories:
            treatments = treatments.astype(dtype.categories.dtype)
            decisions["treatment"] = treatments
        showings = (treatments != off).to_numpy()
        sampled = sample_unexposed(
            decisions, showings, catalogue, n_unexposed, user, item, time, length, rng
        )
        sampled["treatment"] = pd.Series(
            [off] * len(sampled), dtype=treatments.dtype, index=sampled.index
        )
        decisions = pd.concat([decisions, sampled], ignore_index=True)
        decisions = decisions.sort_values(time, kind="stable", ignore_index=True)
        rows["sampled"] = len(sampled)

    if outcome is not None:
        wanted = wanted[wanted[event].isin(_as_list(outcome))]
        if wanted.empty:
            raise ValueError(f"No event is an outcome={outcome!r}.")
    followed = outcomes_within(
        decisions, wanted, keys, time, length, aggregate, value
    )  # fmt: skip
    end = max(events[time].max(), decisions[time].max()) if until is None else until
    over = (decisions[time] + length <= end).to_numpy()
    followed[~over] = np.nan
    rows["incomplete"] = int((~over).sum())

    keep = over | (incomplete == "keep")
    if negative_fraction < 1:
        thinned, factor = _thin(followed, over, negative_fraction, rng)
        decisions["sample_weight"] *= factor
        rows["negatives_left_out"] = int((keep & ~thinned).sum())
        keep &= thinned
    decisions = decisions[keep].reset_index(drop=True)
    followed = followed[keep]
    positive = np.nan_to_num(followed) != 0

    for name, table, key in (("users", users, user), ("items", items, item)):
        if table is not None:
            decisions = join_table(decisions, table, key, time, name)
    context = decisions.drop(columns=["sample_weight", "propensity"], errors="ignore")
    added = []
    for name, feature in (features or {}).items():
        result = evaluate_feature(name, feature, context, events)
        refuse_leaks(
            name, feature, result, context, events, time, user, positive,
            leak_checks, rng,
        )  # fmt: skip
        added.append(result)
    decisions["outcome"] = followed
    columns = [c for c in decisions.columns if c not in _MADE]
    columns += [c for c in _MADE if c in decisions.columns]
    examples = pd.concat([decisions[columns], *added], axis=1)
    if not examples.columns.is_unique:
        clash = examples.columns[examples.columns.duplicated()][0]
        raise ValueError(f"Two columns would be called {clash!r}: rename one.")
    examples.attrs["rows"] = {**rows, "examples": len(examples)}
    examples.attrs["made"] = [c for c in _MADE if c in decisions.columns]
    return examples
