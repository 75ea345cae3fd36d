# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lab's Kinesis: streams that exist, and when they are ACTIVE."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from botocore.exceptions import ClientError

from lab.client import RunningLab, running
from lab.services.kinesis import KinesisService


@pytest.fixture
def lab() -> Iterator[RunningLab]:
    with running(services=("lab.services.kinesis.KinesisService",), scale=1.0) as lab:
        yield lab


def test_stream_is_creating_then_active(lab: RunningLab) -> None:
    kinesis = lab.client("kinesis")
    kinesis.create_stream(StreamName="changes", ShardCount=2)
    arn = kinesis.describe_stream_summary(StreamName="changes")["StreamDescriptionSummary"]["StreamARN"]
    service = lab.world.part(KinesisService)
    stream = service.find(arn)
    assert stream is not None and stream.status(lab.world.clock.now()) == "CREATING"
    lab.advance(60)
    summary = kinesis.describe_stream_summary(StreamARN=arn)["StreamDescriptionSummary"]
    assert (summary["StreamStatus"], summary["OpenShardCount"]) == ("ACTIVE", 2)
    assert kinesis.list_streams()["StreamNames"] == ["changes"]
    assert lab.client("kinesis", "destination").list_streams()["StreamNames"] == []
    with pytest.raises(ClientError, match="ResourceInUseException"):
        kinesis.create_stream(StreamName="changes", ShardCount=2)
    kinesis.delete_stream(StreamName="changes")
    assert service.find(arn) is None


def test_missing_stream(lab: RunningLab) -> None:
    with pytest.raises(ClientError, match="ResourceNotFoundException"):
        lab.client("kinesis").describe_stream_summary(StreamName="none")
