# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tells transforms apart: what one of them has half written, another one must not go on with."""

from __future__ import annotations

import hashlib
import json

from .definition import Definition


def fingerprint(definition: Definition) -> str:
    """32 hexadecimal digits, the same for definitions that make the same of each item.

    Salts and functions are in it, and the time of the data where items expire by it; indexes are not: these can be
    made or deleted while a copy is interrupted, and change no item.
    """
    expires = any("drop_expired" in step for step in definition.steps)
    source, destination = definition.source.table, definition.destination
    content = {
        "steps": list(map(dict, definition.steps)),
        "names": dict(definition.names),
        "values": dict(definition.values),
        "at": definition.at if expires else None,
        "salts": {name: hashlib.sha256(salt).hexdigest() for name, salt in sorted(definition.salts.items())},
        "files": {name: hashlib.sha256(text.encode()).hexdigest() for name, text in sorted(definition.files.items())},
        "source": [[each.name, each.type] for each in source.attributes],
        "destination": [[each.name, each.type] for each in destination.attributes] if destination else None,
    }
    # In their order: of the entries of a step it may matter.
    return hashlib.sha256(json.dumps(content, default=str).encode()).hexdigest()[:32]
