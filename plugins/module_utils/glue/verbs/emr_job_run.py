# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Starts, finds or stops one run of the Spark job on EMR Serverless or a cluster of EMR."""

from __future__ import annotations

from typing import Any

from ...core.methods.spark.engines import EMR_SERVICES
from ...core.methods.spark.method import EmrMethod
from ..spark_runs import SPARK_RUN_OPTIONS, SPARK_RUN_RULES, run_alone, spark_choices
from ..spec import Progress, Verb

SPEC: dict[str, Any] = {
    **SPARK_RUN_OPTIONS,
    "engine": {"type": "str", "choices": ["serverless", "cluster"]},
    "application_id": {"type": "str"},
    "cluster_id": {"type": "str"},
}


def run(params: dict[str, Any], check_mode: bool, progress: Progress) -> dict[str, Any]:
    """Find the run of an earlier call, or start one; or stop it."""
    return run_alone(params, EmrMethod().engine(spark_choices(params), params["name"]), check_mode, progress)


VERB = Verb("emr_job_run", SPEC, run, services=("dynamodb", "s3", "sts", *EMR_SERVICES), rules=SPARK_RUN_RULES)
