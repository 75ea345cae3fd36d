# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a user writes, and what is known of the table: all that a transform is compiled from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any

from ...errors import InvalidTransform
from .schemas import KeySchema, TableSchemas


class Following(Enum):
    """What follows the copy: nothing, or changes of the source, with the old images of items or only their keys."""

    NOTHING = "nothing"
    KEYS = "keys"
    IMAGES = "images"


@dataclass(frozen=True)
class Definition:
    """Steps as the user wrote them, with all that they need. Plain data, to be sent to where items are.

    ``names`` are those behind ``#alias``, ``values`` those behind ``:alias``, in DynamoDB's JSON. ``at`` is the time of
    the data in epoch seconds, by which items expire: the export's, so that each run and each comparison agree.
    ``salts`` has the secret of each ``salt_from``, ``files`` the text of each file with functions, by the name that a
    step gives it. ``destination`` is the key that the user gives the destination.
    """

    steps: Sequence[Mapping[str, Any]]
    source: TableSchemas
    names: Mapping[str, str] = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)
    at: float | None = None
    salts: Mapping[str, bytes] = field(default_factory=dict, repr=False)
    files: Mapping[str, str] = field(default_factory=dict, repr=False)
    destination: KeySchema | None = None
    following: Following = Following.NOTHING


def invalid(step: int, kind: str, cause: str, next_step: str, place: str = "") -> InvalidTransform:
    """The refusal of a step, its ``place`` a path, or the part of a text that is meant."""
    name = f"Step {step} ({kind})" if kind else f"Step {step}" if step else "The transform"
    where = f", {place}" if place else ""
    return InvalidTransform(f"{name}{where}: {cause}.", next_step, details={"step": step, "kind": kind, "place": place})
