"""The directive ``playground``: a form, answered by Python in the browser.

What it needs, Pyodide and the modules of the package that identification imports, is
copied beside the page. `docs/vendor.py` fetches Pyodide; without it the page says so.
"""

import subprocess
import sys
import zipfile
from html import escape
from pathlib import Path

from docutils import nodes
from sphinx.util.docutils import SphinxDirective

DOCS = Path(__file__).parents[1]
FOLDER = "_static/playground"
VENDOR = DOCS / "_build" / "vendor" / "pyodide"
EXAMPLES = {
    "A shop": ("interest -> shown -> bought; interest -> bought", "bought", "shown"),
    "A hidden cause": ("shown -> bought; shown <-> bought", "bought", "shown"),
    "The front door": (
        "shown -> click -> bought; shown <-> bought", "bought", "shown"),
    "An instrument": (
        "invited -> shown -> bought; shown <-> bought", "bought", "shown"),
    "A collider": (
        "taste -> clicked <- shown; taste -> bought; shown -> bought",
        "bought", "shown"),
    "The napkin": ("w -> r -> x -> y; w <-> x; w <-> y", "y", "x"),
}  # fmt: skip
NEEDS_A_SERVER = (
    "In this copy of the site Python is not bundled, so only the answer that is shown "
    "can be seen. Build the site after python docs/vendor.py."
)


def answer(*asked):
    """What the page answers, from the code that runs in it."""
    sys.path.insert(0, str(DOCS / "playground"))
    try:
        from answer import answer as ask
    finally:
        sys.path.pop(0)
    return ask(*asked)


def modules():
    """The files of the package that identification imports, by their names in it."""
    code = (
        "import sys; from pathlib import Path; import answer;"
        "answer.answer('x -> m -> y; x <-> y', 'y', 'x');"
        "answer.answer('x -> y; x <-> y', 'y', 'x');"
        "print(*(m.__file__ for n, m in sys.modules.items()"
        " if n.startswith('sklearn_causalrec')), sep='\\n')"
    )
    package = Path(sys.modules["sklearn_causalrec"].__file__).parent
    told = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True, text=True, check=True, cwd=DOCS / "playground",
        env={"PYTHONPATH": f"{package.parent}:{DOCS / 'playground'}"},
    ).stdout  # fmt: skip
    files = {Path(line) for line in told.split("\n") if line}
    # What is imported when a question needs it, and no earlier.
    files |= {f for f in (package / "causal" / "graphs").glob("*.py")}
    files |= {f for f in (package / "causal" / "identification").glob("*.py")}
    return {str(f.relative_to(package.parent)): f for f in sorted(files)}


def form(ready):
    """The form, with the answer to its first question."""
    first = EXAMPLES["The front door"]
    found = answer(*first)
    buttons = "".join(
        f'<button type="button" class="btn btn-sm" '
        f'data-graph="{escape(g)}" data-outcome="{escape(y)}" '
        f'data-treatment="{escape(x)}">{escape(name)}</button>'
        for name, (g, y, x) in EXAMPLES.items()
    )
    fields = "".join(
        f'<label>{label}<input name="{name}" value="{escape(value)}" '
        f'autocomplete="off" spellcheck="false"></label>'
        for name, label, value in (
            ("treatment", "Treatment", first[2]),
            ("outcome", "Outcome", first[1]),
            ("given", "Given (may be empty)", ""),
        )
    )
    off = "" if ready else " disabled"
    return f"""
<form id="playground-form" class="playground" data-folder="{
        FOLDER
    }/" data-state="first">
<fieldset{off}>
<legend>Ask about a graph of your own</legend>
<label>Graph<textarea name="graph" rows="4" spellcheck="false">{
        escape(first[0].replace("; ", chr(10)))
    }</textarea></label>
<div class="fields">{fields}</div>
<button class="btn btn-primary">Is the effect identified?</button>
<p id="playground-examples"><span>Or take one of these:</span> {buttons}</p>
</fieldset>
<p id="playground-status" role="status">{"" if ready else escape(NEEDS_A_SERVER)}</p>
<div id="playground-drawing">{found["drawing"]}</div>
<div id="playground-found" aria-live="polite">{found["found"]}</div>
</form>
{f'<script defer src="{FOLDER}/page.js"></script>' if ready else ""}
"""


class Playground(SphinxDirective):
    has_content = False

    def run(self):
        return [nodes.raw("", form(VENDOR.is_dir()), format="html")]


def bundle(app, exception):
    """Copy what the page runs beside it."""
    if exception is not None or app.builder.name != "html":
        return
    folder = Path(app.outdir) / FOLDER
    (folder / "pyodide").mkdir(parents=True, exist_ok=True)
    for name in ("page.js", "worker.js"):
        (folder / name).write_bytes((DOCS / "playground" / name).read_bytes())
    for file in VENDOR.glob("*"):
        (folder / "pyodide" / file.name).write_bytes(file.read_bytes())
    with zipfile.ZipFile(
        folder / "sklearn_causalrec.zip", "w", zipfile.ZIP_DEFLATED
    ) as archive:
        for name, file in modules().items():
            archive.write(file, name)
        archive.write(DOCS / "playground" / "answer.py", "answer.py")


def setup(app):
    app.add_directive("playground", Playground)
    app.connect("build-finished", bundle)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
