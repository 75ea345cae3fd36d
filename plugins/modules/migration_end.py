#!/usr/bin/python
# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: migration_end
short_description: Ends this run in the record tables
version_added: 0.3.0
author:
  - TableFerry contributors (@tableferry)
description:
  - Lets go of all tables that this run of ansible-playbook holds, so that another run can go on with them at once.
    This run begins nothing more.
  - Use it once, at the end of a play that migrates tables and before any host is failed.
  - It never fails because of AWS. Without it other runs wait until the lease of this one has run out.
options:
  destinations:
    description:
      - The destinations of the run's tables.
    type: list
    elements: dict
    required: true
    suboptions:
      # make generate: accounts.destination
      destination:
        description:
          - The account and Region of the destination table.
          - Options that are not set here are taken from the options of the same names for both sides.
        type: dict
        suboptions:
          region:
            description:
              - The AWS Region of the destination account.
            type: str
          profile:
            description:
              - The profile of the AWS configuration files of the destination account.
              - Mutually exclusive with keys.
            type: str
          access_key:
            description:
              - The AWS access key ID of the destination account.
              - It requires the secret key, and takes precedence over C(AWS_*) in the environment.
            type: str
          secret_key:
            description:
              - The AWS secret access key of the destination account.
            type: str
          session_token:
            description:
              - The session token that belongs to temporary keys.
            type: str
          endpoint_url:
            description:
              - The endpoint for requests of the destination account, instead of that of AWS.
            type: str
          role_arn:
            description:
              - The ARN of the role to assume in the destination account;
                the caller is given by the profile, keys or environment.
              - The role is assumed again before its session expires, so that a wait may last longer than a session.
            type: str
          external_id:
            description:
              - The external ID that the trust policy of the role requires.
            type: str
          account_id:
            description:
              - The ID of the account that the credentials must belong to, 12 digits.
              - Credentials of another account are refused, and the account is not looked up at AWS.
            type: str
          tags:
            description:
              - Tags for what is created in the account besides copies of tables, such as buckets, keys, roles,
                vaults, backups and the record table. A copy gets the tags of its source table.
              - They are set when it is created; what is there already is not changed.
            type: dict
          call_log:
            description:
              - A file on the controller that gets a line of JSON when a call to the account is sent, and another one
                when it is answered, with service, operation, table, HTTP status, ID of the request and milliseconds, to
                look into faults.
              - It has no contents of requests and answers, and no credentials.
            type: path

      record_table:
        description:
          - The name of the record table.
        type: str
        default: tableferry
  totals:
    description:
      - The numbers of tables by their status, which are kept with the run.
    type: dict
    default: {}
seealso:
  - module: tableferry.aws.migration_start
  - module: tableferry.aws.migration_status_info
extends_documentation_fragment:
  - tableferry.aws.accounts
  - tableferry.aws.attributes
"""

EXAMPLES = r"""
- name: End the run
  tableferry.aws.migration_end:
    destinations:
      - destination:
          role_arn: arn:aws:iam::222222222222:role/ferry
          region: eu-west-1
"""

RETURN = r"""
runs:
  description: The ids of the runs that were ended.
  returned: success
  type: list
  elements: str
  sample: [2f0b9f4c1d5e6a78]

# make generate: failed_table
table:
  description: The table concerned. Empty if the whole account is.
  returned: failure
  type: str
  sample: orders

# make generate: failure_message
msg:
  description: The error message with the table, the cause and the next step.
  returned: failure
  type: str
  sample: "orders: Point-in-time recovery is off, and an export needs it. Turn it on, or set
    enable_point_in_time_recovery."

# make generate: failure
ferry_status:
  description: V(refused) if nothing was changed because it is not possible or not safe, V(failed) for all other
    errors.
  returned: failure
  type: str
  sample: refused
ferry_error:
  description: The type of the error, for programs.
  returned: failure
  type: str
  sample: PointInTimeRecoveryDisabled
cause:
  description: What is wrong.
  returned: failure
  type: str
  sample: Point-in-time recovery is off, and an export needs it.
next_step:
  description: What to do about it.
  returned: failure
  type: str
  sample: Turn it on, or set enable_point_in_time_recovery.
details:
  description: Values that belong to the error, such as codes and ARNs. They contain no secrets.
  returned: failure
  type: dict
  sample: {code: AccessDeniedException}
"""

from ansible_collections.tableferry.aws.plugins.module_utils.glue.outcome import run_module
from ansible_collections.tableferry.aws.plugins.module_utils.glue.verbs.migration_end import VERB


def main() -> None:
    """Run the verb as a module."""
    run_module(VERB)


if __name__ == "__main__":
    main()
