"""Warnings that point at the user's line, however deep they arise."""

import sys
import warnings

_OURS = ("sklearn_causalrec", "sklearn", "joblib")  # joblib calls for scikit-learn


def warn_user(message, category=UserWarning):
    """Warn, with the place of the call that came from outside of the libraries.

    A fixed ``stacklevel`` holds for one way through the package only. Here the frames
    are walked up to the first that is neither of this package nor of scikit-learn
    and its joblib, such as a pipeline's.

    Parameters
    ----------
    message : str
        The text of the warning.
    category : type, default=UserWarning
        The class of the warning.
    """
    frame, level = sys._getframe(1), 2
    while frame.f_back is not None and _is_ours(frame):
        frame, level = frame.f_back, level + 1
    warnings.warn(message, category, stacklevel=level)


def _is_ours(frame):
    return frame.f_globals.get("__name__", "").partition(".")[0] in _OURS
