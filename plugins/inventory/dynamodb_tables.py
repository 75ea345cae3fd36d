# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The inventory plugin: options in, hosts, groups and variables out."""

from __future__ import annotations

DOCUMENTATION = r"""
name: dynamodb_tables
short_description: The DynamoDB tables of the source accounts as hosts
version_added: 0.3.0
author:
  - TableFerry contributors (@tableferry)
description:
  - Makes a host of each DynamoDB table in one or more accounts and Regions, for the playbooks of this collection.
  - The name of the file must end in C(dynamodb_tables.yml) or C(dynamodb_tables.yaml), alone or after a dot, such as
    C(shop.dynamodb_tables.yml).
  - Nothing is changed in any account. Tables that are being deleted are left out.
  - A host is named after its table. With several Regions the Region follows, with several O(sources) the account too,
    such as C(orders.eu-west-1.111111111111). A name that Ansible would
    take for something else gets C(table_) before it.
  - All hosts are in the group C(dynamodb_tables), and in one for each account and Region, such as
    C(dynamodb_111111111111_eu_west_1), whose variable C(ferry_source) has the options of that account.
    Variables in C(group_vars) of these groups win.
  - Hosts have C(ferry_table) and the facts C(dynamodb_table_name), C(dynamodb_table_arn), C(dynamodb_table_id),
    C(dynamodb_table_account_id), C(dynamodb_table_region), C(dynamodb_table_status), C(dynamodb_table_item_count),
    C(dynamodb_table_size_bytes), C(dynamodb_table_billing_mode), C(dynamodb_table_table_class), C(dynamodb_table_key),
    C(dynamodb_table_global_indexes), C(dynamodb_table_local_indexes), C(dynamodb_table_stream),
    C(dynamodb_table_kms_key_arn), C(dynamodb_table_deletion_protection), C(dynamodb_table_replicas), and
    C(dynamodb_table_tags) where tags were read. AWS counts items and bytes about every six hours.
  - With O(destination) they also have C(dynamodb_table_records), the rows that
    M(tableferry.aws.migration_status_info) returns for the table, and C(dynamodb_table_record_state), the state of its
    record, C(none) without one, and C(source_replaced) where the record is about a table of this name that was
    deleted since. Of several destinations of one table it is the state of the one that is least far. Of a destination
    that is merged of several sources the row has what is known of the table's own part.
    They are missing, with a warning, where the record cannot be read.
notes:
  - The caller needs C(dynamodb:ListTables) and C(dynamodb:DescribeTable), for tags C(dynamodb:ListTagsOfResource), and
    for the record C(dynamodb:DescribeTable) and C(dynamodb:Scan) of the record table.
  - Where a Region cannot be listed in full, there is no host at all rather than some. Ansible only warns of an
    inventory that it cannot read; with E(ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED) set to C(true) it ends.
  - Tables are described at most 50 a second, tags read at most 10 a second; C(-v) shows how far it is.
  - What O(source), O(sources) and O(destination) contain becomes a variable, which C(ansible-inventory --list) shows.
    Use profiles or roles rather than keys. The cache has no options of accounts in it.
extends_documentation_fragment:
  - tableferry.aws.accounts
  - tableferry.aws.accounts.source
  - tableferry.aws.accounts.destination
  - ansible.builtin.constructed
  - ansible.builtin.inventory_cache
options:
  plugin:
    description:
      - The name of this plugin.
    type: str
    required: true
    choices: [tableferry.aws.dynamodb_tables]
  sources:
    description:
      - Several accounts, each as in O(source). C(regions) in one of them takes the place of O(regions) for it.
      - Mutually exclusive with O(source).
    type: list
    elements: dict
    default: []
  regions:
    description:
      - The Regions to list for a source without a Region of its own; otherwise O(region). Refused where every source
        has one of its own.
    type: list
    elements: str
    default: []
  include:
    description:
      - Shell patterns for names of tables, or regular expressions after a C(~), of which one must match the whole
        name. Without any all tables are listed.
    type: list
    elements: str
    default: []
  exclude:
    description:
      - Patterns as in O(include) for names of tables to leave out.
    type: list
    elements: str
    default: []
  include_tags:
    description:
      - Keys of tags, each with a pattern as in O(include) for its value. A table must have all of them.
    type: dict
    default: {}
  exclude_tags:
    description:
      - Keys of tags, each with a pattern as in O(include) for its value. A table with one of them is left out.
    type: dict
    default: {}
  min_size:
    description:
      - The least size of a table, in bytes or with a unit, such as C(500M) or C(10G), by factors of 1024.
    type: str
  max_size:
    description:
      - The largest size of a table, likewise.
    type: str
  billing_mode:
    description:
      - List only tables of this billing mode.
    type: str
    choices: [PROVISIONED, PAY_PER_REQUEST]
  read_tags:
    description:
      - Read the tags of all tables, a call for each. They are read in any case where O(include_tags) or
        O(exclude_tags) need them.
      - Without the permission the tables are listed without tags, and a warning says so; where these options need
        them, nothing is listed.
    type: bool
    default: false
  record_table:
    description:
      - The table of the records in the destination account.
    type: str
    default: tableferry
"""

EXAMPLES = r"""
# All tables of one account and Region; legacy.dynamodb_tables.yml
plugin: tableferry.aws.dynamodb_tables
source:
  profile: legacy
  region: eu-west-1

---
# Two Regions of an account; without archives, of a team, smaller than 100 GiB; and how far each is.
plugin: tableferry.aws.dynamodb_tables
source:
  profile: legacy
regions:
  - eu-west-1
  - us-east-1
exclude:
  - "*-archive"
  - ~tmp_\d+
include_tags:
  team: shop*
max_size: 100G
destination:
  role_arn: arn:aws:iam::222222222222:role/ferry
  external_id: moving-day
  region: eu-west-1
keyed_groups:
  - key: dynamodb_table_record_state
    prefix: record
  - key: dynamodb_table_billing_mode | lower
    prefix: ""
    separator: ""
groups:
  with_local_indexes: dynamodb_table_local_indexes | length > 0
compose:
  ferry_method: "'backup' if dynamodb_table_local_indexes else 's3'"

---
# Several accounts, and a cache of an hour.
plugin: tableferry.aws.dynamodb_tables
sources:
  - profile: shop
    region: eu-west-1
  - profile: billing
    regions: [eu-west-1, us-east-1]
cache: true
cache_plugin: ansible.builtin.jsonfile
cache_connection: ~/.cache/tableferry
cache_timeout: 3600
compose:
  ferry_destination_table: dynamodb_table_account_id ~ '-' ~ dynamodb_table_name
"""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.errors import AnsibleParserError
from ansible.module_utils.common.text.formatters import human_to_bytes
from ansible.plugins.inventory import BaseInventoryPlugin, Cacheable, Constructable
from ansible.utils.unsafe_proxy import wrap_var

from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import FerryError, InvalidInput
from ansible_collections.tableferry.aws.plugins.module_utils.core.table.listing import host_names
from ansible_collections.tableferry.aws.plugins.module_utils.glue import inventory as glue
from ansible_collections.tableferry.aws.plugins.module_utils.glue.accounts import settings_of
from ansible_collections.tableferry.aws.plugins.module_utils.glue.spec import ACCOUNT_OPTIONS
from ansible_collections.tableferry.aws.plugins.plugin_utils.hostvars import plain

GROUP = "dynamodb_tables"
_RESERVED = ("all", "ungrouped", "localhost", "127.0.0.1", GROUP)
_ACCOUNTS = ("source", "sources", "destination")


class InventoryModule(BaseInventoryPlugin, Constructable, Cacheable):
    """Tables as hosts."""

    NAME = "tableferry.aws.dynamodb_tables"

    def verify_file(self, path: str) -> bool:
        """Whether the file's name is one of this plugin's."""
        name = Path(path).name
        ends = ("dynamodb_tables.yml", "dynamodb_tables.yaml")
        return bool(super().verify_file(path)) and (name in ends or name.endswith(tuple(f".{end}" for end in ends)))

    def parse(self, inventory: Any, loader: Any, path: str, cache: bool = True) -> None:
        """Fill ``inventory``. Raises AnsibleParserError with what is wrong, and what to do."""
        super().parse(inventory, loader, path, cache)
        written = self._read_config_data(path)
        try:
            self._fill(written, path, cache)
        except FerryError as error:
            raise AnsibleParserError(f"{path}: {error}") from error

    def _fill(self, written: Mapping[str, Any], path: str, cache: bool) -> None:
        known = self.option_definitions
        glue.require_known(written, known, "The inventory")
        options = self._rendered(known)
        wish = glue.wish_of(options, human_to_bytes)
        keep, key = self.get_option("cache"), self.get_cache_key(path)
        cached = self._cache[key] if keep and cache and key in self._cache else {}
        found = glue.find(options, wish, cached, lambda line: self.display.v(f"dynamodb_tables: {line}"))
        if keep:
            self._cache[key] = glue.to_cache(found, wish, options["read_tags"])
        for warning in (warning for each in found for warning in each.listing.warnings):
            self.display.warning(warning)
        self._add(glue.distinct(found), self._records(options) if options.get("destination") else None, options)

    def _rendered(self, known: Mapping[str, Any]) -> dict[str, Any]:
        """The options, with the templates in those of accounts."""
        options = {name: self.get_option(name) for name in known}
        shared = set(ACCOUNT_OPTIONS) & set(options)
        return {
            name: plain(self.templar.template(value)) if value and name in {*_ACCOUNTS, *shared} else plain(value)
            for name, value in options.items()
        }

    def _records(self, options: Mapping[str, Any]) -> dict[str, list[dict[str, Any]]] | None:
        """The records by source; None, with a warning, where they cannot be read."""
        try:
            return glue.records(options)
        except InvalidInput:
            raise
        except FerryError as error:
            self.display.warning(f"The inventory comes without the states of the records. {error}")
            return None

    def _add(
        self, found: list[glue.Found], records: Mapping[str, list[dict[str, Any]]] | None, options: Mapping[str, Any]
    ) -> None:
        self.inventory.add_group(GROUP)
        self.inventory.set_variable(GROUP, "ansible_connection", "local")
        self.inventory.set_variable(GROUP, "ansible_python_interpreter", sys.executable)
        if options.get("destination"):
            self.inventory.set_variable(GROUP, "ferry_destination", settings_of(options["destination"], options))
            self.inventory.set_variable(GROUP, "ferry_record_table", options["record_table"])
        pairs = [(each.place, table) for each in found for table in each.listing.tables]
        groups = {self._add_place(place, table) for place, table in pairs}
        names = host_names(
            [table for _place, table in pairs],
            {*_RESERVED, *groups},
            regions=len({each.place.region for each in found}) > 1,
            accounts=len({each.place.source for each in found}) > 1,
        )
        for name, (_place, table) in zip(names, pairs, strict=True):
            variables = {"ferry_table": table["name"], **glue.table_variables(table)}
            if records is not None:
                variables |= glue.record_variables(table, records.get(table["arn"], ()))
            self._add_host(name, glue.group_of(table), variables)

    def _add_place(self, place: glue.Place, table: Mapping[str, Any]) -> str:
        group = glue.group_of(table)
        if group not in self.inventory.groups:
            self.inventory.add_group(group)
            self.inventory.add_child(GROUP, group)
            self.inventory.set_variable(group, "ferry_source", glue.source_variable(place, table))
        return group

    def _add_host(self, name: str, group: str, variables: Mapping[str, Any]) -> None:
        """A host with its variables, which are no templates whatever a user of AWS wrote into a tag."""
        self.inventory.add_host(name, group=group)
        for variable, value in variables.items():
            self.inventory.set_variable(name, variable, _harmless(value))
        strict = self.get_option("strict")
        self._set_composite_vars(self.get_option("compose"), self.inventory.get_host(name).get_vars(), name, strict)
        self._add_host_to_composed_groups(self.get_option("groups"), {}, name, strict)
        self._add_host_to_keyed_groups(self.get_option("keyed_groups"), {}, name, strict)


def _harmless(value: Any) -> Any:
    """``value`` of AWS with nothing in it that ansible-core before 2.19 would render. Only what looks like a template
    is marked, because ``ansible-inventory --list`` shows the mark."""
    return wrap_var(value) if any(mark in str(value) for mark in ("{{", "{%", "{#")) else value
