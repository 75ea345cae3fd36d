# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The parts of a table that is merged of several sources: which may begin, which are apart, what is kept of each."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.tableferry.aws.plugins.module_utils.core import errors
from ansible_collections.tableferry.aws.plugins.module_utils.core.record import intended, merging, parts, transitions
from ansible_collections.tableferry.aws.plugins.module_utils.core.record.record import (
    FILL,
    ITEMS,
    Part,
    Record,
    Source,
    table_key,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.record.rules import Moment

NOW = 1_800_000_000
MOMENT = Moment("r1", NOW)
A, B, C = (Source(f"arn:aws:dynamodb:eu-west-1:1:table/{name}", f"id-{name}") for name in "abc")
texts = st.text("ab#", max_size=4)
heads = st.dictionaries(st.sampled_from(["pk", "sk"]), texts.filter(bool), max_size=2)


def head(name: str) -> dict[str, str]:
    return {"pk": f"T#{name}#"}


def claimed(**more: Any) -> Record:
    """The claim of the first source."""
    record = Record(table_key("all"), "home", "m", A, "direct", run="r1", **more)
    return merging.first_part(record, head("a"))


def begun(record: Record, source: Source, name: str) -> Record:
    return merging.begin_part(record, MOMENT, source=source, method="direct", heads=head(name))


def done(record: Record, number: int = 1) -> Record:
    """The part under way at its end, whose items are as of the second ``number``."""
    if record.state == "claimed":
        record = intended.intend(record, MOMENT, purpose=FILL, kind="direct", token=f"f{number}", request="{}")
        record = transitions.filling(record, MOMENT, f"f{number}", "T1")
    at = f"2026-01-01T00:00:0{number}+00:00"
    record = transitions.filled(
        record, MOMENT, seen_table_id="T1", whole=True, evidence={"n": number}, data_as_of={"from": at, "to": at}
    )
    record = transitions.settled(record, MOMENT, seen_table_id="T1", read_back=True)
    return transitions.done(record, MOMENT, seen_table_id="T1", verified={"number": number}, acceptable=True)


@given(heads, heads, st.tuples(texts, texts), st.tuples(texts, texts))
def test_keys_that_count_as_apart_are_never_the_same(one, other, mine, theirs):
    if parts.kept_apart(one, other):
        keys = [
            tuple(begins.get(name, "") + rest for name, rest in zip(("pk", "sk"), rests, strict=True))
            for begins, rests in ((one, mine), (other, theirs))
        ]
        assert keys[0] != keys[1]
    assert parts.kept_apart(one, other) is parts.kept_apart(other, one)


@pytest.mark.parametrize(
    ("one", "other", "apart"),
    [
        (head("a"), head("b"), True),
        (head("a"), head("a"), False),
        ({"pk": "T#a"}, {"pk": "T#ab"}, False),
        ({"pk": "T#a"}, {"sk": "T#b"}, False),
        ({"pk": "T", "sk": "a"}, {"pk": "T", "sk": "b"}, True),
        (head("a"), {}, False),
    ],
)
def test_which_keys_are_apart(one: dict[str, str], other: dict[str, str], apart: bool) -> None:
    assert parts.kept_apart(one, other) is apart


def test_one_part_follows_the_other_and_each_keeps_what_is_known_of_it() -> None:
    record = done(claimed())
    assert (record.state, record.parts[A.arn].state) == ("done", "filled")
    second = begun(record, B, "b")
    assert (second.state, second.source, second.table_id, second.attempt) == ("filling", B, "T1", 2)
    assert (dict(second.evidence), second.heads) == ({}, head("b"))
    assert parts.of_source(second, A.arn).verified == {"number": 1}
    assert parts.of_source(second, A.arn).is_done
    assert not parts.of_source(second, B.arn).is_done
    both = done(second, 2)
    assert both.data_as_of == {"from": "2026-01-01T00:00:01+00:00", "to": "2026-01-01T00:00:02+00:00"}
    assert Record.from_item(replace(both, w="w", ver=1).to_item()) == replace(both, w="w", ver=1)
    view = parts.of_source(both, A.arn)
    assert (view.source, dict(view.evidence), view.attempt) == (A, {"n": 1}, 1)
    assert [parts.is_first_part(parts.of_source(both, each.arn)) for each in (A, B)] == [True, False]


def test_a_source_that_no_part_is_of_is_not_done() -> None:
    assert not parts.of_source(done(claimed()), C.arn).is_done
    assert parts.of_source(Record(table_key("t"), "home", "m", A, "s3", state="done"), C.arn).is_done


def test_a_part_waits_for_the_one_under_way() -> None:
    record = claimed()
    assert merging.waits_for(record, B.arn, "r1") == A.arn
    assert [merging.waits_for(*each) for each in ((record, A.arn, "r1"), (record, B.arn, "r2"))] == ["", ""]
    assert merging.waits_for(done(record), B.arn, "r1") == ""
    # Nothing was begun for the first one: the second may go first.
    assert begun(record, B, "b").source == B
    filling = replace(record, state="filling", table_id="T1")
    for state in ("filling", "filled", "settled", "broken"):
        with pytest.raises(errors.Claimed, match="is not done yet"):
            begun(replace(filling, state=state), B, "b")
    with pytest.raises(errors.NotYet):
        begun(replace(done(record), fence=NOW + 60), B, "b")


def test_keys_that_may_be_the_same_are_refused_with_the_reason() -> None:
    record = done(claimed())
    for begins, words in (({"pk": "T#"}, "the beginning of the other"), ({}, "begin with a constant text")):
        with pytest.raises(errors.KeysNotApart, match=words):
            merging.require_mergeable(record, "m", B.arn, begins)
    merging.require_mergeable(record, "m", A.arn, {})  # it is done
    with pytest.raises(errors.Claimed, match="is merged of several sources"):
        merging.require_mergeable(record, "m", B.arn, None)
    alone = replace(record, parts={})
    with pytest.raises(errors.Claimed, match="was not begun as one that is merged"):
        merging.require_mergeable(alone, "m", B.arn, head("b"))
    with pytest.raises(errors.Claimed):
        merging.require_mergeable(record, "other", B.arn, head("b"))


def test_a_claim_without_a_beginning_is_free_for_others_though_it_is_a_merge() -> None:
    record = replace(claimed(), run="")
    assert record.is_untouched
    taken = replace(record, run="r1")
    again = transitions.claim_again(taken, MOMENT, migration="other", source=C, method="s3")
    assert (again.parts, again.migration) == ({}, "other")


def test_an_attempt_of_a_later_part_leaves_the_table_and_the_other_parts() -> None:
    second = begun(done(claimed()), B, "b")
    again = transitions.new_attempt(second, MOMENT, method="glue")
    assert (again.state, again.attempt, again.table_id) == ("filling", 3, "T1")
    assert again.parts[A.arn].state == "filled"
    wrote = intended.intend(second, MOMENT, purpose=ITEMS, kind="direct", token="i", request="{}")
    with pytest.raises(errors.StepNotAllowed):
        transitions.new_attempt(wrote, MOMENT, method="direct")
    gone = transitions.new_attempt(wrote, MOMENT, method="direct", gone=transitions.Gone(NOW, NOW + 60))
    assert {part.state for part in gone.parts.values()} == {"claimed"}
    assert (gone.state, gone.table_id, gone.parts[A.arn].heads) == ("claimed", "", head("a"))


def test_what_is_noted_of_a_part_that_is_done_is_kept_with_it() -> None:
    both = done(begun(done(claimed()), B, "b"), 2)
    noted = parts.noted(both, {"repaired": 1}, A.arn)
    assert "repaired" in noted.parts[A.arn].evidence
    assert "repaired" not in noted.evidence
    assert "repaired" in parts.noted(both, {"repaired": 1}, B.arn).evidence
    assert parts.noted(replace(both, parts={}), {"x": 1}).evidence["x"] == 1


def test_jobs_of_other_parts_are_not_those_of_this_one() -> None:
    second = begun(done(claimed()), B, "b")
    assert [job.token for job in second.jobs] == ["f1"]
    assert second.part_jobs == ()
    assert second.sources == {A.arn, B.arn}
    assert Part("filled", 1).heads == {}
