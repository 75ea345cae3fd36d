# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The prices of prices.yml. Written by ``make generate``: correct them there."""

from __future__ import annotations

import json
from typing import Any

_TEXT = r"""
{
 "currency": "USD",
 "region": "us-east-1",
 "figures": {
  "write_million": {
   "price": 0.625,
   "unit": "a million write request units, on demand",
   "date": "2025-07-21",
   "source": "airbyte, DynamoDB pricing, after the cut of 2024-11-01; several sources of 2026",
   "confirmed": true
  },
  "read_million": {
   "price": 0.125,
   "unit": "a million read request units, on demand",
   "date": "2025-07-21",
   "source": "airbyte, DynamoDB pricing, after the cut of 2024-11-01; several sources of 2026",
   "confirmed": true
  },
  "export_gb": {
   "price": 0.1,
   "unit": "GB of table and local secondary indexes that a full export reads",
   "date": "2026-11-23",
   "source": "general knowledge; a test of another project has 0.1083 for incremental exports in ap-northeast-2",
   "confirmed": false
  },
  "import_gb": {
   "price": 0.15,
   "unit": "GB of uncompressed text that an import reads",
   "date": "2026-11-23",
   "source": "general knowledge",
   "confirmed": false
  },
  "recovery_gb_month": {
   "price": 0.2,
   "unit": "GB-month of a table with point-in-time recovery",
   "date": "2026-06-13",
   "source": "infracost's price file; factualminds",
   "confirmed": true
  },
  "backup_gb_month": {
   "price": 0.1,
   "unit": "GB-month of a warm backup",
   "date": "2026-06-13",
   "source": "infracost's price file; factualminds",
   "confirmed": true
  },
  "restore_gb": {
   "price": 0.15,
   "unit": "GB that AWS Backup restores",
   "date": "2026-11-23",
   "source": "infracost's price file for DynamoDB's own restores; that AWS Backup's rate is the same is assumed",
   "confirmed": false
  },
  "transfer_gb": {
   "price": 0.02,
   "unit": "GB copied to another Region",
   "date": "2026-06-13",
   "source": "factualminds, for copies of backups; that other data costs as much is assumed",
   "confirmed": false
  },
  "storage_gb_month": {
   "price": 0.023,
   "unit": "GB-month in S3",
   "date": "2026-11-23",
   "source": "general knowledge",
   "confirmed": false
  },
  "glue_dpu_hour": {
   "price": 0.44,
   "unit": "DPU-hour of AWS Glue",
   "date": "2026-10-07",
   "source": "AWS Glue pricing page; AWS price list 2024-11",
   "confirmed": true
  },
  "emr_vcpu_hour": {
   "price": 0.052624,
   "unit": "vCPU-hour of EMR Serverless",
   "date": "2026-11-23",
   "source": "general knowledge",
   "confirmed": false
  },
  "emr_gb_hour": {
   "price": 0.0057785,
   "unit": "GB-hour of memory of EMR Serverless",
   "date": "2026-11-23",
   "source": "general knowledge",
   "confirmed": false
  }
 }
}
"""

USUAL: dict[str, Any] = json.loads(_TEXT)
