# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the actions of all verbs share: the fast path in the worker, and the module where that is not possible."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from ansible import constants
from ansible.errors import AnsibleActionFail
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.plugins.action import ActionBase

from ansible_collections.tableferry.aws.plugins.module_utils.core import sdk
from ansible_collections.tableferry.aws.plugins.module_utils.core.report.harmless import harmless
from ansible_collections.tableferry.aws.plugins.module_utils.glue.outcome import outcome
from ansible_collections.tableferry.aws.plugins.module_utils.glue.spec import Verb
from ansible_collections.tableferry.aws.plugins.plugin_utils.secrets import register_secrets, without

# The callback plugins that write one document, with or without the name of their collection.
MACHINE_CALLBACKS = frozenset({"json", "jsonl", "yaml", "junit"})
WHOLE_CORE = "ansible_collections.tableferry.aws.plugins.module_utils.core.migration"


def secrets_in(spec: Mapping[str, Any], values: Any) -> Iterator[str]:
    """The values in ``values`` that must never be printed according to ``spec``."""
    if not isinstance(values, Mapping):
        return
    for name, option in spec.items():
        value = values.get(name)
        if value is None:
            continue
        if option.get("no_log"):
            yield str(value)
        for inner in value if isinstance(value, list) else [value]:
            yield from secrets_in(option.get("options") or {}, inner)


def for_machines() -> bool:
    """Whether standard output belongs to a program: one line of ours would spoil its document."""
    return str(constants.DEFAULT_STDOUT_CALLBACK).rpartition(".")[2] in MACHINE_CALLBACKS


class VerbAction(ActionBase):
    """The action of one verb, which a subclass sets.

    The parts of the SDK that the verb needs are loaded with its class, and the core, which filters use too. The linear
    strategy imports an action in the parent before it forks, so they are loaded once for all hosts (ansible.md 5 and
    6b). With other strategies each worker loads them.
    """

    _requires_connection = False
    _supports_async = True
    _supports_check_mode = True
    _supports_diff = True

    verb: ClassVar[Verb]

    def __init_subclass__(cls) -> None:
        super().__init_subclass__()
        # An asynchronous job's result lies in a file that others may read, whatever no_log says.
        cls._supports_async = not cls.verb.hands_out_credentials
        importlib.import_module(WHOLE_CORE)
        sdk.warm(cls.verb.services)

    def run(self, tmp: Any = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        """Run the verb here, or send its module to the target."""
        result: dict[str, Any] = super().run(tmp, task_vars)
        if self._needs_module():
            result.update(
                self._execute_module(
                    module_name=f"tableferry.aws.{self.verb.name}",
                    task_vars=task_vars,
                    wrap_async=self._task.async_val,
                )
            )
            return result
        arguments = plain(self._task.args)
        hidden = set(filter(None, secrets_in(self.verb.spec, arguments)))
        register_secrets(hidden)
        response = outcome(
            self.verb,
            self._validated(arguments, hidden),
            check_mode=bool(self._task.check_mode),
            diff=bool(self._task.diff),
            progress=lambda line: self._display.display(harmless(without(line, hidden)), stderr=for_machines()),
        )
        if self.verb.hands_out_credentials:
            hidden -= set(response.get("credentials", {}).values())
        result.update(without(response, hidden))
        return result

    def _needs_module(self) -> bool:
        """Whether the task needs another machine, user or environment than this process, or runs asynchronously."""
        local = self._connection.transport in ("local", "ansible.builtin.local")
        return bool(not local or self._task.async_val or self._task.become or any(self._task.environment or ()))

    def _validated(self, arguments: dict[str, Any], hidden: set[str]) -> dict[str, Any]:
        """The arguments with the types and defaults that the module would see."""
        checked = ArgumentSpecValidator(self.verb.spec, **self.verb.rules).validate(arguments)
        if checked.error_messages:
            raise AnsibleActionFail(without("; ".join(checked.error_messages), hidden))
        return dict(checked.validated_parameters)


def plain(arguments: Mapping[str, Any]) -> dict[str, Any]:
    """The arguments as a module receives them: plain JSON types, without the engine's lazy and tagged containers."""
    return json.loads(json.dumps(arguments, default=str))
