# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A plan as a text that a workflow hands from the job that made it to the job that does it: their files are not the
same, since a container's disk is gone with its job. Pure."""

from __future__ import annotations

import base64
import json
import zlib
from collections.abc import Mapping
from typing import Any

from ..errors import InvalidInput

PREFIX = "tableferry-plan:zlib:"
# What an approved plan is compared by, and what the report shows of it.
_HEAD = ("schema", "version", "made_at", "line")
_TABLE = (
    "host",
    "state",
    "method",
    "why",
    "bytes",
    "seconds",
    "cost",
    "wave",
    "unconfirmed",
    "settings",
    "shape",
    "adopts",
)


def pack(plan: Mapping[str, Any]) -> str:
    """The part of ``plan`` that a run with an approved plan reads, as ASCII: about 100 bytes for each table of many."""
    kept = {name: plan[name] for name in _HEAD}
    kept["prices"] = {"currency": plan["prices"]["currency"]}
    kept["tables"] = [
        {
            **{name: table[name] for name in _TABLE if name in table},
            **{side: {"arn": table[side]["arn"]} for side in ("source", "destination")},
        }
        for table in plan["tables"]
    ]
    text = json.dumps(kept, separators=(",", ":")).encode()
    return PREFIX + base64.b64encode(zlib.compress(text, 9)).decode()


def is_packed(text: str) -> bool:
    """Whether ``text`` is meant as a packed plan and not as the path of one."""
    return text.startswith(PREFIX)


def unpack(text: str) -> Any:
    """What ``pack`` has packed. Raises InvalidInput for a text that was cut or changed."""
    try:
        return json.loads(zlib.decompress(base64.b64decode(text[len(PREFIX) :], validate=True)))
    except (ValueError, zlib.error) as error:
        raise InvalidInput(
            "The approved plan that was handed on cannot be read: its text is not whole.",
            "Run the job of the playbook plan again, or give the path of its JSON file.",
        ) from error
