# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The peer that is written first: Spark reads the lines, boto3's batch writer writes them.

``spark-submit batch_writer.py URL TABLE PATHS``. boto3 has no reader for the JSON of an export, whose binary is base64.
"""

import base64
import json
import sys

import boto3
from boto3.dynamodb.types import TypeDeserializer
from pyspark import SparkContext


class ExportDeserializer(TypeDeserializer):
    """boto3's, for binary as an export writes it."""

    def _deserialize_b(self, value):
        return base64.b64decode(value)

    def _deserialize_bs(self, value):
        return {base64.b64decode(each) for each in value}


def write(lines):
    """Write the items of one task."""
    value = ExportDeserializer().deserialize
    table = boto3.resource("dynamodb", endpoint_url=url, region_name="eu-west-1").Table(name)
    with table.batch_writer() as batch:
        for line in lines:
            batch.put_item(Item={key: value(content) for key, content in json.loads(line)["Item"].items()})


url, name, paths = sys.argv[1:4]
context = SparkContext(appName="batch_writer")
context.setLogLevel("ERROR")
context.textFile(paths).foreachPartition(write)
context.stop()
