# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Where the labels of Ansible's own documentation are, which the pages of plugins name."""

from __future__ import annotations

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
