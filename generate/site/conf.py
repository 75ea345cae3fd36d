# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sphinx's configuration of the site. Nothing is fetched while it is built: there are no inventories of other sites."""

from __future__ import annotations

from docutils import nodes
from sphinx.application import Sphinx

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

# Where the labels of Ansible's own documentation are, which the pages of plugins name.
ANSIBLE = "https://docs.ansible.com/projects/ansible/latest/"
LABELS = {
    "action_plugins": "plugins/action.html#action-plugins",
    "ansible_configuration_settings": "reference_appendices/config.html",
    "common_return_values": "reference_appendices/common_return_values.html#common-return-values",
}
BUILTIN = "ansible_collections.ansible.builtin."


def place(label: str) -> str:
    """The address of a label of Ansible's documentation; empty for any other."""
    if label in LABELS:
        return ANSIBLE + LABELS[label]
    if label.startswith("ANSIBLE_"):
        return f"{ANSIBLE}reference_appendices/config.html#envvar-{label}"
    name = label.removeprefix(BUILTIN)
    return f"{ANSIBLE}collections/ansible/builtin/{name}.html" if name != label and "/" not in name else ""


def resolve(_app: Sphinx, _environment: object, node: nodes.Element, content: nodes.Element) -> nodes.Element | None:
    """A link to Ansible's documentation, where a page refers to it."""
    address = place(node.get("reftarget", ""))
    return nodes.reference("", "", content, internal=False, refuri=address) if address else None


def setup(app: Sphinx) -> None:
    """What Sphinx calls first."""
    app.connect("missing-reference", resolve)
