"""Column roles: which columns of a log are ids, times, treatment or propensity.

All other columns are features.
"""

from dataclasses import dataclass
from decimal import Decimal
from numbers import Real

import numpy as np
import pandas as pd
from sklearn.utils.validation import validate_data

from sklearn_causalrec.encoding.coded_ids import CodedIds
from sklearn_causalrec.encoding.feature_columns import FeatureColumns
from sklearn_causalrec.encoding.feature_groups import check_missing, tower_columns
from sklearn_causalrec.encoding.frames import as_array, refuse_unclear
from sklearn_causalrec.encoding.kinds import as_series
from sklearn_causalrec.encoding.time_formats import shown

ROLES = ("user", "item", "time", "treatment", "propensity", "history")
ROW_ARGUMENTS = ("treatment", "propensity", "sample_weight")  # of fit, beside X and y


def column(X, key):
    """Return one column of an array or of a pandas or polars frame, as a 1-d array."""
    return np.asarray(_as_it_came(X, key))


def _as_it_came(X, key):
    if isinstance(X, np.ndarray):
        return X[:, key]
    if isinstance(key, str) or key in list(X.columns):
        return X[key]
    return X.iloc[:, key]


def as_ids(values, role):
    """Bring ids to one comparable form: integers where they are numbers, else objects.

    Parameters
    ----------
    values : array-like of shape (n,)
        The ids.
    role : str
        The role that is named in the error message.

    Returns
    -------
    ndarray of shape (n,)
        The ids as int64, or as objects: text, and numbers beyond int64.

    Raises
    ------
    ValueError
        If there is not one id a row, an id is missing, is a collection, or is a
        fraction because the column was scaled, or was rounded because it came as a
        large float.

    Examples
    --------
    >>> as_ids([3.0, 1.0], "user")
    array([3, 1])
    >>> as_ids([2**63 + 1, 5], "user")
    array([9223372036854775809, 5], dtype=object)
    """
    if isinstance(values, (list, tuple)):  # numpy would turn [1, "a"] into text
        values = as_series(values).to_numpy()
    values = np.asarray(values)
    if values.ndim != 1:
        raise ValueError(
            f"The {role} ids have the shape {values.shape}: one id a row is needed."
        )
    missing = pd.isna(values)
    if missing.any():
        raise ValueError(
            f"The {role} column has a missing id in row {int(missing.argmax())}. "
            "Drop such rows or give them an id of their own."
        )
    if values.dtype.kind == "O":
        return _ids_of_objects(values, role)
    if values.dtype.kind == "f":
        return _whole(values, role)
    if values.dtype.kind == "u" and len(values) and values.max() > INT64_MAX:
        return values.astype(object)
    if values.dtype.kind in "iub":
        return values.astype(np.int64)
    return values.astype(object)


INT64_MAX = np.iinfo(np.int64).max
EXACT = 2**53  # from here on floats skip whole numbers


def _whole(values, role):
    """Ids that came as floats, which are whole numbers."""
    broken = ~np.isfinite(values) | (values != np.round(values))
    if broken.any():
        raise ValueError(
            f"The {role} column holds {values[broken].tolist()[0]!r}, which is not "
            "an id: it looks scaled. Keep ids out of the scaler, for instance with "
            'ColumnTransformer([("num", StandardScaler(), numeric_columns)], '
            'remainder="passthrough", verbose_feature_names_out=False)'
            '.set_output(transform="pandas").'
        )
    rounded = np.abs(values) >= EXACT
    if rounded.any():
        raise ValueError(
            f"The {role} column holds {values[rounded].tolist()[0]!r} as a float. From "
            "2**53 on floats skip whole numbers, so that different ids become one: "
            "read the ids as integers or as text."
        )
    return values.astype(np.int64)


def _ids_of_objects(values, role):
    """Ids that came as objects: whole numbers are made int64 where they fit."""
    found = pd.api.types.infer_dtype(values, skipna=False)
    if found in ("string", "empty"):
        return values
    if found in ("integer", "boolean"):
        plain = pd.Series(values.tolist(), dtype=object).infer_objects().to_numpy()
        if plain.dtype.kind in "ib":
            return plain.astype(np.int64)
        return np.array([int(v) for v in values], dtype=object)
    if found in ("floating", "mixed-integer-float"):
        floats = [v for v in values if isinstance(v, (float, np.floating))]
        _whole(np.array(floats, float), role)
        whole = np.array([int(v) for v in values], dtype=object)
        return _ids_of_objects(whole, role)
    for value in values:
        if getattr(value, "__hash__", None) is None:
            raise ValueError(
                f"The {role} column holds {value!r}, which is not an id: one id a row "
                "is needed."
            )
    return values


def _kind_of_id(value):
    if isinstance(value, str):
        return "text"
    if isinstance(value, Real | Decimal):
        return "numbers"
    return f"of type {type(value).__name__}"


class IdIndex:
    """A mapping of ids to consecutive codes.

    The codes of known ids are 0, 1 and so on. Every unknown id has the code
    ``len(index)``. An id of another kind than the known ones, such as "1" among
    numbers, is refused: it may be a known id that is spelt otherwise.

    Parameters
    ----------
    role : str, default="id"
        The role of the ids, which error messages name.

    Attributes
    ----------
    ids : Index
        The known ids. The position of an id is its code.

    See Also
    --------
    ColumnRoles : Split X into features and role columns.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_causalrec.interactions import IdIndex
    >>> index = IdIndex().extend(np.array(["ann", "bo"], dtype=object))
    >>> index.codes(np.array(["bo", "cy"], dtype=object))
    array([1, 2])
    """

    def __init__(self, role="id"):
        self.role = role
        self.ids = pd.Index([], dtype=object)
        self._kinds = set()

    def __len__(self):
        return len(self.ids)

    def extend(self, ids, role=None):
        """Append the ids that are not known so far.

        The new ids are sorted, and follow the known ones.

        Parameters
        ----------
        ids : array-like of shape (n,)
            The ids. They may repeat.
        role : str, default=None
            What error messages call the ids. With None, the role of the index.

        Returns
        -------
        IdIndex
            The index itself.

        Raises
        ------
        ValueError
            If an id is of another kind than the known ones, or the ids mix kinds.
        """
        ids = pd.Index(pd.unique(ids))
        new = ids[~ids.isin(self.ids)]
        self._refuse_other_kinds(new, role)
        kinds = self._kinds | set(map(_kind_of_id, new))
        if len(kinds) > 1:
            one, other = (next(v for v in ids if _kind_of_id(v) == k) for k in kinds)
            raise ValueError(
                f"The {role or self.role} ids mix kinds: {one!r} and {other!r}. Are "
                "they spelt alike? Make them one kind, for instance with .astype(str)."
            )
        self._kinds = kinds
        try:
            new = new.sort_values()
        except TypeError:  # ids that have no order keep that of their appearance
            pass
        self.ids = self.ids.append(new) if len(self.ids) else new
        return self

    def codes(self, ids, role=None, *, words=False):
        """Look up the codes of ids.

        Parameters
        ----------
        ids : array-like of shape (n,)
            The ids. They may be unknown.
        role : str, default=None
            What error messages call the ids. With None, the role of the index.
        words : bool, default=False
            Whether text without a digit, such as "new", may stand among numbers: it
            spells none of them. Say so where features come with the ids, so that an
            unknown id is not just an average one.

        Returns
        -------
        ndarray of shape (n,)
            The codes, which are ``len(index)`` for unknown ids.

        Raises
        ------
        ValueError
            If an unknown id is of another kind than the known ones.
        """
        ids = pd.Index(ids)
        codes = self.ids.get_indexer(ids)
        unknown = codes < 0
        if unknown.any():
            new = ids[unknown].unique()
            if words and self._kinds == {"numbers"}:
                new = [v for v in new if not isinstance(v, str) or _has_digit(v)]
            self._refuse_other_kinds(new, role)
        return np.where(unknown, len(self.ids), codes)

    def learn(self, ids):
        """Append the ids that are not known so far, and look up the codes of all.

        Parameters
        ----------
        ids : array-like or CodedIds of shape (n,)
            The ids. They may repeat.

        Returns
        -------
        ndarray of shape (n,)
            The codes; int32 where the ids came coded.
        """
        if isinstance(ids, CodedIds):
            codes = self.extend(ids.ids).codes(ids.ids)
            return codes.astype(np.int32)[ids.codes]
        return self.extend(ids).codes(ids)

    def without(self, keep):
        """Forget some ids; the codes of the others close up.

        Parameters
        ----------
        keep : ndarray of bool of shape (n_ids,)
            Which of the known ids stay.

        Returns
        -------
        IdIndex
            The index itself.
        """
        self.ids = self.ids[keep]
        return self

    def _refuse_other_kinds(self, ids, role):
        for value in ids if self._kinds else ():
            kind = _kind_of_id(value)
            if kind not in self._kinds:
                raise ValueError(
                    f"The {role or self.role} id {shown(value)} is not of the kind "
                    f"that the log holds, {' and '.join(sorted(self._kinds))} such as "
                    f"{shown(self.ids[0])}: are they spelt alike? Convert the ids as "
                    "they were in fit, for instance with .astype(int) or .astype(str)."
                )


def _has_digit(text):
    return any(character.isnumeric() for character in text)


@dataclass
class Log:
    """The rows of a log, split by role. A role without a column is None.

    Parameters
    ----------
    features : ndarray of shape (n, p)
        The feature columns as float32.
    user : ndarray of shape (n,), default=None
        The user ids.
    item : ndarray of shape (n,), default=None
        The item ids.
    time : ndarray of shape (n,), default=None
        The times, of any type that can be sorted.
    treatment : ndarray of shape (n,), default=None
        The treatment values as they came.
    propensity : ndarray of shape (n,), default=None
        The probability of the treatment taken. It is NaN where it is unknown.
    history : list of ndarray of shape (n,), default=None
        The columns of sequences, of which the first contains items.
    clusters : dict of name to ndarray of shape (n,), default=None
        The columns of ids by which rows belong together.

    See Also
    --------
    ColumnRoles : Split X into such a log.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_causalrec.interactions import Log
    >>> log = Log(np.zeros((2, 3), np.float32), user=np.array([7, 8]))
    >>> len(log), log.item is None
    (2, True)
    """

    features: np.ndarray  # (n, p) float32
    user: np.ndarray | None = None  # (n,) ids
    item: np.ndarray | None = None  # (n,) ids
    time: np.ndarray | None = None  # (n,) any sortable values
    treatment: np.ndarray | None = None  # (n,) raw values
    propensity: np.ndarray | None = None  # (n,) NaN where unknown
    history: list | None = None  # of (n,) sequences
    clusters: dict | None = None  # name: (n,) ids

    def __len__(self):
        return len(self.features)


class ColumnRoles:
    """Split X into features and role columns.

    Parameters
    ----------
    towers : None, "prefix", or dict of str to str or list, default=None
        Groups of features that the networks read separately. With "prefix", the group
        of a column is what stands before the first "__" in its name. A dict gives each
        group a prefix or a list of columns. With None, there are no groups.
    clusters : sequence of str or int, default=()
        The columns by which rows belong together. They may have another role as well.
    **roles
        The columns of X that play a role, by name or position: `user`, `item`, `time`,
        `treatment`, `propensity` and `history`. `history` can be a sequence of columns.
        A role that is None or not given has no column.

    Attributes
    ----------
    texts : TextStore or None
        What gives texts codes, where a column holds texts: it is set before the first
        log is read. The codes are the last feature.
    public : PublicRanges or None
        The ranges of features, where they are known without the log and nothing of
        them is to be learned from it.
    roles : dict of str to str, int, sequence or None
        The column of each role.
    named : dict of str to str, int or sequence
        The roles that have a column.
    histories : list of str or int
        The columns named as history.
    feature_columns_ : list of str or int
        The columns that are features, in order: names, or positions for an array.
    columns_ : dict of str to str or int
        The column of each role but `history`: its name, or its position in an array.
    has_names_ : bool
        Whether the columns have names.
    towers_ : dict of str to list of int, or None
        The positions of each group among the features.

    See Also
    --------
    Log : The rows, split by role.
    IdIndex : Map ids to consecutive codes.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn.base import BaseEstimator
    >>> from sklearn_causalrec.interactions import ColumnRoles
    >>> X = pd.DataFrame({"who": ["ann", "bo"], "age": [30.0, 40.0]})
    >>> log = ColumnRoles(user="who").split(BaseEstimator(), X, reset=True)
    >>> log.user.tolist(), log.features.tolist()
    (['ann', 'bo'], [[30.0], [40.0]])
    """

    public = texts = None

    def __init__(self, towers=None, clusters=(), **roles):
        self.towers, self.towers_ = towers, None
        self.clusters = list(clusters)
        self.columns_, self.has_names_ = {}, False
        self.roles = {name: roles.get(name) for name in ROLES}
        self.named = {k: v for k, v in self.roles.items() if v is not None}

    @property
    def given(self):
        """Names of the roles that have a column; a set."""
        without = set() if self.histories else {"history"}
        return set(self.named) - without

    @property
    def histories(self):
        """The columns named as history, of which the first contains items."""
        named = self.roles["history"]
        if named is None or isinstance(named, (str, int, np.integer)):
            return [] if named is None else [named]
        return list(named)

    def _resolve(self, X):
        names = list(getattr(X, "columns", []))
        keys = names or list(range(np.shape(X)[1]))
        resolved = {}
        single = [(k, v) for k, v in self.named.items() if k != "history"]
        if self.texts is not None:
            single.append(("text", self.texts.column))
        single += [(("history", i), key) for i, key in enumerate(self.histories)]
        single += [(("cluster", i), key) for i, key in enumerate(self.clusters)]
        for place, key in single:
            role = place if isinstance(place, str) else place[0]
            if isinstance(key, (int, np.integer)) and names and key not in names:
                if not -len(names) <= key < len(names):
                    raise ValueError(
                        f"{role}={key} is out of range: X has {len(names)} columns."
                    )
                key = names[key]
            if key in keys:
                resolved[place] = key
            elif not names and isinstance(key, (int, np.integer)) and -len(keys) <= key:
                if key >= 0:
                    raise ValueError(
                        f"{role}={key} is out of range: X has {len(keys)} columns."
                    )
                resolved[place] = len(keys) + int(key)
            elif names:
                raise ValueError(
                    f"{role}={key!r} is not a column of X. Its columns are {names}."
                )
            else:
                raise ValueError(
                    f"{role}={key!r} names a column, but X came as an array without "
                    "column names. Pass a DataFrame, give the column's position, or "
                    "keep names through a Pipeline with "
                    '.set_output(transform="pandas").'
                )
        # Rows may belong together by a column that has another role, such as the user.
        alone = [str(v) for k, v in resolved.items() if k[0] != "cluster"]
        if len(set(alone)) < len(alone):
            raise ValueError(f"Two roles name the same column: {self.named}.")
        return keys, resolved

    def split(self, estimator, X, *, reset, y="no_validation"):
        """Validate X for an estimator, and split it into features and role columns.

        Parameters
        ----------
        estimator : estimator
            The estimator that X is validated for. With ``reset=True`` it gets
            ``n_features_in_`` and ``feature_names_in_``.
        X : array-like or frame of shape (n, p)
            The log.
        reset : bool
            Whether X is the X of ``fit``, from which the columns are learned. With
            False, X is checked against the columns learned before.
        y : array-like of shape (n,), default="no_validation"
            Ignored.

        Returns
        -------
        Log
            The rows of X, split by role.

        Raises
        ------
        ValueError
            If X is empty, a role names no column, two roles name the same column, an id
            is missing, or a feature is not a number.
        """
        refuse_unclear(X)
        if reset:
            self._columns = FeatureColumns()
        plain = not self.named and not self.clusters and self.towers is None
        if plain and self.texts is None and not _needs_reading(X):
            checks = dict(dtype=[np.float32, np.float64], force_writeable=True)
            X = validate_data(estimator, X, reset=reset, **checks)
            names = range(X.shape[1])
            self._read_limits(names, reset)
            return Log(self._columns.read(X, names, estimator, reset=reset))
        if not hasattr(X, "columns") and not isinstance(X, np.ndarray):
            X = as_array(X)
        if np.ndim(X) != 2:
            raise ValueError(f"Expected 2D array, got shape {np.shape(X)} instead.")
        X = validate_data(estimator, X, reset=reset, skip_check_array=True)
        keys, roles = self._resolve(X)
        n_histories = len(self.histories)
        taken = set(roles.values())
        features = [key for key in keys if key not in taken]
        text = [roles.pop("text")] if self.texts is not None else []
        if reset:
            self.feature_columns_ = [*features, *text]
            self.has_names_ = hasattr(X, "columns")
            self.columns_ = {k: v for k, v in roles.items() if isinstance(k, str)}
            self.towers_ = tower_columns(self.towers, features)
        self._read_limits(features, reset)
        if len(X) == 0:
            raise ValueError("Found array with 0 sample(s): X is empty.")
        if features:
            part = X[:, features] if isinstance(X, np.ndarray) else X[features]
            part = self._columns.read(
                part,
                features,
                estimator,
                reset=reset,
                gaps=self.towers_ is not None,
            )
            if self.towers_ is not None:
                check_missing(part, features, self.towers_)
        else:
            part = np.zeros((len(X), 0), np.float32)
        if text:
            codes = self.texts.codes(_as_it_came(X, text[0]), text[0])
            part = np.column_stack([part, codes.astype(np.float32)])
        histories = [column(X, roles.pop(("history", i))) for i in range(n_histories)]
        places = [roles.pop(("cluster", i)) for i in range(len(self.clusters))]
        log = Log(part, **{role: column(X, key) for role, key in roles.items()})
        log.history = histories or None
        if places:
            log.clusters = {key: column(X, key) for key in places}
        if "treatment" in roles:  # its categories may have an order
            log.treatment = _as_it_came(X, roles["treatment"])
        for role in ("user", "item"):
            if role in roles:
                setattr(log, role, as_ids(getattr(log, role), role))
        return log

    def _read_limits(self, names, reset):
        if reset and self.public is not None:
            self._columns.limits = self.public.of_features(names)

    def in_units(self, features):
        """Features that were read, by name and in the units of X.

        Parameters
        ----------
        features : ndarray of shape (n, p)
            The features as the networks read them.

        Returns
        -------
        dict of str or int to ndarray of shape (n,)
            Each feature by its name or position, in the dtype of `features`; but texts,
            which are no numbers.
        """
        if self.texts is not None:
            features = features[:, :-1]
        if not features.shape[1]:
            return {}
        names = getattr(self, "feature_columns_", range(features.shape[1]))
        offset = self._columns.offset_.astype(features.dtype)
        columns = zip(names, features.T)
        return {name: x + offset[j] for j, (name, x) in enumerate(columns)}

    def read_feature(self, j, values):
        """Read one more column as the feature of that position, as float32.

        Parameters
        ----------
        j : int
            The position among ``feature_columns_``.
        values : array-like of shape (n,)
            The values.

        Returns
        -------
        ndarray of shape (n,), float32
            The values as the networks read them.
        """
        name = self.feature_columns_[j]
        if self.texts is not None and j == len(self.feature_columns_) - 1:
            return self.texts.codes(values, name).astype(np.float32)
        return self._columns.read_column(j, values, name)


def _needs_reading(X):
    """Whether X has columns that are no plain numbers."""
    if hasattr(X, "columns"):
        return True
    return isinstance(X, np.ndarray) and X.dtype.kind in "OUSMm" and X.ndim == 2
