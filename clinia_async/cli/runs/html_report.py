"""The report of a job as one HTML page that needs nothing else: no script, no font and no file."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from typing import cast

from clinia_async.cli.progress import duration
from clinia_async.cli.runs import charts

Fields = Mapping[str, object]

_STYLE = """
:root { color-scheme: light; }
body { font: 15px/1.5 system-ui, sans-serif; color: #1f2937; background: #fff; max-width: 60rem;
       margin: 0 auto; padding: 1.5rem; }
h1 { font-size: 1.5rem; margin: 0 0 .25rem; } h2 { font-size: 1.1rem; margin: 2rem 0 .5rem; }
p { margin: .25rem 0; } .muted { color: #6b7280; }
.verdict { border-left: .4rem solid; padding: .5rem .8rem; margin: 1rem 0; background: #f9fafb; }
.good { border-color: #15803d; } .bad { border-color: #b3261e; }
.numbers { display: flex; flex-wrap: wrap; gap: .75rem; margin: 1rem 0; }
.numbers div { border: 1px solid #e5e7eb; border-radius: .4rem; padding: .5rem .9rem; min-width: 6.5rem; }
.numbers b { display: block; font-size: 1.35rem; font-variant-numeric: tabular-nums; }
table { border-collapse: collapse; min-width: 20rem; }
th, td { text-align: left; padding: .3rem .6rem; border-bottom: 1px solid #e5e7eb; vertical-align: top; }
th { font-weight: 600; color: #374151; } td { overflow-wrap: anywhere; }
.number { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
svg { width: 100%; height: auto; }
@media print { body { max-width: none; } h2 { break-after: avoid; } svg, table { break-inside: avoid; } }
"""


_POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def render(fields: Fields) -> str:
    """Return the page of a report, which is given as its JSON fields."""
    title = f"Ingestion into {escape(str(_settings(fields).get('source', '')))}"
    body = "\n".join([*_head(fields, title), *_charts(fields), *_tables(fields), *_foot(fields)])
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        f"<title>{title}</title>\n<style>{_STYLE}</style>\n</head>\n<body>\n{body}\n</body>\n</html>\n"
    )


def _settings(fields: Fields) -> Fields:
    return cast("Fields", fields["settings"])


def _head(fields: Fields, title: str) -> Iterable[str]:
    settings, read, landed = _settings(fields), _int(fields, "read"), _int(fields, "landed")
    files = ", ".join(map(str, cast("Sequence[str]", settings.get("files", ()))))
    yield f"<h1>{title}</h1>"
    yield f'<p class="muted">{escape(files)}<br>written {escape(_date(str(fields["written_at"])))}</p>'
    unknown = cast("Mapping[str, int]", fields["by_disposition"])["unknown"]
    stopped, failed = fields["stopped_by"], _int(fields, "completed") - landed - unknown
    if stopped is not None:
        text = f"Stopped before the end of the input: {escape(str(stopped))}."
    elif failed or unknown:
        text = f"Complete. {failed:,} of {read:,} records did not land"
        text += f", and of {unknown:,} it is unknown." if unknown else "."
    else:
        text = f"Complete. All {read:,} records landed."
    if fields["dead_letters"]:
        text += f" What failed is in {escape(str(fields['dead_letters']))}."
    kind = "good" if stopped is None and not (failed or unknown) else "bad"
    yield f'<p class="verdict {kind}">{text}</p>'
    numbers = {
        "read": f"{read:,}",
        "landed": f"{landed:,}",
        "did not land": f"{failed:,}",
        "unknown": f"{unknown:,}",
        "records/s": f"{cast('float', fields['records_per_second']):,.0f}",
        "elapsed": duration(cast("float", fields["seconds"])),
        "throttled": f"{_int(fields, 'throttles'):,}",
    }
    cells = "".join(f"<div><b>{value}</b>{name}</div>" for name, value in numbers.items())
    yield f'<div class="numbers">{cells}</div>'


def _charts(fields: Fields) -> Iterable[str]:
    samples = cast("charts.Samples", fields["timeline"])
    if len(samples) < 2:
        yield '<p class="muted">The run was too short for a chart.</p>'
        return
    yield f'<h2 id="throughput">Throughput</h2>\n{charts.throughput(samples)}'
    yield f'<h2 id="requests">Requests in flight</h2>\n{charts.requests(samples)}'
    if any(sample["lag"] is not None for sample in samples):
        yield f'<h2 id="lag">Detection lag of tasks</h2>\n{charts.lag(samples)}'
        lag = cast("Mapping[str, float]", fields["lag"])
        yield f'<p class="muted">Mean {lag["mean"]:.2f} s, worst {lag["worst"]:.2f} s.</p>'


def _tables(fields: Fields) -> Iterable[str]:
    yield '<h2 id="outcomes">Outcomes</h2>'
    counts = cast("Mapping[str, int]", fields["by_disposition"])
    yield _table(("outcome", "#records"), [(name, f"{count:,}") for name, count in counts.items() if count])
    reasons = cast("Sequence[Fields]", fields["reasons"])
    if reasons:
        yield '<h2 id="errors">Errors</h2>'
        rows = [
            (str(each["disposition"]), str(each["reason"]), f"{each['count']:,}", _lines(each))
            for each in reasons
        ]
        yield _table(("outcome", "reason", "#records", "first lines"), rows)
    chunks = cast("Sequence[Fields]", fields["slowest_chunks"])
    if chunks:
        yield '<h2 id="slowest">Slowest chunks</h2>'
        times = [
            (
                f"{cast('float', each['seconds']):.2f}",
                _place(each.get("first_file"), cast("int", each["first_line"])),
                f"{each['records']:,}",
                f"{each['requests']:,}",
                str(each["task"] or ""),
            )
            for each in chunks
        ]
        yield _table(("#seconds", "#first line", "#records", "#requests", "task"), times)


def _foot(fields: Fields) -> Iterable[str]:
    yield '<h2 id="settings">Settings</h2>'
    rows = [(name.replace("_", " "), _in_words(value)) for name, value in _settings(fields).items()]
    yield _table(("setting", "value"), [row for row in rows if row[1]])
    yield '<h2 id="versions">Versions</h2>'
    versions = cast("Mapping[str, str]", fields["versions"])
    yield _table(("package", "version"), list(versions.items()))


def _date(text: str) -> str:
    return datetime.fromisoformat(text).astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _lines(group: Fields) -> str:
    lines = cast("Sequence[int]", group["first_lines"])
    files = cast("Sequence[object]", group.get("first_files", [None] * len(lines)))
    more = ", …" if cast("int", group["count"]) > len(lines) else ""
    return ", ".join(map(_place, files, lines)) + (more if lines else "")


def _place(file: object, line: int) -> str:
    return f"{line:,}" if file is None else f"{file} {line:,}"


def _in_words(value: object) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{name} {_in_words(each)}" for name, each in value.items() if each is not None)
    if isinstance(value, list | tuple):
        return ", ".join(map(_in_words, value))
    return "" if value is None else str(value)


def _table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table whose columns of numbers are marked by `#` in their names."""
    kinds = [' class="number"' if name.startswith("#") else "" for name in columns]
    head = "".join(
        f'<th scope="col"{kind}>{name.lstrip("#")}</th>' for name, kind in zip(columns, kinds, strict=True)
    )
    lines = [
        "<tr>"
        + "".join(f"<td{kind}>{escape(cell)}</td>" for cell, kind in zip(row, kinds, strict=True))
        + "</tr>"
        for row in rows
    ]
    return f"<table>\n<thead><tr>{head}</tr></thead>\n<tbody>\n" + "\n".join(lines) + "\n</tbody>\n</table>"


def _int(fields: Fields, name: str) -> int:
    return cast("int", fields[name])
