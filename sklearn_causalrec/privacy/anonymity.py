"""How well rows hide whose they are: k-anonymity, l-diversity, t-closeness."""

from collections.abc import Sequence
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike

from sklearn_causalrec._utils.tables import html_table, text_table
from sklearn_causalrec.encoding.checks import several
from sklearn_causalrec.encoding.frames import as_frame, check_columns, refuse_unclear
from sklearn_causalrec.encoding.roles import as_ids
from sklearn_causalrec.privacy.coarsening import Classes, Ladder, coarsen


class AnonymityReport:
    """What :func:`anonymity_report` found.

    Parameters
    ----------
    **found : dict
        The attributes, which :func:`anonymity_report` passes.

    Attributes
    ----------
    k : int
        The number of persons in the smallest class: rows that share all
        quasi-identifiers.
    target : int
        The k that was asked for.
    n_rows, n_persons, n_classes : int
        The number of rows, of persons, and of classes.
    uniqueness : float
        The share of persons who are alone in some class.
    exposed : float
        The share of persons in classes of fewer than ``target``.
    average_risk : float
        The chance to name the right person of a row, on average over rows, for someone
        who knows the quasi-identifiers of everybody.
    sensitive : DataFrame
        For each sensitive column, over the classes: ``l`` (the fewest distinct values),
        ``l_entropy`` (the exponential of the least entropy), ``t`` (the largest
        distance from the distribution of all rows) and ``distance``, by which t is
        measured.
    coarsen : DataFrame
        For each quasi-identifier, the number of its values and what would do to reach
        ``target``.

    See Also
    --------
    anonymity_report : Make one.
    Generalizer : Do what ``coarsen`` says.

    Examples
    --------
    See :func:`anonymity_report`.
    """

    k: int
    target: int
    n_rows: int
    n_persons: int
    n_classes: int
    uniqueness: float
    exposed: float
    average_risk: float
    sensitive: pd.DataFrame
    coarsen: pd.DataFrame

    def __init__(self, **found: Any) -> None:
        vars(self).update(found)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain numbers, text, and dicts of them.

        Returns
        -------
        dict
            The attributes; tables are dicts of column to dict of name to value.
        """
        plain = {
            name: value
            for name, value in vars(self).items()
            if not isinstance(value, pd.DataFrame)
        }
        sensitive = self.sensitive.to_dict(orient="index")
        return {
            **plain,
            "sensitive": sensitive,
            "coarsen": self.coarsen.to_dict(orient="index"),
        }

    def to_frame(self) -> pd.DataFrame:
        """Return the measures as a table.

        Returns
        -------
        DataFrame
            The index is ``measure`` and ``column``, which is empty where a measure is
            of all quasi-identifiers. The column is ``value``.
        """
        whole = ("k", "uniqueness", "exposed", "average_risk")
        rows = {(name, ""): float(getattr(self, name)) for name in whole}
        for column, line in self.sensitive.iterrows():
            for name in ("l", "l_entropy", "t"):
                rows[name, column] = float(line[name])
        index = pd.MultiIndex.from_tuples(rows, names=["measure", "column"])
        return pd.DataFrame({"value": list(rows.values())}, index=index)

    def _title(self):
        persons = "" if self.n_persons == self.n_rows else f", {self.n_persons} persons"
        return (
            f"AnonymityReport: {self.k}-anonymous; {self.n_rows} rows{persons}, "
            f"{self.n_classes} classes"
        )

    def _tables(self):
        yield "", self.to_frame()
        yield f"To reach k = {self.target}", self.coarsen

    def __repr__(self):
        lines = [self._title()]
        for title, table in self._tables():
            lines += [title, text_table(table)] if title else [text_table(table)]
        return "\n".join(lines)

    def _repr_html_(self):
        parts = [f"<p>{self._title()}</p>"]
        for title, table in self._tables():
            parts += [f"<p>{title}</p>" if title else "", html_table(table)]
        return "".join(parts)


def anonymity_report(
    frame: ArrayLike,
    quasi_identifiers: Sequence[str],
    sensitive: Sequence[str] | str | None = None,
    *,
    person: str | None = None,
    k: int = 5,
) -> AnonymityReport:
    r"""Measure how well the rows of a table hide whose they are.

    Quasi-identifiers are columns that others may know of a person, such as age and
    postcode. Rows that share them all are a class.

    - The table is k-anonymous [1]_ if every class has at least k persons.
    - It is l-diverse [2]_ if every class has at least l values of the sensitive column:
      distinct ones, or by entropy, :math:`\exp(-\sum_s p_s \log p_s) \ge l`.
    - It is t-close [3]_ if the distribution of the sensitive column in every class is
      within t of that in all rows, by the earth mover's distance. Values that have an
      order lie evenly between 0 and 1; all others are at the distance 1, which makes it
      the total variation.

    Parameters
    ----------
    frame : pandas or polars DataFrame of shape (n, p)
        The table.
    quasi_identifiers : sequence of str
        The columns that others may know. A missing value is a value of its own.
    sensitive : str or sequence of str, default=None
        The columns that nobody should learn of a person. With None, k alone is
        measured. Numbers, times and ordered categories have an order; make a column of
        codes a Categorical if its numbers have none.
    person : str, default=None
        The column that says whose a row is. Then k, uniqueness and exposure count
        persons, for ten rows of one person hide nobody; l and t count rows. With None,
        every row is a person.
    k : int, default=5
        What is to be reached: ``coarsen`` says how.

    Returns
    -------
    AnonymityReport
        The measures.

    Raises
    ------
    ValueError
        If a column does not exist or mixes kinds, the table is empty or has fewer than
        k persons, or a sensitive column with an order has missing values.

    See Also
    --------
    Generalizer : Coarsen the columns so that k is reached.
    Pseudonymizer : Replace ids; they are no quasi-identifiers.

    Notes
    -----
    The measures say nothing of what an attacker knows beyond the quasi-identifiers:
    a history of 20 films is one. And of several releases of the same persons, each may
    be k-anonymous while all of them together are not.

    References
    ----------
    .. [1] Sweeney, L. (2002). "k-anonymity: a model for protecting privacy."
       International Journal on Uncertainty, Fuzziness and Knowledge-Based Systems
       10(5).
    .. [2] Machanavajjhala, A. et al. (2007). "l-diversity: privacy beyond k-anonymity."
       ACM TKDD 1(1).
    .. [3] Li, N., Li, T. and Venkatasubramanian, S. (2007). "t-closeness: privacy
       beyond k-anonymity and l-diversity." ICDE.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_causalrec.privacy import anonymity_report
    >>> people = pd.DataFrame({
    ...     "age": [23, 27, 35, 36, 38, 71], "town": ["Ulm"] * 3 + ["Bonn"] * 3,
    ...     "ill": ["flu", "flu", "cold", "flu", "cold", "flu"]})
    >>> report = anonymity_report(people, ["age", "town"], "ill", k=3)
    >>> report.k, report.uniqueness
    (1, 1.0)
    >>> report.coarsen["what"].to_dict()
    {'age': '2 bins', 'town': 'stays'}
    """
    refuse_unclear(frame, "frame")
    frame = as_frame(frame, "frame")
    names, secret = _listed(quasi_identifiers), _listed(sensitive)
    check_columns(frame, quasi_identifiers=names, sensitive=secret, person=person)
    if not isinstance(k, Integral) or k < 2:
        raise ValueError(f"k={k!r}: it is a whole number of persons, 2 or more.")
    if not names:
        raise ValueError(
            "quasi_identifiers is empty: name the columns others may know."
        )
    twice = [c for c in names if c in secret or c == person or names.count(c) > 1]
    if twice:
        raise ValueError(
            f"{twice[0]!r} is named twice, and a column has one role: quasi-identifier,"
            " sensitive or person."
        )
    classes = classes_of(frame, names, person)
    if classes.total < k:
        raise ValueError(
            f"The table has {classes.total} persons, fewer than k={k}: it cannot hide "
            "anybody among so many."
        )
    codes = classes.codes([0] * len(names))
    size = classes.sizes(codes)
    alone = classes.exposed([0] * len(names), 2)
    steps = coarsen(classes, k)
    plan = {
        name: {
            "values": ladder.n_groups(0),
            "needed": ladder.n_groups(step),
            "what": ladder.what(step),
        }
        for name, ladder, step in zip(names, classes.ladders, steps)
    }
    of_row = codes[classes.row_of]
    found = {name: _hidden(frame[name], name, of_row) for name in secret}
    columns = ["l", "l_entropy", "t", "distance"]
    return AnonymityReport(
        k=int(size.min()),
        target=int(k),
        n_rows=len(frame),
        n_persons=int(classes.total),
        n_classes=len(size),
        uniqueness=alone / classes.total,
        exposed=classes.exposed([0] * len(names), k) / classes.total,
        average_risk=float(np.mean(1 / size[of_row])),
        sensitive=pd.DataFrame.from_dict(found, orient="index", columns=columns),
        coarsen=pd.DataFrame.from_dict(plan, orient="index"),
    )


def classes_of(frame, names, person=None):
    """The classes of a table by some of its columns.

    Parameters
    ----------
    frame : DataFrame
        The table.
    names : list of str
        The quasi-identifiers.
    person : str, default=None
        The column that says whose a row is.

    Returns
    -------
    Classes
    """
    if len(frame) == 0:
        raise ValueError("The table is empty.")
    whose = None
    if person is not None:
        whose = pd.factorize(as_ids(frame[person], str(person)))[0]
    return Classes([Ladder(frame[name], name) for name in names], whose)


def _listed(names):
    if names is None:
        return []
    if isinstance(names, str):
        return [names]
    return several(names, "columns", '["age", "town"]')


def _hidden(column, name, codes):
    """l, l by entropy, t and its distance, of a sensitive column over classes."""
    ladder = Ladder(column, name)
    if ladder.ordered and ladder.n_values > len(ladder.values):
        raise ValueError(
            f"The sensitive column {name!r} has an order and missing values, which have"
            " no place in it: drop these rows, or make it a Categorical without order."
        )
    n_classes, m = codes.max() + 1, ladder.n_values
    table = np.bincount(codes * m + ladder.codes, minlength=n_classes * m)
    table = table.reshape(n_classes, m)
    share = table / table.sum(1, keepdims=True)
    apart = share - table.sum(0) / table.sum()
    if ladder.ordered:
        distance = "earth mover's, in order"
        moved = np.abs(np.cumsum(apart, axis=1)).sum(1) / max(m - 1, 1)
    else:
        distance = "total variation"
        moved = np.abs(apart).sum(1) / 2
    logs = np.log(share, out=np.zeros_like(share), where=share > 0)
    entropy = -(share * logs).sum(1)
    distinct = int((table > 0).sum(1).min())
    return distinct, float(np.exp(entropy.min())), float(moved.max()), distance
