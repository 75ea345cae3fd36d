# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a comparison through a transform says, and what it does not claim."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.items.differences import Comparison
from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.job import Job
from ansible_collections.tableferry.aws.plugins.module_utils.core.judgement import Judgement, with_comparison
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


def test_the_record_keeps_that_a_sample_saw_one_side() -> None:
    assert {"one_way", "undecided"} <= set(EVIDENCE)
