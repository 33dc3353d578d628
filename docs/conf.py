"""Sphinx configuration: sphinx-build -b html docs docs/_build/html"""

import os

os.environ.setdefault("OMP_NUM_THREADS", "1")

import sklearn_causalrec

project = "sklearn-causalrec"
author = "The sklearn-causalrec developers"
copyright = f"2026, {author}"
version = release = sklearn_causalrec.__version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.intersphinx",
    "sphinx.ext.mathjax",
    "myst_parser",
    "numpydoc",
    "sphinx_gallery.gen_gallery",
]
templates_path = ["_templates"]
exclude_patterns = ["_build", "_templates"]
html_theme = "pydata_sphinx_theme"
html_theme_options = {"show_toc_level": 2, "navigation_with_keys": False}

autosummary_generate = True
autodoc_default_options = {"members": True, "inherited-members": True}
# Members are listed on the page of their class, not on pages of their own.
numpydoc_show_class_members = False

intersphinx_mapping = {
    "python": ("https://docs.python.org/3", None),
    "numpy": ("https://numpy.org/doc/stable", None),
    "pandas": ("https://pandas.pydata.org/docs", None),
    "sklearn": ("https://scikit-learn.org/stable", None),
    "matplotlib": ("https://matplotlib.org/stable", None),
}

sphinx_gallery_conf = {
    "examples_dirs": "../examples",
    "gallery_dirs": "auto_examples",
    "filename_pattern": r"[\\/]plot_",
    "doc_module": ("sklearn_causalrec",),
    "backreferences_dir": None,
    "remove_config_comments": True,
}
