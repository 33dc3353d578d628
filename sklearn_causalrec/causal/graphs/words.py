"""What the readers of graphs quote in their messages: little, and on one line."""

_WIDTH = 80


def shown(value, width=_WIDTH):
    """A value for a message: its representation, cut to a width.

    Parameters
    ----------
    value : object
        A name, or what stands where a name should.
    width : int, default=80
        The number of characters to keep.

    Returns
    -------
    str
        At most ``width`` characters; an ellipsis stands for the rest.
    """
    text = repr(value[: width + 1] if isinstance(value, (str, bytes)) else value)
    return text if len(text) <= width else text[: width - 1] + "…"


def several(values, most=4):
    """Some values for a message, and how many more there are.

    Parameters
    ----------
    values : sequence
        The values to list.
    most : int, default=4
        The number of values that are written out.

    Returns
    -------
    str
        The values, separated by commas.
    """
    text = ", ".join(shown(value, 40) for value in values[:most])
    return text if len(values) <= most else f"{text} and {len(values) - most:,} more"


def around(text, position):
    """The part of a line around a position, for a message.

    Parameters
    ----------
    text : str
        The text that could not be read.
    position : int
        The index of the character at which reading stopped.

    Returns
    -------
    str
        The part as a representation, cut to a width.
    """
    start = max(text.rfind("\n", 0, position) + 1, position - 30)
    return shown(text[start : position + 50].split("\n")[0].strip())


def line_of(text, position):
    """The number of the line that a position lies in, from 1."""
    return text.count("\n", 0, position) + 1
