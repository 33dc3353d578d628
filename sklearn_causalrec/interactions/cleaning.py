"""Cleaning of an event table, with a report of what was found and removed."""

from collections.abc import Mapping, Sequence
from numbers import Real
from typing import Any, Literal, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.utils import check_scalar

from sklearn_causalrec._utils.typing import Frame
from sklearn_causalrec.encoding.frames import as_frame, check_columns
from sklearn_causalrec.encoding.time_formats import shown
from sklearn_causalrec.encoding.time_reader import TimeReader
from sklearn_causalrec.interactions._cleaning_rules import check_ranges
from sklearn_causalrec.interactions.cleaner import (
    TIME_RANGE,
    Cleaner,
    CleaningReport,
    read_exposures,
)
from sklearn_causalrec.interactions.point_in_time import check_ids

Action: TypeAlias = Literal["drop", "flag", "off"]
_ACTIONS = ("drop", "flag", "off")


def check_actions(actions):
    for rule, action in actions.items():
        known = {"id_spelling": ("fix", *_ACTIONS), "missing": _ACTIONS[:2]}
        allowed = known.get(rule, _ACTIONS)
        if not isinstance(action, str) or action not in allowed:
            raise ValueError(f"{rule} must be one of {allowed}, got {shown(action)}.")


def check_options(
    columns,
    *,
    user,
    item,
    time,
    event,
    required,
    ranges,
    conversions,
    time_range,
    n_mads,
    **actions,
):
    """Refuse unknown columns and options of :func:`clean_log`, before any work.

    Returns
    -------
    required : list of str
    ranges : dict
    conversions : list or None
    """  # fmt: skip
    check_actions(actions)
    check_scalar(n_mads, "n_mads", Real, min_val=0, include_boundaries="neither")
    if not np.isfinite(n_mads):
        raise ValueError(f"n_mads must be a finite number, got {n_mads!r}.")
    frame = pd.DataFrame(columns=columns)
    for role, name in dict(user=user, item=item, time=time, event=event).items():
        if (name is None and role != "event") or isinstance(name, list):
            raise ValueError(f"{role}={shown(name)}: name one column.")
        if isinstance(name, tuple) and name not in frame.columns:
            raise ValueError(f"{role}={shown(name)} is not a column.")
    check_columns(frame, user=user, item=item, time=time, event=event)
    if len({user, item, time}) < 3:
        raise ValueError(
            f"Two roles name the same column: {dict(user=user, item=item, time=time)}."
        )
    if isinstance(required, str) or not np.iterable(required):
        required = [required]
    required, ranges = list(required), check_ranges(ranges)
    check_columns(frame, required=required, ranges=list(ranges))
    if not frame.columns.is_unique:
        twice = frame.columns[frame.columns.duplicated()][0]
        raise ValueError(f"df has two columns {twice!r}: rename one.")
    if not isinstance(time_range, (tuple, list)) or len(time_range) != 2:
        raise ValueError(
            f"time_range={shown(time_range)} is not (lowest, highest); None is no "
            "bound."
        )
    if conversions is not None:
        if event is None:
            raise ValueError("conversions= are values of event=: name its column.")
        if isinstance(conversions, str) or not np.iterable(conversions):
            conversions = [conversions]
        conversions = list(conversions)
    return required, ranges, conversions


def clean_log(
    df: Frame,
    *,
    user: str,
    item: str,
    time: str,
    event: str | None = None,
    required: Sequence[str] = (),
    ranges: Mapping[str, tuple[Any, Any]] | None = None,
    exposures: Frame | None = None,
    conversions: str | Sequence[str] | None = None,
    users: ArrayLike | None = None,
    items: ArrayLike | None = None,
    timezone: str | None = None,
    unit: str | None = None,
    time_range: tuple[Any, Any] = TIME_RANGE,
    near_window: str | float = "5s",
    burst_window: str | float = "1min",
    n_mads: float = 6.0,
    id_spelling: Literal["fix", "drop", "flag", "off"] = "fix",
    missing: Literal["drop", "flag"] = "drop",
    impossible_times: Action = "drop",
    impossible_values: Action = "drop",
    exact_duplicates: Action = "drop",
    near_duplicates: Action = "drop",
    bots: Action = "drop",
    bursts: Action = "drop",
    before_exposure: Action = "flag",
) -> tuple[pd.DataFrame, CleaningReport]:
    """Clean an event table, and report what was found and removed.

    The rules are applied in the order of the parameters that carry their names. Most
    rules have three actions. "drop" removes the rows that the rule finds. "flag" keeps
    the rows and marks them in a column ``flag_<rule>``. "off" skips the rule. A row is
    counted for the first rule that drops it, so the removals add up to the difference
    in the number of rows.

    Parameters
    ----------
    df : pandas or polars DataFrame
        The event table: one event per row, in any order. It is not changed.
    user : str
        The column of user ids.
    item : str
        The column of item ids.
    time : str
        The column of times. They can be datetimes, dates, periods, durations, numbers,
        stamps such as 20240131, or text: in ISO 8601, with the name of the month, or
        such as 31/01/2024 where the column tells the day from the month.
    event : str, default=None
        The column of the kind of event. It is part of the key of near duplicates. With
        None, all events are of one kind.
    required : str or sequence of str, default=()
        Further columns in which a value must be present. User, item and time are always
        required.
    ranges : dict, default=None
        For each column to check, a pair ``(lowest, highest)`` of possible values. None
        in place of a bound means that there is no bound. With None, no ranges are
        checked.
    exposures : pandas or polars DataFrame, default=None
        When items were shown: a table with the columns `user`, `item` and `time`. The
        rule `before_exposure` needs it and is skipped with None.
    conversions : str or list of str, default=None
        The values of the column `event` that an exposure should precede. With None, all
        events are conversions.
    users : array-like, default=None
        The user ids in their right spelling. With None, the most frequent spelling is
        the right one.
    items : array-like, default=None
        The item ids in their right spelling. With None, the most frequent spelling is
        the right one.
    timezone : str, default=None
        The time zone of times that come without one, for instance "Europe/Berlin". With
        None, such times are read as UTC, and a column that mixes times with and without
        a zone is refused.
    unit : {"D", "h", "min", "s", "ms", "us", "ns"}, default=None
        What numeric times count since 1970. They are then read as datetimes. With None,
        they stay numbers.
    time_range : tuple of two, default=("1990-01-01", "now")
        The lowest and the highest possible datetime. None in place of a bound means
        that there is no bound, and "now" is the current time. The range is applied to
        numeric times as well if all of them lie from 1990 to 2100, in seconds,
        milliseconds, microseconds or nanoseconds since 1970. The bounds of other
        numeric times are numbers.
    near_window : str or number, default="5s"
        The window of near duplicates. It is a duration such as "5s" where times are
        datetimes, or numbers of which it is known what they count since 1970. It is a
        number in the same units where times are other numbers.
    burst_window : str or number, default="1min"
        The length of the windows in which bursts are counted. A window ends at each
        event. It is a duration or a number, as `near_window` is.
    n_mads : float, default=6.0
        The limit of an outlier. A count is an outlier if its logarithm lies more than
        `n_mads` scales above the median of the logarithms. The scale is 1.4826 times
        the median absolute deviation, and at least 0.3.
    id_spelling : {"fix", "drop", "flag", "off"}, default="fix"
        What to do with ids that differ only by case, character width or spaces. "fix"
        gives them one spelling: that of `users` or `items` where the id is in there,
        else the most frequent one. Choose "off" where case tells ids apart. Numeric ids
        are left alone.
    missing : {"drop", "flag"}, default="drop"
        What to do with rows without a user, an item, a time or a value in a `required`
        column. Gaps in other columns are only counted.
    impossible_times : {"drop", "flag", "off"}, default="drop"
        What to do with text that is not a time, infinite numbers, and times outside
        `time_range`. A time that cannot be read becomes missing if its row is kept.
    impossible_values : {"drop", "flag", "off"}, default="drop"
        What to do with infinite numbers and with values outside `ranges`. A value that
        is not a number is outside its range.
    exact_duplicates : {"drop", "flag", "off"}, default="drop"
        What to do with rows that equal an earlier row in all columns. Times and ids are
        compared after they were unified.
    near_duplicates : {"drop", "flag", "off"}, default="drop"
        What to do with an event that follows an event of the same user, item and kind
        within `near_window`. The first event of such a series stays.
    bots : {"drop", "flag", "off"}, default="drop"
        What to do with the events of bots. A bot is a user whose number of events is an
        outlier among all users and above 30.
    bursts : {"drop", "flag", "off"}, default="drop"
        What to do with the events of bursts. A burst is a window in which the number of
        events of one user is an outlier among all such windows and above 10.
    before_exposure : {"drop", "flag", "off"}, default="flag"
        What to do with conversions of a user and an item before the first exposure of
        that pair. They are only flagged by default, because the user may have bought
        unprompted. Pairs that were never exposed are left alone.

    Returns
    -------
    frame : DataFrame
        The cleaned log as a pandas frame, sorted by time, with the index 0, 1, and so
        on. Datetimes are in UTC and carry no time zone.
    report : CleaningReport
        What every rule found and removed.

    Raises
    ------
    TypeError
        If `df` or `exposures` is not a frame with named columns.
    ValueError
        If `df` is empty, a column or an option is unknown, times are written in several
        ways or can be read in two, or a rule would drop every row.

    See Also
    --------
    clean_dataset : Clean a log on disk that does not fit into memory.
    build_examples : Turn the cleaned log into one row per decision.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_causalrec.interactions import clean_log
    >>> df = pd.DataFrame({
    ...     "user": ["Ann", "ann ", "Ann", "bo"],
    ...     "item": ["x", "x", "y", None],
    ...     "time": pd.to_datetime(["2024-01-01 10:00", "2024-01-01 10:00",
    ...                             "2024-01-01 11:00", "2024-01-01 12:00"]),
    ... })
    >>> frame, report = clean_log(df, user="user", item="item", time="time")
    >>> frame["item"].tolist()
    ['x', 'y']
    >>> report.to_frame().loc["exact_duplicates", "removed"].item()
    1
    """
    actions = {
        "id_spelling": id_spelling,
        "missing": missing,
        "impossible_times": impossible_times,
        "impossible_values": impossible_values,
        "exact_duplicates": exact_duplicates,
        "near_duplicates": near_duplicates,
        "bots": bots,
        "bursts": bursts,
        "before_exposure": before_exposure,
    }
    df = as_frame(df, "df")
    required, ranges, conversions = check_options(
        df.columns, user=user, item=item, time=time, event=event, required=required,
        ranges=ranges, conversions=conversions, time_range=time_range, n_mads=n_mads,
        **actions,
    )  # fmt: skip
    reader = TimeReader(time, timezone=timezone, unit=unit)
    if len(df) == 0:
        raise ValueError("df is empty: there is nothing to clean.")
    check_ids(df, [user, item])
    reader.look(df[time])
    if exposures is not None:
        exposures = read_exposures(exposures, user, item, time, reader)

    log = Cleaner(df, actions, user, item, time, event, reader)
    log.row_rules(users, items, required, time_range, ranges, near_window)
    log.bots(n_mads)
    log.bursts(burst_window, n_mads)
    log.before_exposure(exposures, conversions, id_spelling == "fix")
    return log.frame.reset_index(drop=True), log.report
