# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What stands at the destination, for the export that a Spark job reads (``Loader``)."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime
from typing import ClassVar

from ... import sdk
from ...account import Account
from ...destination import not_ours
from ...errors import FerryError
from ...exports.loading import Place
from ...jobs.job import Job, failure_of
from ...jobs.tracking import Tracking
from ...record.intention import NO_TOKEN, UNIQUE_NAME, Window
from ...record.parts import is_later_part, is_unwritten
from ...record.record import DELETE, FILL
from ...route import Route
from ...table.definition import TableDefinition
from .engine import Request
from .engines import ENGINES, KEPT, KIND


class SparkLoader:
    """A Spark job, as the export before it sees it. The table is made by CreateTable, which takes all indexes."""

    kind: ClassVar[str] = KIND
    window: ClassVar[Window] = NO_TOKEN
    kept: ClassVar[Collection[str]] = KEPT

    def require_loadable(self, definition: TableDefinition) -> None:
        """Every table can be."""

    def look(self, destination: Account, route: Route, record: Tracking | None) -> Place:
        """``done`` where the record says so; ``running`` from the time on that there is a table of ours: its export is
        the one that was begun with, however old it has become, as another one would mix two instants."""
        if record is None:
            return Place("free")
        state = record.record
        table = TableDefinition.find(destination, route.destination_table)
        if state.state in ("filled", "settled"):
            return Place("done", None, table)
        if table is None or state.open_job(DELETE) is not None:  # the latter in check mode only
            return Place("free")
        making = state.open_job(FILL) is not None  # its nonce says later whether it is ours
        if table.table_id != state.table_id and not making:
            raise not_ours(destination, table, route.source_table)
        if is_later_part(state) and is_unwritten(state):  # the table is there for the items of other sources
            return Place("free", None, table)
        return Place("running", None, table)

    def explain(self, destination: Account, job: Job) -> FerryError:
        """Never asked: a table that lacks items is gone on with."""
        return failure_of(job)

    def close(self, record: Tracking, listed_at: float) -> None:
        """Close the intention to create the table."""
        last = record.latest(FILL)
        if last is not None and last.state == "planned":
            tags = last.request.get("call", {}).get("Tags", ())
            token = next((job.token for job in record.record.jobs if job.purpose == FILL and job.is_open), "")
            if tags and token:
                record.not_begun(last, UNIQUE_NAME, listed_at, token)

    def running(self, destination: Account, route: Route) -> Job | None:
        """None: what is begun without a record is no job of this method."""
        return None

    def look_up(self, destination: Account, job: Job) -> Job:
        """The run with its status now, found by its token where its id was lost. One that may be a run of which AWS
        does not say whose it is counts as running."""
        if "run" not in job.request:  # CreateTable of an earlier run
            return job
        request = Request.from_dict(job.request["run"])
        engine = ENGINES[request.engine]
        try:
            if not job.arn:
                ever = datetime(2020, 1, 1, tzinfo=UTC)  # before any run of ours
                found = engine.find(destination, request, ever, lambda: None)
                if found.unclear:
                    return replace(job, state="running", arn=job.arn or request.run)
                if not found.id:
                    return job
                job = replace(job, arn=found.id)
            return replace(job, state=engine.describe(destination, request.scope, job.arn).state)
        except (sdk.ClientError, sdk.BotoCoreError) as error:
            raise destination.explain(error, f"looking for the {engine.noun}", job.name) from error


LOADER = SparkLoader()
