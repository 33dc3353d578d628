"""What scikit-learn judges: no refusal becomes nan, no arm is assumed silently."""

import functools
import sys
from contextlib import contextmanager

import numpy as np

from sklearn_causalrec._utils.warn import warn_user

# Where scikit-learn compares predictions with outcomes. Not its searches, inspection
# and pipelines: what they are asked to predict, the user has asked for.
_JUDGES = (
    "sklearn.metrics.",
    "sklearn.calibration",
    "sklearn.linear_model._ransac",
    "sklearn.model_selection._validation",
)
_VALIDATION = "sklearn.model_selection._validation"


class NotScorableError(ValueError):
    """The rows can't be judged, whatever the model is."""


class _NoScore:
    """What is returned where raising would become nan; it is raised, as text."""

    def __init__(self, reason):
        self.reason = reason

    def __repr__(self):
        return f"no score: {self.reason}"


@contextmanager
def refusing():
    """Turn a ValueError of the block into one that scikit-learn does not swallow."""
    try:
        yield
    except ValueError as error:
        raise NotScorableError(str(error)) from error


def never_nan(score):
    """Decorate a method that scores: a :class:`NotScorableError` never becomes nan.

    ``cross_validate`` and searches turn exceptions into their ``error_score``, which is
    nan, and keep the reason in a warning. A result that is no number is an error to
    them: where they would swallow the exception, such a result is returned, and they
    raise its text.

    Parameters
    ----------
    score : callable
        The method.

    Returns
    -------
    callable
        The method, decorated.
    """

    @functools.wraps(score)
    def wrapper(self, *args, **kwargs):
        try:
            return score(self, *args, **kwargs)
        except NotScorableError as error:
            if _swallowed():
                return _NoScore(error)
            raise

    return wrapper


def _callers():
    """Frames of scikit-learn and of this package, from the call of a method on."""
    frame = sys._getframe(1)
    while frame is not None:
        name = frame.f_globals.get("__name__", "")
        if name.partition(".")[0] not in ("sklearn", "sklearn_causalrec"):
            return
        yield frame, name
        frame = frame.f_back


def _swallowed():
    """Whether the score is asked for by a validation that turns errors into nan."""
    for frame, name in _callers():
        if name == _VALIDATION and frame.f_code.co_name == "_score":
            scorer = frame.f_locals.get("scorer")
            # A scorer of several raises by itself where error_score is "raise".
            if hasattr(scorer, "_raise_exc"):
                return not scorer._raise_exc
            return frame.f_locals.get("error_score", "raise") != "raise"
    return False


def is_one_of_many():
    """Whether a fit is asked for by a search or a cross-validation.

    Returns
    -------
    bool
        True where scikit-learn's model selection is among the callers.
    """
    return any(name.startswith("sklearn.model_selection.") for _, name in _callers())


def warn_if_judged(arms, shown):
    """Warn where a prediction under one arm is compared with outcomes of all.

    Called by ``predict`` where several arms were fitted and it was told none. It is
    silent where the user asked for the prediction, also through a pipeline or a search,
    and where another estimator asks for it in its ``fit``.

    Parameters
    ----------
    arms : sequence
        The arms of the estimator.
    shown : scalar
        The arm that was predicted under.
    """
    for frame, name in _callers():
        if name.startswith(_JUDGES):
            arms = np.asarray(arms, object).tolist()
            warn_user(
                f"{name.rpartition('._')[0] or name} compares outcomes with "
                "predictions that were asked for without an arm, of a model of the "
                f"arms {arms}: all rows were predicted under the arm {shown!r}, as "
                "if shown, which is right only where all of them had it. Judge by "
                "sklearn_causalrec.metrics.make_outcome_scorer, for instance "
                "scoring=make_outcome_scorer('roc_auc'), which passes each row's arm "
                "on; or let the arm be a column of X that the estimator names, "
                "treatment='...'."
            )
            return
        if frame.f_code.co_name in ("fit", "partial_fit"):
            return
