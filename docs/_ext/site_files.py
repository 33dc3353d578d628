"""Files beside the pages: llms.txt for language models, switcher.json for versions."""

import json
import os
from pathlib import Path

from docutils import nodes

ABOUT = (
    "> Causal recommendation with deep models as scikit-learn estimators: what happens "
    "if it is shown (predict), what changes because it is shown (effect, with "
    "intervals), and what to show (recommend)."
)


def _pages(env, docname="index", seen=None):
    """The pages in the order of the tables of contents, with how deep they stand."""
    seen = set() if seen is None else seen
    for child in env.toctree_includes.get(docname, ()):
        if child not in seen and child in env.titles:
            seen.add(child)
            below = list(_pages(env, child, seen))
            yield child, below


def _first_words(env, docname, most=200):
    """The first paragraph of a page, on one line."""
    tree = env.get_doctree(docname)
    for paragraph in tree.findall(nodes.paragraph):
        text = " ".join(paragraph.astext().split())
        if isinstance(paragraph.parent, nodes.section) and text:
            return text if len(text) <= most else text[:most].rsplit(" ", 1)[0] + " …"
    return ""


def _line(app, docname, indent=""):
    env = app.env
    address = app.builder.get_target_uri(docname)
    words = _first_words(env, docname)
    told = f": {words}" if words else ""
    return f"{indent}- [{env.titles[docname].astext()}]({address}){told}"


def llms_txt(app):
    """The text of llms.txt: every page with its address and its first words."""
    lines = ["# sklearn-causalrec", "", ABOUT, ""]
    rest = []
    for docname, below in _pages(app.env):
        if not below:
            rest.append(_line(app, docname))
            continue
        lines += [f"## {app.env.titles[docname].astext()}", "", _line(app, docname)]
        for child, deeper in below:
            lines.append(_line(app, child))
            lines += [_line(app, page, "  ") for page, _ in deeper]
        lines.append("")
    return "\n".join([*lines, "## Single pages", "", *rest, ""])


def write(app, exception):
    if exception is not None or app.builder.name != "html":
        return
    folder = Path(app.outdir)
    (folder / "llms.txt").write_text(llms_txt(app))
    version = app.config.version
    base = os.environ.get("DOCS_BASE", "/")
    versions = [{"name": f"{version} (this one)", "version": version, "url": base}]
    (folder / "_static" / "switcher.json").write_text(json.dumps(versions))


def setup(app):
    app.connect("build-finished", write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
