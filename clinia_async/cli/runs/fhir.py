"""What `clinia-async fhir` does."""

import json
from pathlib import Path

import click

from clinia_async.calls.definitions import PutProfile, PutRelationshipDefinition
from clinia_async.cli.connection_options import Connection
from clinia_async.cli.exit_codes import ExitCode, say
from clinia_async.errors import NotFound
from clinia_async.ingest.readers.fhir_definitions import FhirDefinitions, fhir_definitions


async def write_definitions(
    paths: tuple[Path, ...], format_: str, fhir_base: str | None, to: tuple[Connection, str] | None
) -> int:
    """Print the definitions that files need, and make them if `to` says where."""
    definitions = await fhir_definitions(paths, format=format_, fhir_base=fhir_base)
    click.echo(json.dumps(_shown(definitions), indent=2, ensure_ascii=False))
    if to is not None:
        await _apply(definitions, *to)
    return ExitCode.OK


async def _apply(definitions: FhirDefinitions, connection: Connection, source: str) -> None:
    async with connection.session() as session:
        try:
            await session.get_source(source)
        except NotFound:
            await (await session.create_source(source))
        for key, profile in definitions.profiles.items():
            await (await session.put_profile(source, key, profile))
        for key, definition in definitions.relationships.items():
            await (await session.put_relationship_definition(source, key, definition))
    count = len(definitions.profiles) + len(definitions.relationships)
    say(f"{count:,} definitions were made in {source}")


def _shown(definitions: FhirDefinitions) -> dict[str, object]:
    """Return the bodies of the requests that make them, by their keys."""
    profiles = {key: PutProfile("source", key, each) for key, each in definitions.profiles.items()}
    relationships = {
        key: PutRelationshipDefinition("source", key, each) for key, each in definitions.relationships.items()
    }
    return {
        "profiles": {key: json.loads(call.request().body or b"") for key, call in profiles.items()},
        "relationships": {key: json.loads(call.request().body or b"") for key, call in relationships.items()},
    }
