"""Many arrays in one part of a file, by safetensors: a tensor for each dtype.

A fitted model has thousands of small arrays, mostly trees. Arrays of a dtype lie end
to end in a tensor, in the order of their nodes, so that an array costs its shape in
JSON and no more. Each byte belongs to one array: a small file cannot ask for much
memory by naming the same bytes again and again.
"""

import math
import re

import numpy as np

# What safetensors knows; bytes of other dtypes are kept as U8.
NATIVE = "|b1 |u1 |i1 <u2 <i2 <f2 <u4 <i4 <f4 <u8 <i8 <f8".split()
KINDS = "fiubcmMSUV"
# As numpy spells them. Of anything else, such as "2f8", it reads parts as Python.
_SPELT = re.compile(
    r"[<>|=]([fiubc]\d{1,2}|[SUV]\d{1,10}|[mM]8(\[\d*[a-zA-Zμ]{1,7}\])?)"
)


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
    elif isinstance(spec, str) and _SPELT.fullmatch(spec):
        dtype = np.dtype(spec)
    else:
        raise ValueError(f"{spec!r:.80} is no dtype")
    if dtype.hasobject or dtype.kind not in KINDS or not dtype.itemsize:
        raise ValueError(f"arrays of {dtype} are not read")
    return dtype


class ArrayWriter:
    """Collects arrays by dtype.

    Attributes
    ----------
    specs : list
        The dtypes, as :func:`dtype_spec` writes them. The position of each is the name
        of its tensor.
    """

    def __init__(self):
        self.specs, self._parts, self._known = [], [], {}

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
            Position of its dtype, shape, and "F" if it is in the order of Fortran.
        """
        dtype, flags = array.dtype, array.flags
        at = self._known.get(dtype)
        if at is None:
            at = self._new(dtype, refuse)
        fortran = flags.f_contiguous and not flags.c_contiguous
        flat = np.ascontiguousarray(array.T if fortran else array).reshape(-1)
        if self.specs[at] not in NATIVE:  # numpy would repack structured values
            flat = flat.view("u1")
        self._parts[at].append(flat)
        return [at, list(array.shape), *(["F"] if fortran else [])]

    def _new(self, dtype, refuse):
        if dtype.kind not in KINDS or dtype.hasobject:
            refuse(f"is an array of {dtype}")
        if not dtype.itemsize:
            refuse(f"is an array of values of no bytes, {dtype}")
        at = self._known[dtype] = len(self.specs)
        self.specs.append(dtype_spec(dtype))
        self._parts.append([])
        return at

    def to_bytes(self):
        """All arrays, in safetensors' format."""
        from safetensors.numpy import save

        tensors = enumerate(map(np.concatenate, self._parts))
        return save({str(at): tensor for at, tensor in tensors})


class ArrayReader:
    """Cuts the tensors into arrays again.

    Parameters
    ----------
    data : bytes
        The part of the file.
    specs : list
        The dtypes.
    nodes : list
        All nodes; those of arrays say dtype and shape.
    """

    def __init__(self, data, specs, nodes):
        from safetensors.numpy import load

        tensors = load(data)
        self._bytes = [
            tensors[str(at)].reshape(-1).view("u1") for at in range(len(specs))
        ]
        self._dtypes = [dtype_of(spec) for spec in specs]
        self._starts, ends = {}, [0] * len(specs)
        for at, (kind, *content) in enumerate(nodes):
            if kind == "array":
                which, shape, *_ = content
                if not all(type(size) is int and size >= 0 for size in shape):
                    raise ValueError(f"an array has the shape {shape!r:.80}")
                self._starts[at] = ends[which]
                ends[which] += math.prod(shape) * self._dtypes[which].itemsize
        if ends != [len(part) for part in self._bytes] or len(tensors) != len(specs):
            raise ValueError("the arrays are not those that the state lists")

    def get(self, at, which, shape, order="C"):
        """The array of the node at a position, which says this of it."""
        array = np.empty(math.prod(shape), self._dtypes[which])  # can be written to
        start = self._starts[at]
        array.view("u1")[:] = self._bytes[which][start : start + array.nbytes]
        if order == "F":
            return array.reshape(shape[::-1]).T
        return array.reshape(shape)
