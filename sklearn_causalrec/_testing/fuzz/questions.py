"""Questions that have to be answered, asked again with one argument that is odd."""

import re
from dataclasses import dataclass

import numpy as np
import pandas as pd

from sklearn_causalrec._testing.fuzz import forms
from sklearn_causalrec._testing.fuzz.fits import NEVER_X, SAME_X

ROWS = 96
ODD_TEXTS = ["<img src=x onerror=alert(1)>", "=1+1", "a\0b", "\u202e", "", "user", "x"]


@dataclass
class Question:
    """A call that works, its arguments, and which of them are frames or columns."""

    name: str
    ask: object
    plain: dict
    frames: tuple = ()
    matrices: tuple = ()
    columns: tuple = ()  # one number, or one a row
    vectors: tuple = ()  # one a row
    labels_too: tuple = ()  # vectors of arms, where text and times are arms too
    missing: tuple = ()  # vectors whose missing values mean something
    labels: tuple = ()  # columns of names, where other types are other names
    scalars: tuple = ()
    nan_ok: bool = False
    same: bool = True  # whether the answer is the same for the same numbers
    keep: tuple = ()  # columns that a frame needs


def told(result):
    """What a page, report or decision says, as text."""
    for way in ("to_report", "to_dict", "to_html"):
        if hasattr(result, way):
            told = getattr(result, way)()
            return str(result), str(told)
    return str(result)


def _with_first(frame, value):
    frame = frame.copy()
    frame.iloc[0] = value
    return frame


def _as_polars(frame):
    import polars as pl

    return pl.from_pandas(frame)


SAME_FRAMES = {
    "polars": _as_polars,
    "index of zeros": lambda f: f.set_axis([0] * len(f)),
    "index of text": lambda f: f.set_axis([f"r{k}" for k in range(len(f))]),
    "other order of columns": lambda f: f[f.columns[::-1]],
    "objects": lambda f: f.astype(object),
    "float32": lambda f: f.astype({c: "float32" for c in f if f[c].dtype == "float64"}),
    "int8": lambda f: f.astype({c: "int8" for c in f if f[c].dtype == "int64"}),
    "Float64": lambda f: f.astype({c: "Float64" for c in f if f[c].dtype == "float64"}),
    "arrow": lambda f: f.convert_dtypes(dtype_backend="pyarrow"),
    "another column": lambda f: f.assign(another="=cmd()"),
}
BAD_FRAMES = {
    "None": lambda f: None,
    "text": lambda f: "abc",
    "number": lambda f: 3,
    "dict": lambda f: {"a": 1},
    "no rows": lambda f: f[:0],
    "no columns": lambda f: f[[]],
    "series": lambda f: f.iloc[:, 0],
    "one dimension": lambda f: f.iloc[:, -1].to_numpy(),
    "cube": lambda f: f.to_numpy()[:, :, None],
    "object": lambda f: object(),
    "ragged": lambda f: [[1], [1, 2]],
}
ODD_FRAMES = {
    "one row": lambda f: f[:1],
    "twice": lambda f: pd.concat([f, f]),
    "a column twice": lambda f: pd.concat([f, f.iloc[:, :1]], axis=1),
    "numpy": lambda f: f.to_numpy(),
    "list": lambda f: f.to_numpy().tolist(),
    "text in it": lambda f: _with_first(f.astype(object), "abc"),
    "zeros": lambda f: f * 0,
    "huge": lambda f: f.assign(**{f.columns[-1]: 1e308}),
    "words": lambda f: f.astype(str),
    "NaN": lambda f: _with_first(f.astype(float, errors="ignore"), np.nan),
    "all NaN": lambda f: f * np.nan,
    "infinity": lambda f: f.assign(**{f.columns[-1]: np.inf}),
    "times": lambda f: f.assign(**{f.columns[-1]: pd.Timestamp("2024")}),
    "category": lambda f: f.astype("category"),
    "names of two kinds": lambda f: f.set_axis([*f.columns[:-1], 7], axis=1),
    "levels": lambda f: f.set_axis(pd.MultiIndex.from_product([["a"], f.columns]),
                                   axis=1),
    "negative": lambda f: -f.select_dtypes("number").abs() - 1,
}  # fmt: skip
NOT_A_NUMBER = re.compile(r"(?<![\w&;#])(nan|inf|-inf|NaN|NaT)(?!\w)")


def _texts(value):
    if isinstance(value, str):
        return [value]
    if isinstance(value, tuple | list):
        return [text for part in value for text in _texts(part)]
    return []


def _says_nan(result):
    for text in _texts(result):
        found = NOT_A_NUMBER.search(text)
        if found:
            around = text[max(0, found.start() - 60) : found.end() + 20]
            return "NaN in a text", around
    return None


def same(a, b):
    """Whether two answers are the same, up to rounding."""
    if isinstance(a, pd.DataFrame):
        if a.shape != b.shape:
            return False
        return all(same(a.iloc[:, j].to_numpy(), b.iloc[:, j].to_numpy())
                   for j in range(a.shape[1]))  # fmt: skip
    if isinstance(a, tuple | list) or isinstance(a, str):
        return a == b or _near(str(a), str(b))
    if isinstance(a, np.ndarray):
        if a.dtype.kind in "fc":
            return a.shape == b.shape and np.allclose(a, b, 1e-4, 1e-4, equal_nan=True)
        return a.tolist() == b.tolist()
    return True


def _near(a, b):
    """Texts whose numbers differ by rounding alone."""
    number = re.compile(r"-?\d+\.?\d*(?:e-?\d+)?")
    if number.sub("#", a) != number.sub("#", b):
        return False
    ours, theirs = ([float(n) for n in number.findall(s)] for s in (a, b))
    return np.allclose(ours, theirs, rtol=0.05, atol=0.02)


@dataclass
class _Change:
    """What replaces an argument, and what the answer then has to be."""

    argument: str
    form: str
    given: object
    same: bool = False  # the same numbers: the answer is that of the plain call
    never: bool = False  # nobody can mean it: there is no answer
    must_return: bool = False


def _frame(question, argument, plain, rng):
    table = [SAME_FRAMES, BAD_FRAMES, ODD_FRAMES][rng.integers(3)]
    form, make = forms.a_form(rng, table)
    if table is ODD_FRAMES and rng.random() < 0.2 and question.keep:
        column = question.keep[rng.integers(len(question.keep))]
        return _Change(argument, f"no {column!r}", plain.drop(columns=column))
    # A report of the log alone; a background that is X; no rows, no answers.
    fine = form == "None" and question.name in ("report", "explain_effect")
    fine = fine or form in ("no rows", "no columns")
    same = table is SAME_FRAMES
    # scikit-learn refuses columns that are new, or in another order.
    needed = same and "column" not in form
    never = table is BAD_FRAMES and not fine
    return _Change(argument, form, make(plain), same and question.same, never, needed)


def _matrix(question, argument, plain, rng):
    table = SAME_X if rng.random() < 0.5 else NEVER_X
    form, make = forms.a_form(rng, table)
    never = table is NEVER_X and form != "no rows" and "name" not in form
    return _Change(argument, form, make(plain), table is SAME_X, never)


def _column(question, argument, plain, rng):
    value = np.full(ROWS, float(plain)) if np.ndim(plain) == 0 else plain
    kind = ["SAME", "NEVER", "MISSING", "ODD", "TIMES"][rng.integers(5)]
    form, make = forms.a_form(rng, getattr(forms, kind))
    same = kind == "SAME" and form not in forms.OTHER_LABELS | {"complex", "category"}
    # Of all rows, or of each of two arms.
    one_of_all = ("scalar", "no dimension", "two columns")
    one_of_all = argument in question.columns and form in one_of_all
    alone = len(question.vectors) == 1 and form in ("one short", "one long", "empty")
    never = kind == "NEVER" and not one_of_all and not alone
    if argument in question.vectors:
        never |= kind == "TIMES" and argument not in question.labels_too
        never |= kind == "MISSING" and argument not in question.missing
    return _Change(argument, f"{form} column", make(value), same, never)


def _label(question, argument, plain, rng):
    kind = ["SAME", "NEVER", "MISSING", "ODD", "TIMES"][rng.integers(5)]
    form, make = forms.a_form(rng, getattr(forms, kind))
    return _Change(argument, form, make(np.array([0.0, 1.0])))


def _scalar(question, argument, plain, rng):
    known = [*forms.SCALARS, *ODD_TEXTS]
    given = known[rng.integers(len(known))]
    level = isinstance(given, int | float | np.number) and not isinstance(given, bool)
    level = level and 0 < given < 1
    may_be_none = question.name == "robustness_value" and given is None
    never = argument == "alpha" and not level and not may_be_none
    return _Change(argument, repr(given), given, never=never)


def _as_asked(change):
    """Whether a value does what it says, and what it says is not for a fuzzer."""
    given = change.given
    if change.argument == "random_state" and given is None:
        return True  # numpy's global generator is asked for
    if isinstance(given, int | float) and abs(given) > 1e6:
        return True  # so many trees, backgrounds, rows of a list
    # Names of files, or numbers of those that are open.
    return change.argument == "path" and isinstance(given, str | bytes | int)


def ask_oddly(fuzzer, entry):
    """Ask one question: as it is the first time, then with an argument changed.

    Parameters
    ----------
    fuzzer : Fuzzer
        It makes the calls.
    entry : list
        The question, and its plain answer or None where it was not asked so far.
    """
    rng, question = fuzzer.rng, entry[0]
    if entry[1] is None:
        answer = fuzzer.call(
            f"{question.name}(plain)", lambda: question.ask(**question.plain),
            _says_nan, nan_ok=question.nan_ok, must_return=True,
        )  # fmt: skip
        entry[1] = (answer,)
    ways = [
        *[(_frame, a) for a in question.frames for _ in range(3)],
        *[(_matrix, a) for a in question.matrices for _ in range(3)],
        *[(_column, a) for a in (*question.columns, *question.vectors)],
        *[(_label, a) for a in question.labels for _ in range(2)],
        *[(_scalar, a) for a in question.scalars],
    ]
    make, argument = ways[rng.integers(len(ways))]
    try:
        change = make(question, argument, question.plain.get(argument), rng)
    except (ValueError, TypeError):  # these values cannot become such a form
        return
    if _as_asked(change):
        return
    what = f"{question.name}({argument}={change.form})"

    def check(answer):
        if change.same and not same(answer, entry[1][0]):
            return f"{what} differs from the plain call"
        if change.never:
            return f"{question.name} accepts {argument}={change.form}"
        said = _says_nan(answer)
        if said and not question.nan_ok:
            return f"{question.name}: {said[0]}"

    fuzzer.call(
        what,
        lambda: question.ask(**{**question.plain, argument: change.given}),
        check,
        nan_ok=question.nan_ok,
        unchanged=[change.given],
        must_return=change.must_return,
    )
