"""Objects as their attributes: how they are told, given back and checked."""

from inspect import signature
from types import FunctionType

from sklearn.base import BaseEstimator

from sklearn_causalrec._utils.postponed import Postponed
from sklearn_causalrec.serving.adapters import full_name
from sklearn_causalrec.serving.memory import CHECKS


def has_state(kind):
    """Whether objects of a type are no more than their attributes.

    A type of C or Cython keeps its numbers elsewhere; without them an object of it
    would read memory that is not its own.
    """
    return isinstance(kind, type) and kind.__dictoffset__ != 0


def _is_net(kind):
    """Whether a type is a net of skorch, which pickles its networks inside."""
    return any(base.__module__ == "skorch.net" for base in kind.__mro__)


def state_of(obj):
    """What is to be written of an object: its ``__dict__``, mostly.

    What it has put off is done before: a file holds results, and not the log.
    """
    Postponed.finish(obj)
    if _is_net(type(obj)):
        # Callbacks are those of the last training, and made anew by the next.
        return {**vars(obj), "callbacks": [], "callbacks_": []}
    if isinstance(obj, BaseException):
        return {**vars(obj), "args": obj.args}
    return obj.__getstate__()


def set_state(obj, state):
    """Give an object the state that :func:`state_of` told."""
    if isinstance(obj, BaseException):
        obj.args = state.pop("args")
        vars(obj).update(state)
    elif _is_net(type(obj)):
        vars(obj).update(state)
    elif hasattr(obj, "__setstate__"):
        obj.__setstate__(state)
    elif state is not None:
        state, slots = state if isinstance(state, tuple) else (state, {})
        vars(obj).update(state or {})
        known = {
            name for c in type(obj).__mro__ for name in vars(c).get("__slots__", ())
        }
        for name in known & set(slots):
            object.__setattr__(obj, name, slots[name])
    if isinstance(obj, BaseEstimator):
        _add_later_parameters(obj)


def _add_later_parameters(estimator):
    """Parameters that the class got after the file was written have their defaults."""
    kind = type(estimator)
    for name, parameter in signature(kind.__init__).parameters.items():
        known = name in vars(estimator) or hasattr(kind, name)
        if not known and parameter.default is not parameter.empty:
            vars(estimator)[name] = parameter.default


def needs_a_check(kind):
    """Whether objects of a type go through :func:`check`."""
    return _is_net(kind) or any(full_name(base) in CHECKS for base in kind.__mro__)


def check(obj):
    """Check an object as soon as all is read; put a net on its device.

    Raises
    ------
    ValueError
        If its numbers would make compiled code read what is not the object's.
    """
    for kind in type(obj).__mro__:
        if full_name(kind) in CHECKS:
            CHECKS[full_name(kind)](obj)
    if _is_net(type(obj)) and obj.device != "cpu":
        import torch

        if not torch.cuda.is_available():
            obj.device = "cpu"
        obj.module_.to(obj.device)
        obj.criterion_.to(obj.device)


def way_out(kind):
    """What to do about a type that does not travel."""
    module = getattr(kind, "__module__", None) or ""
    if module.startswith("sentence_transformers"):
        return (
            "A pretrained language model of a step does not travel: give it to the "
            "recommender, text=PretrainedText(…), encode the texts before and take "
            "DenseVectors, or use TextBag."
        )
    if isinstance(kind, FunctionType):
        return "Leave it out, or do before the fit what it does."
    return (
        "Types of this package and most of scikit-learn travel, see "
        "docs/saving_and_serving.md. Leave the step out, or do before the fit what it "
        "does."
    )
