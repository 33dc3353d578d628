"""Pseudonyms in the place of ids: a keyed hash that joins tables and tells nobody."""

import copy
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from numbers import Integral, Real
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator, OneToOneFeatureMixin, TransformerMixin
from sklearn.utils._param_validation import Interval
from sklearn.utils.validation import check_is_fitted

from sklearn_causalrec.encoding.checks import number, several
from sklearn_causalrec.encoding.frames import as_frame, check_columns, refuse_unclear
from sklearn_causalrec.encoding.kinds import short
from sklearn_causalrec.encoding.roles import as_ids
from sklearn_causalrec.privacy.keys import WAY_OUT, Key, as_key

PATTERN = re.compile(r"ps_[0-9a-f]{8}_[0-9a-f]{24,64}")
_LISTS = (list, np.ndarray)  # a tuple may be an id of two parts


def looks_like_pseudonyms(ids):
    """Whether ids are written as :class:`Pseudonymizer` writes them.

    Parameters
    ----------
    ids : iterable
        The ids.

    Returns
    -------
    bool
        True if there are any and all are. It says nothing of pseudonyms of another
        maker.
    """
    ids = list(ids)
    return bool(ids) and all(
        isinstance(v, str) and PATTERN.fullmatch(v) is not None for v in ids
    )


class Pseudonymizer(OneToOneFeatureMixin, TransformerMixin, BaseEstimator):
    r"""Replace ids by pseudonyms that only the holder of a key can make.

    The pseudonym of an id is the start of HMAC-SHA256 [1]_ of the id, with a key that
    is derived for the domain of the column. The same id has the same pseudonym in all
    columns of a domain and in all tables, so that tables join; in another domain it has
    another one, so that a user's id does not tell of an item with the same number.
    Without the key nobody can make the pseudonym of an id that they guess, which is
    what plain hashes of ids allow [2]_.

    Pseudonyms are still personal data: whoever has the key can say whose they are, and
    what the rows tell may say it, too. :func:`anonymity_report` measures the latter.

    Parameters
    ----------
    columns : sequence of str, default=None
        The columns that are replaced; all others pass through. With None, all columns
        of X are ids. A column may hold lists of ids, such as a history.
    key : bytes, path-like, str or Key
        The key, of at least 32 random bytes; it has no default. Bytes are the key
        itself. A ``pathlib.Path`` is a file, and ``"env:NAME"`` an environment
        variable, that holds it as hex digits. Keep it apart from the data.
    domains : dict of str to str, default=None
        The domain of each column, such as ``{"buyer": "user", "seller": "user"}``. A
        column that is not named is a domain of its own name.
    n_bytes : int, default=16
        The number of bytes of a pseudonym, 12 to 32. Among n ids of a domain, two share
        one with a probability of at most :math:`n^2 / 2^{8 \mathtt{n\_bytes} + 1}`, the
        birthday bound: 1.5e-21 for a billion ids and 16 bytes.

    Attributes
    ----------
    key_id_ : str
        The fingerprint of the key of ``fit``, which pseudonyms carry: it tells keys
        apart and does not tell the key.
    kinds_ : dict of str to {"numbers", "text"}
        What the ids of each domain are.
    removed_ : frozenset of str
        The pseudonyms that :meth:`without` has retired.
    columns_ : list of str
        The columns that are replaced.
    n_features_in_ : int
        The number of columns seen during ``fit``.
    feature_names_in_ : ndarray of str
        The names of the columns seen during ``fit``.

    See Also
    --------
    anonymity_report : How well rows hide who they are about, ids apart.
    sklearn_causalrec.forget : Remove a person from a fitted model.

    Notes
    -----
    Ids are read as the estimators read them: 1 and 1.0 are one id, "1" is another.
    Numbers where ``fit`` saw text are refused, for they would join nothing. Missing
    ids stay missing.

    The key is in no ``get_params``, ``repr``, pickle or file of
    :func:`~sklearn_causalrec.save`. Parameters hold a :class:`Key`, which ``clone``
    shares. After unpickling, a key that was given as bytes is given again by
    ``set_params``; files and environment variables are found again.

    References
    ----------
    .. [1] Krawczyk, H., Bellare, M. and Canetti, R. (1997). "HMAC: keyed-hashing for
       message authentication." RFC 2104.
    .. [2] ENISA (2019). "Pseudonymisation techniques and best practices."

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_causalrec.privacy import Pseudonymizer
    >>> key = bytes(range(32))  # of secrets.token_bytes(32), in earnest
    >>> log = pd.DataFrame({"user": ["ann", "bo", "ann"], "watched": [1, 0, 1]})
    >>> names = Pseudonymizer(["user"], key=key).fit(log)
    >>> hidden = names.transform(log)
    >>> hidden["user"].iloc[0]
    'ps_837b7f6f_c97154ff177bcad74d68c7d0563e5ea7'
    >>> bool(hidden["user"].iloc[0] == hidden["user"].iloc[2])
    True
    """

    _parameter_constraints: dict = {
        "columns": ["array-like", None],
        "domains": [Mapping, None],
        "n_bytes": [Interval(Integral, 12, 32, closed="both")],
    }

    def __init__(
        self,
        columns: Sequence[str] | None = None,
        *,
        key: Any = None,
        domains: Mapping[str, str] | None = None,
        n_bytes: int = 16,
    ) -> None:
        self.columns = columns
        self.key = key
        self.domains = domains
        self.n_bytes = n_bytes

    # What get_params, clone and repr read is a Key, whatever was given.
    @property
    def key(self) -> Key | None:
        """The key, as an object that does not show it.

        Returns
        -------
        Key or None
            The key; None if none was given.
        """
        return vars(self)["key"]

    @key.setter
    def key(self, value: Any) -> None:
        self.__dict__["key"] = as_key(value)  # where clone and pickle look

    def fit(self, X: ArrayLike, y: Any = None) -> Self:
        """Learn which columns there are, and whether their ids are numbers or text.

        No id is kept.

        Parameters
        ----------
        X : pandas or polars DataFrame of shape (n, p)
            The table.
        y : object, default=None
            Ignored.

        Returns
        -------
        Pseudonymizer
            The fitted transformer itself.

        Raises
        ------
        ValueError
            If there is no key, it cannot be read, a column does not exist, or the ids
            of a domain mix numbers and text.
        """
        self._validate_params()
        key = self._needed_key()
        frame = self._frame(X)
        columns = list(frame.columns)
        if self.columns is not None:
            columns = several(self.columns, "columns", '["user"]')
        check_columns(frame, columns=columns)
        domains = dict(self.domains or {})
        unknown = [name for name in domains if name not in columns]
        if unknown:
            raise ValueError(
                f"domains names {unknown}, which are not among the columns that are "
                f"replaced: {columns}."
            )
        self._domain_of = {name: str(domains.get(name, name)) for name in columns}
        self.columns_, self.kinds_ = columns, {}
        for name in columns:
            self._check_kind(name, _ids_of(frame[name], name)[1], learn=True)
        self.key_id_ = key.fingerprint
        self.removed_ = frozenset()
        self.feature_names_in_ = np.array([str(c) for c in frame.columns], object)
        self.n_features_in_ = frame.shape[1]
        return self

    def transform(self, X: ArrayLike) -> pd.DataFrame:
        """Replace the ids.

        Parameters
        ----------
        X : pandas or polars DataFrame of shape (n, p)
            The table, with the columns of ``fit``.

        Returns
        -------
        DataFrame of shape (n, p)
            The table with text in the place of ids. Missing ids stay missing, and those
            that were removed become missing. It is a polars frame if ``set_output``
            asks for one.

        Raises
        ------
        ValueError
            If the columns are not those of ``fit``, the key is another one, ids are of
            another kind, or two ids got the same pseudonym.
        """
        check_is_fitted(self, "key_id_")
        frame = self._frame(X)
        names = [str(c) for c in frame.columns]
        if names != self.feature_names_in_.tolist():
            raise ValueError(
                f"The columns were {self.feature_names_in_.tolist()} in fit and are "
                f"{names} here."
            )
        met: dict = {}
        out = frame.copy(deep=False)
        for name in self.columns_:
            out[name] = self._replaced(frame[name], name, met)
        return out

    def pseudonyms(self, ids: ArrayLike, domain: str | None = None) -> np.ndarray:
        """Return the pseudonyms of some ids, for instance of who asks to be forgotten.

        Parameters
        ----------
        ids : array-like of shape (n,)
            The ids, none of which is missing.
        domain : str, default=None
            Their domain. With None, there must be only one.

        Returns
        -------
        ndarray of str of shape (n,)
            The pseudonyms, also those that were removed.

        Raises
        ------
        ValueError
            If there is no such domain, or the ids are of another kind than in ``fit``.
        """
        check_is_fitted(self, "key_id_")
        domain = self._known_domain(domain)
        name = next(n for n, d in self._domain_of.items() if d == domain)
        ids = _plain(as_ids(ids, str(name)))
        self._check_kind(name, ids)
        return self._make(ids, domain, {})

    def without(self, ids: ArrayLike, domain: str | None = None) -> Self:
        """Return a copy that gives some ids no pseudonym any more.

        It makes them missing, so that rows of a person who objected do not get past it.
        What was written before stays: find it by :meth:`pseudonyms`, delete it, and
        pass these to :func:`sklearn_causalrec.forget`. The copy keeps the pseudonyms of
        whom it leaves out, and not their ids.

        Parameters
        ----------
        ids : array-like of shape (n,)
            The ids.
        domain : str, default=None
            Their domain. With None, there must be only one.

        Returns
        -------
        Pseudonymizer
            The copy. This one stays as it is.
        """
        gone = self.pseudonyms(ids, domain)
        other = copy.copy(self)
        other.removed_ = self.removed_ | frozenset(gone)
        return other

    def rotated(self, key: Any) -> Self:
        """Return a copy that is fitted alike and uses another key.

        Old and new pseudonyms of an id have nothing in common. Tables that hold old
        ones are brought over by :meth:`rotation_table`, from the raw ids; without the
        raw ids nobody can.

        Parameters
        ----------
        key : bytes, path-like, str or Key
            The new key.

        Returns
        -------
        Pseudonymizer
            The copy. Ids that were removed have to be removed again.

        Raises
        ------
        ValueError
            If the key is the same, or cannot be used.
        """
        check_is_fitted(self, "key_id_")
        new = as_key(key)
        if new is None or new.fingerprint == self.key_id_:
            raise ValueError(
                f"The new key is {'missing' if new is None else 'the one in use'}. "
                f"{WAY_OUT}"
            )
        other = copy.copy(self)
        other.key, other.key_id_ = new, new.fingerprint
        other.removed_ = frozenset()
        return other

    def rotation_table(self, X: ArrayLike, other: Self) -> pd.DataFrame:
        """Return which new pseudonym stands for which old one.

        The table links both keys: delete it when the last table is brought over.

        Parameters
        ----------
        X : pandas or polars DataFrame of shape (n, p)
            A table with the raw ids.
        other : Pseudonymizer
            What :meth:`rotated` returned.

        Returns
        -------
        DataFrame
            The columns domain, old and new, with a row for each id of X.
        """
        frame, parts = self._frame(X), []
        for name in self.columns_:
            ids = _ids_of(frame[name], name)[1]
            domain = self._domain_of[name]
            pairs = {
                "old": self.pseudonyms(ids, domain),
                "new": other.pseudonyms(ids, domain),
            }
            parts.append(pd.DataFrame({"domain": domain, **pairs}))
        return pd.concat(parts).drop_duplicates(ignore_index=True)

    def collision_probability(self, n_ids: int) -> float:
        """Bound the probability that any two of so many ids share a pseudonym.

        Parameters
        ----------
        n_ids : int
            The number of ids of a domain.

        Returns
        -------
        float
            The birthday bound, for a hash that behaves as a random one.
        """
        n_ids = number(n_ids, "n_ids", 0)
        return float(min(1.0, n_ids**2 / 2.0 ** (8 * self.n_bytes + 1)))

    # -- inside ------------------------------------------------------------------

    @staticmethod
    def _frame(X):
        if isinstance(X, pd.Series):
            X = X.to_frame()
        refuse_unclear(X)
        return as_frame(X)

    def _needed_key(self):
        if self.key is None:
            raise ValueError(f"key is missing. {WAY_OUT}")
        self.key.secret()  # refuses by name what cannot be used
        return self.key

    def _known_domain(self, domain):
        known = list(dict.fromkeys(self._domain_of.values()))
        if domain is None and len(known) == 1:
            return known[0]
        if not isinstance(domain, str) or domain not in known:
            raise ValueError(f"domain={domain!r} is not one of {known}.")
        return domain

    def _check_kind(self, name, ids, *, learn=False):
        """Refuse ids that are neither whole numbers nor text, or not as in fit."""
        domain = self._domain_of[name]
        for value in ids.tolist():
            kind = "text" if isinstance(value, str) else "numbers"
            if kind == "numbers" and not isinstance(value, int):
                raise ValueError(
                    f"The column {name!r} holds the id {short(value)}, of type "
                    f"{type(value).__name__}: pseudonyms are made of whole numbers and "
                    "of text. Make it text, X[column].astype(str)."
                )
            known = self.kinds_.setdefault(domain, kind) if learn else None
            known = self.kinds_.get(domain, kind) if known is None else known
            if kind != known:
                raise ValueError(
                    f"The column {name!r} holds {short(value)}, which is "
                    f"{_A_KIND[kind]}, where the ids of the domain {domain!r} are "
                    f"{known}: they would join nothing. Convert it as in fit, for "
                    "instance with .astype(int) or .astype(str)."
                )

    def _make(self, ids, domain, met):
        """Pseudonyms of distinct ids, (n,). ``met``, of the table, finds collisions."""
        key = self._needed_key()
        if key.fingerprint != self.key_id_:
            raise ValueError(
                f"The key {key.fingerprint} is not {self.key_id_}, that of fit: its "
                "pseudonyms would join nothing. Fit again, or see rotated()."
            )
        secret, prefix = key.derive(f"pseudonym\0{domain}"), f"ps_{self.key_id_}_"
        seen = met.setdefault(domain, {})
        made = np.empty(len(ids), object)
        for j, value in enumerate(ids.tolist()):
            text = f"t{value}" if isinstance(value, str) else f"n{value}"
            message = text.encode("utf-8", "surrogatepass")
            digest = hmac.digest(secret, message, hashlib.sha256)
            made[j] = name = prefix + digest[: self.n_bytes].hex()
            if seen.setdefault(name, value) != value:
                raise ValueError(
                    f"Two ids of the domain {domain!r} have the same pseudonym, "
                    f"{name}: raise n_bytes."
                )
        return made

    def _replaced(self, column, name, met):
        codes, ids, missing = _ids_of(column, name)
        self._check_kind(name, ids)
        made = self._make(ids, self._domain_of[name], met)
        made[[one in self.removed_ for one in made]] = None
        found, out = made[codes], np.full(len(column), None, object)
        if not _is_lists(column):
            out[~missing] = found
            return pd.Series(out, column.index, dtype=object)
        start = 0
        for row in np.flatnonzero(~missing):
            stop = start + len(column.iloc[row])
            out[row] = [v for v in found[start:stop] if v is not None]
            start = stop
        return pd.Series(out, column.index, dtype=object)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.two_d_array = False
        tags.input_tags.string = True
        tags.input_tags.allow_nan = True
        tags.requires_fit = True
        return tags


_A_KIND = {"text": "text", "numbers": "a number"}


def _is_lists(column):
    return column.dtype == object and any(isinstance(v, _LISTS) for v in column)


def _ids_of(column, name):
    """Code of each id, the distinct ids in one comparable form, and who has none."""
    if _is_lists(column):
        missing = np.array([not isinstance(v, _LISTS) for v in column], bool)
        strange = column[missing & column.notna().to_numpy()]
        if len(strange):
            raise ValueError(
                f"The column {name!r} mixes lists of ids with single ones, such as "
                f"{short(strange.iloc[0])}."
            )
        flat = [v for row in column[~missing] for v in row]
        # one by one, so that numbers and text of one list stay what they are
        values = np.empty(len(flat), object)
        values[:] = flat
    else:
        missing = column.isna().to_numpy()
        values = column[~missing]
        if isinstance(values.dtype, pd.CategoricalDtype):
            values = values.astype(object)
        values = values.to_numpy()
    codes, ids = pd.factorize(as_ids(values, str(name)))
    return codes, _plain(ids), missing


def _plain(ids):
    """Whole numbers as ints, whatever they came as: 1, Decimal(1) and 1.0 are one."""
    if ids.dtype != object:
        return ids
    out = np.empty(len(ids), object)
    for j, value in enumerate(ids.tolist()):
        if isinstance(value, Real | Decimal) and value == value and value % 1 == 0:
            value = int(value)
        out[j] = value
    return out
