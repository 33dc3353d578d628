"""A fit that a file describes: what ``sklearn-causalrec train`` does."""

import json
import os
import sys
import tomllib
from contextlib import nullcontext
from dataclasses import dataclass
from difflib import get_close_matches
from functools import partial
from pathlib import Path
from typing import Any

from sklearn_causalrec.serving.trusted import find

# What a file may say, by table; the first table is that of the file itself.
KEYS = {
    "": ("estimator", "output", "timeout", "data", "parameters", "checkpoints"),
    "data": ("path", "y", "sample_weight", "columns", "stream"),
    "checkpoints": ("folder", "every"),
}
NEEDED = {"": ("estimator", "output", "data"), "data": ("path", "y")}
ESTIMATORS = {
    "CausalDNNRecommender": "sklearn_causalrec.recommender",
    "CounterfactualPolicy": "sklearn_causalrec.policy",
}
# A log of which the columns, at eight bytes a number, take more than this share of the
# machine's memory is read from disk as it is needed, where the file leaves it open.
MEMORY_SHARE = 0.25
ROLES = ("user", "item", "time", "treatment", "propensity")


class PlanError(ValueError):
    """A file of a training says what cannot be done; nothing was started."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What a file of a training says, checked as far as it goes without the data."""

    estimator: Any
    data: str
    y: str
    sample_weight: str | None
    columns: list | None
    stream: bool | None
    output: Path
    folder: Path | None
    every: float
    timeout: float

    @property
    def used(self):
        """Columns that have a name in the file."""
        named = [(f"data.{k}", getattr(self, k)) for k in ("y", "sample_weight")]
        roles = [
            (f"parameters.{k}", getattr(self.estimator, k))
            for k in ROLES
            if isinstance(getattr(self.estimator, k), str)
        ]
        listed = [("data.columns", name) for name in self.columns or ()]
        return [pair for pair in named + roles + listed if pair[1] is not None]


def run(options):
    """Do what the command line asks.

    Parameters
    ----------
    options : Namespace
        ``config``, the file, and ``check``.

    Returns
    -------
    int
        The status to exit with.
    """
    from sklearn_causalrec.networks import WorkerError, distributed

    try:
        plan = read_plan(options.config)
        if options.check:
            print(checked(plan))
            return 0
        with distributed(timeout=plan.timeout) as ranks:
            log = _log(plan)
            _check_columns(plan, log)
            rows = _trained(plan, log, ranks)
        if ranks.first:
            print(f"{plan.output}: {rows:,} rows, {ranks.size} process(es).")
    except (PlanError, OSError) as stop:
        print(f"sklearn-causalrec train: {stop}", file=sys.stderr)
        return 2
    except WorkerError as stop:
        print(f"sklearn-causalrec train: {stop}", file=sys.stderr)
        return 1
    return 0


def read_plan(path):
    """Read a file of a training.

    Parameters
    ----------
    path : path-like
        A TOML file.

    Returns
    -------
    Plan
        What it says. Relative paths in it are from its folder.

    Raises
    ------
    PlanError
        If something in it is unknown, missing or of a wrong type. The message names it.
    """
    path = Path(path)
    try:
        said = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise PlanError(f"{path} is no TOML: {error}") from error
    for table, keys in KEYS.items():
        part = said if not table else said.get(table, {})
        if not isinstance(part, dict):
            raise PlanError(f"{table} has to be a table, [{table}].")
        for key in part:
            _refuse_unknown(key, keys, f"[{table}]" if table else "the file")
        for key in NEEDED.get(table, ()):
            if key not in part:
                where = f"{table}.{key}" if table else key
                raise PlanError(f"{path} does not say {where}.")
    data, kept = said["data"], said.get("checkpoints", {})
    if kept and "folder" not in kept:
        raise PlanError(f"{path} does not say checkpoints.folder.")
    here = path.parent
    return Plan(
        estimator=_estimator(said["estimator"], said.get("parameters", {})),
        data=_located(_text(data["path"], "data.path"), here),
        y=_text(data["y"], "data.y"),
        sample_weight=_text(data.get("sample_weight"), "data.sample_weight"),
        columns=_texts(data.get("columns"), "data.columns"),
        stream=_truth(data.get("stream"), "data.stream"),
        output=here / _text(said["output"], "output"),
        folder=here / _text(kept["folder"], "checkpoints.folder") if kept else None,
        every=_seconds(kept.get("every", 60.0), "checkpoints.every"),
        timeout=_seconds(said.get("timeout", 600.0), "timeout"),
    )


def checked(plan):
    """Look at everything but the rows, as ``--check`` does.

    Parameters
    ----------
    plan : Plan
        What to do.

    Returns
    -------
    str
        What would be done, in a few lines.

    Raises
    ------
    PlanError
        If it could not be done. The message names why.
    """
    log = _log(plan)
    read = _check_columns(plan, log)
    folder = plan.output.parent
    if not os.access(folder, os.W_OK):
        raise PlanError(f"output: the folder {folder} cannot be written.")
    where = plan.folder or "none"
    how = "read as needed" if _is_streamed(plan, log, read, 1) else "read into memory"
    return (
        f"{type(plan.estimator).__name__} on {log.count_rows():,} rows and "
        f"{len(read)} columns of {plan.data}, {how}\n"
        f"  outcome: {plan.y}\n  model: {plan.output}\n  checkpoints: {where}"
    )


def _trained(plan, log, ranks):
    from sklearn_causalrec.networks import checkpoints
    from sklearn_causalrec.serving.files import save

    rows = log.count_rows()
    if not rows:
        raise PlanError(f"data.path: {plan.data} has no rows.")
    read = _check_columns(plan, log)
    if _is_streamed(plan, log, read, ranks.size):
        few = dict(batch_readahead=0, fragment_readahead=0, use_threads=False)
        X = log if plan.columns is None else partial(log.to_batches, read, **few)
        y, given = plan.y, {"sample_weight": plan.sample_weight}
    else:
        X, given = log.to_table(columns=read).to_pandas(), {}
        y = X.pop(plan.y)
        if plan.sample_weight is not None:
            given["sample_weight"] = X.pop(plan.sample_weight)
    kept = nullcontext()
    if plan.folder is not None:
        kept = checkpoints(plan.folder, every=plan.every)
    with kept:
        model = plan.estimator.fit(X, y, **given)
        if ranks.first:
            save(model, plan.output)
    return rows


def _is_streamed(plan, log, read, n_processes):
    """Whether the log is read from disk as it is needed, and not into memory."""
    reason = None
    if not hasattr(plan.estimator, "effect_learner"):
        reason = f"{type(plan.estimator).__name__} reads all rows at once"
    elif plan.estimator.text is not None or plan.estimator.private is not None:
        reason = "text= and private= read all rows at once"
    elif plan.folder is not None:
        reason = "checkpoints are written of logs in memory"
    elif n_processes > 1:
        reason = f"{n_processes} processes share a log in memory"
    if plan.stream and reason is not None:
        raise PlanError(f"data.stream is true, and {reason}: leave one of them out.")
    if plan.stream is not None or reason is not None:
        return bool(plan.stream)
    memory = _memory()
    size = 8 * log.count_rows() * len(read)
    return memory is not None and size > MEMORY_SHARE * memory


def _memory():
    """The memory of the machine in bytes, or None where it is not told."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, ValueError, OSError):
        return None


def _log(plan):
    """The log as a dataset of Arrow, from any store that fsspec knows."""
    try:
        import pyarrow.dataset
        from fsspec.core import url_to_fs
    except ImportError as error:
        raise PlanError(f"Logs are read by pyarrow and fsspec: {error}") from error
    try:
        store, inside = url_to_fs(plan.data)
        if not store.exists(inside):
            raise PlanError(f"data.path: there is no {plan.data}.")
        return pyarrow.dataset.dataset(inside, filesystem=store, format="parquet")
    except (ImportError, pyarrow.ArrowException, ValueError) as error:
        if isinstance(error, PlanError):
            raise
        raise PlanError(f"data.path: {plan.data} cannot be read: {error}") from error


def _check_columns(plan, log):
    """Columns to read; an error where one that is named is not there."""
    names = log.schema.names
    for where, name in plan.used:
        if name not in names:
            raise PlanError(
                f"{where}: {plan.data} has no column {name!r}{_nearest(name, names)}."
            )
    if plan.columns is None:
        return names
    also = [name for _, name in plan.used]
    return list(dict.fromkeys([*plan.columns, *also]))


def _estimator(name, parameters):
    if name not in ESTIMATORS:
        raise PlanError(
            f"estimator is {json.dumps(name)}{_nearest(name, ESTIMATORS)}: choose one "
            f"of {', '.join(ESTIMATORS)}."
        )
    kind = find(f"{ESTIMATORS[name]}:{name}")
    if not isinstance(parameters, dict):
        raise PlanError("parameters has to be a table, [parameters].")
    for key in parameters:
        _refuse_unknown(key, kind().get_params(deep=False), "[parameters]")
    estimator = kind(**parameters)
    try:
        estimator._validate_params()
    except ValueError as error:
        raise PlanError(f"parameters: {error}") from error
    several = int(os.environ.get("WORLD_SIZE", "1")) > 1
    if several and not isinstance(estimator.random_state, int):
        raise PlanError(
            "parameters.random_state has to be a whole number where several processes "
            "share a fit: they draw the same numbers."
        )
    return estimator


def _refuse_unknown(key, known, where):
    if key not in known:
        raise PlanError(f"{where} has an unknown key {key!r}{_nearest(key, known)}.")


def _nearest(name, known):
    found = get_close_matches(str(name), [str(k) for k in known], 1, 0.5)
    return f" (did you mean {found[0]!r}?)" if found else ""


def _located(path, here):
    return path if "://" in path else str(here / path)


def _text(value, where):
    if value is not None and not isinstance(value, str):
        raise PlanError(f"{where} is {value!r}: a text is needed.")
    return value


def _texts(value, where):
    for one in value if isinstance(value, list) else ():
        _text(one, where)
    if value is not None and not isinstance(value, list):
        raise PlanError(f"{where} is {value!r}: a list of names is needed.")
    return value


def _truth(value, where):
    if value is not None and not isinstance(value, bool):
        raise PlanError(f"{where} is {value!r}: true or false is needed.")
    return value


def _seconds(value, where):
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise PlanError(f"{where} is {value!r}: a number of seconds is needed.")
    return float(value)
