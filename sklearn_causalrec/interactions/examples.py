"""From a stream of events to one row per decision."""

from collections.abc import Mapping, Sequence
from copy import copy
from numbers import Integral, Real
from typing import Any, Literal

import numpy as np
import pandas as pd
from sklearn.utils import check_random_state, check_scalar

from sklearn_causalrec._utils.typing import Frame, Seed
from sklearn_causalrec._utils.warn import warn_user
from sklearn_causalrec.encoding.control import control_of
from sklearn_causalrec.encoding.frames import as_frame, check_columns, plain_ids
from sklearn_causalrec.encoding.time_formats import is_number, shown
from sklearn_causalrec.encoding.time_reader import TimeReader
from sklearn_causalrec.encoding.times import as_window, same_clock
from sklearn_causalrec.interactions.leaks import evaluate_feature, refuse_leaks
from sklearn_causalrec.interactions.point_in_time import (
    Pairs,
    by_time,
    catalogue_of,
    check_ids,
    join_table,
    occur_twice,
    outcomes_within,
    plain_numbers,
    read_table,
    refuse_strangers,
    sample_unexposed,
)

_AGGREGATES = ("any", "count", "sum", "first")
_MADE = ("treatment", "outcome", "propensity", "sample_weight")


def _table(frame, name, keys):
    """Check the ids of a frame and bring them to one type."""
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
    events, impressions, event, exposure, value, treatment, propensity, weight, control,
    sample,
):  # fmt: skip
    """Return the decisions, and the treatment that means not shown."""
    if impressions is None:
        if event is None or exposure is None:
            raise ValueError(
                "Without impressions, event= names the column and exposure= the value "
                "of the events that are showings."
            )
        decisions = events[events[event].isin(_as_list(exposure))].copy()
        if decisions.empty:
            raise ValueError(f"No event is an exposure={exposure!r}.")
        # The value of an exposure, such as its watch time, is what came of it.
        decisions = decisions.drop(columns=[event] + ([value] if value else []))
    else:
        decisions = impressions.copy(deep=False)
    named = dict(treatment=treatment, propensity=propensity, sample_weight=weight)
    for role, name in named.items():
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
        if role == "sample_weight":
            values = plain_numbers(values, f"The sample_weight {name!r}")
            wrong = ~(np.isfinite(values) & (values >= 0))
            if wrong.any():
                row = int(wrong.argmax())
                raise ValueError(
                    f"The sample_weight {name!r} is {values[row]} in row {row} of the "
                    "decisions: a finite number, 0 or more, says how many pairs a "
                    "decision stands for."
                )
        decisions[role] = values
    if treatment is None:
        if "treatment" in decisions:
            raise ValueError('Name the column: treatment="treatment".')
        decisions["treatment"] = 1
    decisions = decisions.reset_index(drop=True)
    return decisions, _not_shown(decisions["treatment"], control, sample)


def _check_decisions(decisions, events, pairs, keys, time, weighted):
    """Refuse decisions that never meet the events, or that occur twice."""
    for key in pairs.strangers:  # to the events that count; perhaps not to all events
        refuse_strangers(key, decisions[key], "decisions", events[key], "events")
    if occur_twice(pairs.decisions, pairs.n, decisions[time].to_numpy()):
        twice = decisions.duplicated([*keys, time])
        row = decisions.loc[twice, [*keys, time]].iloc[0].to_dict()
        raise ValueError(
            f"{int(twice.sum())} decisions are there twice, the first {row}: one row a "
            "decision. Clean the log first (clean_log)."
        )
    if "outcome" in decisions:
        raise ValueError("The decisions have a column 'outcome': rename it.")
    if "sample_weight" in decisions and not weighted:
        raise ValueError(
            "The decisions have a column 'sample_weight'. Name it, "
            'sample_weight="sample_weight", if it says how many pairs each stands for; '
            "else rename it."
        )


def _thin(followed, over, fraction, rng):
    """Return which rows to keep, and the factor by which their weights rise."""
    negative = over & (np.nan_to_num(followed) == 0)
    left_out = negative & (rng.uniform(size=len(over)) >= fraction)
    return ~left_out, np.where(negative, 1 / fraction, 1.0)


def _as_list(values):
    return list(values) if isinstance(values, (list, tuple, set)) else [values]


def _warn_of_own_columns(decisions, sampled):
    """Columns that only decisions have are no features, and may be confounders."""
    own = [c for c in decisions if c not in sampled and c not in _MADE]
    if own and len(sampled):
        warn_user(
            f"{len(sampled)} rows were drawn as not shown, and the decisions' own "
            f"columns {own} are missing in them: they tell the treatment. Leave them "
            "out of X, as make_preprocessor does. If what is shown depends on them, "
            "the effect is confounded by them, and no interval accounts for that: take "
            "it from the decisions alone, n_unexposed=0."
        )


def build_examples(
    events: Frame,
    impressions: Frame | None = None,
    *,
    user: str,
    item: str,
    time: str,
    event: str | None = None,
    outcome: str | Sequence[str] | None = None,
    window: str | float,
    exposure: str | Sequence[str] | None = None,
    treatment: str | None = None,
    control: Any = None,
    propensity: str | None = None,
    sample_weight: str | None = None,
    value: str | None = None,
    aggregate: Literal["any", "count", "sum", "first"] = "any",
    users: Frame | None = None,
    items: Frame | None = None,
    features: Mapping[str, Any] | None = None,
    n_unexposed: int = 0,
    negative_fraction: float = 1.0,
    incomplete: Literal["drop", "keep"] = "drop",
    until: Any = None,
    timezone: str | None = None,
    unit: str | None = None,
    leak_checks: int = 8,
    random_state: Seed = None,
) -> pd.DataFrame:
    """Turn a stream of events into one row per decision, ready for ``fit``.

    A decision is a row of `impressions`. Without `impressions`, a decision is an event
    that is an exposure. The features of a decision come from what happened strictly
    before it. Its outcome comes from what happened to the same user and item from the
    time of the decision to the end of the window, both ends included.

    Parameters
    ----------
    events : pandas or polars DataFrame
        The events: one event per row, in any order. Clean them first by
        :func:`~sklearn_causalrec.interactions.clean_log`.
    impressions : pandas or polars DataFrame, default=None
        The decisions: one decision per row, in any order. Columns without a role are
        kept as features. With None, the decisions are the events named by `exposure`.
    user : str
        The column of user ids. It has the same name in all tables.
    item : str
        The column of item ids. It has the same name in all tables.
    time : str
        The column of times. It has the same name in all tables.
    event : str, default=None
        The column of `events` with the kind of event.
    outcome : str or list of str, default=None
        The kinds of event that count as the outcome. With None, all events count; this
        needs `impressions`.
    window : str or number
        How long after a decision an event counts: a duration such as ``"7D"``, or a
        number in the units of numeric times. A duration needs times that are datetimes,
        or numbers that all lie from 1990 to 2100 in seconds, milliseconds, microseconds
        or nanoseconds since 1970.
    exposure : str or list of str, default=None
        The kinds of event that are exposures. It is needed without `impressions`. The
        other columns of these events are kept as features, except `event` and `value`.
        Drop columns that tell what came of the exposure.
    treatment : str, default=None
        The column of the decisions that says what was done. With None, every decision
        is an exposure, and the treatment is 1.
    control : scalar, default=None
        The value of `treatment` that means not shown. `n_unexposed` needs it. With
        None, it is 0 or False, the first category of an ordered Categorical, or the one
        text that is control, placebo, none, no or off in any case.
    propensity : str, default=None
        The column of the decisions with the probability of what was done.
    sample_weight : str, default=None
        The column of the decisions with the number of pairs that each stands for, such
        as :func:`~sklearn_causalrec.recommend` returns with ``withhold``. With None,
        each stands for itself. It does not go with `n_unexposed`, which would draw the
        pairs again that they stand for.
    value : str, default=None
        The column of `events` that `aggregate` reads. "sum" and "first" need it.
    aggregate : {"any", "count", "sum", "first"}, default="any"
        How the events in the window become the outcome. "any" is 1 if there was an
        event, else 0. "count" is the number of events. "sum" is the sum of their
        values, which is 0 without an event. "first" is the value of the first event,
        which is NaN without an event.
    users : pandas or polars DataFrame, default=None
        A table of user features, joined by user id. If it has the column `time`, each
        row says what became known at that time, and the last row strictly before the
        decision is joined.
    items : pandas or polars DataFrame, default=None
        A table of item features, joined by item id in the same way. It is also the
        catalogue that `n_unexposed` draws from.
    features : dict of str to callable or transformer, default=None
        Further features by name. A callable gets ``(decisions, events)``, two frames
        sorted by time. The decisions come without outcome, propensity and weight. The
        callable returns an array or a frame with one row per decision. A transformer,
        such as :class:`~sklearn_causalrec.interactions.PastAggregates`, is cloned,
        fitted on the events and applied to the decisions. The result becomes the
        column ``<name>``, or the columns ``<name>_<column>`` where it has several.
    n_unexposed : int, default=0
        The number of items to draw from the catalogue at each moment of an exposure, as
        rows that were not shown. Items that were shown to the user within one window
        before or after that moment are dropped. The ``sample_weight`` of such a row is
        the number of items divided by the number of draws, so that the rows stand for
        all items that were not shown at that moment. The decisions' own columns are
        missing in such rows; a warning names them, since they tell the treatment.
    negative_fraction : float in (0, 1], default=1.0
        The share of the rows with an outcome of 0 (or NaN) to keep, drawn at random.
        The weight of the kept rows rises by the inverse of this share.
    incomplete : {"drop", "keep"}, default="drop"
        What to do with decisions whose window is not over when the log ends. If they
        are kept, their outcome is NaN.
    until : datetime or number, default=None
        The end of the log. With None, it is the last time of the events and decisions.
    timezone : str, default=None
        The time zone of times that come without one. With None, such times are read as
        UTC, and tables with and without a zone are not mixed.
    unit : {"D", "h", "min", "s", "ms", "us", "ns"}, default=None
        What numeric times count since 1970. They are then read as datetimes. With None,
        they stay numbers.
    leak_checks : int, default=8
        The number of decisions at which each feature is checked. The feature is
        computed again from the events before that decision alone. It must not change
        for this decision and the earlier ones. With 0, features are not checked.
    random_state : int, RandomState instance or None, default=None
        The seed of all random draws. Pass an int for reproducible results.

    Returns
    -------
    DataFrame
        One row per decision, sorted by time. The columns are the ids, the time, the
        decisions' own columns, the columns of `users` and `items`, ``treatment``,
        ``outcome``, ``propensity`` (where it was logged; NaN for sampled rows),
        ``sample_weight``, and the columns of `features`. ``attrs["rows"]`` counts the
        decisions, those with an incomplete window, the sampled rows, the negatives left
        out, and the examples. ``attrs["made"]`` names the columns that are no features.

    Raises
    ------
    TypeError
        If a table is not a frame with named columns, or a feature is neither a callable
        nor a transformer.
    ValueError
        If a feature looks past the decision, a key occurs twice, ids or times are
        missing or cannot be compared, `n_unexposed` is set and the treatment does not
        say what means not shown, or a column or an option is unknown.

    See Also
    --------
    clean_log : Clean the events first.
    make_preprocessor : Propose a preprocessor for the examples.
    PastAggregates : Features of what happened before each decision.

    Notes
    -----
    The decisions' own columns, and tables without times, count as known at the
    decision. The data cannot tell whether they were. Pairs that are drawn as unexposed
    have no exposure within one window before or after, so no exposure falls into the
    window of their outcome.

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
    check_scalar(n_unexposed, "n_unexposed", Integral, min_val=0, max_val=2**31)
    if n_unexposed and sample_weight is not None:
        raise ValueError(
            f"n_unexposed={n_unexposed} and sample_weight={sample_weight!r}: decisions "
            "with weights stand for pairs that were not shown already. Drop one."
        )
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
    values = None
    if aggregate in ("sum", "first"):
        values = plain_numbers(frames["events"][value], f"events' {value}")
    frames["events"], order = by_time(frames["events"], time)
    if values is not None and order is not None:
        values = values[order]
    if "impressions" in frames:
        frames["impressions"], _ = by_time(frames["impressions"], time)
    events, impressions = frames["events"], frames.get("impressions")
    length = as_window(window, events[time], unit=counts)
    decisions, off = _decisions(
        events, impressions, event, exposure, value, treatment, propensity,
        sample_weight, control, n_unexposed > 0,
    )  # fmt: skip
    keys = [user, item]
    wanted = slice(None)
    if outcome is not None:
        wanted = np.flatnonzero(events[event].isin(_as_list(outcome)))
        if len(wanted) == 0:
            raise ValueError(f"No event is an outcome={outcome!r}.")
    counted = events[keys].iloc[wanted]
    pairs = Pairs(decisions, counted, keys)
    _check_decisions(decisions, events, pairs, keys, time, sample_weight is not None)
    for name, key in (("users", user), ("items", item)):
        if name in frames:
            frames[name] = read_table(frames[name], name, key, decisions)
    users, items = frames.get("users"), frames.get("items")
    if sample_weight is None:
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
        _warn_of_own_columns(decisions, sampled)
        decisions = pd.concat([decisions, sampled], ignore_index=True)
        decisions = decisions.sort_values(time, kind="stable", ignore_index=True)
        rows["sampled"] = len(sampled)

        pairs = Pairs(decisions, counted, keys)

    followed = outcomes_within(
        pairs, decisions[time].to_numpy(), events[time].to_numpy()[wanted], length,
        aggregate, None if values is None else values[wanted],
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
    if not np.all(keep):
        decisions, followed = decisions[keep].reset_index(drop=True), followed[keep]
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
