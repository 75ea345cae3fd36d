#!/usr/bin/python
# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

DOCUMENTATION = r"""
module: account_session
short_description: Opens a session in an account for modules that accept keys but no role
version_added: 0.1.0
author:
  - TableFerry contributors (@tableferry)
description:
  - Assumes the role of one side of a migration, or reads its profile or keys, and returns keys that are valid now.
  - The modules of amazon.aws and community.aws accept keys but no role to assume; pass these keys to them.
  - It only reads, so a playbook works in check mode on its first run too.
notes:
  - "The result contains credentials. Set C(no_log: true) on the task."
  - The keys of an assumed role expire after an hour at most. The verbs of this collection renew theirs by themselves.
extends_documentation_fragment:
  - tableferry.aws.accounts
  - tableferry.aws.accounts.account
  - tableferry.aws.attributes.credentials
"""

EXAMPLES = r"""
- name: Open a session in the destination account
  tableferry.aws.account_session:
    side: destination
    account:
      role_arn: arn:aws:iam::222222222222:role/ferry
      region: eu-west-1
  register: destination_session
  no_log: true

- name: Read the staging bucket with these keys
  amazon.aws.s3_bucket_info:
    name: tableferry-222222222222-eu-west-1
    region: "{{ destination_session.region }}"
    access_key: "{{ destination_session.credentials.access_key }}"
    secret_key: "{{ destination_session.credentials.secret_key }}"
    session_token: "{{ destination_session.credentials.session_token }}"
  environment: "{{ destination_session.environment }}"
"""

RETURN = r"""
account_id:
  description: The account ID.
  returned: success
  type: str
  sample: "222222222222"
principal_arn:
  description: The IAM ARN of the caller as used in policies; for an assumed role the ARN of the role.
  returned: success
  type: str
  sample: arn:aws:iam::222222222222:role/ferry
partition:
  description: The partition of the Region.
  returned: success
  type: str
  sample: aws
region:
  description: The Region of the account's settings.
  returned: success
  type: str
  sample: eu-west-1
environment:
  description: What the profile says about endpoints and certificates, as environment variables of the AWS SDKs, for
    other modules.
  returned: success
  type: dict
  sample: {AWS_USE_FIPS_ENDPOINT: "true"}
credentials:
  description: Keys that are valid now.
  returned: success
  type: dict
  contains:
    access_key:
      description: The access key ID.
      returned: always
      type: str
      sample: ASIAEXAMPLE
    secret_key:
      description: The secret access key.
      returned: always
      type: str
      sample: "********"
    session_token:
      description: The session token. Empty for keys that are not temporary.
      returned: always
      type: str
      sample: "********"

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
from ansible_collections.tableferry.aws.plugins.module_utils.glue.verbs.account_session import VERB


def main() -> None:
    """Run the verb as a module."""
    run_module(VERB)


if __name__ == "__main__":
    main()
