"""Sphinx configuration: `make docs`, or `make docs-fast`, which runs no example.

DOCS_FAST=1 leaves the examples out and asks no other site for its inventory. DOCS_BASE
is where the site is put on its host, for the version switcher; "/" by default.
"""

import os
import sys
import urllib.request
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "_ext"))
os.environ.setdefault("OMP_NUM_THREADS", "1")

import sklearn_causalrec

FAST = os.environ.get("DOCS_FAST") == "1"

project = "sklearn-causalrec"
author = "The sklearn-causalrec developers"
copyright = f"2026, {author}"
version = release = sklearn_causalrec.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "myst_parser",
    "numpydoc",
    "sphinx_copybutton",
    "sphinx_design",
    "sphinx_gallery.gen_gallery",
    "mathml",
    "playground_page",
    "site_files",
]
templates_path = ["_templates"]
exclude_patterns = [
    *("_build", "_templates", "_ext", "browser", "playground"),
    "**/sg_execution_times.rst",
]

# -- how it looks ---------------------------------------------------------------------

html_theme = "pydata_sphinx_theme"
html_title = "sklearn-causalrec"
html_favicon = "_static/favicon.svg"
html_context = {"default_mode": "auto"}  # light or dark, as the system is
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_js_files = ["site.js"]
html_show_sourcelink = False
html_theme_options = {
    "logo": {"text": "sklearn-causalrec"},
    "header_links_before_dropdown": 5,
    "navigation_with_keys": False,
    "navigation_depth": 3,
    "show_toc_level": 2,
    "show_nav_level": 1,
    "navbar_align": "left",
    "navbar_end": ["version-switcher", "theme-switcher"],
    "switcher": {"json_url": "_static/switcher.json", "version_match": version},
    "check_switcher": False,  # it is written when the pages are
    "footer_start": ["copyright"],
    "footer_end": ["sphinx-version", "theme-version"],
    "secondary_sidebar_items": ["page-toc"],
}
# These pages have no pages below them: no empty bar at their left.
html_sidebars = {
    page: []
    for page in (
        *("index", "start_here", "migrating", "reading_the_results", "glossary"),
        *("troubleshooting", "playground", "how_good_is_it", "search", "genindex"),
    )
}
# ate(), not CausalDNNRecommender.ate(), at the right of the page of the class.
toc_object_entries_show_parents = "hide"
copybutton_prompt_text = r">>> |\.\.\. |\$ "
copybutton_prompt_is_regexp = True
copybutton_exclude = ".linenos, .gp, .go"  # nor what a line of code prints
myst_enable_extensions = ["deflist", "colon_fence"]
myst_heading_anchors = 3

# -- what is read of the code ---------------------------------------------------------

autosummary_generate = True
autodoc_default_options = {"members": True, "inherited-members": True}
# The docstrings say the types, in words; in signatures they would hide the names.
autodoc_typehints = "none"
# A default as it is written, not as the function or object that it is.
autodoc_preserve_defaults = True
# Members are listed on the page of their class, not on pages of their own.
numpydoc_show_class_members = False

# -- other sites ----------------------------------------------------------------------

OTHERS = {
    "python": "https://docs.python.org/3",
    "numpy": "https://numpy.org/doc/stable",
    "pandas": "https://pandas.pydata.org/docs",
    "sklearn": "https://scikit-learn.org/stable",
    "matplotlib": "https://matplotlib.org/stable",
}


def _can_be_reached(url):
    """Whether the list of what another site documents can be read now."""
    request = urllib.request.Request(f"{url}/objects.inv", method="HEAD")
    try:
        with urllib.request.urlopen(request, timeout=3):
            return True
    except OSError:
        return False


intersphinx_mapping = {
    name: (url, None)
    for name, url in OTHERS.items()
    if not FAST and _can_be_reached(url)
}
# Docstrings that are inherited from scikit-learn refer to these of its pages.
IN_SKLEARN = {"metadata_routing", "meta-estimator", "df_output_transform", "r2_score"}


def _let_go(app, env, node, text):
    """Leave a link to another site text, where that site can't be read now."""
    target = node["reftarget"]
    theirs = target in IN_SKLEARN or target.startswith("sphx_glr_auto_examples_misc")
    return text if theirs and "sklearn" not in intersphinx_mapping else None


def _leave_out(app, what, name, obj, skip, options):
    """Leave out constructors, and the small print that scikit-learn adds."""
    return (
        name in {"__init__", "get_metadata_routing"}
        or (name.startswith("set_") and name.endswith("_request"))
        or skip
    )


def setup(app):
    app.connect("missing-reference", _let_go, priority=900)  # after the inventories
    app.connect("autodoc-skip-member", _leave_out)


# -- examples -------------------------------------------------------------------------

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "filename_pattern": r"[\\/]plot_",
    "doc_module": ("sklearn_causalrec",),
    "backreferences_dir": "generated/backreferences",
    "remove_config_comments": True,
    "write_computation_times": False,
    "plot_gallery": not FAST,
}
