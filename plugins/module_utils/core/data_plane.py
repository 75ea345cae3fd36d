# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From an account to its tables as the data plane sees them, and how this machine shall read and write them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from . import sdk
from .account import Account
from .items.client import Client, Endpoint
from .items.descriptions import find_tables
from .items.digest import DigestChoice
from .items.permit import FREE, Bounds
from .items.scan import count_items as count_scanned
from .items.tables import ItemTable, find_table
from .items.worker_count import AUTO


@dataclass(frozen=True)
class ItemChoices:
    """How this machine reads and writes items: for direct copies, and for comparisons.

    Rates are units per second or parts of the provisioned capacity ("50%"), "" for no limit; ``workers`` are
    processes: a number, or "auto" to choose it by the table's size and this machine's cores. Paths are of this
    machine, "" for none: ``checkpoint_dir`` is the folder where a copy keeps how far it is (without it a copy that is
    killed begins anew), ``differences_path`` the file that gets a line of JSON for each difference, and is not made
    where there is none. A sample reads about ``sample_items`` of either side; ``ignore_expired`` leaves items out whose
    time to live has passed. ``refused_path`` is the file that gets the keys of items that the destination refuses.
    ``digest`` is how a full comparison digests items, see ``CompareOptions``; ``work_dir`` the folder in which it keeps
    keys that are too many for memory.
    """

    workers: str = AUTO
    read_rate: str = ""
    write_rate: str = ""
    consistent: bool = False
    checkpoint_dir: str = ""
    sample_items: int = 1000
    ignore_expired: bool = False
    differences_path: str = ""
    refused_path: str = ""
    digest: DigestChoice = "auto"
    work_dir: str = ""


def endpoint_of(account: Account, name: str) -> Endpoint:
    """Where the items of the table ``name`` are: botocore's endpoint and credentials, refreshed as the account does.

    botocore resolves the endpoint for each request, by the account of the credentials or of an ARN where
    ``AWS_ACCOUNT_ID_ENDPOINT_MODE`` has it so: a URL that it signs, which is not sent, has the one for this table.
    """
    try:
        signed = account.client("dynamodb").generate_presigned_url("describe_table", Params={"TableName": name})
        url = str(signed).partition("?")[0].rstrip("/")
    except (sdk.ClientError, sdk.BotoCoreError) as error:
        raise account.explain(error, "finding the endpoint") from error
    return Endpoint(
        url,
        account.region,
        account.temporary_credentials,
        account.side,
        renewed=account.renewed_credentials,
        ca_bundle=account.ca_bundle,
        log=account.call_log,
    )


def item_table(account: Account, name: str, bounds: Bounds = FREE) -> ItemTable:
    """The table ``name`` of ``account``. Raises MissingTable and what the data plane raises."""
    return find_table(endpoint_of(account, name), name, bounds=bounds)


def item_tables(*wanted: tuple[Account, str], bounds: Bounds = FREE) -> list[ItemTable]:
    """The tables of these names, each of its account, described side by side. Raises what ``item_table`` does."""
    return find_tables([(endpoint_of(account, name), name) for account, name in wanted], bounds=bounds)


def count_items(table: ItemTable, progress: Callable[[int], None] = lambda _: None, bounds: Bounds = FREE) -> int:
    """How many items the table has, by a parallel consistent Scan that returns none of them; it reads the whole table.

    ``progress`` gets the count so far; what it or the ``look`` of ``bounds`` raises ends the counting. Raises what the
    data plane raises.
    """
    client = Client(table.endpoint, bounds=bounds)
    try:
        return count_scanned(client, table, progress=progress, bounds=bounds)
    finally:
        client.close()
