# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reading the variables of other hosts in a filter.

Ansible loads all filters of a collection in each worker that uses one of them, and compiles each module of ours anew:
the whole core takes 0.25 CPU-s. Filters therefore import of the core what they need where they need it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ansible.errors import AnsibleError
from jinja2 import Undefined, UndefinedError

HostVars = Mapping[str, Mapping[str, Any]]

# What reading a variable raises whose template uses something undefined.
BROKEN = (AnsibleError, UndefinedError)


def plain(value: Any) -> Any:
    """``value`` as plain JSON types; the engine's containers template their contents only when read.

    Raises one of ``BROKEN`` where something in it is undefined.
    """
    if isinstance(value, Undefined):
        value._fail_with_undefined_error()
    if isinstance(value, Mapping):
        return {str(key): plain(inner) for key, inner in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(inner) for inner in value]
    if isinstance(value, Sequence) and not isinstance(value, (str, bytes)):
        return str(value)  # an inline !vault value of ansible-core 2.18, which is decrypted as a text
    return value


def read(variables: Mapping[str, Any], name: str, default: Any = None) -> Any:
    """One variable of a host as plain data, ``default`` where it is not set. Raises one of ``BROKEN``."""
    return plain(variables[name]) if name in variables else default


def read_if_sound(variables: Mapping[str, Any], name: str, default: Any = None) -> Any:
    """As ``read``, but ``default`` where the variable cannot be read, for the report on such a host."""
    try:
        return read(variables, name, default)
    except BROKEN:
        return default
