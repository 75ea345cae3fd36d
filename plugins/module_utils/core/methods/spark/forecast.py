# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a plan says of the methods with a Spark job for a table (spark.md 1, 2, 3; aws.md E, F, H)."""

from __future__ import annotations

from collections.abc import Callable

from ...plan.amounts import Span
from ...plan.facts import Between, TableFacts
from ...plan.forecast import Forecast, Stage
from ...plan.prices import CostLine, Prices
from ..forecasting import (
    TABLE_QUOTA,
    by_size,
    compared,
    export_costs,
    export_parts,
    export_reasons,
    extrapolated,
    import_cost,
    import_part,
    import_reasons,
    named_uses,
    settings_part,
    write_cost,
    writing,
)

STARTING = Span(20, 300)  # seconds until a run's machines are there: never measured
CHANGING = Span(100 << 20, 5 << 20)  # bytes a second that a job changes, the fastest first: never measured
LEAST = 60.0  # seconds that a run is billed at least
VCPUS, MEMORY = 4, 8  # of one worker of EMR Serverless (spark.md 3)

Hours = Callable[[Span], tuple[CostLine, ...]]


def forecast(
    name: str, facts: TableFacts, between: Between, prices: Prices, hours: Hours, uses: str, by_itself: tuple[str, ...]
) -> Forecast:
    """An export to S3, and a Spark job that writes its items, or changes them for an import. ``hours`` makes the cost
    of a run's machines of the hours that it takes, ``uses`` is the quota of runs, and ``by_itself`` why auto leaves the
    method to the user."""
    imports = facts.wishes.spark_end == "import"
    compare_parts, compare_costs = compared(facts, True, prices, by_export=True)
    worked = _into_s3(facts) if imports else writing(facts, TABLE_QUOTA)
    running = Span(max(LEAST, worked.seconds.low), max(LEAST, worked.seconds.high + STARTING.high))
    if facts.wishes.transforms:  # where keys may collide, a run of its own looks first
        running = Span(running.low, 2 * running.high)
    made = Stage("create the table", Span(1, 25), "1 to 8 s measured, 14 to 20 s with indexes")
    parts = (
        *export_parts(facts),
        *(() if imports else (made,)),
        Stage("start the Spark job", STARTING, "guessed: nobody has measured it"),
        worked,
        *((import_part(facts),) if imports else ()),
        *compare_parts,
        settings_part(facts, made_warm=not imports),
    )
    costs = (
        *export_costs(facts, prices),
        *((import_cost(facts, prices),) if imports else write_cost(facts, prices)),
        *hours(running.times(1 / 3600)),
        *compare_costs,
    )
    imported = {"imports": 1.0, "import_bytes": float(facts.size)} if imports else {}
    return Forecast(
        name,
        reasons=(*(import_reasons(facts) if imports else ()), *export_reasons(facts), *between.reasons),
        parts=parts,
        costs=costs,
        uses=named_uses(exports=1, export_bytes=facts.size, **{uses: 1.0}, **imported),
        by_itself=by_itself,
        warnings=between.warnings,
    )


def _into_s3(facts: TableFacts) -> Stage:
    rest = f"guessed: nobody has measured it{extrapolated(facts)}"
    return Stage("change the items", Span(5, 120) + by_size(facts, CHANGING), rest)


def not_needed(facts: TableFacts) -> tuple[str, ...]:
    """Why auto starts no Spark job: what it brings is a change of the items, and what it needs is made by a run that
    prepares the accounts."""
    found = [] if facts.wishes.transforms else ["a Spark job is for items that change on the way"]
    if not facts.wishes.prepared:
        found.append("a Spark job needs a role and a job, and this run does not prepare the accounts")
    return tuple(found)


def on_glue(name: str, facts: TableFacts, between: Between, prices: Prices) -> Forecast:
    """On AWS Glue: one DPU for each worker of the usual size."""

    def hours(running: Span) -> tuple[CostLine, ...]:
        return (prices.line("AWS Glue", "glue_dpu_hour", running.times(facts.wishes.spark_workers)),)

    return forecast(name, facts, between, prices, hours, "glue_runs", not_needed(facts))


def on_emr(name: str, facts: TableFacts, between: Between, prices: Prices) -> Forecast:
    """On EMR Serverless; a cluster of the user's own costs what it costs anyway, which counts as much here."""

    def hours(running: Span) -> tuple[CostLine, ...]:
        workers = facts.wishes.spark_workers
        return (
            prices.line("EMR Serverless, vCPUs", "emr_vcpu_hour", running.times(workers * VCPUS)),
            prices.line("EMR Serverless, memory", "emr_gb_hour", running.times(workers * MEMORY)),
        )

    unknown = () if facts.wishes.own_engine else ("spark names no application or cluster of EMR",)
    why = (*not_needed(facts), *unknown)
    return forecast(name, facts, between, prices, hours, "emr_runs", why)
