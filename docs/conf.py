"""The site: `make docs` builds it into docs/_build, without a network."""

project = "egovlm"
author = "the egovlm authors"
extensions = ["myst_parser"]
myst_enable_extensions = ["colon_fence"]
myst_heading_anchors = 3
html_theme = "furo"
html_title = "egovlm"
html_copy_source = False
html_show_sphinx = False
exclude_patterns = ["_build"]
nitpicky = True
