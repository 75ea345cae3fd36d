# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The fast path of migration_plan."""

from __future__ import annotations

from ansible_collections.tableferry.aws.plugins.module_utils.glue.verbs.migration_plan import VERB
from ansible_collections.tableferry.aws.plugins.plugin_utils.verb import VerbAction


class ActionModule(VerbAction):
    """Runs migration_plan in the worker."""

    verb = VERB
