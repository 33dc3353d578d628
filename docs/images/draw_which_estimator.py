"""Draw which_estimator.svg: python docs/images/draw_which_estimator.py

It is as narrow as the screen of a phone, so that its letters are never smaller than
those of the page.
"""

from html import escape
from pathlib import Path

WIDTH, LINE, STEP = 360, 16, 26
INK, GREY, BLUE, PAPER = "#1b2a3a", "#5d6b79", "#0b5394", "#ffffff"
ALT = (
    "A tree of questions. Nothing says what was shown: EASE, or CausalDNNRecommender "
    "with objective implicit. Only shown rows, one arm: CausalDNNRecommender, predict "
    "and lists by outcome. Two or more arms, with users and items: "
    "CausalDNNRecommender, with propensity if the arms were drawn at random. Two or "
    "more arms without items: DoCalculusEffect, with propensity if they were drawn at "
    "random, or CounterfactualPolicy for the best arm alone; else with a graph."
)
# (depth, kind, lines): a question, the answer "if" that leads on, an estimator "do".
ROWS = [
    (0, "ask", ["What does a row of the log say", "of what was shown?"]),
    (1, "if", ["nothing: only who chose what"]),
    (1, "do", ["baselines.EASE, ImplicitALS, …",
               'CausalDNNRecommender(objective="implicit")',
               "evaluate_lists compares them"]),
    (1, "if", ["it was shown, in every row (one arm)"]),
    (1, "do", ["CausalDNNRecommender", "predict, lists by outcome; no effect"]),
    (1, "if", ["shown or not, or A, B, C (several arms)"]),
    (1, "ask", ["Does a row name a user and an item?"]),
    (2, "if", ["yes, and arms were drawn at random"]),
    (2, "do", ["CausalDNNRecommender", "fit(…, propensity=…)"]),
    (2, "if", ["yes, and a system or a person chose"]),
    (2, "do", ["CausalDNNRecommender", "the reasons must be in the columns"]),
    (2, "if", ["no items: customers, patients, loans"]),
    (2, "ask", ["Were arms drawn at random?"]),
    (3, "if", ["yes"]),
    (3, "do", ["DoCalculusEffect", "fit(…, propensity=…)",
               "CounterfactualPolicy: best arm only"]),
    (3, "if", ["no: draw what causes what"]),
    (3, "do", ["DoCalculusEffect(graph)", "identified, or refused with a reason"]),
]  # fmt: skip


def _text(x, y, text, size=12.5, color=INK, weight=400):
    return (
        f'<text x="{x}" y="{y}" font-size="{size}" fill="{color}" '
        f'font-weight="{weight}">{escape(text)}</text>'
    )


def draw():
    """The picture as text."""
    parts, y, spine = [], 8, {}
    for depth, kind, lines in ROWS:
        x = 8 + STEP * depth
        height = LINE * len(lines) + (12 if kind != "if" else 4)
        if kind == "if":
            parent = 8 + STEP * (depth - 1) + 10
            start = spine.get(depth, y)
            parts.append(
                f'<path d="M{parent} {start} V{y + 12} H{x - 4}" fill="none" '
                f'stroke="{GREY}" stroke-width="1.2"/>'
            )
            spine[depth] = y + 12
            parts += [
                _text(x, y + 16 + LINE * k, line, color=GREY, weight=600)
                for k, line in enumerate(lines)
            ]
        else:
            fill, line = ("#eef3fa", BLUE) if kind == "ask" else ("#fdf3e7", "#b45f06")
            parts.append(
                f'<rect x="{x}" y="{y}" width="{WIDTH - 8 - x}" height="{height}" '
                f'rx="{10 if kind == "ask" else 3}" fill="{fill}" stroke="{line}"/>'
            )
            bold = len(lines) if kind == "ask" else 1
            parts += [
                _text(x + 8, y + 18 + LINE * k, text, 12.5 if k < bold else 12,
                      weight=600 if k < bold else 400)
                for k, text in enumerate(lines)
            ]  # fmt: skip
            if kind == "ask":
                spine[depth + 1] = y + height
        y += height + (10 if kind == "do" else 4)
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {y}" '
        f'width="{WIDTH}" font-family="sans-serif" role="img">'
        f"<title>{escape(ALT)}</title>"
        f'<rect width="{WIDTH}" height="{y}" rx="8" fill="{PAPER}"/>'
        f"{''.join(parts)}</svg>\n"
    )


if __name__ == "__main__":
    Path(__file__).with_name("which_estimator.svg").write_text(draw())
