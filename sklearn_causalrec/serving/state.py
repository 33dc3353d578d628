"""Graphs of objects as JSON and arrays, and back: what pickle does, without its code.

Each list, array and object is a node of a table, named by its position, so that what is
shared stays shared and circles stay circles. An object is its type's name and its
state. A reader makes it without ``__init__``, as unpickling does; but the type has to
be on the list of :mod:`~sklearn_causalrec.serving.trusted`.
"""

import json
import math
import types

import numpy as np

from sklearn_causalrec.serving import adapters, objects
from sklearn_causalrec.serving.arrays import ArrayReader, ArrayWriter
from sklearn_causalrec.serving.trusted import NotTrustedError, find, name_of

MAX_DEPTH = 150  # of nested nodes: two frames each stay below Python's limit
_PLAIN = {list: "list", tuple: "tuple", set: "set", frozenset: "frozenset"}
_FUNCTIONS = (types.FunctionType, types.BuiltinFunctionType, np.ufunc)
_LIMITS = (math.inf, -math.inf)


class CannotTravelError(TypeError):
    """A value that no file can hold; the message says where it is in the model."""


class Writer:
    """Writes one object.

    Parameters
    ----------
    without : callable, default=None
        ``without(obj, state)`` returns the state that is written of an object.
    """

    def __init__(self, without=None):
        self.nodes, self.names, self.needs = [], {}, set()
        self.arrays = ArrayWriter()
        self.without = without
        self._seen, self._kept, self._path, self._known = {}, [], [], {}

    def write(self, obj, name):
        """The parts of a file that hold an object.

        Parameters
        ----------
        obj : object
        name : str
            What it is called in messages.

        Returns
        -------
        dict of str to bytes

        Raises
        ------
        CannotTravelError
            If it holds something that files do not.
        """
        self._path = [name]
        root = self.value(obj)
        document = {
            "root": root,
            "names": list(self.names),
            "dtypes": self.arrays.specs,
            "nodes": self.nodes,
        }
        text = json.dumps(document, allow_nan=False, separators=(",", ":"))
        return {"state": text.encode(), "arrays": self.arrays.to_bytes()}

    def value(self, obj, step=""):
        """A number or text itself, or ``[position]`` of its node."""
        kind = type(obj)
        if obj is None or kind in (bool, int, str):
            return obj
        if kind is float:
            if math.isfinite(obj):
                return obj
            return ["nan"] if obj != obj else ["inf" if obj > 0 else "-inf"]
        known = self._seen.get(id(obj))
        if known is not None:
            return [known]
        self._seen[id(obj)] = position = len(self.nodes)
        self._kept.append(obj)  # so that no other object gets its id
        self.nodes.append(None)
        self._path.append(step)
        if len(self._path) > MAX_DEPTH:
            self.refuse(f"lies {MAX_DEPTH} levels deep")
        self.nodes[position] = self._node(obj, kind)
        self._path.pop()
        return [position]

    def _node(self, obj, kind):
        if kind in _PLAIN:
            return [_PLAIN[kind], *self._items(_in_order(obj))]
        if kind is dict:
            return ["dict", *self._pairs(obj)]
        if kind in (np.ndarray, np.memmap):
            if obj.dtype == object:
                return ["objects", list(obj.shape), *self._items(obj.ravel())]
            return ["array", *self.arrays.add(obj, self.refuse)]
        if isinstance(obj, (type, *_FUNCTIONS)):
            return ["name", self._name(obj)]
        adapter = adapters.of(obj)
        if adapter is not None:
            self.needs.update(adapter.needs)
            content = adapter.write(obj, self.refuse)
            return ["made", adapter.name, *self._items(content)]
        if isinstance(obj, tuple) and hasattr(kind, "_fields"):
            return ["record", self._name(kind), *self._items(obj)]
        return self._object(obj, kind)

    def _object(self, obj, kind):
        name = self._name(kind)
        if not objects.has_state(kind):
            self.refuse(f"is of the compiled type {kind.__name__}", kind)
        state = objects.state_of(obj)
        if self.without is not None:
            state = self.without(obj, state)
        if isinstance(state, dict) and all(type(key) is str for key in state):
            state = {k: self.value(v, f".{k}") for k, v in state.items()}
        else:
            state = self.value(state)
        if isinstance(obj, dict):
            return ["object", name, state, *self._pairs(obj)]
        return ["object", name, state, *self._items(obj if _is_list(obj) else ())]

    def _items(self, values):
        return [self.value(v, f"[{j}]") for j, v in enumerate(values)]

    def _pairs(self, values):
        flat = []
        for key, value in values.items():
            flat += [self.value(key), self.value(value, f"[{_shown(key)}]")]
        return flat

    def _name(self, kind):
        """Position of a type's name."""
        if kind in self._known:
            return self._known[kind]
        try:
            name = name_of(kind)
        except NotTrustedError as error:
            what = "function" if isinstance(kind, _FUNCTIONS) else "type"
            self.refuse(f"is of the {what} {error}", kind)
        self.needs.add(name.split(".")[0].split(":")[0])
        self._known[kind] = at = self.names.setdefault(name, len(self.names))
        return at

    def refuse(self, why, kind=None):
        """Raise an error that says where the value is."""
        raise CannotTravelError(
            f"{''.join(self._path)} {why}, which does not travel in a file. "
            + objects.way_out(kind)
        )


def _shown(key):
    return repr(key)[:40] if isinstance(key, str | int) else type(key).__name__


def _in_order(values):
    """Sets of text in an order of their own, so that equal models make equal files."""
    if isinstance(values, set | frozenset) and all(type(v) is str for v in values):
        return sorted(values)
    return values


def _is_list(obj):
    return isinstance(obj, list)


class Reader:
    """Reads what a :class:`Writer` wrote.

    Parameters
    ----------
    state, arrays : bytes
        The parts of the file.
    """

    def __init__(self, state, arrays):
        document = json.loads(state)
        self.root, self.nodes = document["root"], document["nodes"]
        self.types = [find(name) for name in document["names"]]
        self.arrays = ArrayReader(arrays, document["dtypes"], self.nodes)
        self._made, self._open, self._depth = {}, set(), 0
        self._unchecked = []

    def read(self):
        """The object that was written."""
        found = self.value(self.root)
        for obj in self._unchecked:  # now that all they hold is there
            objects.check(obj)
        return found

    def value(self, v):
        """What :meth:`Writer.value` wrote."""
        if not isinstance(v, list):
            if isinstance(v, dict):
                raise ValueError("a value is no node")
            return v
        (v,) = v
        if isinstance(v, str):
            return {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}[v]
        if v in self._made:
            return self._made[v]
        if type(v) is not int or not 0 <= v < len(self.nodes) or v in self._open:
            raise ValueError(f"node {v!r} cannot be read")
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise ValueError(f"nodes lie more than {MAX_DEPTH} levels deep")
        self._open.add(v)
        self._node(v, *self.nodes[v])
        self._open.discard(v)
        self._depth -= 1
        return self._made[v]

    def _node(self, at, kind, *content):
        """Make a node; what can hold itself is known before it is filled."""
        made = self._made
        if kind == "list":
            made[at] = found = []
            found.extend(self._items(content))
        elif kind == "dict":
            made[at] = found = {}
            self._fill(found, content)
        elif kind == "set":
            made[at] = found = set()
            found.update(self._items(content))
        elif kind == "tuple":
            made[at] = tuple(self._items(content))
        elif kind == "frozenset":
            made[at] = frozenset(self._items(content))
        elif kind == "array":
            made[at] = self.arrays.get(at, *content)
        elif kind == "objects":
            made[at] = self._objects(*content)
        elif kind == "name":
            made[at] = self._type(*content)
        elif kind == "record":
            record = self._type(content[0], tuple)
            fields = tuple(self._items(content[1:]))
            if len(fields) != len(record._fields):
                raise ValueError(f"{record.__name__} has other fields")
            made[at] = tuple.__new__(record, fields)
        elif kind == "made":
            made[at] = adapters.NAMED[content[0]].read(*self._items(content[1:]))
        elif kind == "object":
            self._object(at, *content)
        else:
            raise ValueError(f"{kind!r} is no kind of node")

    def _object(self, at, name, state, *items):
        kind = self._type(name)
        if not objects.has_state(kind):
            raise ValueError(f"{kind!r} is not made from a state")
        self._made[at] = obj = kind.__new__(kind)
        if isinstance(state, dict):
            state = {k: self.value(v) for k, v in state.items()}
        else:
            state = self.value(state)
        if isinstance(obj, dict):
            self._fill(obj, items)
        elif _is_list(obj):
            obj.extend(self._items(items))
        elif items:
            raise ValueError(f"{kind.__name__} has no items")
        objects.set_state(obj, state)
        if objects.needs_a_check(kind):
            self._unchecked.append(obj)

    def _objects(self, shape, *items):
        if math.prod(shape) != len(items):
            raise ValueError(f"{len(items)} values do not fill the shape {shape}")
        array = np.empty(len(items), dtype=object)
        for j, item in enumerate(items):
            array[j] = self.value(item)
        return array.reshape(shape)

    def _type(self, position, base=object):
        if type(position) is not int or position < 0:
            raise ValueError(f"there is no type {position!r}")
        found = self.types[position]
        if base is not object and not issubclass(found, base):
            raise ValueError(f"{found!r} is no {base.__name__}")
        return found

    def _items(self, values):
        return [self.value(v) for v in values]

    def _fill(self, target, flat):
        if len(flat) % 2:
            raise ValueError("a key has no value")
        for key, value in zip(flat[::2], flat[1::2], strict=True):
            target[self.value(key)] = self.value(value)
