# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A spark-submit command line as the lab reads it."""

from __future__ import annotations

import pytest

from lab.spark.spark_submit import (
    SubmitRefused,
    Worker,
    exported,
    interpreters,
    properties,
    python_of,
    read_command,
    split_command,
    worker,
)  # fmt: skip


def test_options_are_read_as_spark_reads_them() -> None:
    text = (
        "--conf spark.executor.cores=2 -c 'spark.app.name=two words' --executor-cores 4 --driver-memory=2G --verbose "
        "--py-files s3://b/a.zip,s3://b/b.zip s3://b/job.py --py-files mine --conf"
    )
    command = read_command(split_command(text), defaults={"spark.app.name": "other", "spark.executor.instances": "3"})
    assert (command.script, command.arguments) == ("s3://b/job.py", ("--py-files", "mine", "--conf"))
    assert command.py_files == ("s3://b/a.zip", "s3://b/b.zip")
    assert command.conf == {
        "spark.app.name": "two words",
        "spark.driver.memory": "2G",
        "spark.executor.cores": "4",
        "spark.executor.instances": "3",
        "spark.submit.pyFiles": "s3://b/a.zip,s3://b/b.zip",
    }
    by_property = read_command(["--conf", "spark.submit.pyFiles=s3://b/c.zip"], "s3://b/job.py", ["x"])
    assert (by_property.py_files, by_property.arguments) == (("s3://b/c.zip",), ("x",))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("--extra-py-files s3://b/a.zip job.py", "Unrecognized option '--extra-py-files'."),
        ("--verbose=yes job.py", "Unrecognized option '--verbose=yes'."),
        ("-x job.py", "Unrecognized option '-x'."),
        ("job.py --py-files", ""),
        ("--py-files", "Missing argument for option '--py-files'."),
        ("--conf spark.executor.cores job.py", "Spark config without '=': spark.executor.cores"),
        ("--deploy-mode far job.py", 'Deploy mode must be either "client" or "cluster".'),
        ("--conf 'spark.x=1 job.py", "No closing quotation"),
        ("", "Must specify a primary resource"),
    ],
)
def test_what_spark_refuses(text: str, message: str) -> None:
    if not message:
        assert read_command(split_command(text)).arguments == ("--py-files",)
        return
    with pytest.raises(SubmitRefused) as refused:
        read_command(split_command(text))
    assert message in str(refused.value)


def test_a_python_script_is_needed() -> None:
    with pytest.raises(SubmitRefused, match="Python scripts"):
        read_command(["--py-files", "a.zip", "s3://b/job.jar"])
    with pytest.raises(SubmitRefused, match="Unexpected argument"):
        read_command(["s3://b/other.py"], "s3://b/job.py")


@pytest.mark.parametrize(
    ("conf", "expected"),
    [
        ({}, Worker(4, 16)),
        ({"spark.executor.cores": "1", "spark.executor.memory": "2G"}, Worker(1, 3)),
        ({"spark.executor.memory": "2048"}, Worker(4, 3)),
        ({"spark.executor.memory": "8g", "spark.executor.memoryOverhead": "2g"}, Worker(4, 10)),
    ],
)
def test_workers_have_their_overhead(conf: dict[str, str], expected: Worker) -> None:
    assert worker(conf, "executor", 4, "14G") == expected


@pytest.mark.parametrize("conf", [{"spark.executor.memory": "1.5g"}, {"spark.executor.cores": "0"}])
def test_sizes_are_whole(conf: dict[str, str]) -> None:
    with pytest.raises(SubmitRefused):
        worker(conf, "executor", 4, "14G")


def test_driver_and_executors_have_one_python() -> None:
    installed = ("3.9", "3.11")
    assert python_of(interpreters({}, {}, {}), installed) == "3.9"
    assert python_of(interpreters({"PYSPARK_PYTHON": "/usr/bin/python3.11"}, {}, {}), installed) == "3.11"
    assert python_of(interpreters({}, {}, {"spark.pyspark.python": "python3.11"}), installed) == "3.11"
    assert python_of(interpreters({"PYSPARK_PYTHON": "python3"}, {}, {}), installed) == "3.9"
    with pytest.raises(SubmitRefused, match="PYTHON_VERSION_MISMATCH"):
        python_of(interpreters({}, {"PYSPARK_PYTHON": "/usr/bin/python3.11"}, {}), installed)
    with pytest.raises(SubmitRefused, match="PYTHON_VERSION_MISMATCH"):
        python_of(interpreters({"PYSPARK_DRIVER_PYTHON": "python3.11"}, {}, {}), installed)
    for missing in ("/usr/bin/python3.13", "./environment/bin/python", "/usr/bin/python"):
        with pytest.raises(SubmitRefused, match="error=2"):
            python_of(interpreters({"PYSPARK_PYTHON": missing}, {}, {}), ("3.11",))


def test_configurations_of_both_services_are_read() -> None:
    rest = [
        {"classification": "spark-defaults", "properties": {"a": "1"}},
        {
            "classification": "spark-env",
            "configurations": [{"classification": "export", "properties": {"PYSPARK_PYTHON": "python3.11"}}],
        },
    ]
    boto = [{"Classification": "spark-defaults", "Properties": {"a": "2"}}]
    assert properties([*rest, *boto], "spark-defaults") == {"a": "2"}
    assert exported([*rest, *boto], "spark-env") == {"PYSPARK_PYTHON": "python3.11"}
