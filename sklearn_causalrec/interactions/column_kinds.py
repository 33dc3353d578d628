"""What a column of a frame contains, for a preprocessor that is proposed."""

import numpy as np
import pandas as pd

from sklearn_causalrec.encoding.time_formats import shown
from sklearn_causalrec.encoding.time_reader import TimeReader
from sklearn_causalrec.interactions.columns import kind_of_values
from sklearn_causalrec.interactions.features import as_vector

_FEW_LEVELS = 20  # so many levels of numbers are categories, whatever their type
# Missing in one arm only with a smaller probability than this is no chance.
_NO_CHANCE = 1e-6
_TEXT_FROM = 3  # words, on average


def column_kind(values, max_categories):
    """Decide what a column contains.

    Parameters
    ----------
    values : Series
        The column.
    max_categories : int
        The largest number of distinct values of a column of categories, unless half of
        the rows is more.

    Returns
    -------
    kind : {"numbers", "categories", "texts", "dates", "vectors", None}
        The kind of the column. None means that the column is better left out.
    why : str
        The reason for leaving it out. It is empty for a column that is kept.
    """
    given = values.dropna()
    if given.empty:
        return None, "all of it is missing"
    first = given.iloc[0]
    if any(getattr(cell, "__hash__", None) is None for cell in given):
        return _kind_of_vectors(given)
    if len(given) == len(values) and given.nunique() == 1:
        return None, f"it is {shown(first)} in every row"
    kind, n_unique = kind_of_values(given), given.nunique()
    categorical = isinstance(values.dtype, pd.CategoricalDtype)
    if kind is None:
        return None, (
            f"it mixes kinds, or holds neither numbers, times nor text: {shown(first)} "
            "for one"
        )
    if kind == "number" and categorical:
        if n_unique > max(_FEW_LEVELS, max_categories):
            return None, (
                f"categories of {n_unique} numbers: a quantity (astype(float)), or an "
                "id?"
            )
        return "categories", ""
    if kind == "number":
        return _dates_or(values, given, "numbers")
    if kind == "time" and not categorical:
        return "dates", ""
    if kind == "duration":
        return "numbers", ""
    if kind == "text" and not categorical:
        return _kind_of_text(given, n_unique, max_categories)
    return _categories(given, n_unique, max_categories)


def _kind_of_vectors(given):
    first = given.iloc[0]
    if not given.map(lambda cell: isinstance(cell, (list, tuple, np.ndarray))).all():
        return None, f"it holds neither numbers, times nor text: {shown(first)} for one"
    sizes = {None if v is None else len(v) for v in map(as_vector, given)}
    if len(sizes) > 1 or sizes == {None}:
        return None, "sequences of differing lengths, or not of numbers"
    return "vectors", ""


def _dates_or(values, given, kind):
    """Dates where all of the column are, or can't be told apart from them."""
    try:
        reader = TimeReader("it").look(values)
        if reader.kind == "datetime" and reader.read(given, "coerce").notna().all():
            return "dates", ""
    except ValueError as error:
        # Numbers that may be dates may be counts as well, and then are numbers.
        return (kind, "") if kind == "numbers" else (None, f"dates? {error}")
    return kind, ""


def _kind_of_text(given, n_unique, max_categories):
    numeric = pd.to_numeric(given.astype(object), errors="coerce").notna()
    if not numeric.any() or numeric.all():
        kind, why = _dates_or(given, given, "text")
        if kind != "text":
            return kind, why
    if numeric.mean() >= 0.5 and n_unique > _FEW_LEVELS:
        return None, (
            f"{n_unique} numbers as text: a quantity (pd.to_numeric), or an id?"
        )
    if n_unique > 20 and given.str.split().str.len().mean() >= _TEXT_FROM:
        return "texts", ""
    return _categories(given, n_unique, max_categories)


def _categories(given, n_unique, max_categories):
    if n_unique > max(max_categories, len(given) / 2):
        return None, f"{n_unique} different values in {len(given)} rows: an id?"
    return "categories", ""


def _arm_of_gaps(missing, treatment):
    """The one arm in which values are missing, where that is no chance; None else.

    A column that only decisions of one arm have tells the arm by its gaps.
    """
    arms = treatment[missing].unique()
    if len(arms) != 1 or treatment.nunique() < 2:
        return None
    here = (treatment == arms[0]).to_numpy()
    if (missing == here).all() or here.mean() ** missing.sum() < _NO_CHANCE:
        return arms[0]
    return None


def gaps_tell(df, name, treatment):
    missing = df[name].isna().to_numpy()
    if treatment is None or not missing.any() or missing.all():
        return None
    return _arm_of_gaps(missing, df[treatment])
