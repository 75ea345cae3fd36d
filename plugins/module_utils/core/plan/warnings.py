# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a plan warns of: windows of AWS, hot keys, and what moves with no table. No call is made here."""

from __future__ import annotations

from collections.abc import Iterator

from ..table.creation import warm_above
from .facts import TableFacts
from .forecast import Forecast

STALE = "sizes and counts are AWS's own, up to 6 hours old"
# What belongs to a table and is moved by nobody: for every plan the same, so it is said once.
AFTER = (
    "Applications and their IAM policies: point them at the new tables, whose ARNs name the new account.",
    "Event sources and Lambda triggers on the old streams: a copy's stream is new and empty; records of the old one can"
    " be read for 24 hours.",
    "Alarms and dashboards of CloudWatch, DAX clusters, backup plans and EventBridge pipes: make them anew.",
    "The old tables: nobody but you deletes them. With a table its point-in-time recovery ends, after 35 days.",
)


def warnings_of(facts: TableFacts, forecast: Forecast, made_plain: bool) -> Iterator[str]:
    """What the user should know of one table. ``made_plain``: the method creates it without its class."""
    definition, name = facts.definition, facts.definition.name
    yield from (f"{name}: {words}" for words in forecast.broken.values())
    if definition.stream:
        yield (
            f"{name}: its stream is not moved: consumers, such as Lambda triggers, have 24 hours to read what is left"
            " in the old one, and need the ARN of the new one."
        )
    if facts.sample.crowded:
        yield (
            f"{name}: hot key: nearly all of the first {facts.sample.items} items have one key in the indexes"
            f" {', '.join(facts.sample.crowded)}. One key takes 1,000 write units a second, so writing may be slow."
            " indexes_after creates such indexes after the copy."
        )
    if definition.replicas:
        regions = ", ".join(str(replica.get("RegionName", "?")) for replica in definition.replicas)
        yield f"{name}: its replicas ({regions}) are not created in the destination."
    if made_plain and definition.table_class != "STANDARD":
        yield (
            f"{name}: its class {definition.table_class} is set after the copy. AWS allows two changes of class in 30"
            " days: this is one of them."
        )
    above, _once = warm_above(definition.warm_throughput, definition.provisioned_throughput)
    if above and facts.wishes.warm_throughput:
        words = ", ".join(f"{member} {value}" for member, value in above.items())
        yield f"{name}: warm throughput above AWS's usual one ({words}) is charged once and can never be lowered."
    if definition.provisioned_throughput and definition.global_secondary_indexes:
        yield f"{name}: provisioned capacity can be lowered only 4 times in 24 hours, then once an hour."
