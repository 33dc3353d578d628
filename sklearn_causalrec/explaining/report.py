"""A report of text and tables that is readable in a terminal and in a notebook."""

import textwrap
from html import escape

import pandas as pd

from sklearn_causalrec._utils.tables import WIDTH, html_table, text_table


class Report:
    """A report: sections in order, each of which is text or a table.

    ``print`` shows it in a terminal. A notebook shows it as HTML.

    Parameters
    ----------
    title : str
        The title of the report.
    sections : iterable of tuple, default=()
        The sections, each a tuple (title, content). The content is a str, a DataFrame
        or a Series. Contents with the same title that follow each other are shown under
        one heading. Sections with the content None, an empty str or a frame without
        rows are left out.

    Attributes
    ----------
    title : str
        The title of the report.
    sections : list of tuple
        The sections, each a tuple (title, content). The content is a str or a
        DataFrame.

    See Also
    --------
    sklearn_causalrec.DoCalculusEffect : Its ``summary`` returns such a report.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_causalrec.explaining import Report
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
        """Append a section.

        Parameters
        ----------
        title : str
            The title of the section.
        content : str, DataFrame, Series or None
            The content of the section. None, an empty str and a frame without rows are
            left out.

        Returns
        -------
        Report
            The report itself.
        """
        if isinstance(content, pd.Series):
            content = content.to_frame(content.name or "value")
        if isinstance(content, pd.DataFrame):
            if len(content):
                self.sections.append((title, content))
        elif content is not None and str(content):
            self.sections.append((title, str(content)))
        return self

    def to_frame(self, section):
        """Return the table of a section.

        Parameters
        ----------
        section : str
            The title of the section.

        Returns
        -------
        DataFrame
            The table. If several sections with this title have a table, it is the last
            one.

        Raises
        ------
        KeyError
            If no section with this title has a table. The message names the sections
            that have one.
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
    """Wrap text to the page, and keep its own line breaks and indents."""
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
