# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The accounts of an inventory: each rendered once, asked once, and compared by what AWS says it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleError

from ansible_collections.tableferry.aws.plugins.filter.report import run_places
from ansible_collections.tableferry.aws.plugins.filter.sides import inventory_sides, known_sides, side_options
from ansible_collections.tableferry.aws.plugins.filter.status import status_places
from ansible_collections.tableferry.aws.plugins.filter.tables import account_pairs, inventory_problems, open_jobs
from ansible_collections.tableferry.aws.plugins.filter.together import (
    tables_to_judge,
    tables_to_start,
    tables_to_wait,
)
from ansible_collections.tableferry.aws.plugins.plugin_utils.sides import OWN, RenderedSides, call_log_path, spelling

ROOT = Path(__file__).parents[3]
LOOKUP = "{{ lookup('vault', 'legacy') | from_json }}"
REGION = {"region": "eu-west-1"}
DESTINATION = {**REGION, "access_key": "AKIAD", "secret_key": "x"}


def test_h5_tags_go_into_both_accounts_and_say_nothing_about_whose_they_are() -> None:
    """found.md H5."""
    own = {**REGION, "tags": {"team": "data", "env": "test"}}
    tables = {
        "one": {"ferry_source": REGION, "ferry_destination": own, "ferry_tags": {"team": "all", "cost": "7"}},
        "two": {"ferry_source": REGION, "ferry_destination": DESTINATION, "ferry_table": "one"},
        "bad": {"ferry_source": REGION, "ferry_destination": own, "ferry_tags": {"team": 7}},
        "worse": {"ferry_source": REGION, "ferry_destination": own, "ferry_tags": {"aws:team": "x"}},
    }
    sides = inventory_sides(tables, tables)
    assert side_options(sides, "one", "ferry_source") == {**REGION, "tags": {"team": "all", "cost": "7"}}
    assert side_options(sides, "one", "ferry_destination")["tags"] == {"team": "data", "env": "test", "cost": "7"}
    assert side_options(sides, "two", "ferry_source") == REGION
    problems = inventory_problems(tables, tables)
    assert "the tag team is not text" in problems["bad"] and "reserved prefix" in problems["worse"]
    rivals = {**tables, "two": {**tables["two"], "ferry_destination": REGION}}
    assert "also the destination table of" in inventory_problems(rivals, rivals)["two"]


class Hosts(Mapping[str, Mapping[str, Any]]):
    """hostvars whose ``ferry_source`` is a lookup: it is counted, and gives other keys each time."""

    def __init__(self, raw: dict[str, dict[str, Any]], error: str = "") -> None:
        self.raw, self.error, self.lookups = raw, error, 0

    def raw_get(self, host: str) -> dict[str, Any]:
        return self.raw[host]

    def __getitem__(self, host: str) -> Mapping[str, Any]:
        return Rendered(self, self.raw[host])

    def __iter__(self) -> Iterator[str]:
        return iter(self.raw)

    def __len__(self) -> int:
        return len(self.raw)


class Rendered(dict[str, Any]):
    def __init__(self, hosts: Hosts, raw: dict[str, Any]) -> None:
        super().__init__(raw)
        self.hosts = hosts

    def __getitem__(self, name: str) -> Any:
        value = super().__getitem__(name)
        if value != LOOKUP:
            return value
        self.hosts.lookups += 1
        if self.hosts.error:
            raise AnsibleError(self.hosts.error)
        return {**REGION, "access_key": f"AKIA{self.hosts.lookups}", "secret_key": "x"}


def many(number: int = 100, **more: Any) -> dict[str, dict[str, Any]]:
    return {
        f"table{at}": {"ferry_source": LOOKUP, "ferry_destination": DESTINATION, "inventory_hostname": at, **more}
        for at in range(number)
    }


def session(account: str, who: str = "user/ada") -> dict[str, str]:
    return {"account_id": account, "principal_arn": f"arn:aws:iam::{account}:{who}"}


def test_h11_a_lookup_for_many_tables_runs_once_in_each_filter() -> None:
    job = {"kind": "export", "name": "t", "state": "running"}
    begun = {"changed": True, "job": job, "then": [], "record": {"table": "t", "record_table": "tableferry"}}
    hosts = Hosts(many(started=begun, move_table_started=begun))
    outlook = {host: {"reason": "", "staging": {}} for host in hosts}
    started = {"tables": dict.fromkeys(hosts, begun)}
    sides = inventory_sides(hosts, hosts)
    assert hosts.lookups == 1
    assert inventory_problems(hosts, hosts, sides) == {}
    assert set(account_pairs(hosts, hosts, sides).values()) == {"table0"}
    assert len(tables_to_start(hosts, hosts, outlook, sides)) == 100
    run_places(hosts, hosts)
    status_places(dict.fromkeys(hosts, "table0"), hosts)
    assert hosts.lookups == 1
    for at, ask in enumerate(
        (
            lambda: tables_to_start(hosts, hosts, outlook),
            lambda: tables_to_wait(hosts, hosts, outlook, started),
            lambda: tables_to_judge(hosts, hosts, outlook, started, {}),
            lambda: open_jobs(hosts, hosts, "started"),
            lambda: list(account_pairs(hosts, hosts)),
            lambda: list(inventory_problems(hosts, hosts)) or [1] * 100,
        )
    ):
        assert len(ask()) == 100
        assert hosts.lookups == at + 2


def test_h11_a_lookup_that_fails_is_not_repeated_for_every_table() -> None:
    hosts = Hosts(many(), error="the vault is sealed")
    sides = inventory_sides(hosts, hosts)
    problems = inventory_problems(hosts, hosts, sides)
    assert hosts.lookups == 1
    assert len(problems) == 100
    assert all(
        "ferry_source or ferry_destination cannot be read: the vault is sealed" in words for words in problems.values()
    )
    assert account_pairs(hosts, hosts, sides) == {}


def test_h11_fresh_keys_of_one_account_do_not_hide_that_two_tables_claim_one_name() -> None:
    raw = {
        "a": {"ferry_source": LOOKUP, "ferry_destination": {**DESTINATION, "session_token": "1"}},
        "b": {
            "ferry_source": LOOKUP,
            "ferry_destination": {**DESTINATION, "access_key": "ASIAOTHER", "session_token": "2"},
            "ferry_destination_table": "a",
        },
    }
    hosts = Hosts(raw)
    sides = inventory_sides(hosts, hosts)
    assert inventory_problems(hosts, hosts, sides) == {}
    source, first, second = ([session(account)] for account in ("1" * 12, "2" * 12, "2" * 12))
    known = known_sides(sides, [*source, *first, *second])
    assert set(inventory_problems(hosts, hosts, known)) == {"a", "b"}
    assert account_pairs(hosts, hosts, known) == {"a": "a", "b": "a"}


@pytest.mark.parametrize(
    ("change", "who", "same_name", "same_pair"),
    [
        ({"endpoint_url": "http://lab"}, "user/ada", False, False),
        ({"region": "us-east-1"}, "user/ada", False, False),
        ({"account_id": "2" * 12}, "user/ada", True, True),
        # Statements and grants name the principal: another one needs its own.
        ({"access_key": "AKIAOTHER"}, "role/other", True, False),
    ],
)
def test_h11_accounts_are_compared_by_id_region_and_endpoint(
    change: dict[str, str], who: str, same_name: bool, same_pair: bool
) -> None:
    raw = {
        "a": {"ferry_source": LOOKUP, "ferry_destination": DESTINATION},
        "b": {
            "ferry_source": LOOKUP,
            "ferry_destination": {**DESTINATION, **change},
            "ferry_destination_table": "a",
        },
    }
    hosts = Hosts(raw)
    sides = inventory_sides(hosts, hosts)
    known = known_sides(sides, [session("1" * 12), session("2" * 12), session("2" * 12, who)])
    assert bool(inventory_problems(hosts, hosts, known)) is same_name
    assert len(set(account_pairs(hosts, hosts, known).values())) == (1 if same_pair else 2)


def test_h11_an_account_that_does_not_answer_is_compared_by_what_is_written() -> None:
    hosts = Hosts(many(3))
    sides = known_sides(inventory_sides(hosts, hosts), [{"failed": True, "msg": "no"}, {"skipped": True}])
    assert set(account_pairs(hosts, hosts, sides).values()) == {"table0"}
    assert side_options(sides, "table2", "ferry_destination") == DESTINATION
    known = known_sides(inventory_sides(hosts, hosts), [session("1" * 12), session("2" * 12)])
    assert side_options(known, "table2", "ferry_destination") == {**DESTINATION, "account_id": "2" * 12}
    assert side_options(sides, "table2", "ferry_management") == side_options(sides, "nobody", "ferry_source") == {}


@pytest.mark.parametrize(
    ("value", "first", "second", "same"),
    [
        ({"profile": "p"}, {}, {"other": 1}, True),
        ("{{ side }}", {"side": {"profile": "p"}}, {"side": {"profile": "p"}}, True),
        ("{{ side }}", {"side": {"profile": "p"}}, {"side": {"profile": "q"}}, False),
        ("{{ side }}", {"side": "{{ deep }}", "deep": 1}, {"side": "{{ deep }}", "deep": 2}, False),
        ({"profile": "{{ inventory_hostname }}"}, {"inventory_hostname": "a"}, {"inventory_hostname": "b"}, False),
        (LOOKUP, {"inventory_hostname": "a"}, {"inventory_hostname": "b"}, True),
        (LOOKUP, {"ansible_vault_token": "a"}, {"ansible_vault_token": "b"}, False),
        (LOOKUP, {"move_table_started": "a"}, {"migrate_tables": "b", "ferry_method": "s3"}, True),
        ("{{ lookup('env', ferry_table) }}", {"ferry_table": "a"}, {"ferry_table": "b"}, False),
        ("{{ hostvars[inventory_hostname].keys }}", {}, {}, False),
        ("{{ lookup('vars', 'of_' ~ 'me') }}", {"of_me": 1}, {"of_me": 2}, False),
        ("{{ lookup('template', 'keys.j2') }}", {"ferry_table": "a"}, {"ferry_table": "b"}, False),
        ("{% if x %}{{ a }}{% endif %}", {"x": 1, "a": 1}, {"x": 0, "a": 1}, False),
    ],
)
def test_h11_an_account_is_shared_only_where_all_that_it_is_made_of_is_equal(
    value: Any, first: dict[str, Any], second: dict[str, Any], same: bool
) -> None:
    texts = [spelling("ferry_source", {**more, "ferry_source": value}) for more in (first, second)]
    assert bool(texts[0] and texts[0] == texts[1]) is same


def test_what_roles_keep_for_a_host_makes_no_account_another_one() -> None:
    roles = {f"{path.name}_" for path in (ROOT / "roles").iterdir()}
    assert set(OWN) == {*roles, "ferry_", "migrate_"}


def test_an_account_may_be_a_text_that_ansible_reads_as_one() -> None:
    hosts = {"a": {"ferry_source": "region=eu-west-1 profile=p", "ferry_destination": '{"region": "eu-west-1"}'}}
    assert RenderedSides(hosts).of("a") == {
        "ferry_source": {"region": "eu-west-1", "profile": "p"},
        "ferry_destination": {"region": "eu-west-1"},
    }


def test_h13_another_partition_is_refused_with_the_inventory_and_direct_tables_of_the_pair_go_on() -> None:
    china = {**DESTINATION, "region": "cn-north-1"}
    sides = {"ferry_source": {**DESTINATION, "region": "eu-west-1"}, "ferry_destination": china}
    hosts = {
        "moved": {**sides, "ferry_method": "direct"},
        "staged": {**sides, "ferry_method": "s3"},
        "usual": sides,
        "saved": {**sides, "ferry_method": "backup"},
        "home": {**sides, "ferry_source": {**china, "region": "cn-northwest-1"}},
    }
    problems = inventory_problems(hosts, hosts)
    assert set(problems) == {"staged", "saved"}  # what is left open is direct then
    assert "the method s3 does not work between the partitions aws and aws-cn of the two Regions" in problems["staged"]
    assert "set ferry_method: direct" in problems["saved"]


def test_h13_a_region_that_does_not_exist_is_refused_with_the_inventory() -> None:
    hosts = {"a": {"ferry_source": {**DESTINATION, "region": "nowhere"}, "ferry_destination": DESTINATION}}
    assert "ferry_source: The Region 'nowhere'" in inventory_problems(hosts, hosts)["a"]


def test_h10_a_profile_that_would_ask_a_person_is_refused_with_the_inventory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "config").write_text(
        "[profile legacy]\nrole_arn = arn:aws:iam::111111111111:role/x\nsource_profile = base\n"
        "mfa_serial = arn:aws:iam::111111111111:mfa/ada\n"
        "[profile base]\naws_access_key_id = A\naws_secret_access_key = x\n"
    )
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    hosts = {
        "a": {"ferry_source": {**REGION, "profile": "legacy"}, "ferry_destination": DESTINATION},
        "b": {"ferry_source": {**REGION, "profile": "base"}, "ferry_destination": DESTINATION},
    }
    problems = inventory_problems(hosts, hosts)
    assert set(problems) == {"a"}
    assert "asks a person for the code of an MFA device" in problems["a"]


def test_calls_are_noted_in_the_folder_of_the_report(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    places = {"kept": tmp_path / "kept", "": tmp_path}
    for report_dir, folder in places.items():
        assert Path(call_log_path(True, report_dir)).parent == folder
    assert call_log_path(False, "kept") == ""
    host = {"ferry_source": REGION, "ferry_debug_calls": True}
    sides = RenderedSides({"host": host}).of("host")
    assert Path(sides["ferry_source"]["call_log"]).parent == tmp_path / "tableferry-report"
