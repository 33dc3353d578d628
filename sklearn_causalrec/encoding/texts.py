"""Texts of a column as codes: each distinct text has one, and no text has code 0."""

from threading import Lock

import numpy as np
import pandas as pd

from sklearn_causalrec.encoding.kinds import as_series
from sklearn_causalrec.encoding.time_formats import shown

NO_TEXT = 0
MOST_TEXTS = 2**24  # codes travel among features, float32, which skips numbers beyond


def _is_missing(value):
    return pd.api.types.is_scalar(value) and pd.isna(value)


class TextIndex:
    """A growing mapping of texts to codes 1, 2 and so on, in the order of appearance.

    A missing value, and a text of blanks alone, has the code 0: it says nothing.

    Attributes
    ----------
    texts : list of str or None
        The text of each code, that of code 0 first, which is None.

    See Also
    --------
    sklearn_causalrec.encoding.roles.IdIndex : The same for ids.

    Examples
    --------
    >>> from sklearn_causalrec.encoding.texts import TextIndex
    >>> index = TextIndex()
    >>> index.codes(["red shoe", None, "blue hat", "red shoe"], "title").tolist()
    [1, 0, 2, 1]
    """

    def __init__(self):
        self.texts = [None]
        self._codes, self._lock = {}, Lock()

    def __len__(self):
        return len(self.texts)

    def __getstate__(self):
        return {"texts": self.texts}

    def __setstate__(self, state):
        self.texts, self._lock = list(state["texts"]), Lock()
        self._codes = {t: c for c, t in enumerate(self.texts) if t is not None}

    def codes(self, values, name):
        """Look up texts; those that are not known get codes.

        Parameters
        ----------
        values : array-like of shape (n,)
            The texts. None, NaN and NA are missing ones.
        name : str or int
            The column, for messages.

        Returns
        -------
        ndarray of shape (n,), int64
            The codes.

        Raises
        ------
        ValueError
            If a value is no text, or there are more distinct texts than codes.
        """
        column = as_series(values, name).astype(object)
        if pd.api.types.infer_dtype(column, skipna=True) not in ("string", "empty"):
            for row, value in enumerate(column):
                if not isinstance(value, str) and not _is_missing(value):
                    raise ValueError(
                        f"The text column {name!r} holds {shown(value)} in row {row}, "
                        f"of type {type(value).__name__}, and texts are needed: "
                        "convert it, .astype(str), or name the column that holds texts."
                    )
        place, distinct = pd.factorize(column)  # -1 where it is missing
        with self._lock:
            table = [self._code(text) for text in distinct]
        return np.append(np.array(table, np.int64), NO_TEXT)[place]

    def _code(self, text):
        if not text.strip():
            return NO_TEXT
        code = self._codes.get(text)
        if code is None:
            code = len(self.texts)
            if code >= MOST_TEXTS:
                raise ValueError(
                    f"There are more than {MOST_TEXTS:,} distinct texts: encode them "
                    "before, and pass the vectors as features (TextEmbedding)."
                )
            self.texts.append(text)
            self._codes[text] = code
        return code

    def first(self, n):
        """The index of the first n codes alone.

        Parameters
        ----------
        n : int
            How many codes, that of no text among them.

        Returns
        -------
        TextIndex
        """
        found = TextIndex()
        found.__setstate__({"texts": self.texts[:n]})
        return found

    def forget(self, keep):
        """Forget texts, in place; their codes stay unused.

        Parameters
        ----------
        keep : ndarray of bool of shape (len(self),)
            Which stay.
        """
        with self._lock:
            pairs = zip(self.texts, keep)
            self.texts = [text if kept else None for text, kept in pairs]
            known = enumerate(self.texts)
            self._codes = {t: c for c, t in known if t is not None}
