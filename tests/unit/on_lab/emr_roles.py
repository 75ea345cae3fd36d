# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""EMR's default roles in the destination account, as ``aws emr create-default-roles`` makes them."""

from __future__ import annotations

from lab.client import RunningLab
from lab.landscape import DESTINATION
from tests.unit.lab.spark.conftest import allowing, trusting

SERVICE, INSTANCES = "EMR_DefaultRole", "EMR_EC2_DefaultRole"


def add_default_roles(lab: RunningLab) -> None:
    """The service's role, and that of the instances with its profile: it may do with S3 and DynamoDB what it likes."""
    identity = lab.world.identity
    if (DESTINATION, SERVICE) in identity.roles:
        return
    identity.add_role(DESTINATION, SERVICE, trusting("elasticmapreduce.amazonaws.com"))
    instances = identity.add_role(DESTINATION, INSTANCES, trusting("ec2.amazonaws.com"))
    instances.inline["as AmazonElasticMapReduceforEC2Role"] = allowing("dynamodb:*", "s3:*")
    iam = lab.client("iam", "destination")
    iam.create_instance_profile(InstanceProfileName=INSTANCES)
    iam.add_role_to_instance_profile(InstanceProfileName=INSTANCES, RoleName=INSTANCES)
    lab.advance(60)
