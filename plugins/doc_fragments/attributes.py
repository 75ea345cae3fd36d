# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

_IDEMPOTENT = r"""
  idempotent:
    support: full
    description:
      - When run twice in a row outside C(check_mode) with the same arguments, the second run changes nothing and
        costs nothing.
"""

_ASYNC = r"""
  async:
    support: full
    description: Supports being used with the C(async) keyword; the module then does the work instead of the action.
"""

_NO_ASYNC = r"""
  async:
    support: none
    description:
      - The result contains credentials, and the engine writes the results of asynchronous jobs into files that others
        may read.
"""

_GROUP = r"""
  action_group:
    support: full
    description:
      - Use C(group/tableferry.aws.ferry) in C(module_defaults) to set what all verbs, and the modules of amazon.aws and
        community.aws, share.
    membership:
      - tableferry.aws.ferry
"""

_READS = r"""
options: {}
attributes:
  check_mode:
    support: full
    description: Changes nothing, in C(check_mode) or not.
  diff_mode:
    support: N/A
    description: There is no difference to show, because nothing is changed.
"""

_ALL = _IDEMPOTENT + _ASYNC + _GROUP


class ModuleDocFragment:
    """What a verb promises to the engine; the standard text says that it keeps all of it."""

    # Annotated: the sanity test takes plain assignments for literal texts.
    DOCUMENTATION: str = (
        r"""
options: {}
attributes:
  check_mode:
    support: full
    description: Can run in C(check_mode) and return changed status prediction without changing anything on AWS.
  diff_mode:
    support: full
    description: Returns details on what has changed, or would be changed in C(check_mode), when in diff mode.
"""
        + _ALL
    )

    # For verbs that only read.
    READS: str = _READS + _ALL

    # For verbs that only read, and hand out credentials.
    CREDENTIALS: str = _READS + _IDEMPOTENT + _NO_ASYNC + _GROUP
