"""What a fitted model holds of people: columns, ids, rows, and how they leave."""

from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from sklearn_causalrec._utils.postponed import Postponed
from sklearn_causalrec._utils.unwrap import unwrap
from sklearn_causalrec.encoding.cluster_columns import cluster_names
from sklearn_causalrec.explaining.report import Report
from sklearn_causalrec.privacy.forgetting import _steps_before
from sklearn_causalrec.privacy.holdings import walk
from sklearn_causalrec.privacy.pseudonyms import looks_like_pseudonyms
from sklearn_causalrec.serving.slim import LeftOut

_RETENTION = {
    "user ids": "forget(model, users); a Pseudonymizer in front keeps raw ids out",
    "item ids": "until the model is deleted; they are no persons, in most logs",
    "values by user": "forget(model, users)",
    "rows of the log": "save(model, path, slim=True); forget(model, users) for theirs",
    "rows inside learners": "forget(model, users)",
    "history of a step": "forget(model, users)",
    "texts": "forget(model, users), but for those of items; fit again",
}
_OF_GRAPH = {
    "rows of the log": "fit again without them; they are what averages are made of",
    "rows inside learners": "fit again without them",
}


def data_inventory(fitted: Any) -> Report:
    """List what a fitted model holds of the people in its log.

    It reads the model, not its documentation: every array in it is looked at, and those
    with an entry for each row or each user are listed.

    Parameters
    ----------
    fitted : estimator, Pipeline or search
        A fitted model of this package.

    Returns
    -------
    Report
        The section "Columns" has a table of the columns of X by role, and whether their
        values are kept. "Pretrained", where there is one, names the text encoder inside
        and its licence. The section "Kept" has a table of what the model holds: what,
        of how many, in how many places and bytes, whether ids look like pseudonyms, and
        how it leaves.

    Raises
    ------
    NotFittedError
        If the model is not fitted.

    See Also
    --------
    sklearn_causalrec.forget : Remove persons.
    model_card : A card with this inventory.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_causalrec.baselines import EASE
    >>> from sklearn_causalrec.privacy import data_inventory
    >>> log = pd.DataFrame({"user": ["ann", "ann", "bo"], "item": ["x", "y", "x"]})
    >>> kept = data_inventory(EASE(user="user", item="item").fit(log)).to_frame("Kept")
    >>> kept.loc["user ids", "pseudonyms"], int(kept.loc["user ids", "n"])
    (False, 2)
    """
    _, estimator = unwrap(fitted)
    check_is_fitted(estimator)
    for _, part in walk(fitted):
        Postponed.finish(part)  # what waits holds the log, and its results do not
    report = Report(f"Data held by {type(estimator).__name__}")
    report.add("Columns", columns_of(estimator))
    report.add("Kept", _kept(fitted, estimator))
    texts = texts_of(estimator)
    if texts is not None:
        report.add("Pretrained", pd.DataFrame([texts.facts()]))
    report.add("What it was told", _told(estimator))
    return report


def texts_of(estimator: Any) -> Any:
    """The texts of a fitted estimator and their pretrained encoder, or None."""
    encoder = getattr(estimator, "log_encoder_", None)
    return None if encoder is None else encoder.roles.texts


def columns_of(estimator: Any) -> pd.DataFrame:
    """Role of each column that an estimator was fitted to, and whether it is kept.

    Parameters
    ----------
    estimator : estimator
        Fitted.

    Returns
    -------
    DataFrame
        The columns column, role and kept.
    """
    encoder = getattr(estimator, "log_encoder_", None)
    paths = (path for path, _ in walk(estimator))
    inside = "rows, inside learners" if any(map(_is_inside, paths)) else ""
    rows = []
    if encoder is not None:
        roles, taken = encoder.roles, {}
        taken.update({roles.columns_.get(r, c): r for r, c in roles.named.items()
                      if r != "history"})  # fmt: skip
        taken.update(dict.fromkeys(roles.histories, "history"))
        for name in roles.clusters:
            taken.setdefault(name, "cluster")
        kept = {
            "user": "ids", "item": "ids", "time": "no", "treatment": "arms of rows",
            "propensity": "no", "history": "ids of items, by user",
            "cluster": "which rows share one",
        }  # fmt: skip
        log = getattr(estimator, "catalogue_", None)
        if log is None:
            kept["history"] = "no"
        if getattr(estimator, "effects_", None) is None:
            kept["cluster"] = "no"
            kept["treatment"] = "which arms there are"
        rows += [(name, role, kept[role]) for name, role in taken.items()]
        for name in roles.feature_columns_:
            owner = log.owner.get(name) if log is not None else None
            how = "the last value of each user and item" if owner else ""
            how = " and ".join(filter(None, [how, inside])) or "no"
            if encoder.roles.texts is not None and name == roles.feature_columns_[-1]:
                how = "all distinct texts"
            rows.append((name, f"feature of the {owner}" if owner else "feature", how))
    elif hasattr(estimator, "_reader"):
        known = set(getattr(estimator._answer.variables, "_blocks", {}))
        for name in estimator.treatment_names_:
            rows.append((name, "treatment", "all rows"))
        for name in estimator._reader.columns:
            how = "all rows" if name in known else inside or "no"
            rows.append((name, "covariate", how))
        for name in cluster_names(estimator.cluster):
            rows.append((name, "cluster", "which rows share one"))
        rows.append((estimator.outcome_name_, "outcome", "in the scores of rows"))
    else:
        names = getattr(estimator, "feature_names_in_", [])
        rows += [(name, "feature", "not known") for name in names]
    return pd.DataFrame(rows, columns=["column", "role", "kept"])


def _is_inside(path):
    """Whether a part is the rows that a learner keeps, as kernels and neighbours do."""
    return path.endswith((".rows_", "._fit_X", ".X_train_", ".support_vectors_"))


def _n_rows(estimator):
    """Rows of the last fit, all of them and those of positive weight."""
    encoder = getattr(estimator, "log_encoder_", None)
    if encoder is not None and isinstance(getattr(encoder, "kept", None), np.ndarray):
        return len(encoder.kept), int(encoder.kept.sum())
    arm = getattr(estimator, "arm_", None)
    return (len(arm), len(arm)) if arm is not None else (0, 0)


def _kept(fitted, estimator):
    encoder = getattr(estimator, "log_encoder_", None)
    n_users = len(encoder.users) if encoder is not None else 0
    n_items = len(encoder.items) if encoder is not None else 0
    sizes = dict.fromkeys((n_users, n_users + 1) if n_users else (), "values by user")
    n_rows = set(_n_rows(estimator)) - {0}
    places: dict[str, list[tuple[str, int]]] = {}
    for path, value in walk(estimator):
        if isinstance(value, type | LeftOut | pd.Index) or ".texts." in path:
            continue
        shape = getattr(value, "shape", None)
        if shape and shape[0]:
            what = sizes.get(shape[0])
            if shape[0] in n_rows and not path.endswith(".kept"):
                what = "rows of the log"
            if _is_inside(path):
                what = "rows inside learners"
            if what is not None:
                places.setdefault(what, []).append((path, _bytes(value)))
    rows = {}
    for what, n, index in (
        ("user ids", n_users, encoder and encoder.users.ids),
        ("item ids", n_items, encoder and encoder.items.ids),
    ):
        if n:
            hidden = looks_like_pseudonyms(index)
            rows[what] = (n, 1, _bytes(index), hidden, _RETENTION[what])
    texts = texts_of(estimator)
    if texts is not None:
        size = texts.nbytes
        rows["texts"] = (texts.n_fit - 1, 1, size, None, _RETENTION["texts"])
    how = _RETENTION if hasattr(estimator, "_without_users") else _OF_GRAPH
    for what in ("values by user", "rows of the log", "rows inside learners"):
        if what in places:
            n = n_users if what == "values by user" else max(n_rows, default=0)
            size = sum(size for _, size in places[what])
            rows[what] = (n, len(places[what]), size, None, how[what])
    for name, step in _steps_before(fitted):
        ids = getattr(step, "users_", None)
        if ids is not None:
            hidden = looks_like_pseudonyms(ids)
            way = "history of a step"
            way = _RETENTION[way] if hasattr(step, "_without_users") else "fit again"
            rows[f"history in step {name!r}"] = (len(ids), 1, None, hidden, way)
        users = [] if encoder is None else encoder.users.ids
        for categories in getattr(step, "categories_", ()):
            if pd.Index(categories).isin(users).any():
                row = (len(categories), 1, None, None, "fit again without the step")
                rows[f"user ids in step {name!r}"] = row
    columns = ["n", "places", "bytes", "pseudonyms", "leaves by"]
    table = pd.DataFrame.from_dict(rows, orient="index", columns=columns)
    return table.rename_axis("what")


def _bytes(value):
    if isinstance(value, pd.Index):
        return int(value.memory_usage(deep=True))
    if hasattr(value, "nbytes"):
        return int(value.nbytes)
    data = getattr(value, "data", None)  # a sparse matrix
    return int(getattr(data, "nbytes", 0))


def _told(estimator):
    encoder = getattr(estimator, "log_encoder_", None)
    if encoder is not None and len(encoder.users):
        hidden = looks_like_pseudonyms(encoder.users.ids)
        return (
            "User ids are pseudonyms: they are personal data for whoever has the key."
            if hidden
            else "User ids are those of the log, as they came. A Pseudonymizer before "
            "the fit keeps them out of the model and of its files."
        )
    return "The model knows no user ids."
