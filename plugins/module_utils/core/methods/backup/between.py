# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether AWS Backup can move tables between two accounts at all: what a plan asks before anything is prepared."""

from __future__ import annotations

from collections.abc import Iterator

from ...account import Account
from ...plan.facts import Between, Reason, Wishes
from .account_settings import AccountSettings, read_settings
from .readiness import BackupAccount, Problem, Readiness, between_problems


def read_between(source: Account, destination: Account, wishes: Wishes) -> Between:
    """Organizations, partitions and switches of both sides; vaults and roles are made by the run. Raises what
    Account.explain gives."""
    if wishes.air_gapped:
        return Between(reasons=tuple(_air_gapped(source, destination)))
    if source.account_id == destination.account_id or source.partition != destination.partition:
        return Between()  # which the forecast of a table knows by itself
    here, there = read_settings(source), read_settings(destination)
    readiness = Readiness("", "ACTIVE", None, _side(source, here))
    problems = list(between_problems(readiness, _side(destination, there)))
    return Between(
        reasons=tuple(_reason(each) for each in problems if not (each.made_by == "management" and wishes.managed)),
        warnings=tuple(_warnings(here, there)),
    )


def _side(account: Account, settings: AccountSettings) -> BackupAccount:
    return BackupAccount(account.account_id, account.region, account.partition, settings, "", None)


def _reason(problem: Problem) -> Reason:
    rule = "cross-account backup" if problem.made_by == "management" else "organization"
    return Reason(rule, problem.cause.rstrip("."), problem.next_step)


def _air_gapped(source: Account, destination: Account) -> Iterator[Reason]:
    if source.region != destination.region:
        yield Reason("air-gapped vault", "an air-gapped vault can be restored from only in its own Region")


def _warnings(source: AccountSettings, destination: AccountSettings) -> Iterator[str]:
    if None in (source.organization_id, destination.organization_id):
        yield "Whether both accounts are in one organization is not known; AWS Backup checks it when it copies."
    elif source.cross_account_backup is None:
        yield "Whether cross-account backup is on in the organization is not known."
