# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The fast path of migration_report."""

from __future__ import annotations

from typing import Any

from ansible_collections.tableferry.aws.plugins.module_utils.glue.verbs.migration_report import VERB
from ansible_collections.tableferry.aws.plugins.plugin_utils.verb import VerbAction, for_machines


class ActionModule(VerbAction):
    """Runs migration_report in the worker."""

    verb = VERB

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the verb; where its module had to be used, what it would have shown is shown here."""
        result = super().run(tmp, task_vars)
        if self._needs_module():
            for line in result.get("lines") or ():
                self._display.display(line, stderr=for_machines())
        return result
