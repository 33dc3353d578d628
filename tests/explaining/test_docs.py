"""The code of docs/explaining.md runs."""

import re
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "explaining.md"


def test_the_code_of_the_page_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    assert len(blocks) > 7
    names = {"__name__": "page"}
    for block in blocks:
        exec(compile(block, str(PAGE), "exec"), names)
    assert (tmp_path / "report.html").stat().st_size > 5_000
    assert names["found"].varies and "visits" in names["found"].table["segment"][0]
    assert "Because of tea" in capsys.readouterr().out
