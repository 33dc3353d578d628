"""Many arrays in one part of a file, by safetensors: a tensor for each dtype.

A fitted model has thousands of small arrays, mostly trees. Arrays of a dtype lie end
to end in a tensor, in the order of their nodes, so that an array costs its shape in
JSON and no more. Each byte belongs to one array: a small file cannot ask for much
memory by naming the same bytes again and again.
"""

import json
import math

import numpy as np

# What safetensors knows; bytes of other dtypes are kept as U8.
NATIVE = "|b1 |u1 |i1 <u2 <i2 <f2 <u4 <i4 <f4 <u8 <i8 <f8".split()
KINDS = "fiubcmMSUV"


def dtype_spec(dtype):
    """A dtype as JSON: its code, or the fields of a structured one."""
    if dtype.names is None:
        return dtype.str
    fields = [dtype.fields[name] for name in dtype.names]
    return {
        "names": list(dtype.names),
        "formats": [dtype_spec(field[0]) for field in fields],
        "offsets": [field[1] for field in fields],
        "itemsize": dtype.itemsize,
        "aligned": dtype.isalignedstruct,
    }


def dtype_of(spec):
    """The dtype of a :func:`dtype_spec`; objects are refused.

    Parameters
    ----------
    spec : str or dict

    Returns
    -------
    dtype
    """
    if isinstance(spec, dict):
        spec = dict(spec)
        align = spec.pop("aligned") is True
        formats = [dtype_of(part) for part in spec["formats"]]
        dtype = np.dtype({**spec, "formats": formats}, align=align)
    elif isinstance(spec, str) and len(spec) < 40 and spec[:1] in "<>|=":
        dtype = np.dtype(spec)
    else:
        raise ValueError(f"{spec!r:.80} is no dtype")
    if dtype.hasobject or dtype.kind not in KINDS or not dtype.itemsize:
        raise ValueError(f"arrays of {dtype} are not read")
    return dtype


def _tensor_name(spec):
    return json.dumps(spec, separators=(",", ":"))


class ArrayWriter:
    """Collects arrays by dtype."""

    def __init__(self):
        self._parts = {}

    def add(self, array, refuse):
        """Take an array; what its node says of it.

        Parameters
        ----------
        array : ndarray
        refuse : callable
            Called with a reason if it cannot be kept.

        Returns
        -------
        list
            Its dtype and shape, and "F" if it is in the order of Fortran.
        """
        if array.dtype.kind not in KINDS or array.dtype.hasobject:
            refuse(f"is an array of {array.dtype}")
        if not array.dtype.itemsize:
            refuse(f"is an array of values of no bytes, {array.dtype}")
        spec = dtype_spec(array.dtype)
        flags = array.flags
        fortran = flags.f_contiguous and not flags.c_contiguous
        flat = np.ascontiguousarray(array.T if fortran else array).reshape(-1)
        if spec not in NATIVE:  # numpy would repack structured values
            flat = flat.view("u1")
        self._parts.setdefault(_tensor_name(spec), []).append(flat)
        return [spec, list(array.shape), *(["F"] if fortran else [])]

    def to_bytes(self):
        """All arrays, in safetensors' format."""
        from safetensors.numpy import save

        return save({name: np.concatenate(v) for name, v in self._parts.items()})


class ArrayReader:
    """Cuts the tensors into arrays again.

    Parameters
    ----------
    data : bytes
        The part of the file.
    nodes : list
        All nodes; those of arrays say dtype and shape.
    """

    def __init__(self, data, nodes):
        from safetensors.numpy import load

        self._tensors = load(data)
        self._places, ends = {}, {}
        for at, node in enumerate(nodes):
            if node[0] != "array":
                continue
            _, spec, shape, *order = node
            dtype, name = dtype_of(spec), _tensor_name(spec)
            if not all(type(size) is int and size >= 0 for size in shape):
                raise ValueError(f"an array has the shape {shape!r:.80}")
            start = ends.get(name, 0)
            ends[name] = stop = start + math.prod(shape) * dtype.itemsize
            self._places[at] = name, dtype, shape, order == ["F"], start, stop
        sizes = {name: tensor.nbytes for name, tensor in self._tensors.items()}
        if ends != sizes:
            raise ValueError("the arrays are not those that the state lists")

    def get(self, at):
        """The array of the node at a position."""
        name, dtype, shape, fortran, start, stop = self._places[at]
        array = np.empty(math.prod(shape), dtype)  # memory that can be written to
        array.view("u1")[:] = self._tensors[name].reshape(-1).view("u1")[start:stop]
        return array.reshape(shape[::-1]).T if fortran else array.reshape(shape)
