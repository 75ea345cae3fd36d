# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The engines that there are, by their names."""

from __future__ import annotations

from collections.abc import Mapping

from ... import sdk
from ...account import Account
from ...aws_errors import NO_RUN
from .emr_cluster import EmrCluster, EmrStep
from .emr_serverless import EmrServerless
from .engine import Engine, Request, RunStatus
from .glue import Glue

ENGINES: Mapping[str, Engine] = {engine.name: engine for engine in (Glue(), EmrServerless(), EmrStep(), EmrCluster())}
KIND, LOOK_KIND = "spark_job", "spark_look"
INTO_S3 = "spark_files"  # the job that writes the items to objects, for an import
KEPT = ("call", "run", "plan", "transform")  # of a job's request, when it has ended
GLUE_SERVICES, EMR_SERVICES = ("glue",), ("emr", "emr-serverless")  # their SDK models


def described(destination: Account, request: Request, run_id: str, *, listed: bool) -> RunStatus:
    """How the run of ``request`` stands; as stopped where AWS does not know it any more, as after somebody deleted its
    job. ``listed``: so much time has passed since it was begun that AWS must know it. Raises the SDK's errors."""
    try:
        return ENGINES[request.engine].describe(destination, request.scope, run_id)
    except sdk.ClientError as error:
        if sdk.error_code(error) not in NO_RUN:
            raise
        return RunStatus("cancelled", "AWS does not know the run any more") if listed else RunStatus("running")
