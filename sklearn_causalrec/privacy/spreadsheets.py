"""Tables for spreadsheets, in which no cell is a formula."""

import numpy as np
import pandas as pd

from sklearn_causalrec.encoding.frames import as_frame

# What Excel, LibreOffice and Google Sheets may take for the start of a formula.
_STARTS = ("=", "+", "-", "@", "\t", "\r", "\n", "＝", "＋", "－", "＠")


def spreadsheet_safe(frame):
    """Mark text that a spreadsheet would run as a formula, before a table is exported.

    A user, an item or a column may be called ``=HYPERLINK("http://…")``. A CSV file
    holds it as it is, and Excel runs it when the file is opened [1]_.

    Parameters
    ----------
    frame : DataFrame
        The table, such as lists, reasons, segments or one of a report.

    Returns
    -------
    DataFrame
        A copy in which text that starts with ``=``, ``+``, ``-``, ``@``, a tab or a
        line break has an apostrophe before it, in cells, in the index, and in the names
        of columns; a carriage return in text is a space. Numbers, times and all other
        text are as they were.

    Raises
    ------
    TypeError
        If it is no frame.

    See Also
    --------
    sklearn_causalrec.recommend : Makes lists.
    model_card : An account of a model, whose text cannot be markup.

    References
    ----------
    .. [1] OWASP. "CSV injection."
       https://owasp.org/www-community/attacks/CSV_Injection

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_causalrec.privacy import spreadsheet_safe
    >>> lists = pd.DataFrame({"user": ["ann", "=1+1"], "score": [-0.5, 0.25]})
    >>> print(spreadsheet_safe(lists).to_csv(index=False))
    user,score
    ann,-0.5
    '=1+1,0.25
    <BLANKLINE>
    """
    frame = as_frame(frame, "frame").copy(deep=False)
    for place in range(frame.shape[1]):
        column = frame.iloc[:, place]
        values = column.astype(object).to_numpy()
        safe = [_safe(value) for value in values.tolist()]
        if any(new is not old for new, old in zip(safe, values.tolist())):
            array = np.empty(len(safe), dtype=object)
            array[:] = safe
            frame.isetitem(place, pd.Series(array, index=frame.index))
    frame.index = _safe_labels(frame.index)
    frame.columns = _safe_labels(frame.columns)
    return frame


def _safe(value):
    if not isinstance(value, str):
        return value
    # A carriage return ends a row for spreadsheets, and pandas does not quote it.
    safe = value.replace("\r", " ") if "\r" in value else value
    return f"'{safe}" if value.startswith(_STARTS) else safe


def _safe_labels(labels):
    if isinstance(labels, pd.MultiIndex):
        rows = [tuple(map(_safe, row)) for row in labels]
        return pd.MultiIndex.from_tuples(rows, names=map(_safe, labels.names))
    safe = [_safe(label) for label in labels]
    changed = any(new is not old for new, old in zip(safe, labels))
    found = pd.Index(safe, dtype=object) if changed else labels
    return found.rename(_safe(labels.name))
