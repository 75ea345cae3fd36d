# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sphinx's configuration of the site. Nothing is fetched while it is built: there are no inventories of other sites."""

from __future__ import annotations

from docutils import nodes
from sphinx.application import Sphinx

from generate.site.labels import place

project = "tableferry.aws"
author = "TableFerry contributors"
copyright = author
html_title = "tableferry.aws: DynamoDB tables between AWS accounts"
html_short_title = project

extensions = ["myst_parser", "sphinx_antsibull_ext"]
source_suffix = {".rst": "restructuredtext", ".md": "markdown"}
myst_heading_anchors = 4
highlight_language = "none"

html_theme = "sphinx_ansible_theme"
html_theme_options = {"display_version": False}
html_show_sphinx = False
html_copy_source = False
html_use_index = False


def resolve(_app: Sphinx, _environment: object, node: nodes.Element, content: nodes.Element) -> nodes.Element | None:
    """A link to Ansible's documentation, where a page refers to it."""
    address = place(node.get("reftarget", ""))
    return nodes.reference("", "", content, internal=False, refuri=address) if address else None


def setup(app: Sphinx) -> None:
    """What Sphinx calls first."""
    app.connect("missing-reference", resolve)
