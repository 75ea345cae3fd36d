# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The settings of a table as those of a copy whose items steps change."""

from __future__ import annotations

from dataclasses import replace

from ..change import NotCarried
from .own_apis import TimeToLive
from .setting import Settings, TableUpdate
from .transforming import TransformChoices, time_to_live_after, transformed
from .update_table import GlobalSecondaryIndexes, OnDemandThroughput, VectorIndexes, WarmThroughput

# The settings whose value is of the indexes, and is read from the definition.
_OF_INDEXES: tuple[TableUpdate, ...] = (
    GlobalSecondaryIndexes(),
    VectorIndexes(),
    OnDemandThroughput(),
    WarmThroughput(),
)


def settings_after(settings: Settings, choices: TransformChoices | None) -> tuple[Settings, tuple[NotCarried, ...]]:
    """What the source's ``settings`` become with the steps, and what is lost by them. Raises InvalidTransform."""
    if choices is None:
        return settings, ()
    definition, left = transformed(settings.definition, choices)
    lost = [entry.what.partition(".")[2] for entry in left]
    values = dict(settings.without_indexes(lost).values)
    for setting in _OF_INDEXES:
        if values.get(setting.name):
            values[setting.name] = setting.of(definition)
    attribute = values.get(TimeToLive.name)
    if attribute:
        now, reason = time_to_live_after(settings.definition, choices, attribute)
        values[TimeToLive.name] = now or None
        if reason:
            left = (*left, NotCarried(TimeToLive.name, reason))
    return replace(settings, definition=definition, values=values), left
