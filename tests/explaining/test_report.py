from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest

from sklearn_causalrec._utils.tables import WIDTH, number, text_table
from sklearn_causalrec.explaining.report import Report


@pytest.fixture
def report():
    checks = pd.DataFrame(
        {
            "estimate": [1.96, -0.031],
            "p_value": [0.5, 0.000123],
            "verdict": [
                "the placebo effects are centred on zero, which is as it should be "
                "where the treatment was dealt out at random",
                "fails",
            ],
        },
        index=pd.Index(["placebo", "subset"], name="method"),
    )
    return Report(
        "Effect of browse on rating",
        [
            ("Query", "P(rating | do(browse))\n" + "word " * 40 + "\n  1. first\n"),
            ("Checks", checks),
            ("Checks", "One of two passed."),
            ("Nothing", None),
            ("No rows", checks.iloc[:0]),
        ],
    )


def test_text_fits_the_page_and_keeps_the_order(report):
    text = str(report)
    assert max(map(len, text.split("\n"))) <= WIDTH == 88
    order = [text.index(s) for s in ("Effect of", "Query", "Checks", "One of two")]
    assert order == sorted(order)
    assert text.count("Checks") == 1
    assert "Nothing" not in text and "No rows" not in text
    assert "\n    1. first" in text
    assert text == repr(report)


def test_columns_are_aligned(report):
    lines = text_table(report.to_frame("Checks")).split("\n")
    head, first = lines[0], lines[1]
    second = next(line for line in lines if line.startswith("subset"))
    for name, a, b in (
        ("estimate", "1.960", "-0.031"),
        ("p_value", "0.5000", "0.0001"),
    ):
        end = head.index(name) + len(name)
        assert first[:end].endswith(a) and second[:end].endswith(b)
    start = head.index("verdict")
    assert first[start:].startswith("the placebo")
    assert all(line[:start].isspace() for line in lines[2 : lines.index(second)])
    # Wrapped text is all there.
    words = " ".join(line[start:].strip() for line in lines[1 : lines.index(second)])
    assert words == report.to_frame("Checks").loc["placebo", "verdict"]


def test_many_columns_become_records():
    frame = pd.DataFrame(np.eye(2, 20), columns=[f"column_{j}" for j in range(20)])
    lines = text_table(frame, indent=2).split("\n")
    assert max(map(len, lines)) <= WIDTH
    assert " ".join(line.strip() for line in lines).count("column_19") == 2


def test_html_escapes_and_holds_the_same(report):
    html = report.add("Graph", "a <-> b & c")._repr_html_()
    assert "a &lt;-&gt; b &amp; c" in html
    assert html.count("<h4>Checks</h4>") == 1
    rows = [
        [cell.text for cell in row]
        for row in ElementTree.fromstring(html).find("table/tbody")
    ]
    assert [row[:3] for row in rows] == [
        ["placebo", "1.960", "0.5000"],
        ["subset", "-0.031", "0.0001"],
    ]


def test_to_frame_and_membership(report):
    assert report.to_frame("Checks").loc["subset", "verdict"] == "fails"
    assert "Checks" in report and "Nothing" not in report
    with pytest.raises(KeyError, match=r"'Query'; tables are in \['Checks'\]"):
        report.to_frame("Query")
    series = pd.Series({"smallest": 0.25}, name="propensity")
    assert "propensity" in str(Report("t").add("Overlap", series))


@pytest.mark.parametrize(
    "value, text",
    [
        (0.0, "0"),
        (0.000012345, "1.234e-05"),
        (-1234.5, "-1234"),
        (1e6, "1,000,000"),
        (float("inf"), "inf"),
        (None, ""),
        (np.int64(1200), "1,200"),
        (np.bool_(False), "no"),
    ],
)
def test_number(value, text):
    assert number(value) == text
    assert number(text) == text


def test_tiny_numbers_are_not_rounded_to_nothing():
    frame = pd.DataFrame({"p": [0.5, 3e-9, 0.0, np.nan]})
    assert text_table(frame).split() == ["p", "0.5000", "3e-09", "0"]
