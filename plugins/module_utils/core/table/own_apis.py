# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Settings with an API of their own: tags, recovery, time to live, insights, Kinesis, policies."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

from .. import sdk
from ..change import Change, NotCarried
from ..errors import SettingFailed
from .definition import Shape
from .ownership import (
    COPY_TAG,
    LONGEST_VALUE,
    MOST_BYTES,
    MOST_TAGS,
    OWNERSHIP_TAG,
    bytes_of,
    marks,
    tags_of,
)
from .patient_calls import Caller, Steps, Target, paces
from .resource_policy import CannotRewrite, canonical_policy, rewrite_policy, with_stream
from .setting import RECOVERY_TAG, Settings, SettingsOptions, SideCall, pages, part_of, what

_OUR_TAGS = "tableferry:"
_LATER = {COPY_TAG: "-" * LONGEST_VALUE}  # the mark of a copy that is complete
_NO_POLICY = "PolicyNotFoundException"
_STREAM = "stream"  # the setting that turns it on


def tags_of_copy(
    source: Mapping[str, str], mark: Mapping[str, str], others: Mapping[str, str] | None = None
) -> dict[str, str]:
    """The tags with which a copy is made: those of its ``source`` for which there is room beside the ``mark``, the
    ``others`` and what TableFerry adds later, and the mark. They are those that its settings carry."""
    carried = _carried(source)
    fits = _fitting(carried, {}, {**mark, **(others or {}), **_LATER})
    return {key: value for key, value in carried.items() if key in fits} | dict(mark)


def _carried(tags: Mapping[str, str]) -> dict[str, str]:
    return {
        key: value
        for key, value in sorted(tags.items())
        if not key.startswith(_OUR_TAGS) and not key.lower().startswith("aws:")
    }


def _fitting(carried: Mapping[str, str], have: Mapping[str, str], taken: Mapping[str, str]) -> set[str]:
    """Those of ``carried`` for which there is room beside ``taken``, one after the other; keys that the table has need
    no further tag, but their bytes count."""
    fits, tags = set[str](), dict(taken)
    for key, value in carried.items():
        longer = {**tags, key: value}
        if bytes_of(longer) <= max(MOST_BYTES, bytes_of(tags)) and (key in have or len(longer) <= MOST_TAGS):
            fits.add(key)
            tags = longer
    return fits


class Tags(SideCall):
    """All tags but AWS's own that the copy lacks, with the ownership tags, in one TagResource: a second write
    meets a lock (measured/import-export-table 1.10). First, because a later run recognises the table by its ownership
    tags."""

    name = "tags"
    order = 0
    read_always = True

    def read(self, caller: Caller) -> Steps[Any]:
        """{key: value} without ``aws:*``; a call for each page."""
        tags = yield from pages(
            caller, "list_tags_of_resource", "Tags", ResourceArn=caller.account.table_arn(caller.definition.name)
        )
        return {key: value for key, value in tags_of(tags).items() if not key.lower().startswith("aws:")}

    def plan(self, source: Settings, destination: Settings, options: SettingsOptions) -> Iterator[Change | NotCarried]:
        """One change with the tags that are set; all others of the destination stay as they are, and are not in it."""
        have = destination.get(self.name) or {}
        mark = marks(options.migration_id, source.definition.arn) if options.migration_id else {}
        tags = source.get(self.name) or {} if self.name not in options.defer else {}
        carried = _carried(tags)
        if len({*have, *mark}) > MOST_TAGS or bytes_of({**have, **mark}) > MOST_BYTES:
            yield NotCarried(what(self.name, OWNERSHIP_TAG), "the table has no room for a tag that marks it as a copy")
            mark = {}
        # The mark of a direct copy shows up to 3 s after it was written (measured/more, TABLE-406).
        unseen = _LATER if OWNERSHIP_TAG in have and COPY_TAG not in have else {}
        fits = _fitting(carried, have, {**have, **mark, **unseen})
        for key in [key for key in carried if key not in have and key not in fits]:
            yield NotCarried(
                what(self.name, key),
                f"a table has at most {MOST_TAGS} tags of {MOST_BYTES} bytes together, some of which TableFerry needs",
            )
        for key in [key for key in carried if key in have and key not in fits]:
            yield NotCarried(
                what(self.name, key), f"its new value does not fit: all tags have at most {MOST_BYTES} bytes"
            )
        want = {key: value for key, value in carried.items() if key in fits} | mark
        after = {key: value for key, value in want.items() if have.get(key) != value}
        if after:
            yield Change(self.name, {key: have[key] for key in after if key in have}, after)

    def request(self, target: Target, change: Change) -> tuple[str, Shape]:
        """TagResource."""
        tags = [{"Key": key, "Value": value} for key, value in change.after.items()]
        return "tag_resource", {"ResourceArn": target.definition.arn, "Tags": tags}

    def landed(self, value: Any, change: Change) -> bool:
        """Whether every tag can be read."""
        return bool(change.after.items() <= value.items())


class PointInTimeRecovery(SideCall):
    """PITR with its recovery period, unless TableFerry turned it on at the source. Synchronous, but rejected for
    seconds after the table is ACTIVE (measured/settings 2.3, 2.5)."""

    name = "point_in_time_recovery"
    order = 5

    def read(self, caller: Caller) -> Steps[Any]:
        """{days}, None while it is off; one call. ContinuousBackupsStatus does not show it (measured/settings 2.5)."""
        answer = yield from caller.call("describe_continuous_backups", TableName=caller.definition.name)
        recovery = answer["ContinuousBackupsDescription"].get("PointInTimeRecoveryDescription", {})
        if recovery.get("PointInTimeRecoveryStatus") != "ENABLED":
            return None
        return {"days": int(recovery.get("RecoveryPeriodInDays", 35))}

    def plan(self, source: Settings, destination: Settings, options: SettingsOptions) -> Iterator[Change | NotCarried]:
        """On, or a longer period; a shorter one would remove restore points of the destination."""
        want, have = source.get(self.name), destination.get(self.name)
        if not want or want == have:
            return
        if RECOVERY_TAG in (source.get("tags") or {}):
            yield NotCarried(self.name, "TableFerry turned it on at the source for the export only")
        elif have and have["days"] > want["days"]:
            yield NotCarried(
                self.name, f"the destination already keeps {have['days']} days; fewer would remove restore points"
            )
        else:
            yield Change(self.name, have, want, "billed")

    def request(self, target: Target, change: Change) -> tuple[str, Shape]:
        """UpdateContinuousBackups."""
        specification = {"PointInTimeRecoveryEnabled": True, "RecoveryPeriodInDays": change.after["days"]}
        return "update_continuous_backups", {
            "TableName": target.name,
            "PointInTimeRecoverySpecification": specification,
        }


class ContributorInsights(SideCall):
    """CloudWatch Contributor Insights of table and indexes. ENABLE returns 200 and may fail 2 s later, when the
    Region's 100 rules are in use (measured/settings 2.6)."""

    name = "contributor_insights"
    order = 72

    def read(self, caller: Caller) -> Steps[Any]:
        """{"": mode of the table, index name: mode} where it is on; one call lists them all."""
        summaries = yield from pages(
            caller, "list_contributor_insights", "ContributorInsightsSummaries", TableName=caller.definition.name
        )
        return {
            entry.get("IndexName", ""): entry.get("ContributorInsightsMode") or "ACCESSED_AND_THROTTLED_KEYS"
            for entry in summaries
            if entry.get("ContributorInsightsStatus") in ("ENABLED", "ENABLING")
        }

    def plan(self, source: Settings, destination: Settings, options: SettingsOptions) -> Iterator[Change | NotCarried]:
        """A change for each table or index that lacks it or has another mode."""
        have = destination.get(self.name) or {}
        for part, mode in (source.get(self.name) or {}).items():
            if have.get(part) != mode:
                yield Change(what(self.name, part), have.get(part), mode)

    def request(self, target: Target, change: Change) -> tuple[str, Shape]:
        """ENABLE, always with the mode: without one it is reset (measured/settings 2.6)."""
        mode = {"ContributorInsightsAction": "ENABLE", "ContributorInsightsMode": change.after}
        return "update_contributor_insights", _of_index(target, change) | mode

    def landed(self, value: Any, change: Change) -> bool:
        """Whether it is listed as on, with the mode."""
        return bool(value.get(part_of(change)) == change.after)

    def verify(self, target: Target, change: Change) -> Steps[None]:
        """Until ENABLED. Raises SettingFailed with CloudWatch's reason."""
        for pause in paces(300):
            answer = yield from target.call("describe_contributor_insights", **_of_index(target, change))
            status = answer.get("ContributorInsightsStatus")
            if status == "ENABLED":
                return
            if status == "FAILED":
                reason = answer.get("FailureException", {}).get("ExceptionDescription", "no reason given")
                raise SettingFailed(
                    f"Contributor Insights failed: {reason}", "Remove rules that are not needed, then run again."
                )
            yield pause
        raise SettingFailed("Contributor Insights is not on yet.", "Run again later.", table=target.name)


def _of_index(target: Target, change: Change) -> Shape:
    part = part_of(change)
    return {"TableName": target.name} | ({"IndexName": part} if part else {})


class KinesisDestination(SideCall):
    """The Kinesis data stream, mapped by ``kinesis_map``. AWS checks the stream only after its 200
    (measured/policy 2)."""

    name = "kinesis_destination"
    order = 74
    patience_seconds = 400.0  # ACTIVE within 7 s; a wrong stream fails after 62 s, a change of precision takes 152 s

    def read(self, caller: Caller) -> Steps[Any]:
        """{stream, precision}, None where there is none; one call. At most one is on (measured/policy 2)."""
        answer = yield from caller.call("describe_kinesis_streaming_destination", TableName=caller.definition.name)
        for entry in answer.get("KinesisDataStreamDestinations", []):
            if entry["DestinationStatus"] in ("ACTIVE", "ENABLING", "UPDATING"):
                precision = entry.get("ApproximateCreationDateTimePrecision") or "MILLISECOND"
                return {"stream": entry["StreamArn"], "precision": precision}
        return None

    def plan(self, source: Settings, destination: Settings, options: SettingsOptions) -> Iterator[Change | NotCarried]:
        """On, with the mapped stream of the destination's account and Region."""
        want, have = source.get(self.name), destination.get(self.name)
        if not want:
            return
        name = want["stream"].rpartition("/")[2]
        mapped = options.kinesis_map.get(want["stream"]) or options.kinesis_map.get(name)
        location = destination.location
        prefix = f"arn:{location.partition}:kinesis:{location.region}:{location.account_id}:stream/"
        if not mapped:
            yield NotCarried(self.name, f"{want['stream']} is not in kinesis_map")
        elif not mapped.startswith(prefix):
            yield NotCarried(self.name, f"kinesis_map maps to {mapped}, which does not begin with {prefix}")
        elif have and have["stream"] != mapped:
            yield NotCarried(
                self.name, f"the destination already streams to {have['stream']}; a table has at most one stream"
            )
        elif have != (after := {"stream": mapped, "precision": want["precision"]}):
            yield Change(self.name, have, after)

    def request(self, target: Target, change: Change) -> tuple[str, Shape]:
        """Enable with the precision, or Update where the stream is on."""
        precision = {"ApproximateCreationDateTimePrecision": change.after["precision"]}
        stream = {"TableName": target.name, "StreamArn": change.after["stream"]}
        if change.before:
            return "update_kinesis_streaming_destination", stream | {"UpdateKinesisStreamingConfiguration": precision}
        return "enable_kinesis_streaming_destination", stream | {"EnableKinesisStreamingConfiguration": precision}

    def verify(self, target: Target, change: Change) -> Steps[None]:
        """Until ACTIVE. Raises SettingFailed with AWS's reason."""
        for pause in paces(self.patience_seconds):
            answer = yield from target.call("describe_kinesis_streaming_destination", TableName=target.name)
            for entry in answer.get("KinesisDataStreamDestinations", []):
                if entry["StreamArn"] != change.after["stream"]:
                    continue
                if entry["DestinationStatus"] == "ACTIVE":
                    return
                if entry["DestinationStatus"] == "ENABLE_FAILED":
                    reason = entry.get("DestinationStatusDescription", "no reason given")
                    raise SettingFailed(
                        f"Streaming to {entry['StreamArn']} failed: {reason}.",
                        "Check that the stream exists and is ACTIVE, then run again.",
                        table=target.name,
                    )
            yield pause
        raise SettingFailed("Streaming to Kinesis is not on yet.", "Run again later.", table=target.name)


class TimeToLive(SideCall):
    """Time to live. Set once and late: the next change has to wait half an hour (measured/settings 2.4)."""

    name = "time_to_live"
    order = 80

    def read(self, caller: Caller) -> Steps[Any]:
        """The attribute, None while it is off; one call."""
        answer = yield from caller.call("describe_time_to_live", TableName=caller.definition.name)
        described = answer.get("TimeToLiveDescription", {})
        on = described.get("TimeToLiveStatus") in ("ENABLED", "ENABLING")
        return described.get("AttributeName") if on else None

    def plan(self, source: Settings, destination: Settings, options: SettingsOptions) -> Iterator[Change | NotCarried]:
        """On with the source's attribute."""
        want, have = source.get(self.name), destination.get(self.name)
        if want and have and want != have:
            yield NotCarried(
                self.name, f"it is on for the attribute {have}; a change means off, half an hour, and on again"
            )
        elif want and not have:
            yield Change(self.name, have, want, "destructive")

    def request(self, target: Target, change: Change) -> tuple[str, Shape]:
        """UpdateTimeToLive."""
        specification = {"Enabled": True, "AttributeName": change.after}
        return "update_time_to_live", {"TableName": target.name, "TimeToLiveSpecification": specification}


class ResourcePolicy(SideCall):
    """The table's policy, rewritten for the destination. Last, because a Deny in it may bar our own calls, until four
    minutes after its removal (measured/policy 7.2)."""

    name = "resource_policy"
    order = 95

    def read(self, caller: Caller) -> Steps[Any]:
        """The document, None where there is none; one call."""
        return (yield from _policy_of(caller, caller.account.table_arn(caller.definition.name)))

    def plan(self, source: Settings, destination: Settings, options: SettingsOptions) -> Iterator[Change | NotCarried]:
        """Put where the destination has none; not carried where it names what has no counterpart."""
        yield from _planned_policy(self.name, source, destination, options, "destination")

    def request(self, target: Target, change: Change) -> tuple[str, Shape]:
        """PutResourcePolicy."""
        return "put_resource_policy", {"ResourceArn": target.definition.arn, "Policy": _minified(change.after)}

    def landed(self, value: Any, change: Change) -> bool:
        """Compared in the canonical form, which AWS returns."""
        return bool(value) and canonical_policy(value) == canonical_policy(change.after)


class StreamTags(SideCall):
    """Tags of the table's stream, a slot of their own that ends with the stream's ARN (measured/more 4.1, TABLE-373).
    After the stream, which the copy gets anew."""

    name = "stream_tags"
    order = 66

    def read(self, caller: Caller) -> Steps[Any]:
        """{key: value} without ``aws:*``; a call for each page where there is a stream."""
        arn = caller.definition.stream_arn
        if not arn:
            return None
        tags = tags_of((yield from pages(caller, "list_tags_of_resource", "Tags", ResourceArn=arn)))
        return {key: value for key, value in tags.items() if not key.lower().startswith("aws:")}

    def plan(self, source: Settings, destination: Settings, options: SettingsOptions) -> Iterator[Change | NotCarried]:
        """One change with all tags; tags that only the copy's stream has stay there."""
        tags, have = source.get(self.name), destination.get(self.name) or {}
        if not tags:
            return
        if why := _no_stream(destination, options):
            yield NotCarried(self.name, why)
            return
        carried = dict(sorted(tags.items()))
        fits = _fitting(carried, have, have)
        for key in [key for key in carried if key not in fits]:
            reason = f"a stream has at most {MOST_TAGS} tags of {MOST_BYTES} bytes together"
            yield NotCarried(what(self.name, key), reason)
        want = {key: value for key, value in carried.items() if key in fits}
        if not want.items() <= have.items():
            yield Change(self.name, have or None, want)

    def request(self, target: Target, change: Change) -> tuple[str, Shape]:
        """TagResource of the stream."""
        tags = [{"Key": key, "Value": value} for key, value in change.after.items()]
        return "tag_resource", {"ResourceArn": _stream_of(target), "Tags": tags}

    def landed(self, value: Any, change: Change) -> bool:
        """Whether every tag can be read."""
        return bool(value) and bool(change.after.items() <= value.items())


class StreamPolicy(SideCall):
    """The policy of the table's stream, a slot of its own (measured/settings 2.9, TABLE-213), rewritten for the copy's
    stream, which has another ARN."""

    name = "stream_policy"
    order = 96

    def read(self, caller: Caller) -> Steps[Any]:
        """The document, None where there is none; one call where there is a stream."""
        arn = caller.definition.stream_arn
        return (yield from _policy_of(caller, arn)) if arn else None

    def plan(self, source: Settings, destination: Settings, options: SettingsOptions) -> Iterator[Change | NotCarried]:
        """Put where the copy's stream has none; not carried where it names what has no counterpart."""
        if source.get(self.name) and (why := _no_stream(destination, options)):
            yield NotCarried(self.name, why)
            return
        # The stream's label is the copy's where there is one, else the source's until the stream is made.
        labelled = partial(with_stream, stream_arn=destination.definition.stream_arn)
        yield from _planned_policy(self.name, source, destination, options, "destination's stream", labelled)

    def request(self, target: Target, change: Change) -> tuple[str, Shape]:
        """PutResourcePolicy of the stream."""
        arn = _stream_of(target)
        return "put_resource_policy", {"ResourceArn": arn, "Policy": _minified(with_stream(change.after, arn))}

    def landed(self, value: Any, change: Change) -> bool:
        """Compared in the canonical form, whatever label the stream has."""
        return bool(value) and _unlabelled(value) == _unlabelled(change.after)


def _planned_policy(
    name: str,
    source: Settings,
    destination: Settings,
    options: SettingsOptions,
    holder: str,
    finished: Callable[[Any], Any] = lambda policy: policy,
) -> Iterator[Change | NotCarried]:
    """The source's policy, rewritten for the destination and ``finished``, where its ``holder`` has none."""
    document, have = source.get(name), destination.get(name)
    if not document:
        return
    try:
        want = finished(rewrite_policy(document, source.location, destination.location, options.principal_map))
    except CannotRewrite as reason:
        yield NotCarried(name, str(reason))
        return
    if not have:
        yield Change(name, None, want)
    elif canonical_policy(have) != canonical_policy(want):
        yield NotCarried(name, f"the {holder} already has another policy; remove it there to have this one put")


def _no_stream(destination: Settings, options: SettingsOptions) -> str:
    """Why the copy has no stream when the settings are applied; empty where it has one."""
    if _STREAM in options.defer and not destination.definition.stream:
        return "the stream is deferred until the cutover"
    return ""


def _stream_of(target: Target) -> str:
    """The ARN of the copy's stream. Raises SettingFailed where it has none."""
    if not target.definition.stream_arn:
        raise SettingFailed("The table has no stream.", "Turn its stream on, then run again.", table=target.name)
    return target.definition.stream_arn


def _unlabelled(document: Mapping[str, Any]) -> Shape:
    return canonical_policy(with_stream(document, "/stream/*"))


def _policy_of(caller: Caller, arn: str) -> Steps[Any]:
    try:
        answer = yield from caller.call("get_resource_policy", ResourceArn=arn)
    except (sdk.ClientError, sdk.BotoCoreError, SettingFailed) as error:
        code = error.details.get("code") if isinstance(error, SettingFailed) else sdk.error_code(error)
        if code != _NO_POLICY:
            raise
        return None
    return json.loads(answer["Policy"])


def _minified(document: Any) -> str:
    return json.dumps(document, separators=(",", ":"))
