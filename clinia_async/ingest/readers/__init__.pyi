__all__: list[str]

from clinia_async.ingest.readers.csv_reader import read_csv as read_csv
from clinia_async.ingest.readers.dead_letter_reader import LARGEST_LETTER as LARGEST_LETTER
from clinia_async.ingest.readers.dead_letter_reader import DeadLetterReader as DeadLetterReader
from clinia_async.ingest.readers.fhir_reader import FhirReader as FhirReader
from clinia_async.ingest.readers.json_reader import read_json as read_json
from clinia_async.ingest.readers.parquet_reader import read_parquet as read_parquet
from clinia_async.ingest.readers.table_rows import RowReader as RowReader
from clinia_async.ingest.readers.zip_archive import Archive as Archive
from clinia_async.ingest.readers.zip_archive import ArchiveMember as ArchiveMember
from clinia_async.ingest.readers.zip_archive import BadArchive as BadArchive
from clinia_async.ingest.readers.zip_archive import ends_with_archive as ends_with_archive
