"""Coarser columns, so that every combination of them is shared by k persons."""

from collections.abc import Sequence
from itertools import pairwise
from numbers import Integral, Real
from typing import Any, Literal, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils._param_validation import Interval, StrOptions
from sklearn.utils.validation import check_is_fitted

from sklearn_causalrec._utils.tables import number
from sklearn_causalrec.encoding.checks import several
from sklearn_causalrec.encoding.frames import as_frame, check_columns, refuse_unclear
from sklearn_causalrec.privacy.anonymity import classes_of
from sklearn_causalrec.privacy.coarsening import OTHER, Rule, coarsen


class Generalizer(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    """Coarsen columns until every combination of their values is that of k persons.

    Numbers and times are binned at quantiles, with one open bin at the top and one at
    the bottom; rare levels of categories are merged. A greedy search decides how coarse
    each column gets: the next step is that which brings most persons into large enough
    classes, and at the end no column could be one step finer.

    The promise is of the rows of ``fit``: :func:`anonymity_report` of the output finds
    the k. Other rows may combine values as no k persons of ``fit`` did; `unseen` says
    what becomes of those.

    Parameters
    ----------
    k : int, default=5
        The number of persons who share each combination.
    quasi_identifiers : sequence of str, default=None
        The columns to coarsen; all others pass through. With None, all columns but
        `person`.
    person : str, default=None
        The column that says whose a row is. It passes through. With None, every row is
        a person.
    numbers : {"median", "interval"}, default="median"
        What stands for a bin: the median of its values in ``fit``, which models read as
        a number, or the interval as text.
    max_suppressed : float, default=0.0
        The share of persons who may be suppressed in ``fit`` in place of coarser
        columns. A suppressed row has all quasi-identifiers missing. Suppressed persons
        are at least k, or none.
    unseen : {"suppress", "error", "keep"}, default="suppress"
        What becomes of a row whose combination is not that of k persons of ``fit``. It
        is suppressed, refused, or kept; then k is no promise. A transformer can't drop
        rows, but :meth:`is_hidden` tells them.

    Attributes
    ----------
    k_ : int
        The number of persons in the smallest class of ``fit``, those suppressed apart.
    suppressed_ : int
        The number of persons of ``fit`` who are suppressed.
    groups_ : dict of str to list of str
        What the groups of each column are, in words.
    n_features_in_ : int
        The number of columns seen during ``fit``.
    feature_names_in_ : ndarray of str
        The names of the columns seen during ``fit``.

    See Also
    --------
    anonymity_report : Measure what is reached, and l-diversity and t-closeness.
    Pseudonymizer : Replace ids.

    Notes
    -----
    It keeps the edges of bins, the medians, the levels that stay, and which
    combinations k persons share: no row, and no level that was merged or suppressed.

    References
    ----------
    .. [1] Sweeney, L. (2002). "Achieving k-anonymity privacy protection using
       generalization and suppression." International Journal on Uncertainty, Fuzziness
       and Knowledge-Based Systems 10(5).
    .. [2] LeFevre, K., DeWitt, D. and Ramakrishnan, R. (2005). "Incognito: efficient
       full-domain k-anonymity." SIGMOD.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_causalrec.privacy import Generalizer
    >>> people = pd.DataFrame({
    ...     "age": [23, 27, 35, 36, 38, 71], "town": ["Ulm"] * 3 + ["Bonn"] * 3})
    >>> coarse = Generalizer(k=2, numbers="interval").fit_transform(people)
    >>> coarse["age"].tolist()
    ['<= 35.5', '<= 35.5', '<= 35.5', '> 35.5', '> 35.5', '> 35.5']
    """

    _parameter_constraints: dict = {
        "k": [Interval(Integral, 2, None, closed="left")],
        "quasi_identifiers": ["array-like", None],
        "person": [str, None],
        "numbers": [StrOptions({"median", "interval"})],
        "max_suppressed": [Interval(Real, 0, 1, closed="left")],
        "unseen": [StrOptions({"suppress", "error", "keep"})],
    }

    def __init__(
        self,
        k: int = 5,
        *,
        quasi_identifiers: Sequence[str] | None = None,
        person: str | None = None,
        numbers: Literal["median", "interval"] = "median",
        max_suppressed: float = 0.0,
        unseen: Literal["suppress", "error", "keep"] = "suppress",
    ) -> None:
        self.k = k
        self.quasi_identifiers = quasi_identifiers
        self.person = person
        self.numbers = numbers
        self.max_suppressed = max_suppressed
        self.unseen = unseen

    def fit(self, X: ArrayLike, y: Any = None) -> Self:
        """Find how coarse each column has to be.

        Parameters
        ----------
        X : pandas or polars DataFrame of shape (n, p)
            The table.
        y : object, default=None
            Ignored.

        Returns
        -------
        Generalizer
            The fitted transformer itself.

        Raises
        ------
        ValueError
            If there are fewer than k persons, or a column does not exist or mixes
            kinds.
        """
        self._validate_params()
        frame = self._frame(X)
        names = self.quasi_identifiers
        if names is None:
            names = [c for c in frame.columns if c != self.person]
        names = several(names, "quasi_identifiers", '["age", "town"]')
        check_columns(frame, quasi_identifiers=names, person=self.person)
        if not names or self.person in names:
            raise ValueError(
                f"quasi_identifiers={names} are the columns to coarsen: name at least "
                "one, and not the person."
            )
        classes = classes_of(frame, names, self.person)
        if classes.total < self.k:
            raise ValueError(
                f"X has {classes.total} persons, fewer than k={self.k}: nothing can "
                "hide them among so many."
            )
        most = int(self.max_suppressed * classes.total)
        steps = coarsen(classes, self.k, most)
        codes = classes.codes(steps)
        size = classes.sizes(codes)
        groups = np.column_stack(
            [
                ladder.steps[step][values]
                for ladder, step, values in zip(classes.ladders, steps, classes.rows.T)
            ]
        )
        large = size >= self.k
        self._hidden = {tuple(row) for row in groups[large[codes]].tolist()}
        self.k_ = int(size[large].min()) if large.any() else 0
        self.suppressed_ = classes.exposed(steps, self.k)
        self._outputs, self.groups_, self._rules = {}, {}, {}
        for name, ladder, step, column in zip(
            names, classes.ladders, steps, zip(*self._hidden)
        ):
            members = list(_members(ladder, step))
            words = _words(ladder, step, members)
            outputs = _output(ladder, step, members, words, self.numbers)
            shared = np.isin(np.arange(len(members)), column)
            self.groups_[name] = [w for w, kept in zip(words, shared) if kept]
            self._outputs[name] = outputs.where(shared)
            self._rules[name] = Rule(ladder, step, set(column))
        self.feature_names_in_ = np.array([str(c) for c in frame.columns], object)
        self.n_features_in_ = frame.shape[1]
        return self

    def transform(self, X: ArrayLike) -> pd.DataFrame:
        """Coarsen the columns.

        Parameters
        ----------
        X : pandas or polars DataFrame of shape (n, p)
            The table, with the columns of ``fit``.

        Returns
        -------
        DataFrame of shape (n, p)
            The table with coarser columns; a polars frame if ``set_output`` asks for
            one. Suppressed values are missing.

        Raises
        ------
        ValueError
            If the columns are not those of ``fit``, or a row has a new combination and
            `unseen` is "error".
        """
        frame, groups = self._groups(X)
        hidden = self._are_hidden(groups)
        if self.unseen == "error" and not hidden.all():
            raise ValueError(
                f"{int((~hidden).sum())} rows, such as row {int(np.argmin(hidden))}, "
                f"combine {list(self._rules)} as no {self.k} persons of fit did. Leave "
                'out rows that is_hidden(X) is False of, or set unseen="suppress".'
            )
        out = frame.copy(deep=False)
        for j, name in enumerate(self._rules):
            known = groups[:, j] >= 0
            if self.unseen != "keep":
                known &= hidden
            if self._rules[name].stays:
                values = frame[name]
                if self.unseen == "keep":
                    continue
            else:
                position = np.maximum(groups[:, j], 0)
                shown = self._outputs[name].iloc[position]
                values = pd.Series(shown.array, frame.index)
            out[name] = values.where(known)
        return out

    def is_hidden(self, X: ArrayLike) -> np.ndarray:
        """Tell the rows whose combination k persons of ``fit`` share.

        Parameters
        ----------
        X : pandas or polars DataFrame of shape (n, p)
            The table, with the columns of ``fit``.

        Returns
        -------
        ndarray of bool of shape (n,)
            False for rows that are to be left out, or are suppressed.
        """
        return self._are_hidden(self._groups(X)[1])

    # -- inside ------------------------------------------------------------------

    @staticmethod
    def _frame(X):
        refuse_unclear(X)
        return as_frame(X)

    def _groups(self, X):
        check_is_fitted(self, "groups_")
        frame = self._frame(X)
        names = [str(c) for c in frame.columns]
        if names != self.feature_names_in_.tolist():
            raise ValueError(
                f"The columns were {self.feature_names_in_.tolist()} in fit and are "
                f"{names} here."
            )
        parts = [rule.group_of(frame[name]) for name, rule in self._rules.items()]
        return frame, np.column_stack(parts)

    def _are_hidden(self, groups):
        return np.array([tuple(row) in self._hidden for row in groups.tolist()], bool)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.string = True
        tags.input_tags.allow_nan = True
        return tags


def _members(ladder, step):
    """The values of each group, how many rows each has, and whether it has gaps."""
    count = np.bincount(ladder.codes, minlength=ladder.n_values)
    for group in range(ladder.n_groups(step)):
        inside = np.flatnonzero(ladder.steps[step] == group)
        there = inside[inside < len(ladder.values)]
        yield ladder.values[there], count[there], len(there) < len(inside)


def _output(ladder, step, members, words, numbers):
    """What stands for each group; a Series."""
    numeric = ladder.kind in ("number", "time")
    if numeric and numbers == "interval" and step:
        none = np.array([not len(values) for values, _, _ in members])
        return pd.Series(words, dtype=object).mask(none)
    found: list[Any] = []
    for values, count, missing in members:
        if not len(values):
            found.append(None)
        elif numeric:
            # The mean of the last bin would tell of its outliers.
            found.append(values[np.searchsorted(np.cumsum(count), count.sum() / 2)])
        elif ladder.ordered:
            low, high = values[0], values[-1]
            found.append(low if len(values) == 1 else f"{low} to {high}")
        else:
            alone = len(values) == 1 and not missing
            found.append(values[0] if alone else OTHER)
    if not numeric:
        return pd.Series(found, dtype=object)
    days = pd.Series(found, dtype=float)
    if ladder.kind == "number":
        return days
    spans = pd.to_timedelta(days, unit="D")
    return spans if ladder.spans else pd.Timestamp(0) + spans


def _words(ladder, step, members):
    """What each group is, in words that name no value which was merged."""
    if step == 0:
        return [
            str(values[0]) if len(values) else "missing" for values, _, _ in members
        ]
    if len(members) == 1:
        return ["any"]
    if ladder.kind in ("number", "time"):
        edges = ladder.edges(step)
        if ladder.kind == "time" and not ladder.spans:
            days = pd.Timestamp(0) + pd.to_timedelta(edges, unit="D")
            cuts = [f"{day:%Y-%m-%d %H:%M}".removesuffix(" 00:00") for day in days]
        else:
            cuts = [number(edge, 6) for edge in edges]
        between = [f"{low} to {high}" for low, high in pairwise(cuts)]
        bins = [f"<= {cuts[0]}", *between, f"> {cuts[-1]}"] if cuts else ["any number"]
        return bins + ["missing"] * (len(members) - len(bins))
    words = []
    for values, _, missing in members:
        if not len(values):
            words.append("missing")
        elif ladder.ordered and len(values) > 1:
            words.append(f"{values[0]} to {values[-1]}")
        elif len(values) == 1 and not missing:
            words.append(str(values[0]))
        else:
            words.append(f"{OTHER}, {len(values) + missing} levels")
    return words
