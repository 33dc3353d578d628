"""Components by name: objectives, encoders, strategies and metrics register here."""

from sklearn.utils._param_validation import StrOptions


class Registry(dict):
    """Components by name, in the order of their registration.

    Parameters
    ----------
    kind : str
        What the components are, for messages: "objective".

    Examples
    --------
    >>> shapes = Registry("shape")
    >>> @shapes.register("square")
    ... class Square:
    ...     sides = 4
    >>> shapes["square"].sides
    4
    >>> shapes["circle"]
    Traceback (most recent call last):
        ...
    ValueError: shape='circle' is not known: choose one of ['square'].
    """

    def __init__(self, kind):
        super().__init__()
        self.kind = kind

    def register(self, name):
        """A decorator that registers a component under a name.

        Parameters
        ----------
        name : str
            Must be new; the component gets it as its attribute ``name``.

        Raises
        ------
        ValueError
            If the name is taken by another component.
        """

        def add(component):
            known = self.get(name)
            if known is not None and known.__qualname__ != component.__qualname__:
                raise ValueError(
                    f"{self.kind}={name!r} is {known.__qualname__} already: choose "
                    "another name."
                )
            component.name = name
            self[name] = component
            return component

        return add

    def __missing__(self, name):
        raise ValueError(
            f"{self.kind}={name!r} is not known: choose one of {list(self)}."
        )

    @property
    def constraint(self):
        """For ``_parameter_constraints``: one of the names, late ones included."""
        return _Registered(self)


class _Registered(StrOptions):
    """Options that are read when a value is checked, not when the class is made."""

    def __init__(self, registry):
        self._registry = registry
        super().__init__(set())

    @property
    def options(self):
        return set(self._registry)

    @options.setter
    def options(self, value):
        pass
