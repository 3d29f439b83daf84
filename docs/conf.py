"""How Sphinx builds the documentation.

    pip install '.[docs]'
    sphinx-build -W --keep-going docs build/docs

Nothing is downloaded while building. A reader's browser loads MathJax, which sets the formulas,
from the address that Sphinx gives by default.
"""

from importlib.util import find_spec

from recsys import __version__

project = "recsys"
author = "the recsys authors"
release = __version__

extensions = [
    "sphinx.ext.autodoc",
    "sphinx.ext.autosummary",
    "sphinx.ext.mathjax",
    "myst_nb",
    "numpydoc",
]
templates_path = ["_templates"]
exclude_patterns = ["_templates"]

# ---- pages in Markdown, which are to be read on GitHub as well ----------------------------------

myst_enable_extensions = ["dollarmath"]
myst_heading_anchors = 3
nb_execution_mode = "force"
nb_execution_raise_on_error = True
nb_execution_timeout = 300
nb_merge_streams = True
nb_output_stderr = "remove"  # progress bars

# ---- the reference, from docstrings -------------------------------------------------------------

highlight_language = "none"  # an indented block is a formula
default_role = "code"  # `x` in a docstring is code
autodoc_typehints = "none"  # the docstrings have them, with shapes and dtypes
autodoc_class_signature = "separated"
autodoc_member_order = "bysource"
autodoc_preserve_defaults = True  # np.float32, not <class ...>
# what classes have from pyspark is described there; pyarrow may be missing
autodoc_mock_imports = ["pyspark"] + ["pyarrow"] * (find_spec("pyarrow") is None)
numpydoc_show_class_members = False  # the templates list them

# ---- the pages -----------------------------------------------------------------------------------

html_theme = "pydata_sphinx_theme"
html_title = f"recsys {release}"
html_static_path = ["_static"]
html_css_files = ["wide.css"]
html_show_sourcelink = False
html_sidebars = {"index": [], "quickstart": []}
html_theme_options = {"header_links_before_dropdown": 6}
