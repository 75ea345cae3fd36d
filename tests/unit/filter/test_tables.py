# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Filters over the tables of an inventory."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError, AnsibleUndefinedVariable

from ansible_collections.tableferry.aws.plugins.filter import tables
from ansible_collections.tableferry.aws.plugins.filter.tables import (
    OF_A_PAIR,
    account_options,
    account_outlook,
    account_pairs,
    all_clean,
    data_needs,
    file_name,
    inventory_problems,
    open_jobs,
    pair_is_safe,
    pair_tables,
    pair_users,
    table_name,
    table_names,
)
from ansible_collections.tableferry.aws.plugins.plugin_utils.hostvars import plain

SOURCE = {"region": "eu-west-1", "profile": "old"}
DESTINATION = {"region": "eu-west-1", "profile": "new"}
SIDES = {"ferry_source": SOURCE, "ferry_destination": DESTINATION}


@pytest.fixture(autouse=True)
def profiles(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The configuration of the AWS SDKs, in which the profiles are."""
    keys = "aws_access_key_id = A\naws_secret_access_key = x\n"
    path = tmp_path / "config"
    path.write_text("".join(f"[profile {name}]\n{keys}" for name in ("old", "new", "p")), encoding="utf-8")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(path))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    return path


class Broken(dict[str, Any]):
    """Variables of which one is made of something undefined."""

    def __getitem__(self, name: str) -> Any:
        if name == "ferry_table":
            raise AnsibleUndefinedVariable("'nothing' is undefined.")
        return super().__getitem__(name)


def test_pairs_share_accounts_bucket_and_migration() -> None:
    hostvars = {
        "a": SIDES,
        "b": {**SIDES, "ferry_method": "s3"},
        "c": {**SIDES, "ferry_staging_bucket": "other"},
        "d": {**SIDES, "ferry_source": {**SOURCE, "region": "us-east-1"}},
        "e": {"ferry_destination": DESTINATION, "ferry_source": dict(reversed(SOURCE.items()))},
    }
    assert account_pairs(hostvars, hostvars) == {"a": "a", "b": "a", "c": "c", "d": "d", "e": "a"}


def test_sound_variables_have_no_problem() -> None:
    hostvars = {"a": {**SIDES, "ferry_pitr_wait": "60", "ferry_sync": "yes", "my_own": 1}, "b": SIDES}
    assert inventory_problems(["a", "b"], hostvars) == {}


def test_problems_name_host_variable_and_what_is_right() -> None:
    hostvars: dict[str, Any] = {
        "choice": {**SIDES, "ferry_verify": "maybe"},
        "kind": {**SIDES, "ferry_pitr_wait": "soon"},
        "side": {"ferry_destination": DESTINATION},
        "text": {**SIDES, "ferry_source": "legacy"},
        "unknown": {**SIDES, "ferry_source": {**SOURCE, "acess_key": "AKIA"}},
        "typo": {**SIDES, "ferry_destination_tabel": "x"},
        "broken": Broken({**SIDES, "ferry_table": ""}),
    }
    found = inventory_problems(hostvars, hostvars)
    assert set(found) == set(hostvars)
    assert "unable to convert" not in "".join(found.values())
    assert found["text"].startswith("text: ferry_source is of type str and cannot be read as dict. Correct")
    assert all(text.startswith(f"{host}: ") and text.endswith("run again.") for host, text in found.items())
    assert "counts, sample, full, none" in found["choice"]
    assert "ferry_pitr_wait" in found["kind"]
    assert "ferry_source" in found["side"]
    assert "acess_key" in found["unknown"]
    assert "did you mean ferry_destination_table?" in found["typo"]
    assert found["broken"].startswith("broken: ferry_table cannot be read: 'nothing' is undefined. Define what its")
    assert "mark the text !unsafe" in found["broken"]


def test_options_of_the_spark_job_are_checked_as_they_are_meant() -> None:
    spark: dict[str, Any] = {
        "sound": {"workers": "4", "worker_type": "G.2X"},
        "text": "workers=3 release=5.1",
        "typo": {"worker": 4},
        "engine": {"engine": "serverles"},
        "number": {"workers": "many"},
    }
    hostvars = {host: {**SIDES, "ferry_method": "glue", "ferry_spark": value} for host, value in spark.items()}
    hostvars["wheels"] = {**SIDES, "ferry_spark_wheel": "/w"}
    found = inventory_problems(hostvars, hostvars)
    assert set(found) == {"typo", "engine", "number", "wheels"}
    assert "ferry_spark.worker is not an option of ferry_spark (did you mean worker" in found["typo"]
    assert "serverless, cluster" in found["engine"]
    assert "ferry_spark_wheels?" in found["wheels"]


def test_variables_that_nothing_reads_are_named_in_one_warning(monkeypatch: pytest.MonkeyPatch) -> None:
    """``ferry_dest_table`` went by unsaid, and the table got another name than its user wanted."""
    lines: list[str] = []
    monkeypatch.setattr(tables.Display, "warning", lambda _self, words: lines.append(words))
    more = {"ferry_dest_table": "x", "my_own": 1}
    hostvars = {name: {**SIDES, "ferry_zone": "own", **({} if name == "c" else more)} for name in ("a", "b", "c")}
    assert inventory_problems(hostvars, hostvars) == {}
    (line,) = lines
    assert "ferry_dest_table (a, b), ferry_zone (all tables)" in line
    assert "group_vars" in line and "-e" in line and "my_own" not in line
    many = {f"t{number}": {**SIDES, **({"ferry_dest_table": "x"} if number else {})} for number in range(9)}
    inventory_problems(many, many)
    assert "ferry_dest_table (t1, t2, t3 and 5 more)" in lines[1]
    # One that is close to a variable is refused, and one that is known is none.
    typo = {"a": {**SIDES, "ferry_destination_tabel": "x", "ferry_hosts": "g"}}
    assert "ferry_destination_table" in inventory_problems(typo, typo)["a"]
    assert len(lines) == 2


def test_secrets_are_not_repeated() -> None:
    hostvars = {
        "a": {**SIDES, "ferry_source": {"region": "eu-west-1", "secret_key": "topsecret", "nonsense": "topsecret"}}
    }
    assert "topsecret" not in inventory_problems(["a"], hostvars)["a"]


@pytest.mark.parametrize("name", OF_A_PAIR)
def test_what_is_read_from_one_table_of_an_account_pair_is_the_same_for_all(name: str) -> None:
    """The bucket went by the word of the first one, though another one said no."""
    unset, other = OF_A_PAIR[name], {"ferry_staging_days": 1, "ferry_source_kms_key_arns": ["arn:key"]}.get(name, True)
    elsewhere = {**SIDES, "ferry_destination": {**DESTINATION, "region": "us-east-1"}}
    hostvars = {
        "a": {**SIDES, name: other},
        "b": {**SIDES, name: str(unset).lower() if isinstance(unset, bool) else unset},
        "c": SIDES,
        "d": {**elsewhere, name: other},
        "e": {**elsewhere, name: str(other).lower() if isinstance(other, bool) else other},
    }
    found = inventory_problems(hostvars, hostvars)
    assert list(found) == ["a", "b", "c"]
    words = f"{name} is one for all tables that share their accounts, and they have different ones: "
    assert found["a"].startswith(f"a: {words}") and " for a; " in found["a"] and " for b, c; " in found["a"]
    assert found["a"].endswith("; give all of them the same. Correct the inventory and run again.")
    assert inventory_problems(["a", "d", "e"], hostvars) == inventory_problems(["b", "c"], hostvars) == {}


def test_safe_mode_of_one_table_keeps_what_its_account_pair_shares() -> None:
    hostvars: dict[str, dict[str, Any]] = {
        "a": {"ferry_safe_mode": False},
        "b": {},
        "c": {"ferry_safe_mode": "false"},
        "d": {"ferry_safe_mode": True, "cleanup_account_safe_mode": False},
    }
    for others, safe in (("ab", True), ("acd", False), ("a", False), ("ad", False)):
        assert pair_is_safe(dict.fromkeys(others, "a") | {"x": "x"}, {**hostvars, "x": {}}, "a") is safe


def test_two_tables_for_one_name() -> None:
    hostvars = {
        "a": SIDES,
        "b": {**SIDES, "ferry_destination_table": "a"},
        "c": {**SIDES, "ferry_destination_table": "a", "ferry_destination": {**DESTINATION, "region": "us-east-1"}},
        # A typo of its own makes it no rival of others.
        "d": {**SIDES, "ferry_table": "e", "ferry_destination_tabel": "other"},
        "e": SIDES,
    }
    found = inventory_problems(hostvars, hostvars)
    assert list(found) == ["a", "b", "d"]
    assert "a is also the destination table of b" in found["a"]
    assert "of TableFerry" in found["d"]


def test_hosts_that_are_merged_may_have_one_destination_table() -> None:
    steps = [{"set": {"id": "T#{id}"}}]
    merged = {**SIDES, "ferry_destination_table": "all", "ferry_merge": True, "ferry_transform": steps}
    merged["ferry_method"] = "direct"
    hostvars = {"a": merged, "b": {**merged, "ferry_merge": "yes"}}
    assert inventory_problems(hostvars, hostvars) == {}
    for other, words in (
        (
            {**merged, "ferry_merge": False},
            "all is also the destination table of a, b; set ferry_destination_table, or",
        ),
        ({**merged, "ferry_table": "a"}, "merged twice of the same source table, also by a"),
        ({**merged, "ferry_transform": []}, "set ferry_transform, with a step"),
        ({**merged, "ferry_migration_id": "other"}, "give them the same ferry_migration_id"),
        ({**merged, "ferry_method": "backup"}, "cannot change items on the way"),
    ):
        found = inventory_problems([*hostvars, "c"], {**hostvars, "c": other})
        assert words in found["c"], found
    twice = inventory_problems([*hostvars, "c"], {**hostvars, "c": {**merged, "ferry_table": "a"}})
    assert set(twice) == {"a", "c"}


def test_what_is_merged_needs_its_staging_until_its_own_part_is_done() -> None:
    merged = {**SIDES, "ferry_destination_table": "all", "ferry_merge": True, "ferry_method": "glue"}
    arn = "arn:aws:dynamodb:eu-west-1:111111111111:table/"
    row = {"name": "all", "state": "claimed", "copy_state": "there", "method": "glue", "job": ""}
    status = {"tables": [{**row, "parts": {f"{arn}a": "filled", f"{arn}b": "claimed"}}]}
    hostvars = {"a": merged, "b": merged, "c": merged}
    found = pair_tables(dict.fromkeys(hostvars, "a"), hostvars, "a", status)
    assert found == {"staged": ["b", "c"], "backed_up": [], "spark": ["b", "c"]}


def test_tables_of_one_backup_plan_want_it_alike() -> None:
    planned = {**SIDES, "ferry_backup_plan": True}
    hostvars = {"a": planned, "b": planned, "c": {**planned, "ferry_migration_id": "other", "ferry_copy_days": 30}}
    assert inventory_problems(hostvars, hostvars) == {}
    hostvars["d"] = {**planned, "ferry_copy_days": 30}
    problems = inventory_problems(hostvars, hostvars)
    assert set(problems) == {"a", "b", "d"}
    assert all("another ferry_migration_id" in words for words in problems.values())


def test_pair_tables_by_what_their_data_needs() -> None:
    pairs = {"a": "a", "b": "a", "c": "c"}
    hostvars = {
        "a": SIDES,
        "b": {**SIDES, "ferry_method": "backup", "ferry_table": "bees"},
        "c": {**SIDES, "ferry_method": "direct"},
    }
    assert pair_tables(pairs, hostvars, "a") == {"staged": ["a"], "backed_up": ["bees"], "spark": []}
    assert pair_tables(pairs, hostvars, "c") == {"staged": [], "backed_up": [], "spark": []}


def test_tables_that_spark_jobs_fill_need_a_role_besides_the_bucket() -> None:
    own = {"ferry_spark": {"role_arn": "arn:aws:iam::222222222222:role/mine"}}
    hostvars: dict[str, Any] = {
        "a": {**SIDES, "ferry_method": "glue"},
        "b": {**SIDES, "ferry_method": "emr", "ferry_spark": {"workers": 3}},
        "c": SIDES,
        "d": {**SIDES, "ferry_method": "glue", **own},
    }
    pairs = account_pairs(hostvars, hostvars)
    assert pairs == {"a": "a", "b": "a", "c": "a", "d": "d"}
    assert pair_tables(pairs, hostvars, "a") == {"staged": ["a", "b", "c"], "backed_up": [], "spark": ["a", "b"]}
    hostvars["a"] |= {
        "destination_account_staging": {"bucket": "b"},
        "destination_account_failures": {"spark": {"msg": "no role", "ferry_status": "failed"}},
        "migrate_tables": pair_tables(pairs, hostvars, "a"),
    }
    outlook = account_outlook(dict.fromkeys("abc", "a"), hostvars, {})
    assert {host: found["reason"] for host, found in outlook.items()} == {"a": "a: no role", "b": "b: no role", "c": ""}
    filling = [{"name": "c", "state": "filling", "method": "glue", "copy_state": "there"}]
    assert pair_tables(pairs, hostvars, "a", {"tables": filling})["spark"] == ["a", "b", "c"]


def test_a_table_needs_what_is_still_to_be_done_by_its_record() -> None:
    """A rerun with another method prepared the accounts for tables that were finished long since."""
    hosts = ("new", "begun", "filling", "done", "replaced", "gone", "handed")
    rows = [
        {"name": "begun", "state": "claimed", "method": "s3", "copy_state": "none"},
        {"name": "filling", "state": "filling", "method": "s3", "copy_state": "there"},
        {"name": "done", "state": "done", "method": "s3", "copy_state": "there"},
        {"name": "replaced", "state": "done", "method": "s3", "copy_state": "replaced"},
        {"name": "gone", "state": "done", "method": "s3", "copy_state": "deleted"},
        {"name": "handed", "state": "handed_over", "method": "s3", "copy_state": "there"},
    ]
    status = {"tables": rows}
    pairs = dict.fromkeys(hosts, "new")
    hostvars = {host: {**SIDES, "ferry_method": "backup"} for host in hosts}
    found = pair_tables(pairs, hostvars, "new", status)
    assert found == {"staged": ["filling"], "backed_up": ["new", "begun", "gone"], "spark": []}
    everything = {"staged": [], "backed_up": list(hosts), "spark": []}
    for unknown in ({}, {"skipped": True}, {"failed": True, "msg": "no"}, None):
        assert pair_tables(pairs, hostvars, "new", unknown) == everything


def test_a_table_that_stands_without_a_record_needs_nothing() -> None:
    """After all records were removed, a run that refused all tables put the statements back first."""
    rows = [
        {"name": "stands", "state": "no record", "method": "", "copy_state": "unknown", "job": ""},
        {"name": "comes", "state": "no record", "method": "", "copy_state": "unknown", "job": "import running"},
        {"name": "free", "state": "no record", "method": "", "copy_state": "none", "job": ""},
    ]
    hosts = ("stands", "comes", "free")
    pairs, hostvars = dict.fromkeys(hosts, "stands"), dict.fromkeys(hosts, SIDES)
    assert pair_tables(pairs, hostvars, "stands", {"tables": rows})["staged"] == ["comes", "free"]
    blind = {"tables": rows, "unseen": ["no permission for ListImports"]}
    assert pair_tables(pairs, hostvars, "stands", blind)["staged"] == list(hosts)


def test_a_table_that_was_cleaned_up_counts_by_what_its_record_says_too() -> None:
    made, nothing = {"recorded": True}, {"recorded": False}
    hostvars = {
        "a": {
            **SIDES,
            "ferry_method": "direct",
            "cleanup_table_removed": made,
            "cleanup_table_recovery_points": nothing,
        },
        "b": {**SIDES, "cleanup_table_removed": made, "cleanup_table_recovery_points": made},
    }
    found = pair_tables({"a": "a", "b": "a"}, hostvars, "a")
    assert found == {"staged": ["a", "b"], "backed_up": ["b"], "spark": []}
    hostvars["a"]["cleanup_table_removed"] = {**made, "job_role": True}
    assert pair_tables({"a": "a", "b": "a"}, hostvars, "a")["spark"] == ["a"]


def test_users_of_what_a_pair_shares_are_all_its_tables() -> None:
    pairs = {"a": "a", "b": "a", "c": "c"}
    hostvars = {"a": SIDES, "b": {**SIDES, "ferry_method": "direct", "ferry_destination_table": "bees"}, "c": SIDES}
    assert pair_users(pairs, hostvars, "a") == ["a", "bees"]
    assert pair_users(pairs, hostvars, "c") == ["c"]
    assert pair_users(pairs, hostvars, "a", ["b", "c"]) == ["bees"]  # those of a list of pair_tables


def test_outlook_tells_each_table_of_its_pair() -> None:
    staging = {"bucket": "b", "owner": "2" * 12, "kms_key_arn": ""}
    hostvars: dict[str, Any] = {
        "a": {"destination_account_staging": staging},
        "c": {"check_inventory_account_failure": {"msg": "no such role", "ferry_status": "failed", "task": "t"}},
        # What a table failed with on its own way is no matter of its pair.
        "x": {"report_migration_failure": {"msg": "mine"}, "destination_account_staging": staging},
        **{name: {} for name in ("b", "d", "y", "bad")},
    }
    pairs = {"a": "a", "b": "a", "c": "c", "d": "c", "x": "x", "y": "x", "bad": "a"}
    found = account_outlook(pairs, hostvars, {"bad": "bad: wrong"})
    assert found["b"] == {"staging": staging, "reason": "", "ferry_status": "refused"}
    assert found["d"] == {"staging": {}, "reason": "d: no such role", "ferry_status": "failed"}
    assert found["y"]["reason"] == ""
    assert found["bad"]["reason"] == "bad: wrong"


def test_h6_a_table_is_stopped_only_by_what_it_needs() -> None:
    """found.md H6: a bucket that could not be made failed the direct and backup tables of its accounts too."""
    bucket, vault, caller = (
        {"msg": text, "ferry_status": "failed", "task": "t"} for text in ("no bucket", "no vault", "")
    )
    prepared = {"staged": ["a", "late"], "backed_up": ["b", "half"], "spark": []}
    staging = {"bucket": "b", "owner": "2" * 12}
    first = {"destination_account_staging": staging, "destination_account_failures": {"staged": bucket}}
    methods = {"a": "s3", "b": "backup", "c": "direct", "half": "s3", "late": "", "done": "s3"}
    hostvars: dict[str, Any] = {host: {"ferry_method": method} for host, method in methods.items()}

    def stopped(**more: Any) -> dict[str, str]:
        found = account_outlook(dict.fromkeys(methods, "a"), {**hostvars, "a": {**hostvars["a"], **first, **more}}, {})
        return {host: row["reason"] for host, row in found.items() if row["reason"]}

    assert set(stopped()) == {"a", "half", "late", "done"}
    assert stopped(migrate_tables=prepared) == {"a": "a: no bucket", "late": "late: no bucket"}
    more = {"source_account_failures": {"backed_up": vault}, "migrate_tables": prepared}
    assert set(stopped(**more)) == {"a", "late", "b", "half"}
    assert "c" in stopped(source_account_failures={"staged": caller, "direct": {**caller, "msg": "no grant"}})


ARN = "arn:aws:dynamodb:eu-west-1:111111111111:table/Orders.2024"


def test_d7_a_table_may_be_named_by_its_arn() -> None:
    assert (table_name(ARN), table_name("Orders")) == ("Orders.2024", "Orders")
    assert table_names("host", {"ferry_table": ARN}) == ("Orders.2024", "Orders.2024")
    assert table_names("host", {"ferry_table": ARN, "ferry_destination_table": "new"}) == ("Orders.2024", "new")
    gov = "arn:aws-us-gov:dynamodb:us-gov-west-1:111111111111:table/t"
    hostvars = {
        "a": {**SIDES, "ferry_table": ARN},
        # Across partitions only a direct copy goes.
        "gov": {
            **SIDES,
            "ferry_table": gov,
            "ferry_source": '{"region": "us-gov-west-1", "profile": "p"}',
            "ferry_method": "direct",
        },
    }
    assert inventory_problems(hostvars, hostvars) == {}


@pytest.mark.parametrize(
    ("table", "source", "words"),
    [
        (f"{ARN}/index/by-day", {}, "no ARN of a table"),
        ("arn:aws:s3:::bucket", {}, "no ARN of a table"),
        (ARN, {"region": "us-east-1"}, "another Region"),
        (ARN, {"region": ""}, "must say its Region"),
        (ARN, {"account_id": "222222222222"}, "another account"),
        (ARN, {"profile": "", "role_arn": "arn:aws:iam::222222222222:role/ferry"}, "another account"),
    ],
)
def test_d7_an_arn_is_of_the_source(table: str, source: dict[str, str], words: str) -> None:
    hostvars = {"a": {**SIDES, "ferry_table": table, "ferry_source": {**SOURCE, **source}}}
    assert words in inventory_problems(["a"], hostvars)["a"]


def test_d7_an_arn_is_of_the_account_that_the_credentials_belong_to() -> None:
    staging = {"bucket": "b", "owner": "2" * 12, "source_account_id": "3" * 12}
    hostvars = {
        name: {"ferry_table": table, "destination_account_staging": staging}
        for name, table in (("other", ARN), ("same", ARN.replace("1" * 12, "3" * 12)), ("name", "Orders"))
    }
    found = account_outlook(dict.fromkeys(hostvars, "other"), hostvars, {})
    assert "account 111111111111" in found["other"]["reason"] and "333333333333" in found["other"]["reason"]
    assert (found["other"]["ferry_status"], found["same"]["reason"], found["name"]["reason"]) == ("refused", "", "")


def test_d4_an_account_given_as_text_is_the_same_account() -> None:
    texts = {"a": SIDES, "b": {**SIDES, "ferry_source": json.dumps(SOURCE)}}
    texts["c"] = {**SIDES, "ferry_source": "region=eu-west-1 profile=old"}
    assert inventory_problems(texts, texts) == {}
    assert set(account_pairs(texts, texts).values()) == {"a"}
    assert account_options(texts["b"]["ferry_source"]) == account_options(texts["c"]["ferry_source"]) == SOURCE
    rivals = {
        "a": {**SIDES, "ferry_table": "t"},
        "b": {**SIDES, "ferry_destination": json.dumps(DESTINATION), "ferry_table": "t"},
    }
    assert set(inventory_problems(rivals, rivals)) == {"a", "b"}


class Vaulted(Sequence[str]):
    """An inline !vault value as ansible-core 2.18 has it: a sequence of letters that is no text."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __getitem__(self, index: Any) -> Any:
        return self.text[index]

    def __len__(self) -> int:
        return len(self.text)

    def __str__(self) -> str:
        return self.text


def test_d4_inline_vault_values_are_texts() -> None:
    vaulted = {**SIDES, "ferry_source": {**SOURCE, "profile": Vaulted("old")}, "ferry_leave_indexes": [Vaulted("i")]}
    assert plain(vaulted) == {**SIDES, "ferry_leave_indexes": ["i"]}
    assert inventory_problems(["a"], {"a": vaulted}) == {}
    assert account_pairs(["a", "b"], {"a": SIDES, "b": vaulted}) == {"a": "a", "b": "a"}


def test_c7_d6_a_host_is_no_path() -> None:
    assert file_name("orders") == "orders"
    for host in ("../../victim", "h" * 260):
        assert "/" not in file_name(host) and len(file_name(host)) < 150


def test_open_jobs_only() -> None:
    def result(state: str) -> dict[str, Any]:
        return {"started": {"job": {"kind": "export", "state": state}}}

    hostvars = {
        "pending": {**SIDES, **result("pending")},
        "running": result("running"),
        "done": {**SIDES, **result("completed")},
        "planned": {**SIDES, **result("planned")},
        "failed": {**SIDES, "started": {"failed": True, "msg": "no"}},
        "absent": SIDES,
    }
    found = open_jobs(hostvars, hostvars, "started", {"region": "x"}, {"region": "y"})
    assert [(job["name"], job["source"]["region"], job["destination"]["region"]) for job in found] == [
        ("pending", "eu-west-1", "eu-west-1"),
        ("running", "x", "y"),
    ]


def test_a_pair_is_clean_when_all_its_tables_are() -> None:
    clean = {"cleanup_table_removed": {"changed": True, "left": []}}
    failed = {"cleanup_table_removed": {"failed": False, "msg": "a job is running", "failed_when_result": False}}
    pairs = {"a": "a", "b": "a", "c": "c"}
    hostvars: dict[str, Any] = {"a": clean, "b": clean, "c": failed}
    assert all_clean(pairs, hostvars, "a", ["a", "b", "c"])
    assert not all_clean(pairs, hostvars, "c", ["a", "b", "c"])
    assert not all_clean(pairs, {**hostvars, "b": {}}, "a", ["a", "b", "c"])
    assert not all_clean(pairs, hostvars, "a", ["a", "b", "c", "left out by limit"])


@pytest.mark.parametrize(
    ("method", "needs"), [("auto", "staged"), ("", "staged"), (None, "staged"), ("backup", "backed_up"), ("direct", "")]
)
def test_what_the_data_of_a_method_needs(method: str | None, needs: str) -> None:
    assert data_needs(method) == needs


@pytest.mark.parametrize(("value", "known"), [(True, True), ("no", False), ("False", False), ("1", True), (0, False)])
def test_switches_are_read_as_modules_read_them(value: Any, known: bool) -> None:
    assert tables.switch(value) is known


def test_switches_of_a_plan_that_are_wrong_are_told_in_words() -> None:
    assert tables.plan_switches({"ferry_plan_strict": "no", "ferry_safe_mode": "maybe"}) == ""
    assert tables.plan_switches({"ferry_plan_strict": "maybe", "plan_tables_show": 7}) == (
        "ferry_plan_strict is 'maybe', which is neither true nor false: use one of these."
        " plan_tables_show is 7, which is neither true nor false: use one of these."
    )


@pytest.mark.parametrize(
    ("value", "known"), [(True, "true"), ("no", "false"), ("False", "false"), ("1", "true"), ("racing", "racing")]
)
def test_repairs_are_switches_that_may_race(value: Any, known: str) -> None:
    assert tables.repairs(value) == known


@pytest.mark.parametrize("value", ["race", "", None, []])
def test_what_is_no_way_to_repair_is_not_taken_for_false(value: Any) -> None:
    with pytest.raises(AnsibleFilterError, match="none of true, false and racing"):
        tables.repairs(value)


@pytest.mark.parametrize("value", ["tru", "", None, [], "2"])
def test_d8_what_is_no_switch_is_not_taken_for_false(value: Any) -> None:
    with pytest.raises(AnsibleFilterError, match="neither true nor false"):
        tables.switch(value)
