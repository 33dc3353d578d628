"""How values travel that are no plain objects: of numpy, pandas, torch, C and Cython.

An adapter takes a value apart into what a file can hold, and puts it together again
by functions of this module. Objects without an adapter travel as their ``__dict__``.
"""

import functools
from collections import defaultdict
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from fractions import Fraction
from types import BuiltinFunctionType, FunctionType
from typing import Any, NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import numpy as np

from sklearn_causalrec.serving import frames
from sklearn_causalrec.serving.arrays import dtype_of, dtype_spec
from sklearn_causalrec.serving.memory import checked_tree
from sklearn_causalrec.serving.slim import LeftOut


class Adapter(NamedTuple):
    """How the values of some types are written and read."""

    name: str
    types: tuple
    write: Any  # write(value, refuse) -> list of what files hold
    read: Any  # read(*list) -> value
    needs: tuple = ()  # packages


NAMED: dict[str, Adapter] = {}
_BY_TYPE: dict[str, Adapter] = {}


def _add(name, types, write, read, needs=()):
    """Register; types that load late are texts, "module.Name"."""
    NAMED[name] = adapter = Adapter(name, tuple(types), write, read, needs)
    for kind in adapter.types:
        _BY_TYPE[kind if isinstance(kind, str) else full_name(kind)] = adapter


def full_name(kind):
    return f"{kind.__module__}.{kind.__qualname__}"


def of(value):
    """The adapter of a value, or None."""
    for kind in type(value).__mro__[:-1]:
        adapter = _BY_TYPE.get(full_name(kind))
        if adapter is not None:
            exact = adapter.name not in _FOR_SUBTYPES
            return None if exact and kind is not type(value) else adapter
    return None


# -- Python --------------------------------------------------------------------


def _read_partial(function, args, keywords):
    if not isinstance(function, FunctionType | BuiltinFunctionType | type):
        raise ValueError("a partial is not of a function")
    return functools.partial(function, *args, **keywords)


def _read_factory(factory, pairs):
    if factory not in (dict, list, int, float, set, None):
        raise ValueError(f"{factory!r} makes no default values")
    return defaultdict(factory, pairs)


def _read_numbers(kind):
    def read(*numbers):
        if not all(n is None or type(n) is int for n in numbers):
            raise ValueError(f"a {kind.__name__} has no such parts")
        return kind(*numbers)

    return read


def _ends(value, refuse):
    ends = [value.start, value.stop, value.step]
    return [n if n is None else int(n) for n in ends]


def _write_slice(value, refuse):
    if all(n is None or isinstance(n, int | np.integer) for n in _ends_of(value)):
        return _ends(value, refuse)
    return refuse("is a slice of labels")


def _ends_of(value):
    return value.start, value.stop, value.step


_add("slice", [slice], _write_slice, _read_numbers(slice))
_add("range", [range], _ends, _read_numbers(range))
_add(
    "bytes",
    [bytes],
    lambda value, refuse: [np.frombuffer(value, np.uint8)],
    lambda array: array.tobytes(),
)
_add(
    "complex",
    [complex],
    lambda value, refuse: [value.real, value.imag],
    lambda real, imag: complex(real, imag),
)
_add(
    "partial",
    [functools.partial],
    lambda value, refuse: [value.func, value.args, value.keywords],
    _read_partial,
)
_add(
    "defaultdict",
    [defaultdict],
    lambda value, refuse: [value.default_factory, dict(value)],
    _read_factory,
)
_add("left_out", [LeftOut], lambda value, refuse: [value.name], LeftOut)


def _write_time(value, refuse):
    if value.tzinfo not in (None, UTC):
        refuse("is a time of a zone other than UTC")
    return [value.isoformat()]


for _kind, _write, _read in [
    (date, lambda v, refuse: [v.isoformat()], date.fromisoformat),
    (datetime, _write_time, datetime.fromisoformat),
    (Decimal, lambda v, refuse: [str(v)], Decimal),
    (
        Fraction,
        lambda v, refuse: [v.numerator, v.denominator],
        lambda above, below: Fraction(int(above), int(below)),
    ),
    (UUID, lambda v, refuse: [v.hex], UUID),
    (ZoneInfo, lambda v, refuse: [v.key], ZoneInfo),
    (
        timedelta,
        lambda v, refuse: [v.days, v.seconds, v.microseconds],
        lambda *parts: timedelta(*parts),
    ),
]:
    _add(_kind.__name__, [_kind], _write, _read)
_add(
    "timezone",
    [timezone],
    lambda value, refuse: [value.utcoffset(None)],
    lambda offset: timezone(offset) if offset else UTC,
)


# -- numpy ---------------------------------------------------------------------


def _write_scalar(value, refuse):
    kind = value.dtype.kind
    if kind in "mM":
        return [value.dtype.str, int(value.view("i8"))]
    if kind not in "fiubU" or (value.dtype.itemsize > 8 and kind == "f"):
        refuse(f"is a number of {value.dtype}")
    return [value.dtype.str if kind != "U" else "<U", value.item()]


def _read_scalar(code, value):
    if code == "<U":
        return np.str_(value)
    dtype = dtype_of(code)
    if dtype.kind in "mM":
        return np.int64(value).view(dtype)
    if dtype.kind not in "fiub" or not isinstance(value, int | float):
        raise ValueError(f"{value!r:.40} is no number of {dtype}")
    return dtype.type(value)


def _write_generator(value, refuse):
    bits = value.bit_generator
    return [type(bits).__name__, _plain_state(bits.state)]


def _write_random_state(value, refuse):
    return ["RandomState", _plain_state(value.get_state(legacy=False))]


def _plain_state(state):
    return {k: _plain_state(v) if isinstance(v, dict) else v for k, v in state.items()}


def _read_random(name, state):
    if name not in ("RandomState", "PCG64", "PCG64DXSM", "MT19937", "SFC64"):
        raise ValueError(f"{name!r:.40} is no generator of random numbers")
    position = state["state"].get("pos", 0)
    if type(position) is not int or not 0 <= position <= 624:  # which numpy believes
        raise ValueError("a generator of random numbers stands outside of its state")
    if name == "RandomState":
        found = np.random.RandomState(0)
        found.set_state(state)
        return found
    bits = getattr(np.random, name)(0)
    bits.state = state
    return np.random.Generator(bits)


def _read_masked(data, mask, fill):
    return np.ma.MaskedArray(data, mask, fill_value=fill)


_add("scalar", [np.generic], _write_scalar, _read_scalar)
_add(
    "dtype", [np.dtype], lambda v, refuse: _dtype_parts(v, refuse), lambda s: _dtype(s)
)
_add(
    "masked",
    [np.ma.MaskedArray],
    lambda v, refuse: [v.data, np.ma.getmaskarray(v), v.fill_value],
    _read_masked,
)
_add("generator", [np.random.Generator], _write_generator, _read_random)
_add("random_state", [np.random.RandomState], _write_random_state, _read_random)


def _dtype_parts(dtype, refuse):
    if dtype.kind == "O":
        return ["object"]
    if dtype.names is not None or dtype.hasobject:
        refuse(f"is the dtype {dtype}")
    return [dtype_spec(dtype)]


def _dtype(spec):
    return np.dtype(object) if spec == "object" else dtype_of(spec)


# -- pandas, torch, and compiled parts of scikit-learn and scipy ---------------


def _write_tensor(value, refuse):
    import torch

    plain = value.detach().cpu()
    if plain.layout is not torch.strided or plain.dtype == torch.bfloat16:
        refuse(f"is a tensor of {plain.dtype}, {plain.layout}")
    return [plain.numpy(), value.requires_grad, isinstance(value, torch.nn.Parameter)]


def _read_tensor(array, requires_grad, is_parameter):
    import torch

    tensor = torch.from_numpy(array)
    if is_parameter:
        return torch.nn.Parameter(tensor, requires_grad=requires_grad)
    return tensor.requires_grad_(requires_grad)


def _read_torch_dtype(name):
    import torch

    found = getattr(torch, name)
    if not isinstance(found, torch.dtype):
        raise ValueError(f"torch.{name} is no dtype")
    return found


def _read_device(name):
    import torch

    return torch.device(name)


def _write_tree(tree, refuse):
    _, (n_features, n_classes, n_outputs), state = tree.__reduce__()
    return [n_features, n_classes, n_outputs, state]


def _read_spline(t, c, k, extrapolate, axis):
    from scipy.interpolate import BSpline

    return BSpline(t, c, k, extrapolate, axis)


def _write_loss(loss, refuse):
    name = type(loss).__name__
    return [name, *([] if "Multinomial" in name else loss.__reduce__()[1])]


def _read_loss(name, *args):
    from sklearn._loss import _loss

    kind = vars(_loss)[name]
    base, multinomial = _loss.CyLossFunction, _loss.CyHalfMultinomialLoss
    if kind is base or not issubclass(kind, base | multinomial):
        raise ValueError(f"{name!r:.40} is no loss")
    return kind(*map(float, args))


_add("tensor", ["torch.Tensor", "torch.nn.parameter.Parameter"], _write_tensor,
     _read_tensor, ("torch",))  # fmt: skip
_add("torch.dtype", ["torch.dtype"], lambda v, refuse: [str(v).split(".")[-1]],
     _read_torch_dtype, ("torch",))  # fmt: skip
_add("torch.device", ["torch.device"], lambda v, refuse: [str(v)], _read_device,
     ("torch",))  # fmt: skip
_add("tree", ["sklearn.tree._tree.Tree"], _write_tree, checked_tree, ("sklearn",))
_add(
    "spline",
    ["scipy.interpolate._bsplines.BSpline"],
    lambda v, refuse: [v.t, v.c, int(v.k), v.extrapolate, int(v.axis)],
    _read_spline,
    ("scipy",),
)
_LOSSES = "CyLossFunction", "CyHalfMultinomialLoss"
_add("loss", [f"sklearn._loss._loss.{name}" for name in _LOSSES], _write_loss,
     _read_loss, ("sklearn",))  # fmt: skip
for _name, (_types, _write, _read) in frames.FORMS.items():
    _add(_name, _types, _write, _read, ("pandas",))

# Adapters that hold for subtypes, too; others are for a type and no other.
_FOR_SUBTYPES = {"scalar", "dtype", "loss", *frames.FORMS}
