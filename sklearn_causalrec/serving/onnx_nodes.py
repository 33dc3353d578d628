"""Nodes of ONNX, written down one after the other."""

import numpy as np


class Nodes:
    """A list of nodes and constants that grows.

    Parameters
    ----------
    prefix : str
        What the names of its values begin with.
    """

    def __init__(self, prefix=""):
        self.nodes, self.constants, self.prefix = [], [], prefix
        self._count = 0

    def name(self, hint):
        """A name that no other value has."""
        self._count += 1
        return f"{self.prefix}{hint}_{self._count}"

    def constant(self, array, dtype=None):
        """Add an array; its name."""
        from onnx import numpy_helper

        array = np.ascontiguousarray(array, dtype)
        name = self.name("constant")
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def add(self, op, *inputs, output=None, domain="", **attributes):
        """Add a node with one output; the output's name.

        Parameters
        ----------
        op : str
            The operator.
        *inputs : str or ndarray
            Names of values, or constants.
        output : str, default=None
            The name of the output.
        domain : str, default=""
            The operator's domain.
        **attributes
            As ``onnx.helper.make_node`` takes them.

        Returns
        -------
        str
        """
        from onnx import helper

        names = [x if isinstance(x, str) else self.constant(x) for x in inputs]
        output = output or self.name(op.lower())
        self.nodes.append(
            helper.make_node(op, names, [output], domain=domain, **attributes)
        )
        return output

    def cast(self, value, dtype):
        """A value in another type, such as ``"DOUBLE"``."""
        from onnx import TensorProto

        return self.add("Cast", value, to=getattr(TensorProto, dtype))
