"""The code of docs/saving_and_serving.md runs."""

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "saving_and_serving.md"


def test_the_code_of_the_page_runs():
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(blocks) > 4
    names = {"__name__": "page"}
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), names)
