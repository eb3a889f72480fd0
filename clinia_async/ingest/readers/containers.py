"""What a file is, by its first bytes: the containers that are read, and names for those that are not."""

import codecs
import re

GZIP = b"\x1f\x8b"
BZIP2 = re.compile(rb"BZh[1-9]")
XZ = b"\xfd7zXZ\x00"
ZSTD = re.compile(rb"\x28\xb5\x2f\xfd|[\x50-\x5f]\x2a\x4d\x18")
"""A frame, or one that is there to be skipped."""
ZIP = re.compile(rb"PK(\x03\x04|\x05\x06)")
PARQUET = b"PAR1"

COMPRESSED = (".gz", ".zst", ".zstd", ".bz2", ".xz", ".zip")
"""Ends of the names of files that are compressed, in lower case."""

START = 512
"""Bytes after which every container is known: those of the first header of a tar archive."""
_JSON_BEGINS = re.compile(rb"(\xef\xbb\xbf)?\s*[\[{]\s*[\[\]{}\"]")
_CONTROL = re.compile(rb"[\x00-\x08\x0e-\x1a]")
_TAR_AT = 257
_TAR_SUM = slice(148, 156)

_UTF16 = re.compile(rb"\xff\xfe|\xfe\xff|[^\x00]\x00[^\x00]\x00|\x00[^\x00]\x00[^\x00]")
_UTF32 = re.compile(
    rb"\xff\xfe\x00\x00|\x00\x00\xfe\xff|[^\x00]\x00{3}[^\x00]\x00{3}|\x00{3}[^\x00]\x00{3}[^\x00]"
)
_RECODE = "it must be UTF-8: recode it, as with iconv -f {0} -t UTF-8, or for CSV give --encoding {0}"
_UNPACK = "give its files one by one, as with {} | clinia-async ingest - --format ndjson"
_EXPORT = "export it as Parquet or CSV"
_DECOMPRESS = "decompress it, or compress it by gzip, bzip2, xz or zstd"
_LZMA = f"compressed by lzma (.lzma); {_DECOMPRESS}"
_READ = "FHIR is read as JSON, and tables as CSV or Parquet"
_IMAGE = "an image, which holds no records"
_LFS = "a pointer of Git LFS, and not the file; fetch it with git lfs pull"


def _magic(start: bytes) -> re.Pattern[bytes]:
    """Return what finds `start` in front of what is no text: a table may begin with ORCID, too."""
    return re.compile(start + rb"(?=.*[\x00-\x08\x0e-\x1a])", re.DOTALL)


_NAMES = (
    (_UTF32, f"UTF-32 text; {_RECODE.format('utf-32')}"),
    (_UTF16, f"UTF-16 text; {_RECODE.format('utf-16')}"),
    (re.compile(rb"7z\xbc\xaf\x27\x1c"), f"a 7z archive; {_UNPACK.format('7z x -so ARCHIVE FILE')}"),
    (re.compile(rb"Rar!\x1a\x07"), f"a RAR archive; {_UNPACK.format('unrar p -inul ARCHIVE FILE')}"),
    (re.compile(rb"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"), "an Excel or Office file; save the sheet as CSV"),
    (re.compile(rb"SQLite format 3\x00"), f"a SQLite database; {_EXPORT}, or read a cursor with clinia.rows"),
    (re.compile(rb"Obj\x01"), f"an Avro file; {_EXPORT}"),
    (_magic(rb"ORC"), f"an ORC file; {_EXPORT}"),
    (_magic(rb"ARROW1"), f"an Arrow file; {_EXPORT}"),
    (re.compile(rb"\xff{4}.{3}\x00\x10\x00\x00\x00", re.DOTALL), f"an Arrow file; {_EXPORT}"),
    (_magic(rb"FEA1"), f"a Feather file; {_EXPORT}"),
    (re.compile(rb"\x89PNG|GIF8[79]a|\xff\xd8\xff|II\x2a\x00|MM\x00\x2a"), _IMAGE),
    (re.compile(rb"BM.{4}\x00{4}|RIFF.{4}WEBP", re.DOTALL), _IMAGE),
    (re.compile(rb"%PDF-"), "a PDF file, which holds no records"),
    (re.compile(rb"\x1f[\x9d\xa0]"), f"compressed by compress (.Z); {_DECOMPRESS}"),
    (re.compile(rb"\x04\x22\x4d\x18"), f"compressed by lz4; {_DECOMPRESS}"),
    (re.compile(rb"\xff\x06\x00\x00sNaPpY"), f"compressed by snappy; {_DECOMPRESS}"),
    (re.compile(rb"\x89HDF\r\n"), f"an HDF5 file; {_EXPORT}"),
    (re.compile(rb"\x5d\x00\x00[\x00-\x02\x04\x08\x10\x20\x40\x80]"), _LZMA),
    (re.compile(rb"version https://git-lfs"), _LFS),
    (re.compile(rb"(\xef\xbb\xbf)?\s*<"), f"XML or HTML; {_READ}"),
    (re.compile(rb"!<arch>\n"), f"an ar archive; {_UNPACK.format('ar p ARCHIVE FILE')}"),
    (re.compile(rb"0707(01|02|07)[0-9A-Fa-f]{8}"), "a cpio archive; unpack it"),
    (re.compile(rb"#!\s*/"), "a script, perhaps with an archive behind it; unpack that"),
    (re.compile(rb"MZ[^\n]{0,64}\x00|\x7fELF"), "a program, perhaps with an archive in it; unpack that"),
    (re.compile(rb"\x1e"), "a JSON text sequence; leave out its record separators (1E), and it is NDJSON"),
    (re.compile(rb"{\\rtf"), "an RTF file, which holds no records"),
    (_magic(rb"PARE"), "Parquet whose footer is encrypted; decrypt it"),
    (re.compile(rb"\x93NUMPY"), f"an array of numpy; {_EXPORT}"),
    (re.compile(rb"\x00{128}DICM"), "a DICOM file; FHIR is read as JSON"),
    (re.compile(rb"-----BEGIN PGP|age-encryption\.org"), "encrypted; decrypt it"),
    (re.compile(rb"\x0b?(MSH|FHS|BHS)([^\w\s])[^\w\s]{2,5}\2"), f"HL7 version 2; {_READ}"),
)  # fmt: skip


def is_known(start: bytes) -> bool:
    """Return whether `start` is long enough to determine the format of the file."""
    if len(start) >= START:
        return True
    # text that begins as JSON, or whose first line is whole, is no archive
    return len(start) >= len(XZ) and (
        begins_as_json(start) or (b"\n" in start and _is_text(start)) or compression_of(start) is not None
    )


def compression_of(start: bytes) -> str | None:
    """Return the name of what it is compressed by, if that can be read."""
    if start.startswith(GZIP):
        return "gzip"
    if start.startswith(XZ):
        return "xz"
    known = {"bzip2": BZIP2, "zstd": ZSTD, "zip": ZIP}
    return next((name for name, magic in known.items() if magic.match(start)), None)


def is_binary(start: bytes) -> bool:
    """Return whether it is neither text nor JSON that is damaged.

    A control character in the first line says so, and so do more than a few of them before the end of
    `START` where it is not UTF-8: what is compressed or drawn may have a line break among its first bytes.
    """
    head = start[:START]
    if _CONTROL.search(head.partition(b"\n")[0]) and not begins_as_json(head):
        return True
    if _JSON_BEGINS.match(head) or len(_CONTROL.findall(head)) <= 3 + len(head) // 32:
        return False
    try:
        codecs.getincrementaldecoder("utf-8")().decode(head)
    except UnicodeDecodeError:
        return True
    return False


def unsupported(start: bytes) -> str | None:
    """Return the name of what begins so, if it is a container that is not read."""
    if start[_TAR_AT : _TAR_AT + 5] == b"ustar" or _is_old_tar(start):
        return f"a tar archive; {_UNPACK.format('tar -xOf ARCHIVE FILE')}"
    return next((name for pattern, name in _NAMES if pattern.match(start)), None)


def _is_old_tar(start: bytes) -> bool:
    """Return whether it begins with a header whose checksum is right, as before there was `ustar`."""
    header, written = start[:START], start[_TAR_SUM].strip(b" \x00")
    if len(header) < START or not re.fullmatch(rb"[0-7]{3,7}", written):
        return False
    return sum(header) - sum(header[_TAR_SUM]) + 8 * ord(" ") == int(written, 8)


def begins_as_json(start: bytes) -> bool:
    """Return whether it begins as an object or a list of JSON does."""
    return start.removeprefix(b"\xef\xbb\xbf").lstrip()[:1] in (b"{", b"[")


def _is_text(start: bytes) -> bool:
    return not re.search(rb"[\x00-\x08\x0e-\x1f\x80-\xff]", start.removeprefix(b"\xef\xbb\xbf"))
