# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A verb gives the same result on both ways, and no way shows a secret."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
SECRETS = {"secret_key": "SECRET-one-4711", "session_token": "SECRET-two-4711"}


class Denies(BaseHTTPRequestHandler):
    """Answers everything as AWS does where a permission is missing."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        body = json.dumps({"__type": "AccessDeniedException", "message": "You may not."}).encode()
        self.send_response(400)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Print nothing."""


@pytest.fixture
def endpoint() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Denies)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_both_ways_fail_alike_and_show_no_secret(tmp_path: Path, endpoint: str) -> None:
    account = {"region": "eu-west-1", "access_key": "AKIA4711", "endpoint_url": endpoint, **SECRETS}
    tasks = {
        "denied": (
            "dynamodb_import_info",
            {"arn": "arn:aws:dynamodb:eu-west-1:222222222222:table/orders/import/01", "destination": account},
        ),
        "refused": ("account_session", {"account": {**account, "profile": "also"}}),
        "unknown": ("account_session", {"account": {**account, "secrte_key": SECRETS["secret_key"]}}),
        "missing": ("account_session", dict(SECRETS)),
    }
    ways = {"action": {}, "module": {"environment": {"WAY": "module"}}, "async": {"async": 30, "poll": 1}}
    run_as = {"denied": list(ways), "refused": list(ways), "unknown": ["action"], "missing": ["action"]}
    play = {
        "hosts": "localhost",
        "connection": "local",
        "gather_facts": False,
        # The engine looks for asynchronous jobs below the user's home and writes them below $HOME: not always the same.
        "vars": {"ansible_python_interpreter": sys.executable, "ansible_async_dir": str(tmp_path / "async")},
        "tasks": [
            {f"tableferry.aws.{verb}": arguments, "register": f"{name}_{way}", "ignore_errors": True, **keywords}
            for name, (verb, arguments) in tasks.items()
            for way, keywords in ways.items()
            if way in run_as[name]
        ]
        + [
            {
                "ansible.builtin.copy": {
                    "content": "{{ dict(names | zip(names | map('extract', vars))) | to_json }}",
                    "dest": str(tmp_path / "results.json"),
                },
                "vars": {"names": [f"{name}_{way}" for name in tasks for way in run_as[name]]},
            }
        ],
    }
    book = tmp_path / "play.json"
    book.write_text(json.dumps([play]))
    done = subprocess.run(
        [sys.executable, "-m", "ansible.cli.playbook", "-vvvv", "-i", "localhost,", str(book)],
        env={
            **{name: value for name, value in os.environ.items() if not name.startswith("AWS_")},
            "ANSIBLE_COLLECTIONS_PATH": str(ROOT / "build/collections"),
            "ANSIBLE_HOME": str(tmp_path / "home"),
            "ANSIBLE_NOCOLOR": "1",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    shown = done.stdout + done.stderr
    results = json.loads((tmp_path / "results.json").read_text())
    engine = {
        "failed", "changed", "exception", "invocation", "ansible_job_id", "finished", "started", "results_file",
        "stdout", "stdout_lines", "stderr", "stderr_lines", "failed_when_suppressed_exception",
    }  # fmt: skip
    assert all(result["failed"] for result in results.values())
    found = {
        name: {key: value for key, value in result.items() if key not in engine} for name, result in results.items()
    }
    assert found["denied_action"] == found["denied_module"] == found["denied_async"]
    assert found["refused_action"] == found["refused_module"]
    # C8: of what hands out credentials no result is written where others may read it.
    assert "does not support async" in results["refused_async"]["msg"]
    written = [path.read_text() for path in (tmp_path / "async").rglob("*") if path.is_file()]
    assert not any(secret in text for secret in SECRETS.values() for text in written)
    assert results["denied_action"]["ferry_error"] == "AccessDenied"
    assert results["denied_action"]["ferry_status"] == "failed"
    assert results["refused_action"]["ferry_status"] == "refused"
    assert "secrte_key" in results["unknown_action"]["msg"]
    assert "account" in results["missing_action"]["msg"]
    assert "Traceback" not in str(found)
    assert not any(secret in json.dumps(results) for secret in SECRETS.values())
    assert not any(secret in shown for secret in SECRETS.values()), shown
