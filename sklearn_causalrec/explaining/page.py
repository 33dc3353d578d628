"""One report of a fitted model: a file of HTML that needs nothing else to be read."""

import json
import platform
from html import escape
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np
import pandas as pd

from sklearn_causalrec._utils.tables import html_table, number
from sklearn_causalrec.explaining.report import Report

_STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #1b1b1b; background: #fff;
  max-width: 760px; margin: 2rem auto; padding: 0 1rem; overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; line-height: 1.25; } h2 { font-size: 1.15rem; margin: 2rem 0
  .5rem; border-bottom: 1px solid #ccc; } .answer { font-size: 1.2rem; padding: .8rem
  1rem; background: #eef4fb; border-left: 4px solid #1f5fa8; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-size: .85rem; }
th, td { padding: .2rem .6rem; text-align: right; border-bottom: 1px solid #e4e4e4;
  overflow-wrap: normal; } th:first-child, td:first-child { text-align: left; }
.words :is(td, th):last-child { text-align: left; }
.small { color: #555; font-size: .85rem; }
nav { font-size: .85rem; } svg text { font-family: system-ui, sans-serif; }
@media print { body { margin: 0; max-width: none; font-size: 12px; } nav { display:
  none; } h2 { break-after: avoid; } svg, table { break-inside: avoid; }
  .answer { border: 1px solid #888; } }
"""
_PACKAGES = ("sklearn-causalrec", "scikit-learn", "numpy", "pandas", "torch")


class Picture:
    """A picture of a report, as SVG, with the text that stands for it."""

    def __init__(self, svg, text):
        self.svg, self.text = svg, text


class Page:
    """A report of sections that a browser shows, and the figures behind it.

    ``print`` shows its texts and tables, a notebook shows all of it.

    Parameters
    ----------
    title : str
        The question in a few words.
    answer : str
        What was found, in one sentence.

    Attributes
    ----------
    title : str
        The question in a few words.
    answer : str
        What was found, in one sentence.
    sections : list of tuple (title, list of str, DataFrame or Picture)
        The sections in order.
    figures : dict
        The figures of all sections, by name.

    See Also
    --------
    sklearn_causalrec.report : Make the report of a fitted model.

    Examples
    --------
    >>> from sklearn_causalrec.explaining import Page
    >>> page = Page("Does mail sell?", "It does.")
    >>> page.add("Data", "Two rows & a line.", rows=2)
    >>> "Two rows &amp; a line." in page.to_html(), page.to_dict()["figures"]
    (True, {'rows': 2})
    """

    def __init__(self, title, answer):
        self.title, self.answer = str(title), str(answer)
        self.sections, self.figures = [], {}

    def add(self, title, *contents, **figures):
        """Append to a section, and begin it if it is new.

        Parameters
        ----------
        title : str
            The title of the section.
        *contents : str, DataFrame, Picture or None
            What it shows. None, an empty text and a frame without rows are left out.
        **figures : object
            Numbers, texts and frames for ``to_dict``.
        """
        kept = [c for c in contents if c is not None and not _is_empty(c)]
        if self.sections and self.sections[-1][0] == title:
            self.sections[-1][1].extend(kept)
        elif kept:
            self.sections.append((title, kept))
        self.figures.update({k: v for k, v in figures.items() if v is not None})

    def to_dict(self):
        """Return the figures as plain objects, which JSON can hold.

        Returns
        -------
        dict
            The title, the answer, the texts of the sections and the figures.
        """
        texts = {
            title: [c for c in contents if isinstance(c, str)]
            for title, contents in self.sections
        }
        return {
            "title": self.title,
            "answer": self.answer,
            "texts": texts,
            "figures": {name: plain(value) for name, value in self.figures.items()},
        }

    def to_json(self):
        """Return the figures as a text in JSON.

        Returns
        -------
        str
            The text.
        """
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=1)

    def to_html(self):
        """Return the whole report as one page.

        Returns
        -------
        str
            HTML without scripts, that loads nothing.
        """
        policy = "default-src 'none'; style-src 'unsafe-inline'"
        links = " · ".join(
            f'<a href="#s{k}">{escape(title)}</a>'
            for k, (title, _) in enumerate(self.sections)
        )
        return (
            '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
            f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
            '<meta name="viewport" content="width=device-width, initial-scale=1">'
            f"<title>{escape(self.title)}</title><style>{_STYLE}</style></head>\n"
            f"<body><main>{self._body(links)}</main></body></html>\n"
        )

    def _body(self, links=""):
        parts = [f"<h1>{escape(self.title)}</h1>"]
        parts.append(f'<p class="answer">{escape(self.answer)}</p>')
        if links:
            parts.append(f"<nav>{links}</nav>")
        for k, (title, contents) in enumerate(self.sections):
            parts.append(f'<h2 id="s{k}">{escape(title)}</h2>')
            parts += [_as_html(content) for content in contents]
        return "\n".join(parts)

    def save(self, path):
        """Write the page to a file.

        Parameters
        ----------
        path : str or Path
            The file, which is overwritten.

        Returns
        -------
        Path
            The file.
        """
        path = Path(path)
        path.write_text(self.to_html(), encoding="utf-8")
        return path

    def _repr_html_(self):
        # A notebook has its own styles, and one document.
        return f"<div>{self._body()}</div>"

    def __str__(self):
        report = Report(self.title, [("Answer", self.answer)])
        for title, contents in self.sections:
            for content in contents:
                if not isinstance(content, Picture):  # its text stands beside it
                    report.add(title, content)
        return str(report)

    __repr__ = __str__


def _is_empty(content):
    return not len(content) if isinstance(content, str | pd.DataFrame) else False


def _as_html(content):
    if isinstance(content, Picture):
        return f"<figure style='margin:0'>{content.svg}</figure>"
    if isinstance(content, pd.DataFrame):
        last = content.iloc[:, -1:]
        numbers = last.select_dtypes(["number", "bool"])
        kind = "scroll" if last.shape == numbers.shape else "scroll words"
        return f'<div class="{kind}" tabindex="0">{html_table(content)}</div>'
    return f"<p>{escape(content)}</p>"


def plain(value):
    """A value as JSON holds it: frames as lists of records, no NaN, no numpy.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_causalrec.explaining.page import plain
    >>> plain({"low": np.float64(0.5), "high": float("nan")})
    {'low': 0.5, 'high': None}
    """
    if isinstance(value, pd.DataFrame):
        return [plain(row) for row in value.to_dict("records")]
    if isinstance(value, pd.Series):
        return plain(value.to_dict())
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple | set | np.ndarray | pd.Index):
        return [plain(v) for v in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    if isinstance(value, str | int | bool | None):
        return value
    return str(value)


def versions():
    """The versions that a report was made with, by package.

    Returns
    -------
    dict of str to str
    """
    found = {"python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def counted(n, what):
    """A number with its noun: "1 row", "2,000 rows"."""
    return f"{number(int(n))} {what}{'' if n == 1 else 's'}"
