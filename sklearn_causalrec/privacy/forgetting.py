"""Remove persons from fitted models: what is kept of them, not what was learned."""

import copy
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import ArrayLike
from sklearn.pipeline import Pipeline

from sklearn_causalrec._utils.unwrap import unwrap
from sklearn_causalrec._utils.warn import warn_user
from sklearn_causalrec.encoding.roles import as_ids, column
from sklearn_causalrec.privacy.holdings import where_ids_are


def forget(fitted: Any, users: ArrayLike, X: ArrayLike | None = None) -> Any:
    """Return a copy of a fitted model in which some persons are no more.

    What goes: their ids, rows of the catalogue (features, histories, the pairs they
    met, items that they alone had), their vectors and biases in the networks and in
    optimizers, their offsets in the second stage, and their rows in what averages over
    the log are made of. To the copy they are unknown users, as to a model that never
    saw them. Of models of positives (:class:`~sklearn_causalrec.baselines.EASE` and the
    like) the copy is the model fitted without their rows.

    What stays: what all rows taught together. The weights that users share, trees,
    scales and means were learned with the persons' rows; no method that spares the fit
    takes that back in full [1]_. A mean over the whole log, less the rows of the others
    where a model keeps these, tells the sum of the persons' own rows to whoever works
    it out. Where that has to go, fit again without their rows, which is the exact way;
    ``benchmarks/bench_membership.py`` measures how much there is to go.

    Parameters
    ----------
    fitted : estimator, Pipeline or search
        A fitted :class:`~sklearn_causalrec.CausalDNNRecommender` or
        :class:`~sklearn_causalrec.CounterfactualPolicy` with a user column, a baseline,
        or a Pipeline or search over one. It stays as it is: drop it and its files.
    users : array-like of shape (n,)
        The ids, spelt as in the log; of a log with pseudonyms, these
        (:meth:`~sklearn_causalrec.privacy.Pseudonymizer.pseudonyms`).
    X : frame or array-like of shape (n, p), default=None
        The rows of the last fit. They are needed only where the model keeps rows and
        does not know whose they are: with several arms, where there is no second stage
        (``effect_learner="t"``, ``partial_fit``), or a `cluster` that is not the user.

    Returns
    -------
    estimator, Pipeline or search
        The copy.

    Raises
    ------
    TypeError
        If the model is of a kind that keeps rows and no ids, such as
        :class:`~sklearn_causalrec.DoCalculusEffect`: fit it again.
    ValueError
        If the model has no user column, nobody else is left, X is needed or is not that
        of the fit, or a step of the pipeline keeps the ids.

    Warns
    -----
    UserWarning
        If some of the users are not in the model.

    See Also
    --------
    sklearn_causalrec.privacy.data_inventory : What a model keeps.
    sklearn_causalrec.privacy.Pseudonymizer : Keep ids out of models from the start.

    References
    ----------
    .. [1] Bourtoule, L. et al. (2021). "Machine unlearning." IEEE Symposium on Security
       and Privacy.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_causalrec import forget
    >>> from sklearn_causalrec.baselines import EASE
    >>> bought = [("u", "a"), ("u", "b"), ("v", "c"), ("v", "d"), ("w", "a")]
    >>> log = pd.DataFrame(bought, columns=["user", "item"])
    >>> model = EASE(user="user", item="item").fit(log)
    >>> without = forget(model, ["v"])
    >>> without.log_encoder_.users.ids.tolist(), model.log_encoder_.users.ids.tolist()
    (['u', 'w'], ['u', 'v', 'w'])
    """
    original = unwrap(fitted)[1]
    index = _user_index(original)
    ids = as_ids(_listed(users), "user")
    codes = index.codes(ids)
    known = codes < len(index)
    if not known.all():
        warn_user(
            f"{int((~known).sum())} of {len(codes)} users are not in the model: nothing"
            " of theirs is kept there."
        )
    keep = np.ones(len(index), bool)
    keep[codes[known]] = False
    if not keep.any():
        raise ValueError(
            f"All {len(keep)} users of the model are to be forgotten: delete the model."
        )
    rows = _rows_to_keep(fitted, original, keep, X)
    forgotten = copy.deepcopy(fitted)
    unwrap(forgotten)[1]._without_users(keep, rows)
    for name, step in _steps_before(forgotten):
        _forget_in_step(name, step, ids)
    return forgotten


def _listed(users):
    """Ids as an array; one id alone is refused rather than read letter by letter."""
    if isinstance(users, list | tuple):
        return users
    if isinstance(users, str) or np.ndim(users) == 0:
        raise ValueError("users is one id: pass a list of ids, [id].")
    return np.asarray(users)


def _user_index(estimator):
    if not hasattr(estimator, "_without_users"):
        raise TypeError(
            f"{type(estimator).__name__} keeps rows of its log and not whose they are: "
            "fit it again without the rows of these users, model.fit(X[keep], y[keep])."
        )
    if not hasattr(estimator, "log_encoder_"):
        raise ValueError(
            f"This {type(estimator).__name__} is not fitted: there is nothing to "
            "forget."
        )
    index = estimator.log_encoder_.users
    if not len(index):
        raise ValueError(
            "The model has no user column: it does not know whose its rows were. Fit "
            "it again without the rows of these users, model.fit(X[keep], y[keep])."
        )
    return index


def _rows_to_keep(fitted, estimator, keep, X):
    """Which rows of the last fit stay; None where the model keeps none."""
    if not getattr(estimator, "_keeps_rows", bool)():
        return None
    known = estimator._user_of_rows()
    if known is not None:
        return keep[known]
    kept = estimator.log_encoder_.kept
    if X is None or not isinstance(kept, np.ndarray):
        raise ValueError(
            "The model keeps rows of its log and does not know whose they are: there "
            "is no second stage, rows belong together by something else than the user "
            "(cluster=), or it was saved with slim=True. Pass X, the rows of its last "
            "fit, with the model that was not slim, or fit it again without the rows "
            "of these users."
        )
    X = unwrap(fitted)[0](X)
    roles = estimator.log_encoder_.roles
    named = roles.roles["user"]
    if not isinstance(X, np.ndarray) and not hasattr(X, "columns"):
        X = np.asarray(X)
    if len(X) != len(kept):
        raise ValueError(
            f"X has {len(X)} rows, and the last fit had {len(kept)}: pass the rows of "
            "the last fit."
        )
    ids = as_ids(column(X, roles.columns_.get("user", named)), "user")[kept]
    codes = estimator.log_encoder_.users.codes(ids)
    if (codes == len(keep)).any():
        raise ValueError(
            "X has users that the model does not know: pass the rows of the last fit."
        )
    return keep[codes]


def _steps_before(fitted):
    """Name and transformer of every step in front of the estimator."""
    while True:
        if hasattr(fitted, "best_estimator_"):
            fitted = fitted.best_estimator_
        elif isinstance(fitted, Pipeline):
            for name, step in fitted.steps[:-1]:
                yield from _inside(name, step)
            fitted = fitted[-1]
        else:
            return


def _inside(name, step):
    """A transformer, or those that a ColumnTransformer or FeatureUnion has fitted."""
    fitted = getattr(step, "transformers_", None)
    if fitted is None:
        listed = getattr(step, "transformer_list", None)
        fitted = [(n, t, None) for n, t in listed] if listed else None
    if isinstance(step, Pipeline):
        fitted = [(n, t, None) for n, t in step.steps]
    if fitted is None:
        yield name, step
        return
    for part, transformer, _ in fitted:
        if not isinstance(transformer, str) and transformer is not None:
            yield from _inside(f"{name}: {part}", transformer)


def _forget_in_step(name, step, ids):
    if hasattr(step, "_without_users") and hasattr(step, "users_"):
        step._without_users(~pd.Index(step.users_).isin(ids))
    found = where_ids_are(step, ids)
    if found:
        raise ValueError(
            f"The step {name!r}, {type(step).__name__}, keeps the ids in "
            f"{found[0].lstrip('.')}: fit the pipeline again without the rows of these "
            "users, or keep ids out of this step."
        )
