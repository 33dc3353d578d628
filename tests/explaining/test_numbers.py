"""Numbers in sentences are as exact as their interval makes sense of."""

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from sklearn_causalrec._utils.tables import like_interval
from sklearn_causalrec.explaining.words import finding, range_of


@pytest.mark.parametrize(
    ("figures", "shown"),
    [
        ((0.075312, 0.027136, 0.123488), ("0.075", "0.027", "0.123")),
        ((1794.34, 550.57, 3038.11), ("1,800", "600", "3,000")),
        ((0.5, 0.2, 0.8), ("0.5", "0.2", "0.8")),
        ((0.5, 0.204, 0.756), ("0.50", "0.20", "0.76")),
        ((-0.0004, -0.0312, 0.0304), ("0", "-0.031", "0.030")),
        # The lower end is not zero, and is not written as zero.
        ((0.0625, 0.0002, 0.1248), ("0.0625", "0.0002", "0.1248")),
        ((2.0, np.nan, np.nan), ("2", "", "")),
        ((2.0, 2.0, 2.0), ("2", "2", "2")),
        ((3e-9, 1e-9, 5e-9), ("3e-09", "1e-09", "5e-09")),
    ],
)
def test_numbers_beside_an_interval(figures, shown):
    value, low, high = figures
    found = tuple(like_interval(value, low=low, high=high))
    assert tuple(t.replace("0.000", "0") for t in found[:1]) + found[1:] == shown


@given(st.floats(-1e6, 1e6), st.floats(1e-4, 1e5), st.floats(0.05, 0.95))
def test_rounding_is_small_beside_the_interval(low, width, part):
    """No figure moves by more than a twentieth of half the interval."""
    high, value = low + width, low + part * width
    assume(high > low)
    shown = like_interval(value, low=low, high=high)
    for text, number in zip(shown, (value, low, high)):
        assert abs(float(text.replace(",", "")) - number) <= 0.0501 * (high - low) / 2


def test_sentences_have_two_digits_of_the_interval():
    told = finding("x = 1 instead of 0", "y", 1794.34, 550.57, 3038.11)
    assert "raises y by 1,800 on average (95 % interval 600 to 3,000)" in told
    told = finding("x = 1 instead of 0", "y", -0.075312, -0.123488, -0.027136)
    assert "lowers y by 0.075 on average (95 % interval 0.027 to 0.123)" in told
    told = finding("x = 1 instead of 0", "y", 0.01234, -0.04567, 0.07035)
    assert "it is 0.012, and the 95 % interval -0.046 to 0.070 holds zero" in told
    told = finding("x = 1 instead of 0", "y", -0.0123456, np.nan, np.nan)
    assert "lowers y by 0.012 on average, without an interval" in told
    assert range_of(0.30001, 0.1, 0.5) == "0.3 (0.1 to 0.5)"
