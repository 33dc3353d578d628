"""The model that a server answers with, and its replacement by another one."""

import hashlib
import inspect
import json
import logging
import os
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any, Protocol

import pandas as pd

from sklearn_causalrec._utils.unwrap import unwrap
from sklearn_causalrec.ranking.asked import column_of_role
from sklearn_causalrec.ranking.recommend import recommend
from sklearn_causalrec.serving.container import ModelFileError
from sklearn_causalrec.serving.files import load_with_manifest

logger = logging.getLogger("sklearn_causalrec.serving")


class Scorer(Protocol):
    """What makes the lists of a server.

    A scorer has one method, which is that of a fitted model, of an index, or yours.
    Options that it has no parameter for are answered by the model.
    """

    def recommend(self, users: Any, k: int = 10, **options: Any) -> pd.DataFrame:
        """Return lists as :func:`sklearn_causalrec.recommend` does.

        Parameters
        ----------
        users : list of ids, or DataFrame
            The users.
        k : int, default=10
            The number of items a user.
        **options
            Those parameters of :func:`sklearn_causalrec.recommend` that a request set.

        Returns
        -------
        DataFrame
            The columns of ids, ``rank``, ``score``, and what goes with ``explore``.
        """
        ...


class ServedModel:
    """A fitted model with what requests ask of it; it never changes.

    Parameters
    ----------
    fitted : estimator, Pipeline or search
        The fitted model.
    id : str
        What answers and logs call it.
    scorer : callable or None, default=None
        ``scorer(fitted)`` makes the :class:`Scorer`. With None, lists come from
        :func:`~sklearn_causalrec.recommend`.
    file : dict, default=None
        What the audit tells of its file.

    Attributes
    ----------
    name : str
        The class of the estimator.
    about : dict
        What the audit tells of it.
    keys : tuple of two, or None
        The columns of ids of users and items. None if the model makes no lists.
    columns : list or None
        The columns of the rows that it was fitted on. None if they have no names.
    fill : dict of column to value
        The columns that a row need not have, as effects do not depend on them. With a
        value, the model wants to see the column nevertheless.
    since : datetime
        When it was made.

    Raises
    ------
    TypeError
        If it answers no requests.
    """

    def __init__(self, fitted, id, scorer=None, file=None):
        self.fitted, self.id = fitted, id
        self.estimator = unwrap(fitted)[1]
        self.name = type(self.estimator).__name__
        self.about = {"id": id, "name": self.name, **(file or {})}
        if getattr(self.estimator, "verbose", 0):  # a bar for each request
            self.estimator.verbose = 0
        lists = getattr(self.estimator, "catalogue_", None) is not None
        if not lists and not hasattr(self.estimator, "effect"):
            raise TypeError(
                f"{self.name} answers no requests: a server needs a model with "
                "effects, or one that was fitted with user= and item=."
            )
        self.keys, self.indexes = None, ()
        if lists:
            both = ("user", "item")
            self.keys = tuple(
                column_of_role(fitted, self.estimator, role) for role in both
            )
            encoder = self.estimator.log_encoder_
            self.indexes = (encoder.users, encoder.items)
        names = getattr(fitted, "feature_names_in_", None)
        self.columns = None if names is None else list(names)
        self.fill = self._columns_that_do_not_count()
        self.scorer = None if scorer is None else scorer(fitted)
        self.since = datetime.now(UTC)

    def _columns_that_do_not_count(self):
        """What was done, and how likely it was: effects do not depend on them."""
        if not hasattr(self.estimator, "effect"):
            return {}
        if not hasattr(self.estimator, "log_encoder_"):
            named = getattr(self.estimator, "treatment", None)
            named = [named] if isinstance(named, str) else named or ()
            return dict.fromkeys(c for c in named if c in (self.columns or ()))
        values = {"treatment": self.estimator.arms_[0], "propensity": 0.5}
        found = {
            column_of_role(self.fitted, self.estimator, role): value
            for role, value in values.items()
        }
        return {c: v for c, v in found.items() if c in (self.columns or ())}

    @cached_property
    def _accepted(self):
        parameters = inspect.signature(self.scorer.recommend).parameters
        if any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
            return None
        return set(parameters)

    def recommend(self, users, k, options):
        """Lists by the scorer, or by the model where an option is not the scorer's.

        Parameters
        ----------
        users : list of ids, or DataFrame
        k : int
        options : dict
            Parameters of :func:`~sklearn_causalrec.recommend` that differ from their
            defaults.

        Returns
        -------
        DataFrame
        """
        if self.scorer is not None:
            if self._accepted is None or options.keys() <= self._accepted:
                return self.scorer.recommend(users, k=k, **options)
        return recommend(self.fitted, users, k=k, **options)

    def kinds(self):
        """What clients have to know: the columns of ids, and of what kind ids are."""
        if self.keys is None:
            return None
        return [(k, i.ids.inferred_type) for k, i in zip(self.keys, self.indexes)]

    def try_it(self, exploration):
        """Answer one small question, so that what cannot answer is not served.

        Parameters
        ----------
        exploration : dict
            The options of exploration.

        Raises
        ------
        ValueError
            If the model cannot answer.
        """
        if self.keys is None:
            return
        users, items = (index.ids[:1] for index in self.indexes)
        last = None
        for by in ("effect", "outcome"):
            options = dict(by=by, exclude_seen=False, **exploration)
            try:
                recommend(self.fitted, users, items, 1, **options)
                if self.scorer is not None:
                    self.recommend(users.tolist(), 1, {})
                return
            except ValueError as error:
                last = last or error
        raise last


class ModelHost:
    """Hold the model of a file, and replace it when the file was replaced.

    A request asks for :attr:`current` once, and keeps what it got: it ends on the model
    that it began with.

    Parameters
    ----------
    path : path-like
        The file, as :func:`~sklearn_causalrec.save` writes it.
    key : bytes or str, default=None
        The key that signs the file.
    scorer : callable, default=None
        ``scorer(fitted)`` makes the :class:`Scorer` of a model, such as an index.
    exploration : dict, default=None
        The options of exploration that the model has to be able to serve.

    Attributes
    ----------
    current : ServedModel
        The model that answers.
    failed : datetime or None
        When the last attempt to replace it failed; None if the last one did not.

    Raises
    ------
    OSError, ModelFileError
        If the file cannot be opened.
    TypeError, ValueError
        If the model in it cannot answer requests.

    See Also
    --------
    create_app : Serve the model.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import pandas as pd
    >>> from sklearn_causalrec import save
    >>> from sklearn_causalrec.baselines import EASE
    >>> from sklearn_causalrec.serving import ModelHost
    >>> path = Path(tempfile.mkdtemp(), "model.crec")
    >>> log = pd.DataFrame({"user": [1, 1, 2, 2, 3], "item": [5, 6, 5, 7, 6]})
    >>> save(EASE(user="user", item="item").fit(log), path)
    >>> host = ModelHost(path)
    >>> before = host.current
    >>> host.reload()  # nothing new
    False
    >>> save(EASE(l2=5.0, user="user", item="item").fit(log), path)
    >>> host.reload(), host.current is before
    (True, False)
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        key: bytes | str | None = None,
        scorer: Callable[[Any], Scorer] | None = None,
        exploration: dict[str, Any] | None = None,
    ):
        self.path, self.key = Path(path), key
        self._make, self.exploration = scorer, dict(exploration or {})
        self._lock = Lock()
        self._seen = self._stamp()
        self.current = self._open()
        self.failed: datetime | None = None

    def _stamp(self):
        """What tells one file under the name from another."""
        found = os.stat(self.path)
        return found.st_ino, found.st_size, found.st_mtime_ns

    def _open(self):
        fitted, manifest = load_with_manifest(self.path, self.key)
        parts = json.dumps(manifest["parts"], sort_keys=True).encode()
        if "torch" in sys.modules:  # one thread a worker: cores are for workers
            import torch

            torch.set_num_threads(1)
        digest = hashlib.sha256(parts).hexdigest()
        file = {
            "sha256": digest,
            "signed": self.key is not None,
            "version": manifest.get("packages", {}).get("sklearn-causalrec"),
        }
        model = ServedModel(fitted, digest[:12], self._make, file)
        model.try_it(self.exploration)
        return model

    def reload(self, force: bool = False) -> bool:
        """Replace the model if there is another file under the name.

        Parameters
        ----------
        force : bool, default=False
            Whether to open a file that was refused before once more.

        Returns
        -------
        bool
            Whether the model was replaced. It was not if the file is the same, or is
            refused: then the old model stays, the reason is logged, and ``failed`` is
            set.
        """
        with self._lock:
            try:
                stamp = self._stamp()
                if stamp == self._seen and not (force and self.failed):
                    return False
                self._seen = stamp
                model = self._open()
                if model.id == self.current.id:
                    self.failed = None
                    return False
                old, new = self.current.kinds(), model.kinds()
                if old != new:
                    raise ModelFileError(
                        f"{self.path}: the ids are {new}, and those of the model that "
                        f"is served {old}. Clients ask by the latter: start a server "
                        "of its own."
                    )
            except Exception as error:
                self.failed = datetime.now(UTC)
                logger.error(
                    "The new model is refused, %s goes on: %s: %s",
                    self.current.id,
                    type(error).__name__,
                    error,
                )
                return False
            logger.info("Model %s replaces %s", model.id, self.current.id)
            self.current, self.failed = model, None
            return True
