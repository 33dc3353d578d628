from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import polars as pl
import pytest

from sklearn_causalrec.encoding.control import CONTROL_LABELS, control_of


def ordered(values, categories):
    return pd.Categorical(values, categories=categories, ordered=True)


@pytest.mark.parametrize(
    ("arms", "control"),
    [
        ([True, False], False),
        (np.array([True, True]), True),
        (pd.Series([False, True], dtype="boolean"), False),
        ([1, 0, 1], 0),
        (np.array([3, 1, 2], dtype=np.uint8), 1),
        (np.array([1.0, 0.0], dtype=">f8"), 0.0),
        ([-1, 0, 1], 0),
        ([-1, 1], -1),
        ([0.5, 0.1, 2.5], 0.1),
        ([Decimal("1.5"), 0], 0),
        ([Fraction(1, 2), Decimal("0.25")], Decimal("0.25")),
        (np.array([1, 0], dtype=object), 0),
        (pd.Series([2, 1], dtype="Int64"), 1),
        (pd.Series([1.5, 0.5], dtype="double[pyarrow]"), 0.5),
        # Beyond 2**53, where floats would make one arm of both.
        ([2**53 + 1, 2**53], 2**53),
        (["drug", "placebo"], "placebo"),
        (np.array(["yes", "NO"]), "NO"),
        (["on", " Off "], " Off "),
        (pd.Series(["none", "mail", "push"], dtype="string"), "none"),
        (pd.Series(["no", "yes"], dtype="string[pyarrow]"), "no"),
        (pl.Series(["treated", "control"]), "control"),
        (pd.Categorical(["yes", "no", "yes"]), "no"),
        (pd.Categorical([2, 1]), 1),
        (ordered(["a", "b"], ["b", "a"]), "b"),
        (ordered(["drug", "placebo"], ["drug", "placebo"]), "drug"),
        (ordered([0, 1], [1, 0]), 1),
        (pd.Series(ordered(["hi", "lo"], ["lo", "hi"])), "lo"),
        (["no"], "no"),
        ([[1], [0]], None),
        (np.array([[1], [0]]), 0),
    ],
)
def test_arms_that_say_it(arms, control):
    if control is None:
        with pytest.raises(ValueError, match="which is no arm"):
            control_of(arms)
        return
    found = control_of(arms)
    assert found == control and isinstance(found, type(control))


@pytest.mark.parametrize("label", sorted(CONTROL_LABELS))
@pytest.mark.parametrize("change", [str, str.upper, str.title])
def test_labels_whatever_their_case(label, change):
    arms = ["something", change(label), "no e-mail"]
    assert control_of(arms) == change(label)


@pytest.mark.parametrize(
    ("arms", "listed"),
    [
        (["Mens E-Mail", "No E-Mail"], "'Mens E-Mail', 'No E-Mail'"),
        (["a", "b"], "'a', 'b'"),
        (["banner"], "'banner'"),
        (["none", "placebo", "drug"], "'drug', 'none', 'placebo'"),
        (["no", "No"], "'No', 'no'"),
        (["0", "1"], "'0', '1'"),
        ([0, "yes"], "0, 'yes'"),
        ([0, True], "0, True"),
        ([0.0, np.inf], "0.0, inf"),
        ([1j, 0], "0j, 1j"),
        ([b"no", b"yes"], "b'no', b'yes'"),
        (pd.to_datetime(["2024-01-01", "2024-01-02"]), "Timestamp"),
        (ordered(["b", "c"], ["a", "b", "c"]), "'b', 'c'"),
        (list("abcdefghijkl"), "and 2 more"),
    ],
)
def test_arms_that_do_not_say_it_are_listed(arms, listed):
    with pytest.raises(ValueError, match="control") as error:
        control_of(arms)
    assert listed in str(error.value) and "control=" in str(error.value)


def test_what_is_named_counts():
    assert control_of(["Mens E-Mail", "No E-Mail"], "No E-Mail") == "No E-Mail"
    assert control_of([0, 1], control=1) == 1
    assert control_of([0, 1], control=True) == 1
    assert control_of([False, True], control=0) is False
    assert control_of(["a", "b"], control=np.str_("b")) == "b"
    assert control_of(ordered(["a", "b"], ["a", "b"]), control="b") == "b"
    assert control_of(np.array([1.5, 2.5]), control=np.float32(2.5)) == 2.5


@pytest.mark.parametrize(
    ("arms", "control"),
    [
        (["no", "yes"], "No"),
        ([0, 1], "0"),
        (["0", "1"], 0),
        ([0, 1], 2),
        ([0, 1], np.nan),
        ([0, 1], [0]),
        (["a", "b"], pd.NA),
        ([0, 1], pd.NA),
        ([2**53, 2**53 + 2], 2**53 + 1),
    ],
)
def test_a_control_that_is_no_arm_is_refused(arms, control):
    with pytest.raises(ValueError, match=r"is none of the arms\. The arms are"):
        control_of(arms, control=control)


def test_no_arms_and_gaps():
    with pytest.raises(ValueError, match="There are no arms"):
        control_of([])
    with pytest.raises(ValueError, match="missing in row 1"):
        control_of([0, None])
    with pytest.raises(ValueError, match="missing in row 0"):
        control_of(pd.Series([pd.NA, 1], dtype="Int64"))
    with pytest.raises(ValueError, match="2 dimensions"):
        control_of(np.ones((2, 2)))
