# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What holds for every way through the record's states, whatever is asked and seen."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.tableferry.aws.plugins.module_utils.core import errors
from ansible_collections.tableferry.aws.plugins.module_utils.core.record import (
    fence,
    intended,
    intention,
    rules,
    transitions,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.record.fence import Fence
from ansible_collections.tableferry.aws.plugins.module_utils.core.record.record import (
    DELETE,
    FILL,
    JOBS_KEPT,
    WRITE,
    JobEntry,
    Part,
    Record,
    table_key,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.record.rules import Moment
from ansible_collections.tableferry.aws.plugins.module_utils.core.record.transitions import Gone

from .two import SOURCE

NOW = 1_800_000_000
WINDOWS = [
    intention.CLIENT_TOKEN, intention.BACKUP_TOKEN, intention.UNIQUE_NAME, intention.DELETION, intention.NO_TOKEN,
]  # fmt: skip
ids = st.sampled_from(["", "T1", "T2"])
tokens = st.sampled_from(["t1", "t2", "t3", "t4"])
methods = st.sampled_from(["s3", "direct", "backup"])
flags = st.booleans()
times = st.integers(0, 2000)

# Every transition, with what it may be asked.
STEPS: dict[str, st.SearchStrategy[dict[str, Any]]] = {
    "intend": st.fixed_dictionaries(
        {
            "purpose": st.sampled_from([FILL, WRITE, DELETE, "export"]),
            "kind": st.just("k"),
            "token": tokens,
            "request": st.just("{}"),
        }
    ),
    "asked": st.fixed_dictionaries({"token": tokens}),
    "begun": st.fixed_dictionaries({"token": tokens, "arn": st.sampled_from(["", "arn"]), "table_id": ids}),
    "ended": st.fixed_dictionaries({"token": tokens, "ok": flags, "result": st.just({})}),
    "refused": st.fixed_dictionaries({"token": tokens, "all_answered": flags}),
    "not_begun": st.fixed_dictionaries(
        {"token": tokens, "window": st.sampled_from(WINDOWS), "listed_at": times.map(lambda t: NOW + t)}
    ),
    "change_method": st.fixed_dictionaries({"method": methods}),
    "filling": st.fixed_dictionaries({"token": tokens, "table_id": ids}),
    "fill_again": st.fixed_dictionaries({"method": methods, "seen_table_id": ids, "resumable": flags}),
    "filled": st.fixed_dictionaries(
        {"seen_table_id": ids, "whole": flags, "evidence": st.just({"items": 1}), "data_as_of": st.just({"at": 1})}
    ),
    "filled_by_comparison": st.fixed_dictionaries(
        {"seen_table_id": ids, "comparison": st.just({}), "full": flags, "equal": flags}
    ),
    "settled": st.fixed_dictionaries({"seen_table_id": ids, "read_back": flags}),
    "done": st.fixed_dictionaries({"seen_table_id": ids, "verified": st.just({"how": "full"}), "acceptable": flags}),
    "following": st.fixed_dictionaries({"seen_table_id": ids}),
    "handed_over": st.fixed_dictionaries({"seen_table_id": ids, "data_as_of": st.just({})}),
    "broken": st.fixed_dictionaries(
        {"seen_table_id": ids, "why": st.just("why"), "next": st.sampled_from(["", "Do this."])}
    ),
    "new_attempt": st.fixed_dictionaries(
        {
            "method": methods,
            "gone": st.none() | times.map(lambda t: Gone(NOW, NOW + t / 10)),
            "attempts_listed": st.lists(st.integers(1, 9), max_size=2),
        }
    ),
    "let_go": st.fixed_dictionaries({"next": st.just("")}),
    "take": st.fixed_dictionaries({"fence": times.map(lambda t: Fence(NOW + t))}),
    "say": st.fixed_dictionaries({"next": st.just("word")}),
}


def step_called(name: str) -> Callable[..., Record]:
    """The step of that name, from state to state or of a job."""
    step: Callable[..., Record] = getattr(intended if hasattr(intended, name) else transitions, name)
    return step


@dataclass(frozen=True)
class Asked:
    """One transition with its arguments, at ``seconds`` after the one before, with a request ``unanswered`` ago."""

    name: str
    arguments: dict[str, Any]
    seconds: int
    unanswered: int | None
    run: str

    def at(self, now: int) -> Moment:
        return Moment(self.run, now, None if self.unanswered is None else now - self.unanswered)

    def of(self, record: Record, now: int) -> Record:
        return step_called(self.name)(record, self.at(now), **self.arguments)


asks = st.sampled_from(sorted(STEPS)).flatmap(
    lambda name: st.builds(
        Asked,
        st.just(name),
        STEPS[name],
        st.sampled_from([0, 1, 30, 61, 1000]),
        st.none() | st.sampled_from([0, 30, 60]),
        st.sampled_from(["r1", "r1", "r1", "r2"]),
    )
)
# The way that a table takes, so that long histories reach its end, with anything in between.
WAY = [
    Asked("intend", {"purpose": FILL, "kind": "k", "token": "t1", "request": "{}"}, 1, None, "r1"),
    Asked("filling", {"token": "t1", "table_id": "T1"}, 1, None, "r1"),
    Asked("filled", {"seen_table_id": "T1", "whole": True, "evidence": {"items": 1}, "data_as_of": {}}, 1, None, "r1"),
    Asked("settled", {"seen_table_id": "T1", "read_back": True}, 1, None, "r1"),
    Asked("done", {"seen_table_id": "T1", "verified": {}, "acceptable": True}, 1, None, "r1"),
]


@st.composite
def histories(draw: st.DrawFn) -> list[Asked]:
    """The usual way, its first so many steps, and anything before, between and after."""
    found: list[Asked] = []
    for step in WAY[: draw(st.integers(0, len(WAY)))]:
        found += [*draw(st.lists(asks, max_size=2)), step]
    return [*found, *draw(st.lists(asks, max_size=6))]


def first(run: str = "r1") -> Record:
    return transitions.claim(
        table_key("orders"), Moment(run, NOW), home="home", migration="m", source=SOURCE, method="s3",
        table_exists=False, filled_by_others=False,
    )  # fmt: skip


def play(history: list[Asked]) -> list[tuple[Record, Asked, int, Record]]:
    """The steps that were allowed: before, what was asked, when, after."""
    record, now, taken = first(), NOW, []
    for asked in history:
        now += asked.seconds
        try:
            after = asked.of(record, now)
        except errors.FerryError as refusal:
            assert refusal.cause and refusal.next_step and isinstance(refusal.table, str)
            continue
        taken.append((record, asked, now, after))
        record = after
    return taken


WAYS = {
    ("claimed", "filling"), ("broken", "filling"), ("filling", "filled"), ("broken", "filled"), ("filled", "settled"),
    ("settled", "done"), ("done", "following"), ("done", "handed_over"), ("following", "handed_over"),
    ("filling", "broken"),
}  # fmt: skip
# Steps that a late request of anybody could spoil.
LATE = {"settled", "done", "following", "handed_over", "new_attempt", "fill_again", "filled_by_comparison"}


def goes_a_known_way(before: Record, asked: Asked, now: int, after: Record) -> None:
    change = (before.state, after.state)
    assert before.state == after.state or change in WAYS or asked.name == "new_attempt"


def is_changed_by_its_holder_alone(before: Record, asked: Asked, now: int, after: Record) -> None:
    if asked.name == "take":
        next = "" if before.state in ("claimed", "filling", "filled", "settled") else before.next
        fence = {"fence": after.fence, "signed_until": after.signed_until}
        assert after == replace(before, run=asked.run, next=next, **fence)
    else:
        assert before.run == asked.run


def is_about_the_table_that_was_seen(before: Record, asked: Asked, now: int, after: Record) -> None:
    if after.state != before.state and after.state not in ("claimed", "filling"):
        assert asked.arguments["seen_table_id"] == after.table_id != ""
    if asked.name == "filled":
        assert asked.arguments["whole"]
    if after.state != "claimed":
        assert after.table_id


def comes_after_the_fence(before: Record, asked: Asked, now: int, after: Record) -> None:
    if asked.name in LATE or (asked.name == "change_method" and before != after):
        assert now >= before.fence
    if asked.name in LATE:
        assert asked.unanswered is None or asked.unanswered >= fence.LET_GO
    if asked.name == "intend" and asked.arguments["purpose"] == DELETE:
        assert now >= before.fence and before.table_id
    if asked.name == "not_begun":
        assert asked.arguments["listed_at"] >= before.fence


def never_opens_a_fence_early(before: Record, asked: Asked, now: int, after: Record) -> None:
    if asked.name == "let_go":
        assert not after.run
        assert after.fence >= (before.fence if now < before.fence else 0)
        if asked.unanswered is not None:
            assert after.fence >= now - asked.unanswered + fence.LET_GO
    else:
        assert after.fence >= before.fence


def has_one_job_of_a_purpose(before: Record, asked: Asked, now: int, after: Record) -> None:
    for purpose in (FILL, WRITE, DELETE, "export"):
        assert sum(job.purpose == purpose and job.is_open for job in after.jobs) <= 1
    if after.state in ("filled", "settled", "done", "broken"):
        assert not [job for job in after.jobs if job.purpose == FILL and job.is_open]
    assert len({job.token for job in after.jobs}) == len(after.jobs)
    assert all(job.request or job.state in ("done", "failed", "closed") for job in after.jobs)


def counts_attempts_upwards(before: Record, asked: Asked, now: int, after: Record) -> None:
    if asked.name == "new_attempt":
        assert after.attempt > max([before.highest_attempt, *asked.arguments["attempts_listed"]])
        assert (after.state, after.table_id, dict(after.evidence), dict(after.verified)) == ("claimed", "", {}, {})
    else:
        assert after.attempt == before.attempt


def comes_back_from_its_item(before: Record, asked: Asked, now: int, after: Record) -> None:
    stored = replace(after, ver=3, w="w", parts={"arn": Part("filled", 1, {"at": 2})})
    assert Record.from_item(stored.to_item()) == stored


def has_a_word_when_broken(before: Record, asked: Asked, now: int, after: Record) -> None:
    if asked.name == "broken":
        assert after.next


CHECKS = [
    goes_a_known_way,
    is_changed_by_its_holder_alone,
    is_about_the_table_that_was_seen,
    comes_after_the_fence,
    never_opens_a_fence_early,
    has_one_job_of_a_purpose,
    counts_attempts_upwards,
    comes_back_from_its_item,
    has_a_word_when_broken,
]


@settings(max_examples=300)
@given(histories())
def test_every_step_of_every_history(history: list[Asked]) -> None:
    for step in play(history):
        for check in CHECKS:
            check(*step)


@given(st.lists(st.tuples(tokens, flags), max_size=60))
def test_open_jobs_are_never_dropped(entries: list[tuple[str, bool]]) -> None:
    record = first()
    for number, (token, is_open) in enumerate(entries):
        state = "begun" if is_open else "done"
        record = record.with_job(JobEntry("p", "k", 1, f"{token}{number}", "", 0, 0, state=state))  # type: ignore[arg-type]
    opened = sum(is_open for _, is_open in entries)
    assert sum(job.is_open for job in record.jobs) == opened
    newest = int(bool(entries) and not entries[-1][1])
    assert len(record.jobs) == max(opened + newest, min(len(entries), JOBS_KEPT))


def test_many_jobs_of_one_purpose_do_not_make_those_of_others_unknown() -> None:
    record = first().with_job(JobEntry("export", "k", 1, "export", "", 0, 0, state="done"))
    for number in range(2 * JOBS_KEPT):
        record = record.with_job(JobEntry("write", "k", 1, f"write{number}", "", 0, 0, state="failed"))
    kept = [f"write{number}" for number in range(JOBS_KEPT + 1, 2 * JOBS_KEPT)]
    assert [job.token for job in record.jobs] == ["export", *kept]


@given(
    st.sampled_from(WINDOWS),
    st.integers(0, 40_000),
    st.integers(0, 3000),
    st.integers(0, 3000),
    flags,
    st.integers(0, 60),
)
def test_intentions(window, age, fence_in, asked_after, wanted, ago) -> None:
    """Nothing is sent again after its window, or closed while a request may be executed; and there is always a way."""
    entry = JobEntry("p", "k", 1, "t", "{}", NOW, NOW + asked_after)
    now, over = NOW + asked_after + age, NOW + fence_in
    step = intention.step(entry, window, now, fence=over, listed_at=now, unanswered=now - ago, wanted=wanted)
    if step == "send":
        assert wanted and now < intention.repeats_until(entry, window) and window.repeat != 0
        assert now >= over or not window.after_fence
    if step == "close":
        assert now >= over + window.closes_after_fence and now >= entry.asked_at + window.closes_after_asked
        assert ago >= fence.LET_GO
    end = 10 * 3600 + 100_000 + over
    last = intention.step(entry, window, end, fence=over, listed_at=end, wanted=wanted)
    assert last == ("send" if window.repeat is None and wanted else "close")


WHOLE = {"seen_table_id": "T1"}
SPOILED = {
    "settled": ("filled", {**WHOLE, "read_back": True}),
    "done": ("settled", {**WHOLE, "verified": {}, "acceptable": True}),
    "following": ("done", WHOLE),
    "handed_over": ("following", {**WHOLE, "data_as_of": {}}),
    "fill_again": ("broken", {**WHOLE, "method": "s3", "resumable": True}),
    "filled_by_comparison": ("broken", {**WHOLE, "comparison": {}, "full": True, "equal": True}),
    "new_attempt": ("filling", {"method": "s3", "gone": Gone(NOW, NOW + 30)}),
    "change_method": ("claimed", {"method": "direct"}),
    "intend": ("broken", {"purpose": DELETE, "kind": "delete", "token": "d", "request": "{}"}),
}


@pytest.mark.parametrize("name", SPOILED)
def test_a_step_that_a_late_request_could_spoil_waits(name: str) -> None:
    state, arguments = SPOILED[name]
    change = step_called(name)
    table_id = "" if state == "claimed" else "T1"
    record = replace(first(), state=state, table_id=table_id, fence=NOW + 100)  # type: ignore[arg-type]
    with pytest.raises(errors.NotYet) as waits:
        change(record, Moment("r1", NOW + 99), **arguments)
    assert waits.value.details["until"] == NOW + 100
    if name in LATE:
        with pytest.raises(errors.NotYet) as waits:
            change(record, Moment("r1", NOW + 100, unanswered=NOW + 41), **arguments)
        assert waits.value.details["until"] == NOW + 101
    change(record, Moment("r1", NOW + 100, unanswered=NOW + 40), **arguments)
    with pytest.raises(errors.Held):
        change(record, Moment("r2", NOW + 100), **arguments)


class TestRefusals:
    """What the steps refuse that no history above draws."""

    def test_a_claim_over_a_table_or_a_running_import(self):
        for seen in (
            {"table_exists": True, "filled_by_others": False},
            {"table_exists": False, "filled_by_others": True},
        ):
            with pytest.raises(errors.DestinationExists):
                transitions.claim(
                    table_key("orders"), Moment("r1", NOW), home="h", migration="m", source=SOURCE, method="s3", **seen
                )

    def test_a_claim_under_which_something_was_begun_passes_to_nobody(self):
        moment, other = (
            Moment("r1", NOW),
            {"migration": "other", "source": replace(SOURCE, table_id="T9"), "method": "s3"},
        )
        passed = transitions.claim_again(replace(first(), fence=NOW + 60), moment, **other)
        assert (passed.migration, passed.source.table_id, passed.fence) == ("other", "T9", NOW + 60)
        assert transitions.above(passed, moment, [1, 4]).attempt == 5
        export = intended.intend(first(), moment, purpose="export", kind="export", token="t", request="{}")
        with pytest.raises(errors.StepNotAllowed, match="nothing was begun"):
            transitions.claim_again(export, moment, **other)
        with pytest.raises(errors.StepNotAllowed, match="begun jobs"):
            transitions.above(export, moment, [4])
        with pytest.raises(errors.Held):
            transitions.claim_again(first(), Moment("r2", NOW), **other)

    def test_a_fence_of_an_earlier_holder_outlives_letting_go(self):
        record = replace(first(), fence=NOW + 910)
        assert transitions.let_go(record, Moment("r1", NOW + 10)).fence == NOW + 910
        assert transitions.let_go(record, Moment("r1", NOW + 10, unanswered=NOW + 9)).fence == NOW + 910
        assert transitions.let_go(record, Moment("r1", NOW + 910)).fence == 0
        assert transitions.let_go(record, Moment("r1", NOW + 900, unanswered=NOW + 899.5)).fence == NOW + 960

    def test_only_what_fills_this_attempt_and_made_this_table_makes_it_filling(self):
        moment = Moment("r1", NOW)
        export = intended.intend(first(), moment, purpose="export", kind="export", token="t", request="{}")
        with pytest.raises(errors.StepNotAllowed, match="does not fill"):
            transitions.filling(export, moment, "t", "T1")
        record = intended.intend(first(), moment, purpose=FILL, kind="import", token="t", request="{}")
        with pytest.raises(errors.StepNotAllowed, match="attempt 1 does not fill attempt 2"):
            transitions.filling(replace(record, attempt=2), moment, "t", "T1")
        record = intended.begun(record, moment, "t", arn="arn", table_id="T1")
        with pytest.raises(errors.Replaced):
            transitions.filling(record, moment, "t", "T2")
        with pytest.raises(errors.StepNotAllowed, match="names no table"):
            transitions.filling(record, moment, "t", "")

    def test_a_refusal_with_an_attempt_unanswered_closes_nothing(self):
        record = intended.intend(
            first(), Moment("r1", NOW), purpose="export", kind="k", token="t", request="{}"
        )  # fmt: skip
        with pytest.raises(errors.StepNotAllowed, match="no answer"):
            intended.refused(record, Moment("r1", NOW), "t", all_answered=False)
        closed = intended.refused(record, Moment("r1", NOW), "t", all_answered=True, result={"code": "Limit"})
        assert closed.open_job("export") is None

    def test_a_spark_job_that_may_still_write(self):
        moment = Moment("r1", NOW)
        record = intended.intend(first(), moment, purpose=FILL, kind="create", token="t", request="{}")
        record = transitions.filling(record, moment, "t", "T1")
        record = intended.intend(record, moment, purpose=WRITE, kind="glue", token="w", request="{}")
        for refused in (
            lambda: transitions.broken(record, moment, seen_table_id="T1", why="", next="x"),
            lambda: transitions.filled(record, moment, seen_table_id="T1", whole=True, evidence={}, data_as_of={}),
            lambda: transitions.new_attempt(record, moment, method="s3", gone=Gone(NOW, NOW + 60)),
        ):
            with pytest.raises(errors.StepNotAllowed, match="glue"):
                refused()

    def test_a_newer_schema_is_refused(self):
        item = first().to_item()
        item["schema"] = {"N": "2"}
        with pytest.raises(errors.RecordTooNew, match="newer version"):
            Record.from_item(item)

    def test_adopting_needs_a_full_comparison(self):
        about = {
            "home": "h", "migration": "m", "source": SOURCE, "method": "s3", "table_id": "T1", "comparison": {},
            "data_as_of": {},
        }  # fmt: skip
        for seen in ({"full": False, "equal": True}, {"full": True, "equal": False}):
            with pytest.raises(errors.StepNotAllowed):
                transitions.adopt("table#t", Moment("r1", NOW), **about, **seen)
        record = transitions.adopt("table#t", Moment("r1", NOW), **about, full=True, equal=True, attempts_listed=(3,))
        assert (record.state, record.attempt, record.table_id) == ("filled", 4, "T1")

    def test_the_fence_of_dynamodbs_own_calls_may_be_seen_to_be_over(self):
        record = replace(first(), fence=NOW + 910)
        early = Moment("r1", NOW + 320, signed_until=NOW, expired_since=NOW + 305)
        with pytest.raises(errors.NotYet):
            rules.require_fence(record, early)
        rules.require_fence(record, early, dynamodb_only=True)
        with pytest.raises(errors.NotYet):
            rules.require_fence(record, replace(early, now=NOW + 319), dynamodb_only=True)
        with pytest.raises(errors.NotYet):  # nobody knows what the fence is made of
            rules.require_fence(record, replace(early, signed_until=None), dynamodb_only=True)


@given(st.lists(st.tuples(times, flags), min_size=2, max_size=2), times)
def test_two_fences_are_never_sooner_than_the_later(pair, now) -> None:
    one, other = (fence.by_signature(at) if signed else fence.gone(at) for at, signed in pair)
    both = fence.both(one, other, now)
    for each in (one, other):
        assert each.passed(now) or both.at >= each.at
        if both.signed_until is not None and not each.passed(now):
            assert each.signed_until is not None and both.signed_until >= each.signed_until
