"""Fitted models as models of MLflow: files of ours, without pickle."""

import sys
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
from mlflow import pyfunc
from mlflow.models import Model, ModelSignature
from mlflow.models.model import MLMODEL_FILE_NAME
from mlflow.types import ParamSchema, ParamSpec
from mlflow.utils.environment import _PythonEnv

from sklearn_causalrec._utils.unwrap import unwrap
from sklearn_causalrec.effects.effect import effect
from sklearn_causalrec.encoding.checks import choice
from sklearn_causalrec.serving.files import load, read_manifest, save

FLAVOR = "sklearn_causalrec"
DATA = "model.crec"
KEY = "key"


def save_model(
    fitted: Any,
    path: str | Path,
    mlflow_model: Model | None = None,
    *,
    key: bytes | str | None = None,
    slim: bool = False,
    pip_requirements: list[str] | None = None,
    metadata: dict[str, Any] | None = None,
) -> None:
    """Save a fitted model into a folder, as MLflow lays it out.

    Parameters
    ----------
    fitted : estimator, Pipeline or search
        The model, as :func:`~sklearn_causalrec.save` takes it.
    path : path-like
        The folder. It must not be there.
    mlflow_model : mlflow.models.Model, default=None
        What MLflow knows of the model. With None, a new one.
    key : bytes or str, default=None
        The key that signs the file.
    slim : bool, default=False
        Whether to leave out what only averages and further training read.
    pip_requirements : list of str, default=None
        The requirements of an environment. With None, the versions of the packages that
        the model needs, as they are now.
    metadata : dict, default=None
        What else MLflow keeps of the model.

    Raises
    ------
    TypeError
        If a part of the model does not travel.
    FileExistsError
        If there is something at the path.

    See Also
    --------
    log_model : Save the model in a run.

    Notes
    -----
    A signed model has its key for ``mlflow.pyfunc.load_model`` in ``model_config=
    {"key": ...}``.
    """
    path = Path(path)
    path.mkdir(parents=True)
    save(fitted, path / DATA, key, slim=slim)
    manifest = read_manifest(path / DATA, key)
    model = Model() if mlflow_model is None else mlflow_model
    by = ParamSpec("by", "string", "effect" if _has_effects(fitted) else "outcome")
    model.signature = ModelSignature(params=ParamSchema([by]))
    if metadata is not None:
        model.metadata = metadata
    if pip_requirements is None:
        needed = {**manifest["packages"], "mlflow-skinny": mlflow.__version__}
        pip_requirements = [f"{k}=={v}" for k, v in needed.items() if v is not None]
    (path / "requirements.txt").write_text("\n".join(pip_requirements) + "\n")
    _PythonEnv.current().to_yaml(str(path / "python_env.yaml"))
    pyfunc.add_to_model(
        model,
        loader_module=__name__,
        data=DATA,
        python_env="python_env.yaml",
        model_config={KEY: ""},  # may be given when it is loaded; none is kept
    )
    model.add_flavor(FLAVOR, data=DATA, model=manifest["model"], signed=key is not None)
    model.save(str(path / MLMODEL_FILE_NAME))


def log_model(fitted: Any, name: str = "model", **options: Any) -> Any:
    """Log a fitted model in a run of MLflow.

    Parameters
    ----------
    fitted : estimator, Pipeline or search
        The model.
    name : str, default="model"
        The name of the model in the run.
    **options
        Further parameters of :func:`save_model`, and of ``mlflow.models.Model.log``,
        such as ``registered_model_name``.

    Returns
    -------
    mlflow.models.model.ModelInfo
        What MLflow knows of it; ``model_uri`` is what :func:`load_model` takes.

    See Also
    --------
    load_model : Load it.

    Examples
    --------
    >>> import mlflow  # doctest: +SKIP
    >>> from sklearn_causalrec.serving import mlflow_flavor  # doctest: +SKIP
    >>> with mlflow.start_run():  # doctest: +SKIP
    ...     info = mlflow_flavor.log_model(model)
    >>> same = mlflow_flavor.load_model(info.model_uri)  # doctest: +SKIP
    >>> rows = mlflow.pyfunc.load_model(info.model_uri)  # doctest: +SKIP
    >>> rows.predict(X, params={"by": "effect"})  # doctest: +SKIP
    """
    this = sys.modules[__name__]
    return Model.log(None, this, name=name, fitted=fitted, **options)


def load_model(model_uri: str, key: bytes | str | None = None) -> Any:
    """Load a model that was logged or saved.

    Parameters
    ----------
    model_uri : str
        Where it is, as MLflow writes it: ``runs:/…``, ``models:/…`` or a path.
    key : bytes or str, default=None
        The key that the file was signed with, as in :func:`~sklearn_causalrec.load`.

    Returns
    -------
    estimator, Pipeline or search
        The model, which answers as the one that was saved.

    Raises
    ------
    ModelFileError
        If :func:`~sklearn_causalrec.load` refuses the file.

    See Also
    --------
    log_model : Log a model.
    """
    folder = mlflow.artifacts.download_artifacts(artifact_uri=str(model_uri))
    return load(Path(folder, DATA), key)


class RowModel:
    """What ``mlflow.pyfunc`` asks: outcomes or effects of rows.

    Parameters
    ----------
    fitted : estimator, Pipeline or search
        The fitted model.
    """

    def __init__(self, fitted):
        self.fitted = fitted

    def predict(self, model_input, params=None):
        """Answer for rows.

        Parameters
        ----------
        model_input : frame or array of shape (n, p)
            The rows, with the columns of ``fit``.
        params : dict, default=None
            ``by`` is "effect" or "outcome".

        Returns
        -------
        ndarray of shape (n,)
            Effects, or what ``predict`` says.
        """
        by = (params or {}).get("by", "effect")
        choice(by, "by", {"effect", "outcome"})
        if by == "effect":
            return effect(self.fitted, model_input)
        return np.asarray(self.fitted.predict(model_input))


def _has_effects(fitted):
    return hasattr(unwrap(fitted)[1], "effect")


def _load_pyfunc(path, model_config=None):
    """What MLflow calls: the file, and the options of ``pyfunc.load_model``."""
    return RowModel(load(path, (model_config or {}).get(KEY) or None))
