"""Predictions and lists of many rows and users, written to Parquet block by block."""

from collections.abc import Sequence
from contextlib import contextmanager
from numbers import Integral
from os import PathLike, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils import check_random_state, check_scalar

from sklearn_causalrec._utils.typing import Arm
from sklearn_causalrec._utils.unwrap import unwrap
from sklearn_causalrec.encoding.contrasts import named_arms
from sklearn_causalrec.encoding.streams import BATCH_ROWS, LogStream
from sklearn_causalrec.ranking.recommend import recommend


@contextmanager
def _writing(path):
    """A function that appends frames to a file, which is there in the end or not."""
    import pyarrow
    from pyarrow import parquet

    path = Path(path)
    if path.exists():
        raise FileExistsError(f"{path} is there already, and nothing is overwritten.")
    if not path.parent.is_dir():
        raise FileNotFoundError(f"There is no folder {path.parent} to write to.")
    part = path.with_name(f".{path.name}.part")
    writer = None

    def write(frame):
        nonlocal writer
        table = pyarrow.Table.from_pandas(frame, preserve_index=False)
        if writer is None:
            writer = parquet.ParquetWriter(part, table.schema)
        writer.write_table(table.cast(writer.schema))

    try:
        try:
            yield write
        finally:
            if writer is not None:
                writer.close()
        if writer is not None:
            replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def write_predictions(
    fitted: Any,
    source: Any,
    path: str | PathLike,
    *,
    keep: Sequence[str] = (),
    effect: bool | None = None,
    T0: Arm | None = None,
    T1: Arm | None = None,
    batch_rows: int = BATCH_ROWS,
) -> int:
    """Predict the outcome and the effect of every row of a log on disk, to Parquet.

    Parameters
    ----------
    fitted : estimator, Pipeline or search
        The fitted model.
    source : path, pyarrow.dataset.Dataset, or iterable of record batches
        The rows, with the columns of ``fit``, as
        :meth:`~sklearn_causalrec.CausalDNNRecommender.fit` reads them.
    path : path
        The file to write. It must not exist; it appears when all of it is written.
    keep : sequence of str, default=()
        The columns of the log that are written beside the predictions, such as ids.
    effect : bool, default=None
        Whether the effect is predicted. With None, it is where the model has one: where
        it was fitted to several arms.
    T0, T1 : scalar, default=None
        The arms, as in ``effect``.
    batch_rows : int, default=65536
        The number of rows that are in memory at a time.

    Returns
    -------
    int
        The number of rows that were written, with the columns `keep`, "outcome" and
        "effect".

    Raises
    ------
    FileExistsError
        If the file exists.
    ImportError
        If pyarrow is not installed.
    ValueError
        If a batch cannot be read, or a column of `keep` is missing. Nothing is written
        then.

    See Also
    --------
    write_lists : The best items of every user.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> import pandas as pd
    >>> from sklearn_causalrec import CausalDNNRecommender
    >>> from sklearn_causalrec.datasets import make_exposure_log
    >>> from sklearn_causalrec.ranking import write_predictions
    >>> log = make_exposure_log(500, random_state=0)
    >>> model = CausalDNNRecommender(
    ...     user="user", item="item", effect_learner="t", max_epochs=2, random_state=0
    ... )
    >>> with TemporaryDirectory() as folder:
    ...     rows = Path(folder, "rows.parquet")
    ...     log.X.assign(y=log.y, shown=log.treatment).to_parquet(rows)
    ...     model = model.fit(rows, "y", "shown")
    ...     new = Path(folder, "new.parquet")
    ...     n = write_predictions(model, rows, new, keep=["user"])
    ...     n, list(pd.read_parquet(new))
    (500, ['user', 'outcome', 'effect'])
    """
    check_scalar(batch_rows, "batch_rows", Integral, min_val=1)
    transform, estimator = unwrap(fitted)
    stream = LogStream(source, batch_rows=batch_rows)
    if effect is None:
        effect = hasattr(estimator, "effect") and len(estimator.arms_) > 1
    read = list(getattr(fitted, "feature_names_in_", stream.columns))
    keep = [keep] if isinstance(keep, str) else list(keep)
    for name in (*keep, *read):
        if name not in stream.schema.names:
            raise ValueError(
                f"the log lacks the column {name!r}. Its columns are "
                f"{stream.schema.names}."
            )
    taken = {"outcome", "effect"} & set(keep)
    if taken:
        raise ValueError(f"keep names {taken.pop()!r}, which is written anyway.")
    n = 0
    with _writing(path) as write:
        for _, frame in stream.frames(list(dict.fromkeys([*keep, *read]))):
            X = transform(frame[read])
            found = frame[keep].copy()
            proba = getattr(estimator, "predict_proba", None)
            found["outcome"] = estimator.predict(X) if proba is None else proba(X)[:, 1]
            if effect:
                found["effect"] = estimator.effect(X, **named_arms(T0, T1))
            write(found)
            n += len(found)
    return n


def write_lists(
    fitted: Any,
    path: str | PathLike,
    users: Any = None,
    k: int = 10,
    *,
    block_users: int = 10_000,
    **options: Any,
) -> int:
    """Write the k best items of every user to Parquet, some users at a time.

    Parameters
    ----------
    fitted : estimator, Pipeline or search
        The fitted model.
    path : path
        The file to write. It must not exist; it appears when all of it is written.
    users : array-like of ids, or frame, default=None
        The users, as in :func:`~sklearn_causalrec.recommend`. None stands for all users
        of the log.
    k : int, default=10
        The number of items per user.
    block_users : int, default=10000
        The number of users whose lists are in memory at a time.
    **options
        All other options of :func:`~sklearn_causalrec.recommend`.

    Returns
    -------
    int
        The number of rows that were written: they are those of
        :func:`~sklearn_causalrec.recommend`.

    Raises
    ------
    FileExistsError
        If the file exists.
    ImportError
        If pyarrow is not installed.
    ValueError
        If :func:`~sklearn_causalrec.recommend` refuses an option. Nothing is written
        then.

    See Also
    --------
    sklearn_causalrec.recommend : The lists as a frame.

    Examples
    --------
    >>> from pathlib import Path
    >>> from tempfile import TemporaryDirectory
    >>> import pandas as pd
    >>> from sklearn_causalrec.baselines import Popularity
    >>> from sklearn_causalrec.ranking import write_lists
    >>> log = pd.DataFrame({"user": [1, 1, 2], "item": ["x", "y", "x"]})
    >>> model = Popularity(user="user", item="item").fit(log)
    >>> with TemporaryDirectory() as folder:
    ...     n = write_lists(model, Path(folder, "lists.parquet"), k=1)
    ...     pd.read_parquet(Path(folder, "lists.parquet"))["item"].tolist()
    ['y']
    """
    check_scalar(block_users, "block_users", Integral, min_val=1)
    if users is None:
        users = np.asarray(unwrap(fitted)[1].log_encoder_.users.ids)
    # One generator for all blocks: a seed would draw the same in each.
    options["random_state"] = check_random_state(options.get("random_state"))
    n = 0
    with _writing(path) as write:
        for start in range(0, len(users), block_users):
            some = users[start : start + block_users]
            if isinstance(users, pd.DataFrame):
                some = users.iloc[start : start + block_users]
            lists = recommend(fitted, some, k=k, **options)
            write(lists)
            n += len(lists)
    return n
