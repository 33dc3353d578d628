"""Which arm each row had, and which two of them an effect compares."""

from decimal import Decimal
from fractions import Fraction

import numpy as np
import pandas as pd
import polars as pl
import pytest

from sklearn_causalrec.encoding.arms import (
    arm_codes,
    arm_position,
    check_arms,
    had_arm,
    read_treatment,
    two_arms,
)
from sklearn_causalrec.encoding.contrasts import (
    contrast,
    contrast_of,
    either_name,
    find_control,
    rows_of_two_arms,
)

BIG = 2**53


@pytest.mark.parametrize(
    ("treatment", "arms"),
    [
        (np.array([BIG, BIG + 1, BIG]), [BIG, BIG + 1]),
        (np.array([2**63, 2**63 + 1, 2**63], np.uint64), [2**63, 2**63 + 1]),
        (np.array([1000124, 1000130, 1000124]), [1000124, 1000130]),
        ([1, 0, 1], [0, 1]),
        (np.array([True, False, True]), [False, True]),
        (np.array([1.0, 0.0, 1.0], ">f8"), [0.0, 1.0]),
        (np.array([[1], [0], [1]]), [0, 1]),
        (pd.DataFrame({"t": ["b", "a", "b"]}), ["a", "b"]),
        (["b", "a", "b"], ["a", "b"]),
        (pd.Series(["b", "a", "b"], dtype="string[pyarrow]"), ["a", "b"]),
        (pd.Categorical(["b", "a", "b"], categories=["b", "a", "c"]), ["a", "b"]),
        (pd.Series([1, 0, 1], dtype="Int64"), [0, 1]),
        (pl.Series(["b", "a", "b"]), ["a", "b"]),
        ([Decimal("0.5"), Fraction(1, 4), Decimal("0.5")], [0.25, 0.5]),
        (np.array([1, 0, 1], dtype=object), [0, 1]),
        ([1.5, 1.5 + 1e-9, 1.5], [1.5, 1.5 + 1e-9]),
    ],
)
def test_arms_as_they_came(treatment, arms):
    codes, found = check_arms(treatment, 3)
    assert found.tolist() == arms
    taken = codes.tolist()
    assert taken[0] == taken[2] != taken[1]
    assert arm_codes(treatment, found).tolist() == taken


@pytest.mark.parametrize(
    ("treatment", "match"),
    [
        ([0, 1, None], "treatment is missing in row 2"),
        ([0.0, np.inf, 1.0], "row 1, where it is inf"),
        (["a", "", np.nan], "missing in row 2"),
        (np.zeros((3, 2)), "one value a row"),
        ([0, 1], "and there are 3 rows"),
        (1, "one value a row"),
        (pd.to_datetime(["2024-01-01"] * 3), "treatment holds times"),
        (["a", 1, "b"], "treatment"),
        (np.array([1j, 0, 1]), "treatment"),
    ],
)
def test_treatments_that_are_none(treatment, match):
    with pytest.raises((ValueError, TypeError), match=match):
        read_treatment(treatment, 3)


def test_whole_numbers_and_text_are_compared_exactly():
    with pytest.raises(ValueError, match=r"1000130, an arm unseen .*\[1000124\]"):
        arm_codes([1000130], [1000124])
    with pytest.raises(ValueError, match="'a ', an arm unseen"):
        arm_codes(["a "], ["a", "b"])
    with pytest.raises(ValueError, match="'1' is text, and the arms are numbers: are "):
        arm_codes(["1"], [0, 1])
    with pytest.raises(ValueError, match="1 is a number, and the arms are text"):
        arm_position(1, ["0", "1"], "T1")
    assert arm_codes(np.array([BIG + 1]), np.array([BIG, BIG + 1])).tolist() == [1]


def test_the_rounding_of_float32_is_overlooked_between_fractions_alone():
    arms = np.array([0.1, 0.2, 0.7])
    assert arm_codes(arms.astype(np.float32), arms).tolist() == [0, 1, 2]
    assert arm_codes(arms, arms.astype(np.float32)).tolist() == [0, 1, 2]
    assert arm_position(np.float32(0.7), arms.tolist(), "T1") == 2
    for near in (0.1 + 1e-5, 0.7001):
        with pytest.raises(ValueError, match="an arm unseen in fit"):
            arm_codes([near], arms)
    close = [1.0, 1.0 + 1e-7, 2.0]  # nearer than float32 tells apart
    assert arm_codes(close, close).tolist() == [0, 1, 2]
    with pytest.raises(ValueError, match="an arm unseen in fit"):
        arm_codes([1.0 + 5e-8], close)


def test_one_number_of_several_kinds_is_one_arm():
    assert arm_codes([True, False], [0, 1]).tolist() == [1, 0]
    assert arm_codes([1.0, 0.0], [0, 1]).tolist() == [1, 0]
    assert arm_position(np.array(1), [0, 1], "T1") == 1
    for several in ([1], np.array([0, 1]), {"t": 1}, (1,)):
        with pytest.raises(ValueError, match=r"T1=.* is not one arm: name one of"):
            arm_position(several, [0, 1], "T1")
    for none in (None, np.nan, "2", 2):
        with pytest.raises(ValueError, match=r"T1=.* is not an arm; the arms are"):
            arm_position(none, [0, 1], "T1")


def test_whole_numbers_and_text_are_arms_at_any_number_if_asked():
    many = np.arange(200)
    for arms in (many, many.astype(float), [f"item {i:03}" for i in many]):
        codes, found = check_arms(arms, 200, any_number=True)
        assert codes.tolist() == many.tolist() and len(found) == 200
        with pytest.raises(ValueError, match="200 different values"):
            check_arms(arms, 200)
    with pytest.raises(ValueError, match="continuous treatment has no arms"):
        check_arms(many + 0.5, 200, any_number=True)


def test_rows_of_an_arm():
    assert had_arm(["a", "b", "c"], "b").tolist() == [False, True, False]
    assert had_arm([0, 1, 2], 5).tolist() == [False] * 3
    rows, treated = rows_of_two_arms(["a", "b", "c", "b"], "c", "b")
    assert rows.tolist() == [1, 2, 3] and treated.tolist() == [True, False, True]
    with pytest.raises(ValueError, match="no row of one of the arms 'a', 'd'"):
        rows_of_two_arms(["a", "b", "c", "b"], "a", "d")


@pytest.mark.parametrize(
    ("treatment", "control", "treated"),
    [
        ([0, 1], None, [0, 1]),
        ([2, 1], None, [1, 0]),
        ([2, 1], 2, [0, 1]),
        (["drug", "placebo"], None, [1, 0]),
        (["Mens E-Mail", "No E-Mail"], "No E-Mail", [1, 0]),
        (pd.Categorical(["a", "b"], ["b", "a"], ordered=True), None, [1, 0]),
        (pd.Series(pd.Categorical([1, 2], [2, 1], ordered=True)), None, [1, 0]),
        (np.array([0.5, 0.25]), np.float32(0.5), [0, 1]),
    ],
)
def test_the_other_of_two_arms(treatment, control, treated):
    assert two_arms(treatment, 2, control).tolist() == treated


def test_two_arms_that_do_not_say_it():
    with pytest.raises(ValueError, match="The arms are 'Mens E-Mail', 'No E-Mail'"):
        two_arms(["Mens E-Mail", "No E-Mail"], 2)
    with pytest.raises(ValueError, match=r"control='x' is not an arm; the arms are"):
        two_arms(["a", "b"], 2, "x")
    with pytest.raises(ValueError, match="Select the rows of two arms"):
        two_arms(["a", "b", "none"], 3)


def test_which_two_arms_are_compared():
    assert contrast([0, 1], 0) == (0, 1)
    assert contrast([0, 1, 2], 0) == (0, 1)  # as they are called
    assert contrast([-1, 0, 1], 0) == (1, 2)
    assert contrast([0, 1], 1) == (1, 0)
    assert contrast([3, 5], 3) == (0, 1)
    assert contrast([3, 5], 3, T0=5) == (1, 0)
    assert contrast([3, 5], 3, T1=3) == (0, 0)
    assert contrast(["a", "b"], None, "b", "a") == (1, 0)
    assert contrast(["a", "b"], None, "b") == (1, 0)
    assert contrast(["a", "b", "c"], "b", T1="c") == (1, 2)
    joint = [(0, 0), (0, 1), (1, 0), (1, 1)]
    assert contrast(joint, (0, 0)) == (0, 3)
    assert contrast(joint, (0, 0), T1=(1, 0)) == (0, 2)
    with pytest.raises(ValueError, match=r"\['a', 'b', 'c'\] is compared with 'b'\?"):
        contrast(["a", "b", "c"], "b")
    with pytest.raises(ValueError, match=r"\[0, 1, 2\] is compared with 2\?"):
        contrast([0, 1, 2], 2)
    with pytest.raises(ValueError, match=r"which of the arms \['a', 'b'\] it is"):
        contrast(["a", "b"], None)
    with pytest.raises(ValueError, match="T0=0 is not an arm"):
        contrast([3, 5], 3, 0, 1)  # no positions


class Foreign:
    """An estimator that knows its arms, and not which is the control."""

    arms_ = np.array(["mail", "none", "push"])


def test_arms_of_an_estimator():
    assert contrast_of(Foreign(), T1="push") == ("none", "push")
    assert contrast_of(Foreign(), control="mail", T1="push") == ("mail", "push")
    assert contrast_of(object(), 3, 5) == (3, 5)
    assert contrast_of(object(), treatment=[7, 3, 7]) == (3, 7)
    order = pd.Categorical(["none", "mail", "mail"], ["mail", "none"], ordered=True)
    assert contrast_of(object(), treatment=order) == ("mail", "none")


def test_control_and_T0_are_one():
    assert either_name(None, None) is None
    assert either_name(0, None) == either_name(None, 0) == either_name(0, 0.0) == 0
    for T0 in (1, "0", [0]):
        with pytest.raises(ValueError, match=r"control=0 and T0=.* both name the arm"):
            either_name(T0, 0)


def test_a_control_that_cannot_be_told_is_none():
    assert find_control(["a", "b"], ["a", "b"]) is None
    assert find_control([1, 1], [1]) is None
    assert find_control(["b", "a"], ["a", "b"], "b") == "b"
