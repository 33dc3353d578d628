"""The sentences of reasons, summaries and reports, and their translations.

A language is an entry of ``LANGUAGES``: templates by name, in the form of `str.format`.
Whoever adds one translates all templates of "en". Templates whose name starts with
"seen" speak of effects that are not identified, so they hold no causal verb.
"""

import re

import numpy as np

from sklearn_causalrec._utils.tables import like_interval, number

MOST_WORDS = 25

LANGUAGES = {
    "en": {
        "past": "Because of {items} in the history",
        "groups": "Rests mainly on {groups}",
        "and": " and ",
        "user": "the user",
        "item": "the item",
        "context": "the moment",
        "history": "the history",
        "features": "the features",
        "text": "the text",
        "image": "the image",
        "up": "shown, {what} rises from {before} to {after}{interval}.",
        "down": "shown, {what} falls from {before} to {after}{interval}.",
        "unclear": "shown, {what} may go from {before} to {after}{interval}, or stay.",
        "up by": "shown, {what} rises by {change}{interval}.",
        "down by": "shown, {what} falls by {change}{interval}.",
        "unclear by": "shown, {what} may change by {change}{interval}, or stay.",
        "seen": "expected {what} of shown rows: {after}.",
        "seen score": "it ranks high among what goes with the history.",
        "seen popular": "it is popular with all users.",
        "chance": "the chance",
        "outcome": "the outcome",
        "bare chance": "chance",
        "bare outcome": "outcome",
        "join": "; ",
        "interval": " ({low}–{high})",
        "wide interval": " ({low} to {high})",
    },
    "zh": {
        "past": "因为历史中有{items}",
        "groups": "主要依据{groups}",
        "and": "和",
        "user": "用户",
        "item": "物品",
        "context": "情境",
        "history": "历史",
        "features": "特征",
        "text": "文本",
        "image": "图像",
        "up": "展示后，{what}从 {before} 升至 {after}{interval}。",
        "down": "展示后，{what}从 {before} 降至 {after}{interval}。",
        "unclear": "展示后，{what}可能从 {before} 变为 {after}{interval}，也可能不变。",
        "up by": "展示后，{what}上升 {change}{interval}。",
        "down by": "展示后，{what}下降 {change}{interval}。",
        "unclear by": "展示后，{what}可能变化 {change}{interval}，也可能不变。",
        "seen": "已展示记录中的预期{what}：{after}。",
        "seen score": "与历史中的物品常一同出现。",
        "seen popular": "受到全体用户欢迎。",
        "chance": "概率",
        "outcome": "结果",
        "bare chance": "概率",
        "bare outcome": "结果",
        "join": "；",
        "interval": "（{low}–{high}）",
        "wide interval": "（{low} 至 {high}）",
    },
}

# Verbs that say what a thing does: never where no effect is identified.
CAUSAL = {
    "en": re.compile(
        r"\b(rais|rise|rising|fall|chang|caus|gain|lift|incr|decr|lower|effect|lead|mak|"
        r"bring)\w*",
        re.IGNORECASE,
    ),
    "zh": re.compile("升|降|导致|使|影响|效应|改变|增加|减少|展示后"),
}


def templates(language):
    """The templates of a language.

    Parameters
    ----------
    language : str
        Its key in ``LANGUAGES``.

    Returns
    -------
    dict of str to str

    Raises
    ------
    ValueError
        If there are none.
    """
    if not isinstance(language, str) or language not in LANGUAGES:
        raise ValueError(
            f"language is {language!r}: there are templates for {list(LANGUAGES)}. Add "
            "others to sklearn_causalrec.explaining.words.LANGUAGES."
        )
    return LANGUAGES[language]


def n_words(text):
    """How many words a text has; two Chinese characters count as one.

    Examples
    --------
    >>> from sklearn_causalrec.explaining.words import n_words
    >>> n_words("from 12% to 19% (14–24)"), n_words("因为历史中有 A")
    (5, 4)
    """
    han = re.findall("[\u4e00-\u9fff]", text)
    other = re.sub("[\u4e00-\u9fff，。；：（）]", " ", text)
    return len(other.split()) + (len(han) + 1) // 2


def short_name(value, most=3):
    """What an item is called, its first few words, on one line."""
    parts = str(value).split()
    text = " ".join(parts[:most]) + ("…" if len(parts) > most else "")
    if len(text) > 40:
        text = text[:39] + "…"
    return text or "?"


def _shown(value, binary, digits=3):
    if not binary:
        return number(float(value), digits)
    percent = 100 * float(np.clip(value, 0, 1))
    return (
        f"{percent:.1f}%"
        if 0 < percent < 1 or 99 < percent < 100
        else (f"{percent:.0f}%")
    )


def _signed(value, binary):
    if binary:
        return f"{100 * value:+.1f} points"
    text = number(float(value), 3)
    return text if text.startswith("-") else f"+{text}"


def reason(
    language, *, items=(), groups=(), outcome=None, effect=None, interval=None,
    binary=False, popular=False,
):  # fmt: skip
    """A reason of at most 25 words.

    Parameters
    ----------
    language : str
        Its key in ``LANGUAGES``.
    items : sequence
        What the past items are called that speak for the pair; two are named.
    groups : sequence of str
        What the score rests on, the largest part first; two are named.
    outcome : float, default=None
        The mean outcome without the treatment where an effect is given, else under it.
    effect : float, default=None
        The effect. With None no causal verb is used.
    interval : tuple of float, default=None
        The bounds of the effect.
    binary : bool, default=False
        Whether the outcome is a chance.
    popular : bool, default=False
        Whether nothing but the popularity of the item speaks for it.

    Returns
    -------
    str

    Examples
    --------
    >>> from sklearn_causalrec.explaining.words import reason
    >>> options = dict(outcome=0.12, effect=0.07, interval=(0.02, 0.12), binary=True)
    >>> reason("en", items=["Ararat", "Samsara"], **options)
    'Because of Ararat and Samsara in the history; shown, the chance rises from 12% to 19% (14–24%).'
    """  # noqa: E501 (a sentence is one line)
    words = templates(language)
    named = [short_name(item) for item in items][:2]
    told = [words.get(group, short_name(group)) for group in groups][:2]
    what = words["chance" if binary else "outcome"]
    found = _found(words, what, outcome, effect, interval, binary)
    if effect is None and outcome is None:
        found = words["seen popular" if popular else "seen score"]
    for n in (2, 1, 0):  # what is named gives way to the figures
        parts = []
        if named and n:
            parts.append(words["past"].format(items=words["and"].join(named[:n])))
        elif told and n:
            parts.append(words["groups"].format(groups=words["and"].join(told[:n])))
        text = words["join"].join([*parts, found])
        if n_words(text) <= MOST_WORDS:
            break
    return text[:1].upper() + text[1:]


def _found(words, what, outcome, effect, interval, binary):
    """What is expected, with the effect where there is one."""
    if effect is None:
        bare = words["bare chance" if binary else "bare outcome"]
        if outcome is None:
            return ""
        return words["seen"].format(what=bare, after=_shown(outcome, binary))
    clear = interval is None or interval[0] > 0 or interval[1] < 0
    kind = ("up" if effect > 0 else "down") if clear else "unclear"
    if outcome is None:
        # "falls by" has its sign already.
        size = [abs(effect)] if clear else [effect]
        ends = [] if interval is None else list(interval)
        if clear and effect < 0:
            ends = [-end for end in ends[::-1]]
        shown = [number(float(v), 3) for v in (*size, *ends)]
        if binary:
            shown = [f"{100 * v:.1f}%" for v in (*size, *ends)]
        bounds = _bounds(words, *shown[1:]) if ends else ""
        return words[f"{kind} by"].format(what=what, change=shown[0], interval=bounds)
    before, after = _shown(outcome, binary), _shown(outcome + effect, binary)
    bounds = ""
    if interval is not None:
        bounds = _bounds(words, *(_shown(outcome + end, binary) for end in interval))
    return words[kind].format(what=what, before=before, after=after, interval=bounds)


def _bounds(words, low, high):
    if low.endswith("%") and high.endswith("%"):
        low = low[:-1]
    wide = "-" in low or "-" in high
    return words["wide interval" if wide else "interval"].format(low=low, high=high)


# -- what reports and summaries say, in English --------------------------------------


def range_of(value, low, high):
    """A number with its bounds: "0.075 (0.027 to 0.123)"."""
    value, low, high = like_interval(value, low=low, high=high)
    return f"{value} ({low} to {high})"


def no_heterogeneity(value, low, high, p_value):
    """That the effect was not found to differ, and what it is for all."""
    return (
        f"No heterogeneity was found (p = {p_value:.2g}): one effect for all rows, "
        f"{range_of(value, low, high)}. A difference too small for this log may be "
        "there."
    )


def finding(what, outcome, value, low, high, alpha=0.05, given="", found=True):
    """What was found of an average effect, in one sentence.

    Parameters
    ----------
    what : str
        What was done: "training = 1 instead of 0".
    outcome : str
        What the outcome is called.
    value, low, high : float
        The average effect and its bounds; NaN where it has none.
    alpha : float, default=0.05
        One minus the level of the interval.
    given : str, default=""
        What it holds under: "if ...".

    Returns
    -------
    str

    Examples
    --------
    >>> from sklearn_causalrec.explaining.words import finding
    >>> finding("shown = 1 instead of 0", "clicks", 0.5, 0.2, 0.8)
    'shown = 1 instead of 0 raises clicks by 0.5 on average (95 % interval 0.2 to 0.8).'
    """
    level = f"{number(100 * (1 - alpha))} % interval"
    given = f", {given}" if given else ""
    if not (np.isfinite(low) and np.isfinite(high)):
        verb = "raises" if value > 0 else "lowers"
        size = number(abs(float(value)), 2)
        return (
            f"{what} {verb} {outcome} by {size} on average, without an interval{given}."
        )
    shown = like_interval(value, low=low, high=high)
    if low <= 0 <= high:
        return (
            f"No effect of {what} on {outcome} was found: on average it is "
            f"{shown[0]}, and the {level} {shown[1]} to {shown[2]} holds zero{given}."
        )
    verb = "raises" if value > 0 else "lowers"
    if value < 0:  # "lowers by" has its sign already
        shown = like_interval(-value, low=-high, high=-low)
    size, low, high = shown
    bounds = f"({level} {low} to {high})"
    return f"{what} {verb} {outcome} by {size} on average {bounds}{given}."
