# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The engines that there are, by their names."""

from __future__ import annotations

from collections.abc import Mapping

from .emr_cluster import EmrCluster, EmrStep
from .emr_serverless import EmrServerless
from .engine import Engine
from .glue import Glue

ENGINES: Mapping[str, Engine] = {engine.name: engine for engine in (Glue(), EmrServerless(), EmrStep(), EmrCluster())}
KIND = "spark_job"
KEPT = ("call", "run", "plan", "transform")  # of a job's request, when it has ended
GLUE_SERVICES, EMR_SERVICES = ("glue",), ("emr", "emr-serverless")  # their SDK models
