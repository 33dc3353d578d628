"""Work of ``fit`` that waits until somebody asks for its result."""

from threading import RLock

from sklearn_causalrec._utils.process import filters_kept


class Postponed:
    """Work whose results become attributes of the object that it was put off for.

    It is done once, whichever thread asks first, and all others wait for it; shallow
    copies of the object share what was found. If it fails, or is stopped, nothing has
    changed, and the next to ask tries again.

    Parameters
    ----------
    work : callable
        Returns a dict of the attributes. It has to be picklable, and to hold all that
        its results depend on, seeds included: parameters may be set between ``fit`` and
        the question.
    """

    _ATTRIBUTE = "_postponed"

    def __init__(self, work):
        self.work, self.found, self._lock = work, None, RLock()

    def put_off(self, obj):
        """Leave this to be done for an object, in the place of earlier results."""
        for kind in type(obj).__mro__:
            for name, value in vars(kind).items():
                if isinstance(value, WhenAsked):
                    vars(obj).pop(name, None)
        vars(obj)[self._ATTRIBUTE] = self

    def _finish(self, obj):
        with self._lock:
            if self.found is None:
                with filters_kept():
                    self.found = self.work()
                self.work = None  # and with it the log
            if vars(obj).get(self._ATTRIBUTE) is self:
                vars(obj).update(self.found)
                del vars(obj)[self._ATTRIBUTE]

    def __getstate__(self):
        return {"work": self.work, "found": self.found}

    def __setstate__(self, state):
        vars(self).update(state, _lock=RLock())

    @classmethod
    def waits(cls, obj):
        """Whether work of an object was put off and not done since."""
        return cls._ATTRIBUTE in getattr(obj, "__dict__", ())

    @classmethod
    def finish(cls, obj):
        """Do what was put off for an object, if anything was."""
        waiting = getattr(obj, "__dict__", {}).get(cls._ATTRIBUTE)
        if waiting is not None:
            waiting._finish(obj)

    @classmethod
    def drop(cls, obj):
        """Forget what was put off for an object."""
        vars(obj).pop(cls._ATTRIBUTE, None)


class WhenAsked:
    """An attribute that `Postponed` work makes, when it is first read.

    As with ``functools.cached_property``, the object's own attribute takes precedence
    once it is there.
    """

    def __set_name__(self, owner, name):
        self.name = name

    def __get__(self, obj, owner=None):
        if obj is None:
            return self
        Postponed.finish(obj)
        try:
            return vars(obj)[self.name]
        except KeyError:
            raise AttributeError(
                f"{type(obj).__name__!r} object has no attribute {self.name!r}"
            ) from None
