"""save and load: fitted models in files that hold no code."""

import platform
from importlib.metadata import PackageNotFoundError, version
from numbers import Number

import numpy as np

from sklearn_causalrec._utils.unwrap import unwrap
from sklearn_causalrec.encoding.kinds import short
from sklearn_causalrec.encoding.roles import ROLES
from sklearn_causalrec.serving import container
from sklearn_causalrec.serving.container import ModelFileError
from sklearn_causalrec.serving.slim import without_the_log
from sklearn_causalrec.serving.state import Reader, Writer
from sklearn_causalrec.serving.trusted import NotTrustedError

FORMAT = "sklearn-causalrec model"
ALWAYS = ("sklearn-causalrec", "numpy", "scipy", "pandas", "scikit-learn")


def save(fitted, path, key=None, *, slim=False):
    """Write a fitted model into a file, without pickle.

    The file holds the model's numbers and the names of its types, and no code. It is
    written beside the old one, which it replaces when it is whole.

    Parameters
    ----------
    fitted : estimator, Pipeline, search or CausalGraph
        The model. All its parts have to be of this package, or of those types of
        scikit-learn, numpy, pandas and torch that travel.
    path : path-like
        The file to write.
    key : bytes or str, default=None
        The key that signs the file, by HMAC-SHA256: at least 32 random bytes, such as
        those of ``secrets.token_bytes(32)``. With None the file is not signed.
    slim : bool, default=False
        Whether to leave out what only averages over the log and further training of a
        :class:`~sklearn_causalrec.CausalDNNRecommender` read: arrays of the length of
        the log, and the state of the optimizer. ``predict``, ``effect``,
        ``effect_interval`` and lists are as before; ``ate`` says what is missing.

    Raises
    ------
    TypeError
        If a part does not travel, such as a lambda or a class of yours. The message
        names it and where it is; nothing is written.

    See Also
    --------
    load : Read the file.
    read_manifest : What a file says of itself.

    Notes
    -----
    The file is not encrypted. It holds the ids of users and items, which pairs the log
    has, and whatever else the model keeps of its log.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> import numpy as np
    >>> from sklearn_causalrec import CausalDNNRecommender, load, save
    >>> X = np.random.default_rng(0).normal(size=(200, 2))
    >>> model = CausalDNNRecommender(random_state=0).fit(X, X[:, 0])
    >>> path = Path(tempfile.mkdtemp(), "model.crec")
    >>> save(model, path, key=b"32 random bytes are a better key")
    >>> same = load(path, key=b"32 random bytes are a better key")
    >>> bool((same.predict(X) == model.predict(X)).all())
    True
    """
    key = container.key_bytes(key)
    if not isinstance(slim, bool | np.bool_):
        raise TypeError(f"slim is {slim!r}: it is True or False.")
    if fitted is None or isinstance(fitted, str | bytes | Number):
        raise TypeError(
            f"fitted is {short(fitted)}, which is no model: nothing was written."
        )
    writer = Writer(without_the_log if slim else None)
    parts = writer.write(fitted, type(fitted).__name__)
    container.write(path, container.pack(_manifest(fitted, writer, slim), parts, key))


def load(path, key=None):
    """Read a model that :func:`save` has written.

    Parameters
    ----------
    path : path-like
        The file.
    key : bytes or str, default=None
        The key that the file was signed with. A file that it did not sign is refused
        before anything in it is read. With None, the file has to be one that nobody
        signed: open such files if you know where they come from.

    Returns
    -------
    estimator, Pipeline, search or CausalGraph
        The model, which answers as the one that was saved.

    Raises
    ------
    ModelFileError
        If the file is foreign, truncated, damaged, of a later version, signed with
        another key, or not signed as it has to be.
    ImportError
        If the model has a part of a package that is not installed.

    See Also
    --------
    save : Write the file.

    Notes
    -----
    A file runs no code: its types are looked up in a list that the package has, and
    their objects get the numbers of the file. But who can write your files can make a
    model answer what they like, hence the signature.

    Examples
    --------
    See :func:`save`.
    """
    return load_with_manifest(path, key)[0]


def load_with_manifest(path, key=None):
    """The model of a file and its manifest, of one and the same file.

    Parameters
    ----------
    path : path-like
    key : bytes, str or None, default=None

    Returns
    -------
    fitted : estimator, Pipeline, search or CausalGraph
    manifest : dict
    """
    manifest, part = _open(path, key)
    try:
        return Reader(part("state"), part("arrays")).read(), manifest
    except ModelFileError:
        raise
    except NotTrustedError as error:
        raise ModelFileError(f"{path}: {error}") from None
    except ImportError as error:
        raise ImportError(
            f"{path} needs {', '.join(map(str, manifest.get('needs', [])))}, and "
            f"something is not installed: {error}"
        ) from error
    except Exception as error:
        raise ModelFileError(
            f"{path}: what the file holds is no model: {error}"
        ) from error


def read_manifest(path, key=None):
    """Read what a file says of itself, without opening the model in it.

    Parameters
    ----------
    path : path-like
        The file.
    key : bytes or str, default=None
        The key that the file was signed with, as in :func:`load`.

    Returns
    -------
    dict
        The type of the model, the versions it was made with, the packages it needs,
        its column roles, a summary of its training, and the parts of the file.

    Raises
    ------
    ModelFileError
        As in :func:`load`.

    See Also
    --------
    save : Write the file.

    Examples
    --------
    >>> import tempfile
    >>> from pathlib import Path
    >>> from sklearn_causalrec import CausalGraph, save
    >>> from sklearn_causalrec.serving import read_manifest
    >>> path = Path(tempfile.mkdtemp(), "graph.crec")
    >>> save(CausalGraph("x -> y"), path)
    >>> read_manifest(path)["model"]
    'CausalGraph'
    """
    return _open(path, key)[0]


def _open(path, key):
    key = container.key_bytes(key)
    body = container.opened(container.read(path), key, path)
    try:
        manifest, part = container.unpack(body, path)
    except ModelFileError:
        raise
    except Exception as error:
        raise ModelFileError(f"{path}: the manifest cannot be read: {error}") from error
    if manifest.get("format") != FORMAT:
        raise ModelFileError(f"{path}: the file holds no model")
    return manifest, part


def _manifest(fitted, writer, slim):
    packages = {}
    names = [name for name in sorted(writer.needs) if name != "builtins"]
    for name in [*ALWAYS, "torch", "skorch", "econml"]:
        if name in ALWAYS or name in names:
            try:
                packages[name] = version(name)
            except PackageNotFoundError:
                packages[name] = None
    return {
        "format": FORMAT,
        "version": container.VERSION,
        "model": type(fitted).__name__,
        "slim": bool(slim),
        "python": platform.python_version(),
        "packages": packages,
        "needs": [n for n in names if n not in ("collections", "sklearn_causalrec")],
        "roles": _roles(fitted),
        "training": _training(fitted),
    }


def _estimator(fitted):
    try:
        return unwrap(fitted)[1]
    except TypeError:
        return fitted


def _roles(fitted):
    """Column names by role, of what is named."""
    estimator = _estimator(fitted)
    found = {role: getattr(estimator, role, None) for role in (*ROLES, "outcome")}
    return {
        role: name if isinstance(name, str | int) else str(name)
        for role, name in found.items()
        if name is not None
    }


def _training(fitted):
    """The last record of the log of each network, or None."""
    records = getattr(_estimator(fitted), "history_", None)
    if not isinstance(records, list) or not records:
        return None
    last = {}
    for record in records:
        last[record.get("member", 0)] = {
            key: value
            for key, value in record.items()
            if isinstance(value, int | float) and value == value
        }
    return list(last.values())
