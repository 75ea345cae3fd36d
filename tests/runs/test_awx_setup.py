# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""``playbooks/awx.yml`` creates the pattern in a stand-in of AWX's API, with the modules of awx.awx."""

from __future__ import annotations

import json

import pytest

from tests.runs.awx_api import PLACES, ROOT, Wrong, needs_awx, set_up, stand_in

KEYS = {"access_key": "AKIAEXAMPLE", "secret_key": "secret-of-a-test"}

pytestmark = needs_awx


def test_the_pattern_is_created_once_and_check_mode_creates_nothing() -> None:
    with stand_in(ROOT) as awx:
        wanted = {**PLACES, "awx_source_inputs": KEYS, "awx_destination_inputs": KEYS, "awx_slices": 2}
        told = set_up(awx, "--check", **wanted)
        assert awx.written == []
        assert "Would be created, with what refers to it: TableFerry, DynamoDB tables, " in told
        told = set_up(awx, **wanted)
        assert KEYS["secret_key"] not in told
        assert set(awx.linked("job_templates", "TableFerry migrate", "credentials")) == {
            "TableFerry source account",
            "TableFerry destination account",
        }
        migrate = awx.named("job_templates", "TableFerry migrate")
        assert migrate["job_slice_count"] == 2
        assert json.loads(migrate["extra_vars"]) == {"ferry_plan": "{{ tableferry_plan.plan | default('') }}"}
        assert awx.named("job_templates", "TableFerry plan")["job_slice_count"] == 1
        assert awx.surveys[migrate["id"]]["spec"][0]["variable"] == "ferry_method"
        assert json.loads(awx.named("inventories", "DynamoDB tables")["variables"])["ferry_destination"] == {
            "profile": "tableferry-destination",
            "region": "eu-central-1",
        }
        chain = {
            (name, link): awx.linked("workflow_job_template_nodes", name, link)
            for name in ("plan", "approve", "migrate", "verify", "report")
            for link in ("success_nodes", "failure_nodes", "always_nodes")
        }
        assert {key: nodes for key, nodes in chain.items() if nodes} == {
            ("plan", "success_nodes"): ["approve"],
            ("approve", "success_nodes"): ["migrate"],
            ("migrate", "success_nodes"): ["verify"],
            ("migrate", "failure_nodes"): ["report"],
            ("verify", "always_nodes"): ["report"],
        }
        approval = awx.named("workflow_job_template_nodes", "approve")["unified_job_template"]
        assert awx.objects["workflow_approval_templates"][approval]["name"] == "Approve the plan"
        # Once more: check mode sees the one setting that somebody has changed, and changes nothing.
        awx.written.clear()
        migrate["forks"] = 50
        assert "changed=1 " in set_up(awx, "--check", **wanted)
        assert awx.written == []


def test_the_stand_in_refuses_what_awx_has_not() -> None:
    with stand_in(ROOT) as awx:
        with pytest.raises(Wrong, match="no such field"):
            awx.create("projects", {"name": "x", "scm_uri": "https://example.com"})
        with pytest.raises(Wrong, match="does not exist"):
            awx.create("inventories", {"name": "x", "organization": 99})
        with pytest.raises(Wrong, match="is not allowed"):
            awx.create(
                "credential_types",
                {"name": "x", "kind": "cloud", "inputs": {"fields": []}, "injectors": {"env": {"ANSIBLE_FORKS": "5"}}},
            )
        project = awx.create("projects", {"name": "p", "scm_type": "git"})
        with pytest.raises(Wrong, match="not found in the project"):
            awx.create("job_templates", {"name": "x", "project": project["id"], "playbook": "missing.yml"})
