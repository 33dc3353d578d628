"""What is inside a Pipeline, a search, or an estimator that another one answers for."""

from collections.abc import Callable
from typing import Any


def unwrap(fitted: Any) -> tuple[Callable[[Any], Any], Any]:
    """The transformers in front of an estimator, and the estimator itself.

    Parameters
    ----------
    fitted : estimator, Pipeline, or search over one of them
        Fitted.

    Returns
    -------
    transform : callable
        What the pipeline does to X before its last step.
    estimator : estimator
        Where its ``blend_`` makes the lists, this blend.

    Raises
    ------
    TypeError
        If the outcome is transformed on the way, so that effects would come back in
        other units than y's.
    """
    from sklearn.compose import TransformedTargetRegressor
    from sklearn.pipeline import Pipeline

    transforms = []
    while True:
        if hasattr(fitted, "best_estimator_"):
            fitted = fitted.best_estimator_
        elif isinstance(fitted, Pipeline):
            if len(fitted) > 1:
                transforms.append(fitted[:-1].transform)
            fitted = fitted[-1]
        elif isinstance(fitted, TransformedTargetRegressor):
            raise TypeError(
                "TransformedTargetRegressor changes the units of y, and effects are "
                "differences in them. Pass y untransformed: the estimator scales it "
                "inside."
            )
        elif getattr(fitted, "blend_", None) is not None:
            fitted = fitted.blend_
        else:
            break

    def transform(X: Any) -> Any:
        for step in transforms:
            X = step(X)
        return X

    return transform, fitted


def is_policy(estimator: Any) -> bool:
    """Whether an estimator's ``predict_proba`` is a policy over its ``arms_``."""
    tags = getattr(estimator, "__sklearn_tags__", None)
    return tags is not None and tags().estimator_type == "policy"
