"""How Sphinx makes the documentation site of the pages beside it: ``make docs``."""

from __future__ import annotations

from airflow_mlgov import __version__

project = "airflow_mlgov"
author = "the airflow_mlgov developers"
release = version = __version__
extensions = ["myst_parser"]
exclude_patterns = ["_build"]
nitpicky = True
myst_heading_anchors = 4
html_theme = "furo"
html_static_path = ["_static"]
html_css_files = ["site.css"]
html_title = f"airflow_mlgov {version}"
html_copy_source = False
html_show_sourcelink = False
html_show_copyright = False
