# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Secrets in what actions show and return: left out on every ansible-core, and told to those that mask them too.

``remove_values``, with which modules do that, goes with ansible-core 2.25; ``register_secrets`` comes with 2.22.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from typing import Any

try:
    from ansible.module_utils.secrets import register_secrets
except ImportError:

    def register_secrets(values: Iterable[str]) -> None:
        """Before ansible-core 2.22 there is nobody to tell."""


WHOLE = "VALUE_SPECIFIED_IN_NO_LOG_PARAMETER"  # as ansible-core writes it
PART = "********"

__all__ = ["PART", "WHOLE", "register_secrets", "without"]


def without(value: Any, secrets: Collection[str]) -> Any:
    """``value``, plain data, with placeholders for each of ``secrets`` in its texts; names of members stay."""
    longest_first = sorted(filter(None, secrets), key=len, reverse=True)
    return _without(value, longest_first) if longest_first else value


def _without(value: Any, secrets: list[str]) -> Any:
    if isinstance(value, Mapping):
        return {name: _without(each, secrets) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_without(each, secrets) for each in value]
    if value is None or isinstance(value, bool):
        return value
    text = str(value)
    if text in secrets:
        return WHOLE
    if not isinstance(value, str):
        return value
    for secret in secrets:
        text = text.replace(secret, PART)
    return text
