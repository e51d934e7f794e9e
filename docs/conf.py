"""How Sphinx makes the documentation: `make docs`."""

from importlib.metadata import version as installed_version

project = "encap"
author = "encap authors"
copyright = author  # noqa: A001
release = version = installed_version("encap-net")

extensions = ["myst_parser", "sphinx.ext.autodoc"]
exclude_patterns = ["_build"]
nitpicky = False

myst_enable_extensions = ["colon_fence", "deflist", "fieldlist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_format = "short"

html_theme = "furo"
html_title = f"encap {release}"
html_copy_source = False
html_show_sourcelink = False
