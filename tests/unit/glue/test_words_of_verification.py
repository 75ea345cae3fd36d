# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a comparison through a transform says, and what it does not claim."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.items.differences import Comparison
from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.job import Job
from ansible_collections.tableferry.aws.plugins.module_utils.core.judgement import Judgement, with_comparison
from ansible_collections.tableferry.aws.plugins.module_utils.core.report.text import STATUS_COLUMNS, status_table
from ansible_collections.tableferry.aws.plugins.module_utils.core.steps.adopting import Evidence
from ansible_collections.tableferry.aws.plugins.module_utils.core.steps.comparison import EVIDENCE, Verification
from ansible_collections.tableferry.aws.plugins.module_utils.glue.verbs.dynamodb_verify import _message

COUNTED: dict[str, Any] = {"read": 12, "added": 1, "kept_out": {1: 2}, "refused": {3: 1}}
SAMPLED = Comparison(10, 0, **COUNTED, one_way=True)


@pytest.mark.parametrize(
    ("comparison", "level", "words", "never"),
    [
        (Comparison(10, 10, **COUNTED), "full", "10 items compared (full), all are equal.", "source only"),
        (SAMPLED, "sample", "10 items compared (sample), all are equal. The sample has items of the source only", "12"),
        (Comparison(10, 0, one_way=True, undecided=2), "sample", "no difference is certain", "all are equal"),
        (Comparison(10, 0, 1, one_way=True), "sample", "what is extra in the destination is not seen", "equal"),
    ],
)
def test_a_sample_of_one_side_never_claims_both(comparison: Comparison, level: str, words: str, never: str) -> None:
    params = {"name": "orders", "level": level, "repair": False, "delete_extra": False}
    message = _message(params, Verification(comparison), {}, [])
    assert words in message and never not in message


def test_the_result_counts_what_steps_left_out() -> None:
    result = Verification(SAMPLED).to_dict()
    counts = {"items_read": 12, "added": 1, "kept_out": {"1": 2}, "refused": {"3": 1}, "one_way": True}
    assert result | counts == result and "undecided" not in result
    assert not counts.keys() & Verification(Comparison(10, 10)).to_dict().keys()


def test_a_migrated_table_says_what_its_sample_did_not_see() -> None:
    judged = Judgement("migrated", 10, 10, None, "counts", "")
    for sampled, words in ((SAMPLED, "source only"), (replace(SAMPLED, undecided=2), "2 of its items")):
        job = Job("verify", "orders", "completed", result={"level": "sample", **Verification(sampled).to_dict()})
        concluded = with_comparison(judged, job, "orders")
        assert concluded.verified == "sample" and words in concluded.reason
    job = Job("verify", "orders", "completed", result={"level": "full", **Verification(Comparison(10, 10)).to_dict()})
    assert with_comparison(judged, job, "orders").reason == ""


TIME = "2026-11-29T12:00:00+00:00"


def test_a_comparison_says_that_it_was_with_the_export() -> None:
    params = {"name": "orders", "level": "full", "repair": False, "delete_extra": False}
    equal = _message(params, Verification(Comparison(10, 10), export_time=TIME), {}, [])
    assert equal == f"orders: 10 items compared with the export of {TIME} (full), all are equal."
    differs = _message(params, Verification(Comparison(10, 10, 1), export_time=TIME), {}, [])
    assert differs.startswith(f"orders: 1 missing, 0 different, 0 extra, compared with the export of {TIME}.")
    sampled = _message(params, Verification(replace(SAMPLED, read=10), export_time=TIME), {}, [])
    assert "some files of the export only" in sampled and "source only" not in sampled


def test_a_migrated_table_says_that_it_was_compared_with_the_export() -> None:
    judged = Judgement("migrated", 10, 10, None, "counts", "2 of 12 items were kept out by a step.")
    result = {"level": "full", **Verification(Comparison(10, 10), export_time=TIME).to_dict()}
    job = Job("verify", "orders", "completed", result=result)
    words = f"2 of 12 items were kept out by a step. Compared with the export of {TIME}."
    assert with_comparison(judged, job, "orders").reason == words
    again = with_comparison(judged, replace(job, state="not_needed"), "orders").reason
    assert "by an earlier run" in again and f"Compared with the export of {TIME}." in again
    differs = with_comparison(judged, replace(job, result={**result, "missing": 1}), "orders").failure
    assert differs is not None and f"differs from the export of {TIME}: 1 missing." in differs.cause
    assert "Writes to the source" not in differs.next_step


def test_what_an_export_shows_is_the_instant_of_a_copy_that_equals_it() -> None:
    begun, ended = datetime(2026, 11, 30, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC)
    exported = Evidence.of(Verification(Comparison(10, 10), export_time=TIME), begun, ended)
    assert exported.data_as_of == {"from": TIME, "to": TIME} and exported.comparison["export_time"] == TIME
    live = Evidence.of(Verification(Comparison(10, 10)), begun, ended)
    assert live.data_as_of == {"from": "2026-11-30T00:00:00+00:00", "to": "2026-12-01T00:00:00+00:00"}


def test_the_status_says_with_what_a_table_was_compared() -> None:
    entry = dict.fromkeys(STATUS_COLUMNS) | {"name": "orders", "next": "", "verified": {"verified": "full"}}
    lines = status_table([{**entry, "evidence": {"comparison": {"export_time": TIME}}}, {**entry, "evidence": {}}])
    assert [f"full, with the export of {TIME}" in line for line in lines[2:]] == [True, False]


def test_the_record_keeps_that_a_sample_saw_one_side() -> None:
    assert {"one_way", "undecided"} <= set(EVIDENCE)
