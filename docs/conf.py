"""How Sphinx makes the documentation: `make docs`."""

import sys
from importlib.metadata import version as installed_version
from pathlib import Path

import numpy as np
import numpy.typing as npt

sys.path.insert(0, str(Path(__file__).parent / "_ext"))
npt.NDArray = np.ndarray  # type: ignore[misc]  # so that autodoc shows ndarray[int64]

project = "encap"
author = "encap authors"
copyright = author  # noqa: A001
release = version = installed_version("encap-net")

extensions = ["myst_parser", "sphinx.ext.autodoc", "docstrings", "header_pages", "command_line"]
exclude_patterns = ["_build"]
nitpicky = False
default_role = "code"

myst_enable_extensions = ["colon_fence", "deflist", "fieldlist"]
myst_heading_anchors = 3

autodoc_preserve_defaults = True
autodoc_member_order = "bysource"
autodoc_typehints = "description"
autodoc_typehints_format = "short"
autodoc_typehints_description_target = "documented"

html_theme = "furo"
html_title = f"encap {release}"
html_copy_source = False
html_show_sourcelink = False
