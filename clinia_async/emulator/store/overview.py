"""What the window shows of the store: counts, the latest tasks, and partitions."""

from sqlite3 import Connection

from orjson import Fragment, loads

_TYPES = "SELECT source, target, type, count(*) FROM records GROUP BY 1, 2, 3 ORDER BY 1, 2, 3"
_TASKS = """
SELECT id, source, status, received_at, iif(length(receipts) <= 65536, receipts, NULL)
FROM tasks ORDER BY number DESC LIMIT 25
"""
_PARTITIONS = "SELECT name, status, source FROM partitions ORDER BY name LIMIT 100"
_RECORDS = "SELECT source, target, type, id, updated_at, data FROM records ORDER BY updated_at DESC LIMIT 25"
_RECEIPTS = 10
"""Receipts that are shown of one task."""


def overview(database: Connection, *, contents: bool) -> dict[str, object]:
    """Return the state of the store; the data of records only with `contents`."""
    names = ("source", "target", "type", "count")
    types = [dict(zip(names, row, strict=True)) for row in database.execute(_TYPES)]
    shown: dict[str, object] = {
        "types": types,
        "tasks": [_task(row) for row in database.execute(_TASKS)],
        "partitions": [_partition(row) for row in database.execute(_PARTITIONS)],
        "records": None,
    }
    if contents:
        shown["records"] = [_record(row) for row in database.execute(_RECORDS)]
    return shown


def _task(row: tuple[str, str, str, str, str | None]) -> dict[str, object]:
    id_, source, status, received_at, text = row
    receipts = [_receipt(one) for one in loads(text)[:_RECEIPTS]] if text else []
    return {"id": id_, "source": source, "status": status, "receivedAt": received_at, "receipts": receipts}


def _receipt(receipt: dict[str, object]) -> dict[str, object]:
    """Return a receipt with the type of its error, without texts."""
    shown = {name: receipt.get(name) for name in ("action", "status", "type", "id")}
    error, execution = receipt.get("error"), receipt.get("pipelineExecution")
    if isinstance(error, dict):
        shown["error"] = error.get("type")
    if isinstance(execution, dict):
        shown["review"] = execution.get("status")
    return shown


def _partition(row: tuple[str, str, str]) -> dict[str, object]:
    name, status, source = row
    return {"key": name, "status": status, "type": loads(source)["type"]}


def _record(row: tuple[str, str, str, str, str, str]) -> dict[str, object]:
    names = ("source", "target", "type", "id", "updatedAt")
    return {**dict(zip(names, row[:-1], strict=True)), "data": Fragment(row[-1])}
