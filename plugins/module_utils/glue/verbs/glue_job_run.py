# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Starts, finds or stops one run of the Spark job on AWS Glue."""

from __future__ import annotations

from typing import Any

from ...core.methods.spark.engines import GLUE_SERVICES
from ...core.methods.spark.glue import Glue
from ..spark_runs import SPARK_RUN_OPTIONS, SPARK_RUN_RULES, run_alone
from ..spec import Progress, Verb

SPEC: dict[str, Any] = SPARK_RUN_OPTIONS


def run(params: dict[str, Any], check_mode: bool, progress: Progress) -> dict[str, Any]:
    """Find the run of an earlier call, or start one; or stop it."""
    return run_alone(params, Glue.name, check_mode, progress)


VERB = Verb("glue_job_run", SPEC, run, services=("dynamodb", "s3", "sts", *GLUE_SERVICES), rules=SPARK_RUN_RULES)
