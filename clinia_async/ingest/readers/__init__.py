"""Files and tables to records: NDJSON, CSV, Parquet, FHIR, compressed or not.

May import ingest.records and ingest.outcomes. Nothing here sends or knows about tasks.

Names are loaded when they are first used; `__init__.pyi` says to type checkers where each is defined.
"""

from clinia_async.models.lazy_loading import home_of, load

_HOME_OF = home_of(
    {
        "csv_reader": "read_csv",
        "dead_letter_reader": "DeadLetterReader LARGEST_LETTER",
        "json_reader": "read_json",
        "parquet_reader": "read_parquet",
        "table_rows": "RowReader",
    }
)

__all__ = sorted(_HOME_OF)  # noqa: PLE0605  the table above is the one list of the names


def __getattr__(name: str) -> object:
    return load(__name__, _HOME_OF, name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
