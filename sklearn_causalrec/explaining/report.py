"""`Report`: sections of text and tables, readable in a terminal and in a notebook."""

import textwrap
from html import escape

import pandas as pd

from sklearn_causalrec._utils.tables import WIDTH, html_table, text_table


class Report:
    """Sections in order, each text or a table.

    Parameters
    ----------
    title : str
    sections : iterable of (str, str or DataFrame or Series)
        Title and content; a title may come more than once, its contents then follow
        each other. Sections whose content is None, or a frame without rows, are left
        out.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_causalrec.explaining.report import Report
    >>> table = pd.DataFrame({"estimate": [1.96]}, index=["effect"])
    >>> print(Report("Effect of x on y", [("Query", "P(y | do(x))"), ("Found", table)]))
    Effect of x on y
    ================
    <BLANKLINE>
    Query
      P(y | do(x))
    <BLANKLINE>
    Found
              estimate
      effect     1.960
    """

    def __init__(self, title, sections=()):
        self.title = title
        self.sections = []
        for name, content in sections:
            self.add(name, content)

    def add(self, title, content):
        """Append a section; returns the report."""
        if isinstance(content, pd.Series):
            content = content.to_frame(content.name or "value")
        if isinstance(content, pd.DataFrame):
            if len(content):
                self.sections.append((title, content))
        elif content is not None and str(content):
            self.sections.append((title, str(content)))
        return self

    def to_frame(self, section):
        """The table of a section.

        Raises
        ------
        KeyError
            Where no section of that title has a table; names those that have.
        """
        tables = {t: c for t, c in self.sections if isinstance(c, pd.DataFrame)}
        if section not in tables:
            raise KeyError(
                f"no table in a section {section!r}; tables are in {list(tables)}."
            )
        return tables[section]

    def __contains__(self, title):
        return any(title == name for name, _ in self.sections)

    def __str__(self):
        parts, last = [f"{self.title}\n{'=' * min(len(self.title), WIDTH)}"], None
        for title, content in self.sections:
            body = (
                text_table(content, indent=2)
                if isinstance(content, pd.DataFrame)
                else _paragraphs(content)
            )
            parts.append(body if title == last else f"{title}\n{body}")
            last = title
        return "\n\n".join(parts)

    __repr__ = __str__

    def _repr_html_(self):
        parts, last = [f"<h3>{escape(self.title)}</h3>"], None
        for title, content in self.sections:
            if title != last:
                parts.append(f"<h4>{escape(title)}</h4>")
            last = title
            if isinstance(content, pd.DataFrame):
                parts.append(html_table(content))
            else:
                lines = (
                    f"<p style='white-space: pre-wrap'>{escape(p)}</p>"
                    for p in content.split("\n\n")
                )
                parts += lines
        return f"<div>{''.join(parts)}</div>"


def _paragraphs(text):
    """Text wrapped to the page, its own line breaks and indents kept."""
    lines = []
    for line in text.split("\n"):
        own = line[: len(line) - len(line.lstrip())]
        filled = textwrap.fill(
            line.strip(),
            WIDTH,
            initial_indent="  " + own,
            subsequent_indent="  " + own + ("  " if own else ""),
            break_on_hyphens=False,
        )
        lines.append(filled)
    return "\n".join(lines)
