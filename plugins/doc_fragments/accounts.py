# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations


class ModuleDocFragment:
    """How verbs reach an account: what both sides share, and each side's own."""

    DOCUMENTATION = r"""
options:
  region:
    description:
      - The AWS Region for each side that does not say its own.
    type: str
  profile:
    description:
      - The profile of the AWS configuration files for each side that does not say its own.
      - Not together with keys.
    type: str
  access_key:
    description:
      - The AWS access key id for each side that does not say its own.
      - It needs a secret key beside it, and wins over C(AWS_*) in the environment.
    type: str
  secret_key:
    description:
      - The AWS secret access key for each side that does not say its own.
    type: str
  session_token:
    description:
      - The session token that belongs to temporary keys.
    type: str
  endpoint_url:
    description:
      - Where to send requests instead of AWS's own endpoints, for each side that does not say its own.
    type: str
requirements:
  - python >= 3.11
  - boto3 >= 1.40
  - botocore >= 1.40
"""

    SOURCE = r"""
options:
  source:
    description:
      - The account and Region that the table comes from.
      - What it does not say is taken from the options of the same names that both sides share.
    type: dict
    suboptions:
      region:
        description:
          - The AWS Region of the source account.
        type: str
      profile:
        description:
          - The profile of the AWS configuration files of the source account.
          - Not together with keys.
        type: str
      access_key:
        description:
          - The AWS access key id of the source account.
          - It needs a secret key beside it, and wins over C(AWS_*) in the environment.
        type: str
      secret_key:
        description:
          - The AWS secret access key of the source account.
        type: str
      session_token:
        description:
          - The session token that belongs to temporary keys.
        type: str
      endpoint_url:
        description:
          - Where to send the requests of the source account instead of AWS's own endpoints.
        type: str

      role_arn:
        description:
          - The ARN of the role to assume in the source account; the profile, keys or environment are the caller.
          - The role is assumed again before its session ends, so that a wait may last longer than a session.
        type: str
      external_id:
        description:
          - The external id that the trust policy of the role asks for.
        type: str
      account_id:
        description:
          - The 12 digits of the account that the credentials must belong to.
          - Credentials of another account are refused, and AWS is not asked whose they are.
        type: str
"""

    DESTINATION = r"""
options:
  destination:
    description:
      - The account and Region that the table goes to.
      - What it does not say is taken from the options of the same names that both sides share.
    type: dict
    suboptions:
      region:
        description:
          - The AWS Region of the destination account.
        type: str
      profile:
        description:
          - The profile of the AWS configuration files of the destination account.
          - Not together with keys.
        type: str
      access_key:
        description:
          - The AWS access key id of the destination account.
          - It needs a secret key beside it, and wins over C(AWS_*) in the environment.
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
          - Where to send the requests of the destination account instead of AWS's own endpoints.
        type: str

      role_arn:
        description:
          - The ARN of the role to assume in the destination account; the profile, keys or environment are the caller.
          - The role is assumed again before its session ends, so that a wait may last longer than a session.
        type: str
      external_id:
        description:
          - The external id that the trust policy of the role asks for.
        type: str
      account_id:
        description:
          - The 12 digits of the account that the credentials must belong to.
          - Credentials of another account are refused, and AWS is not asked whose they are.
        type: str
"""

    ACCOUNT = r"""
options:
  account:
    description:
      - The account and Region to open a session in.
      - What it does not say is taken from the options of the same names that both sides share.
    type: dict
    suboptions:
      region:
        description:
          - The AWS Region.
        type: str
      profile:
        description:
          - The profile of the AWS configuration files.
          - Not together with keys.
        type: str
      access_key:
        description:
          - The AWS access key id.
          - It needs a secret key beside it, and wins over C(AWS_*) in the environment.
        type: str
      secret_key:
        description:
          - The AWS secret access key.
        type: str
      session_token:
        description:
          - The session token that belongs to temporary keys.
        type: str
      endpoint_url:
        description:
          - Where to send the requests instead of AWS's own endpoints.
        type: str

      role_arn:
        description:
          - The ARN of the role to assume; the profile, keys or environment are the caller.
          - The role is assumed again before its session ends, so that a wait may last longer than a session.
        type: str
      external_id:
        description:
          - The external id that the trust policy of the role asks for.
        type: str
      account_id:
        description:
          - The 12 digits of the account that the credentials must belong to.
          - Credentials of another account are refused, and AWS is not asked whose they are.
        type: str
"""
