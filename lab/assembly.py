# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A world with its services, put together."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from typing import Any

from lab.world import World

# Each is constructed with the world, in this order.
SERVICES = (
    "lab.services.sts.StsService",
    "lab.services.iam.IamService",
    "lab.services.organizations.OrganizationsService",
    "lab.services.kms.KmsService",
    "lab.s3.service.S3Service",
    "lab.services.logs.LogsService",
    "lab.services.kinesis.KinesisService",
    "lab.dynamodb.service.DynamoDbService",
    "lab.services.application_autoscaling.ApplicationAutoScalingService",
    "lab.backup.service.BackupService",
    "lab.services.ram.RamService",
    "lab.services.emr.EmrService",
    "lab.services.emr_serverless.EmrServerlessService",
    "lab.services.service_quotas.ServiceQuotasService",
    "lab.services.glue.GlueService",
)


def build_world(services: Sequence[str] = SERVICES, **options: Any) -> World:
    """A world with ``services`` (dotted class names); ``options`` are those of ``World``."""
    world = World(**options)
    for dotted in services:
        module, _, name = dotted.rpartition(".")
        service = getattr(import_module(module), name)(world)
        world.services[service.name] = service
    return world
