# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The engines that there are, by their names."""

from __future__ import annotations

import re
from collections.abc import Mapping

from ... import sdk
from ...account import Account
from ...aws_errors import NO_RUN
from ...errors import InvalidInput
from ..options import SparkChoices
from .emr_cluster import EmrCluster, EmrStep
from .emr_serverless import EmrServerless
from .engine import Engine, Request, RunStatus
from .glue import Glue

ENGINES: Mapping[str, Engine] = {engine.name: engine for engine in (Glue(), EmrServerless(), EmrStep(), EmrCluster())}
KIND, LOOK_KIND = "spark_job", "spark_look"
INTO_S3 = "spark_files"  # the job that writes the items to objects, for an import
KEPT = ("call", "run", "plan", "transform")  # of a job's request, when it has ended
GLUE_SERVICES, EMR_SERVICES = ("glue",), ("emr", "emr-serverless")  # their SDK models

# Those with Python 3.11 or newer (spark.md 2, 3); later ones than AWS has now are left to AWS.
_OF_GLUE = (re.compile(r"[5-9]\.[0-9]+|[1-9][0-9]+\.[0-9]+"), "5.0, 5.1 or 6.0")
_OF_EMR = (
    re.compile(r"(?:emr-(?:[7-9]|[1-9][0-9]+)\.[0-9]+\.[0-9]+|emr-spark-[0-9]+\.[0-9]+(?:\.[0-9]+)?)(?:-[\w.-]+)?"),
    "a label such as emr-7.14.0 or emr-spark-8.1.0",
)


def require_choices(engine: str, choices: SparkChoices, table: str) -> None:
    """Raises InvalidInput for a run that no engine takes: AWS would say so when the export is made and billed."""
    if choices.workers < 2:
        raise InvalidInput(
            f"workers of spark is {choices.workers}: one machine is the driver's.", "Set 2 or more.", table=table
        )
    known, such = _OF_GLUE if engine == Glue.name else _OF_EMR
    if choices.release and not known.fullmatch(choices.release):
        noun = ENGINES[engine].noun
        raise InvalidInput(
            f"release of spark is {choices.release!r}, which no {noun} with Python 3.11 or newer has.",
            f"Set it to {such}, or leave it out.",
            table=table,
        )


def described(destination: Account, request: Request, run_id: str, *, listed: bool) -> RunStatus:
    """How the run of ``request`` stands; as stopped where AWS does not know it any more, as after somebody deleted its
    job. ``listed``: so much time has passed since it was begun that AWS must know it. Raises the SDK's errors."""
    try:
        return ENGINES[request.engine].describe(destination, request.scope, run_id)
    except sdk.ClientError as error:
        if sdk.error_code(error) not in NO_RUN:
            raise
        return RunStatus("cancelled", "AWS does not know the run any more") if listed else RunStatus("running")
