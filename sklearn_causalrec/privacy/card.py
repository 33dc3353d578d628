"""Model cards: what a fitted model is and is not for, written from the fit."""

import json
import os
import platform
from collections.abc import Mapping
from html import escape
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from sklearn.utils.validation import check_is_fitted

from sklearn_causalrec._utils.tables import column_text, number
from sklearn_causalrec._utils.unwrap import unwrap
from sklearn_causalrec.encoding.checks import text
from sklearn_causalrec.encoding.kinds import short
from sklearn_causalrec.privacy.inventory import data_inventory, texts_of

UNKNOWN = "[More Information Needed]"
_PACKAGES = ("sklearn-causalrec", "scikit-learn", "numpy", "torch")


def model_card(
    fitted: Any,
    *,
    name: str | None = None,
    description: str | None = None,
    developers: str | None = None,
    license: str | None = None,
    intended_use: str | None = None,
    out_of_scope: str | None = None,
    training_data: str | None = None,
    metrics: Mapping[str, Any] | None = None,
    groups: pd.DataFrame | None = None,
    contact: str | None = None,
    path: str | os.PathLike[str] | None = None,
) -> str:
    """Write the card of a fitted model, in the layout of Hugging Face.

    What the fit knows is filled in: columns and their roles, arms, effects with their
    intervals, overlap, parameters, training, versions, what the model holds of people,
    and the limits that follow from these. What only people know is taken from the
    arguments. What nobody said stands as "[More Information Needed]", as in the
    template [1]_: a card does not guess.

    Parameters
    ----------
    fitted : estimator, Pipeline or search
        A fitted model of this package.
    name : str, default=None
        The name of the model. With None, that of its class.
    description : str, default=None
        What it is, in a sentence or two.
    developers : str, default=None
        Who made it.
    license : str, default=None
        Its licence, by its identifier, such as "bsd-3-clause".
    intended_use : str, default=None
        What it is for.
    out_of_scope : str, default=None
        What it must not be used for.
    training_data : str, default=None
        What the log is, and how it was collected.
    metrics : dict of str to float or tuple, default=None
        Results on rows that the fit did not see; a tuple is (value, low, high).
    groups : DataFrame, default=None
        The table of :func:`effects_by_group` or :func:`exposure_by_group`.
    contact : str, default=None
        Whom to ask, also to be forgotten.
    path : path-like, default=None
        A file to write the card to, such as "README.md". With None, none is written.

    Returns
    -------
    str
        The card, in Markdown with a head in YAML.

    Raises
    ------
    NotFittedError
        If the model is not fitted.

    See Also
    --------
    data_inventory : What the model holds of people.
    effects_by_group : Effects by group, with intervals.

    References
    ----------
    .. [1] Mitchell, M. et al. (2019). "Model cards for model reporting." FAccT.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_causalrec.baselines import EASE
    >>> from sklearn_causalrec.privacy import model_card
    >>> log = pd.DataFrame({"user": ["ann", "ann", "bo"], "item": ["x", "y", "x"]})
    >>> card = model_card(EASE(user="user", item="item").fit(log), name="Films")
    >>> [line for line in card.splitlines() if line.startswith("# ")]
    ['# Model Card for Films']
    >>> "- It holds raw ids of 2 users: its files are personal data." in card
    True
    """
    _, estimator = unwrap(fitted)
    check_is_fitted(estimator)
    told = dict(
        name=name, description=description, developers=developers, license=license,
        intended_use=intended_use, out_of_scope=out_of_scope, contact=contact,
        training_data=training_data,
    )  # fmt: skip
    for what, words in told.items():
        text(words, what)
    if metrics is not None and not isinstance(metrics, Mapping):
        raise TypeError(
            f"metrics is {short(metrics)}: pass a dict of numbers, by name."
        )
    if groups is not None and not isinstance(groups, pd.DataFrame):
        raise TypeError(
            f"groups is {short(groups)}: pass the table of effects_by_group or "
            "exposure_by_group."
        )
    inventory = data_inventory(fitted)
    title = name or type(estimator).__name__
    about = [
        ("Developed by", developers), ("Model type", _kind(estimator)),
        ("License", license), *_built_on(estimator),
    ]  # fmt: skip
    facts = "\n".join(f"- **{what}:** {_plain(told)}" for what, told in about)
    data = f"{_plain(training_data)}\n\n{_data(estimator, inventory)}"
    examined = [_effects(estimator), _by_group(groups)]
    sections: list[tuple[int, str, Any]] = [
        (1, f"Model Card for {_plain(title)}", _plain(description)),
        (2, "Model Details", ""),
        (3, "Model Description", facts),
        (2, "Uses", ""),
        (3, "Direct Use", _plain(intended_use)),
        (3, "Out-of-Scope Use", _plain(out_of_scope)),
        (2, "Bias, Risks, and Limitations", _listed(_limits(estimator, inventory))),
        (3, "Recommendations", _listed(_advice(estimator))),
        (2, "How to Get Started with the Model", _code(estimator)),
        (2, "Training Details", ""),
        (3, "Training Data", data),
        (3, "Training Procedure", ""),
        (4, "Training Hyperparameters", _parameters(estimator)),
        (4, "Speeds, Sizes, Times", _training(estimator)),
        (2, "Evaluation", ""),
        (3, "Results", _results(metrics)),
        (2, "Model Examination", "\n\n".join(p for p in examined if p) or UNKNOWN),
        (2, "Technical Specifications", _software()),
        (2, "Data Held by the Model", _table(inventory.to_frame("Kept"))
         if "Kept" in inventory else "The model holds no ids and no rows."),
        (2, "Model Card Contact", _plain(contact)),
    ]  # fmt: skip
    head = {
        "tags": ["causal-inference", "recommendation"],
        **({"license": license} if license else {}),
        **({"metrics": [str(m) for m in metrics]} if metrics else {}),
    }
    yaml = [f"{key}: {_json(value)}" for key, value in head.items()]
    parts = ["\n".join(["---", "library_name: sklearn-causalrec", *yaml, "---"])]
    for level, heading, body in sections:
        parts.append(f"{'#' * level} {heading}")
        if body:
            parts.append(body)
    card = "\n\n".join(parts) + "\n"
    if path is not None:
        Path(path).write_text(card, encoding="utf-8")
    return card


def _json(value):
    """JSON, which YAML reads, without marks that a page could take for a tag."""
    text = json.dumps(value)
    for mark in "<>&":
        text = text.replace(mark, f"\\u{ord(mark):04x}")
    return text


def _plain(text):
    """Text of people and of data, which cannot be markup or a script."""
    if text is None:
        return UNKNOWN
    text = escape(" ".join(str(text).split()), quote=False)
    for mark in "\\`*_[]|#":
        text = text.replace(mark, "\\" + mark)
    return text


def _listed(lines):
    return "\n".join(f"- {line}" for line in lines) if lines else UNKNOWN


def _table(frame):
    """A frame as a table of Markdown."""
    flat = frame.reset_index() if frame.index.name else frame
    columns = [[_plain(cell) for cell in column_text(flat[c])] for c in flat.columns]
    lines = [[_plain(c) for c in flat.columns], ["---"] * flat.shape[1], *zip(*columns)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _built_on(estimator):
    """The pretrained encoder inside, with its own licence."""
    texts = texts_of(estimator)
    if texts is None:
        return []
    told = texts.facts()
    what = f"{told['text encoder']} ({told['type']}; sha256 {told['sha256'][:16]})"
    return [("Finetuned from model" if texts.tuned else "Built on model", what),
            ("License of that model", told["license"])]  # fmt: skip


def _kind(estimator):
    task = getattr(estimator, "task", None)
    parts = [type(estimator).__name__, f"{task} of outcomes" if task else None]
    arms = getattr(estimator, "arms_", None)
    if arms is not None and len(arms) > 1:
        parts.append(f"effects between {len(arms)} arms")
    return ", ".join(part for part in parts if part)


def _several_arms(estimator):
    arms = getattr(estimator, "arms_", None)
    return arms is not None and len(arms) > 1


def _limits(estimator, inventory):
    """What follows from the fit itself."""
    found = []
    several = _several_arms(estimator)
    if hasattr(estimator, "arms_") and not several:
        found.append(
            "Every row of the log was shown: predictions are of outcomes, and effects "
            "are not identified."
        )
    elif not several:
        found.append("It predicts outcomes, not effects.")
    if several:
        found.append(
            "Effects are causal only if the columns it read, and its graph if it has "
            "one, hold all that decided the treatment and moved the outcome."
        )
    overlap = getattr(estimator, "overlap_", None)
    if isinstance(overlap, Mapping) and overlap.get("clipped"):
        found.append(
            f"In {overlap['clipped']:.1%} of the rows an arm was nearly impossible: "
            "effects there rest on the model of outcomes."
        )
    varies = getattr(estimator, "effect_varies_", None)
    if varies is not None and several and not np.any(varies):
        found.append(
            "No difference of effects between rows was found: lists by effect have "
            "nothing to rank by."
        )
    spent = getattr(estimator, "privacy_spent_", None)
    if spent is not None:
        found.append(_plain(spent.words))
    kept = inventory.to_frame("Kept") if "Kept" in inventory else None
    if kept is not None and "user ids" in kept.index:
        hidden = bool(kept.loc["user ids", "pseudonyms"])
        found.append(
            f"It holds {'pseudonyms' if hidden else 'raw ids'} of "
            f"{int(kept.loc['user ids', 'n']):,} users: its files are personal data."
        )
    return found


def _advice(estimator):
    found = ["Compare with results on rows that the fit did not see, and by group."]
    if _several_arms(estimator):
        found.append("Check the effect on a small randomised part of the traffic.")
    if hasattr(estimator, "_without_users"):
        found.append("Who asks to be forgotten: sklearn\\_causalrec.forget.")
    return found


def _code(estimator):
    ask = "effect" if _several_arms(estimator) else "predict"
    return (
        "```python\nfrom sklearn_causalrec import load\n\n"
        f'model = load("model.crec", key=...)\nmodel.{ask}(X)\n```'
    )


def _data(estimator, inventory):
    parts = []
    encoder = getattr(estimator, "log_encoder_", None)
    counts = {}
    if encoder is not None:
        if isinstance(getattr(encoder, "kept", None), np.ndarray):
            counts["rows"] = int(encoder.kept.sum())
        counts |= {"users": len(encoder.users), "items": len(encoder.items)}
    elif getattr(estimator, "arm_", None) is not None:
        counts["rows"] = len(estimator.arm_)
    told = [f"{n:,} {what}" for what, n in counts.items() if n]
    if told:
        parts.append(", ".join(told) + ".")
    if "Columns" in inventory:
        parts.append(_table(inventory.to_frame("Columns")))
    return "\n\n".join(parts)


def _parameters(estimator):
    try:
        default = type(estimator)().get_params(deep=False)
    except TypeError:  # a parameter has no default
        default = {}
    changed = {
        name: value
        for name, value in estimator.get_params(deep=False).items()
        if repr(value) != repr(default.get(name))
    }
    if not changed:
        return "All at their defaults."
    rows = [(name, repr(value)) for name, value in changed.items()]
    return _table(pd.DataFrame(rows, columns=["parameter", "value"]))


def _training(estimator):
    lines = []
    records = getattr(estimator, "history_", None)
    if isinstance(records, list) and records:
        seconds = sum(r.get("seconds", 0.0) for r in records)
        lines.append(f"{len(records)} epochs of networks in {number(seconds, 3)} s")
        last = {
            k: v
            for k, v in records[-1].items()
            if k in ("train_loss", "valid_loss", "valid_score")
        }
        lines += [f"{k} of the last epoch: {number(v)}" for k, v in last.items()]
    nets = getattr(estimator, "nets_", None)
    if nets:
        size = sum(p.numel() for net in nets for p in net.module_.parameters())
        lines.append(f"{size:,} weights in {len(nets)} networks")
    return _listed([_plain(line) for line in lines])


def _results(metrics):
    if not metrics:
        return UNKNOWN
    rows = []
    for name, value in metrics.items():
        value, *bounds = value if isinstance(value, tuple | list) else (value,)
        rows.append((name, value, *(bounds or (None, None))))
    columns = ["metric", "value", "low", "high"]
    return _table(pd.DataFrame(rows, columns=columns).dropna(axis=1, how="all"))


def _effects(estimator):
    """The table of average effects, where there is one."""
    if not (_several_arms(estimator) and hasattr(estimator, "ate_table")):
        return ""
    try:
        table = estimator.ate_table()
    except ValueError:  # no second stage, or the control can't be told
        return ""
    return "Average effects against the control, 95% intervals:\n\n" + _table(table)


def _by_group(groups):
    if groups is None:
        return ""
    return "By group:\n\n" + _table(groups)


def _software():
    found = [f"Python {platform.python_version()}"]
    for name in _PACKAGES:
        try:
            found.append(f"{name} {version(name)}")
        except PackageNotFoundError:  # run from its folder, not installed
            continue
    return _listed(found)
