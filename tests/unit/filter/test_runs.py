# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What concerns a run as a whole is read from one table: it must be the same for all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.inventory.manager import InventoryManager
from ansible.parsing.dataloader import DataLoader

from ansible_collections.tableferry.aws.plugins.filter.runs import OF_A_RUN, host_patterns, run_variables
from ansible_collections.tableferry.aws.plugins.filter.tables import VARIABLES

ROLES = Path(__file__).parents[3] / "roles"


def test_tables_that_differ_in_what_concerns_the_whole_run_are_named() -> None:
    hostvars: dict[str, dict[str, Any]] = {
        "orders": {"ferry_plan": "one.json", "ferry_method": "s3"},
        "users": {"ferry_plan": "two.json", "ferry_method": "direct"},
        **{f"table-{number}": {} for number in range(5)},
    }
    assert run_variables(["orders"], hostvars) == run_variables([], hostvars) == ""
    assert run_variables(hostvars, hostvars) == (
        "ferry_plan is one for all tables of a run, and they have different ones: one.json for orders; two.json for"
        " users; none for table-0, table-1, table-2 and 2 more. Give all of them the same, as with -e ferry_plan=VALUE,"
        " or run them apart with --limit."
    )


@pytest.mark.parametrize("name", OF_A_RUN)
def test_what_means_the_same_is_no_difference(name: str) -> None:
    unset = OF_A_RUN[name]
    text = str(unset).lower() if isinstance(unset, bool) else unset
    assert run_variables("ab", {"a": {}, "b": {name: text}}) == ""
    other = not unset if isinstance(unset, bool) else ["other"]
    assert run_variables("ab", {"a": {}, "b": {name: other}}).startswith(f"{name} is one for all tables")


def test_a_template_that_comes_to_another_text_for_each_table_is_named_with_what_to_do() -> None:
    class Rendered(dict[str, dict[str, Any]]):
        """As Ansible's: a template comes to another text each time."""

        def raw_get(self, host: str) -> dict[str, Any]:
            return {"ferry_report_dir": "report-{{ now().isoformat() }}"} if self[host] else {}

    hostvars = Rendered({str(second): {"ferry_report_dir": f"report-{second}"} for second in range(9)})
    assert run_variables(hostvars, hostvars) == (
        "ferry_report_dir is one for all tables of a run, and they have different ones: report-0 for 0; report-1 for 1;"
        " report-2 for 2; and 6 more. A template is worked out for each table anew, and with the time or a table's name"
        " in it comes to something else each time. Give all of them one text, as with"
        ' -e "ferry_report_dir=NAME-$(date +%F-%H%M)", or run them apart with --limit.'
    )


def test_patterns_match_the_hosts_of_these_names_and_no_others() -> None:
    names = [
        "orders", "a.b", "0", "bad host", "bad-host", "bad", "host", "a,b", "a:b", "a:22", "a", "!a", "&a", "~a",
        "b[1]", "b1", "*", "c?", "cc", "a\\b", "a\nb", "<img src=x>", "été 2", "$x^", "-a", "ab", "{{ x }}", "(a|b)",
    ]  # fmt: skip
    inventory = InventoryManager(loader=DataLoader())
    for name in names:
        inventory._inventory.add_host(name)
    for name in names:
        (pattern,) = host_patterns([name])
        assert [host.name for host in inventory.get_hosts([pattern])] == [name], pattern
    assert [host.name for host in inventory.get_hosts(host_patterns(names))] == names
    assert host_patterns(["orders", "a.b"]) == ["orders", "a.b"]


def test_a_long_value_is_cut() -> None:
    words = run_variables("ab", {"a": {"ferry_plan": "x" * 9999}, "b": {"ferry_plan": "y" * 9999}})
    assert len(words) < 400


def test_defaults_are_those_of_the_roles() -> None:
    assert set(OF_A_RUN) <= set(VARIABLES)
    texts = {
        str(value) for path in ROLES.glob("*/defaults/main.yml") for value in yaml.safe_load(path.read_text()).values()
    }
    for name, unset in OF_A_RUN.items():
        written = repr(unset).lower() if isinstance(unset, bool) else repr(unset)
        assert any(f"{{{{ {name} | default({written})" in text for text in texts), name
