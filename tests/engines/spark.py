"""A real local Spark session against an emulator in another process: `python -m tests.engines.spark`.

It needs `clinia-async[spark]`, installed from the wheel, and Java 17. It is no part of the suite: Spark takes
800 MB and a minute.
"""

import json
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.functions import udf

from tests.cli.served import Served
from tests.engines.same_state import load, state

ROWS = 100_000
FILES = 8
COLUMNS = "type==seen-at,from.id=patient,from.type==patient,to.id=ward,to.type==location"


@contextmanager
def session() -> Iterator[SparkSession]:
    builder = SparkSession.builder.master("local[2,3]").appName("clinia")
    for name, value in (
        ("spark.ui.enabled", "false"),
        ("spark.sql.execution.arrow.maxRecordsPerBatch", "1000"),
        ("spark.sql.shuffle.partitions", "4"),
    ):
        builder = builder.config(name, value)
    spark = builder.getOrCreate()
    try:
        yield spark
    finally:
        spark.stop()


def make(folder: Path, name: str, rows: int) -> Path:
    target = folder / name
    target.mkdir()
    for number in range(FILES):
        patients = [f"{name}-{each}" for each in range(number, rows, FILES)]
        pq.write_table(
            pa.table({"patient": patients, "ward": ["w-1"] * len(patients)}), target / f"{number}.parquet"
        )
    return target


def write(frame: DataFrame, served: Served, source: str, **options: str) -> None:
    chosen = {"source": source, "baseUrl": served.url, "columns": COLUMNS, **options}
    frame.write.format("clinia").options(**chosen).mode("append").save()


def check_a_batch(spark: SparkSession, served: Served, folder: Path) -> None:
    report, before = folder / "report.jsonl", served.holds()
    write(spark.read.parquet(str(make(folder, "batch", ROWS))), served, "batch", report=str(report))
    assert served.holds() - before == ROWS
    (line,) = report.read_text().splitlines()
    told = json.loads(line)
    assert told["state"] == "committed"
    assert sum(each["rows"] for each in told["partitions"]) == ROWS
    assert set(told["tasks"].values()) == {"SUCCESS"}
    assert served.key not in line
    print(f"batch: {ROWS} rows stored once, {len(told['tasks'])} tasks polled at the commit", flush=True)


def check_a_failing_partition(spark: SparkSession, served: Served, folder: Path) -> None:
    """One partition raises midway in its first attempt; one worker of Python is killed in another."""
    marks = folder / "marks"
    marks.mkdir()
    text = str(marks)

    def trouble(patient: str) -> str:
        number = int(patient.rpartition("-")[2])
        for name, at in (("raised", 3_003), ("killed", 7_004)):
            if number == at and not Path(text, name).exists():
                Path(text, name).touch()
                if name == "killed":
                    os.kill(os.getpid(), 9)
                raise RuntimeError("on purpose")
        return patient

    before = served.holds()
    frame = spark.read.parquet(str(make(folder, "trouble", 20_000)))
    write(frame.withColumn("patient", udf(trouble)("patient")), served, "trouble")
    assert sorted(each.name for each in marks.iterdir()) == ["killed", "raised"]
    assert served.holds() - before == 20_000
    expected = state(served, "trouble")
    load(served, folder / "trouble", "by-one", COLUMNS, processes=1)
    killed = load(served, folder / "trouble", "by-four", COLUMNS, processes=4, kills=1)
    assert state(served, "by-one") == state(served, "by-four") == expected
    print(f"the same state by one process, and by four of which {killed} was killed", flush=True)
    print("trouble: a partition that raised and a worker that was killed: 20000 rows stored once", flush=True)


def check_a_stream(spark: SparkSession, served: Served, folder: Path) -> None:
    files, checkpoint = make(folder, "stream", 4_000), folder / "checkpoint"
    before = served.holds()

    def run() -> None:
        frame = spark.readStream.schema("patient string, ward string").parquet(str(files))
        options = {
            "source": "stream",
            "baseUrl": served.url,
            "columns": COLUMNS,
            "report": str(folder / "stream.jsonl"),
        }
        query = (
            frame.writeStream.format("clinia")
            .options(**options)
            .option("checkpointLocation", str(checkpoint))
            .trigger(availableNow=True)
            .start()
        )
        query.awaitTermination()

    run()
    assert served.holds() - before == 4_000
    pq.write_table(pa.table({"patient": ["new-1", "new-2"], "ward": ["w-1"] * 2}), files / "new.parquet")
    run()
    assert served.holds() - before == 4_002
    last = json.loads((folder / "stream.jsonl").read_text().splitlines()[-1])
    assert sum(each["rows"] for each in last["partitions"]) == 2, "only the new file is sent"
    print("stream: restarted from its checkpoint, 2 rows of the new file sent", flush=True)


def check_the_documentation(spark: SparkSession, served: Served, folder: Path) -> None:
    page = Path("docs/engines.md").read_text(encoding="utf-8")
    (snippet,) = re.findall(r"^```python spark\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    before = served.holds()
    names = {"spark": spark, "path": str(make(folder, "docs", 800)), "base_url": served.url}
    exec(snippet, {**names, "report": str(folder / "docs.jsonl")})
    assert served.holds() - before == 800
    print("documentation: its snippet runs", flush=True)


def check_refusals(spark: SparkSession, served: Served, folder: Path) -> None:
    frame = spark.createDataFrame([("p", "w")], "patient string, ward string")
    for options, mode, words in (
        ({}, "overwrite", "append"),
        ({"apiKey": "x"}, "append", "no option of Spark"),
        ({"sorce": "x"}, "append", "unknown option sorce"),
    ):
        chosen = {"source": "no", "baseUrl": served.url, "columns": COLUMNS, **options}
        try:
            frame.write.format("clinia").options(**chosen).mode(mode).save()
        except PySparkException as error:
            refusal = str(error)
        else:
            refusal = "it was taken"
        assert words in refusal, refusal
    print("refusals: overwrite, a key as an option, an unknown option", flush=True)


CHECKS = (check_a_batch, check_a_failing_partition, check_a_stream, check_the_documentation, check_refusals)


def main() -> None:
    os.environ["PYSPARK_PYTHON"] = sys.executable
    with Served() as served, tempfile.TemporaryDirectory() as folder:
        os.environ["CLINIA_API_KEY"] = served.key
        with session() as spark:
            for check in CHECKS:
                check(spark, served, Path(folder))
    print("1 passed, 0 failed")


if __name__ == "__main__":
    main()
