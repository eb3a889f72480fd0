"""The calls of the API as commands, one row a call: a method of the session, and how to give its parameters.

What runs a row is `runs.api`; what makes a click command of it is `api_commands`.
"""

from collections.abc import Mapping
from enum import Enum
from typing import NamedTuple


class Kind(Enum):
    """What the text of a parameter stands for."""

    TEXT = "text"
    NUMBER = "number"
    FLAG = "flag"
    KEYS = "keys"
    """Several keys, or names separated by commas in an option."""
    REF = "ref"
    """TYPE/ID of one end."""
    OBJECT = "object"
    """A JSON object, sent in its own bytes."""
    FILTER = "filter"
    """A JSON object, read into memory."""
    MODEL = "model"
    """A JSON document that must be, without a loss, the model that the parameter names."""
    RECORDS = "records"
    """A file of records as `ingest` reads them."""


class Parameter(NamedTuple):
    """One parameter of a session's method: an option if `flag` begins with dashes, else an argument."""

    name: str
    flag: str
    help: str = ""
    kind: Kind = Kind.TEXT
    required: bool = True
    model: str = ""
    many: bool = False
    """Whether the document is a list of the model."""
    choices: tuple[str, ...] = ()

    @property
    def is_option(self) -> bool:
        return self.flag.startswith("--")

    @property
    def field(self) -> str:
        """The name of the parameter in the paths of `InvalidWrite`."""
        return self.name.rstrip("_")


class Effect(Enum):
    READ = "read"
    LIST = "list"
    CHANGE = "change"
    """A change that the service answers at once."""
    SUBMIT = "submit"
    """A write that may be accepted as a task: it has `--wait`."""


class ApiCommand(NamedTuple):
    name: str
    method: str
    help: str
    parameters: tuple[Parameter, ...] = ()
    effect: Effect = Effect.READ
    has_source: bool = True
    confirm: str = ""
    """The question that is asked before it runs, unless `--yes` is given."""


def _argument(name: str, flag: str = "") -> Parameter:
    return Parameter(name, flag or name.upper())


TYPE, ID, KEY = _argument("type"), _argument("id"), _argument("key")

DATA = Parameter("data", "--data", "The data: a JSON object.", Kind.OBJECT)
META = Parameter("meta", "--meta", "The metadata: a JSON object.", Kind.MODEL, required=False, model="Meta")
CONTAINED = Parameter(
    "contained",
    "--contained",
    "What it contains: a JSON object that maps the keys of properties to lists of resources.",
    Kind.MODEL,
    required=False,
    model="ContainedIn",
)
ON_EXISTING = Parameter(
    "on_existing",
    "--on-existing",
    "If a record has the key already: fail without reading it (fail); read it, print an equal one and fail"
    " for a different one (compare); or print it and leave it, whatever it is (keep).  [default: fail]",
    required=False,
    choices=("fail", "compare", "keep"),
)
PLACE = Parameter("place", "PLACE", kind=Kind.KEYS)
PER_PAGE = Parameter("per_page", "--per-page", "How many entries a page holds.", Kind.NUMBER, required=False)
RECEIPTS = Parameter(
    "with_receipts", "--receipts", "Ask for the receipts of its operations too.", Kind.FLAG, required=False
)


def _end(name: str, flag: str, help: str) -> Parameter:
    return Parameter(name, flag, help, Kind.REF)


def _document(
    name: str, model: str, help: str, *, flag: str = "--definition", many: bool = False
) -> Parameter:
    return Parameter(name, flag, help, Kind.MODEL, model=model, many=many)


_RESOURCE = (DATA, META, CONTAINED)
_FILE = Parameter("writes", "FILE", kind=Kind.RECORDS)

COMMANDS: Mapping[str, tuple[ApiCommand, ...]] = {
    "relationship": (
        ApiCommand(
            "create",
            "create_relationship",
            "Create a relationship of TYPE between two ends.",
            (
                TYPE,
                _end("from_", "--from", "The end where it starts."),
                _end("to", "--to", "The end where it leads."),
                Parameter("data", "--data", "The data: a JSON object.", Kind.OBJECT, required=False),
                META,
                ON_EXISTING,
            ),
            Effect.SUBMIT,
        ),
        ApiCommand(
            "get",
            "get_relationship",
            "Print the relationship of TYPE whose ID is `{from.id}.{to.id}`, or `{system}:{value}:{use}`.",
            (TYPE, ID),
        ),
        ApiCommand(
            "update",
            "update_relationship",
            "Change the data of a relationship, one patch after the other.",
            (
                TYPE,
                ID,
                _document(
                    "patches",
                    "Patch",
                    'A JSON list of {"op": "add", "replace" or "remove", "path", "value"}.',
                    flag="--patch",
                    many=True,
                ),
            ),
            Effect.SUBMIT,
        ),
        ApiCommand(
            "delete",
            "delete_relationship",
            "Delete a relationship, and neither of its ends.",
            (TYPE, ID),
            Effect.SUBMIT,
        ),
    ),
    "resource": (
        ApiCommand(
            "create",
            "create_resource",
            "Create a resource of TYPE. Without --id the service makes the id.",
            (
                TYPE,
                Parameter("id", "--id", "The id of the resource.", required=False),
                *_RESOURCE,
                ON_EXISTING,
            ),
            Effect.SUBMIT,
        ),
        ApiCommand(
            "upsert",
            "upsert_resource",
            "Create a resource, or replace the whole of it.",
            (TYPE, ID, *_RESOURCE),
            Effect.SUBMIT,
        ),
        ApiCommand(
            "get",
            "get_resource",
            "Print the resource of TYPE with this ID, or identifier `{system}:{value}:{use}`.",
            (TYPE, ID),
        ),
        ApiCommand(
            "delete",
            "delete_resource",
            "Delete a resource and the relationships attached to it.",
            (TYPE, ID),
            Effect.SUBMIT,
        ),
    ),
    "contained": tuple(
        ApiCommand(
            name,
            f"{name}_contained",
            f"{verb} the resource at PLACE inside the resource of TYPE with this ID; print the outer one.\n\n"
            "    PLACE is a path of keys and ids: KEY, KEY/ID, KEY/ID/KEY.",
            (
                TYPE,
                ID,
                PLACE,
                *(
                    [_document("contained", "Contained", "The contained resource.", flag="--resource")]
                    if name != "delete"
                    else []
                ),
            ),
            Effect.SUBMIT,
        )
        for name, verb in (("create", "Create"), ("upsert", "Create or replace"), ("delete", "Delete"))
    ),
    "source": (
        ApiCommand("create", "create_source", "Create a source.", (KEY,), Effect.CHANGE, has_source=False),
        ApiCommand("get", "get_source", "Print a source.", (KEY,), has_source=False),
        ApiCommand("list", "list_sources", "Print all sources.", (PER_PAGE,), Effect.LIST, has_source=False),
        ApiCommand(
            "delete",
            "delete_source",
            "Delete a source with all its records. Its partitions become STATUS_STALE.",
            (KEY,),
            Effect.CHANGE,
            has_source=False,
            confirm="Delete the source {key} and all its records for good?",
        ),
    ),
    "profile": (
        ApiCommand(
            "put",
            "put_profile",
            "Create the profile KEY, or replace it.",
            (KEY, _document("profile", "Profile", "The profile, as in the reference of the API.")),
            Effect.CHANGE,
        ),
    ),
    "definition": (
        ApiCommand(
            "put",
            "put_relationship_definition",
            "Create the relationship definition KEY.",
            (KEY, _document("definition", "RelationshipDefinition", "The relationship definition.")),
            Effect.CHANGE,
        ),
        ApiCommand("get", "get_relationship_definition", "Print the relationship definition KEY.", (KEY,)),
        ApiCommand(
            "list",
            "list_relationship_definitions",
            "Print the relationship definitions of a source.",
            (PER_PAGE,),
            Effect.LIST,
        ),
    ),
    "collection": (
        ApiCommand(
            "put",
            "put_collection",
            "Create the collection KEY, or replace it.",
            (KEY, _document("collection", "Collection", "The collection.")),
            Effect.CHANGE,
        ),
        ApiCommand("get", "get_collection", "Print the collection KEY.", (KEY,)),
    ),
    "partition": (
        ApiCommand(
            "create",
            "create_partition",
            "Create the partition KEY: immutable at once, unless it is staged.",
            (
                KEY,
                _document("partition", "Partition", "An object with `modules` and `source`."),
                Parameter(
                    "stage",
                    "--stage",
                    "Make a mutable partition to try, in place of an immutable one.",
                    Kind.FLAG,
                    required=False,
                ),
                ON_EXISTING,
            ),
            Effect.CHANGE,
            has_source=False,
        ),
        ApiCommand("get", "get_partition", "Print the partition KEY.", (KEY,), has_source=False),
        ApiCommand(
            "list", "list_partitions", "Print all partitions.", (PER_PAGE,), Effect.LIST, has_source=False
        ),
        ApiCommand(
            "delete",
            "delete_partition",
            "Delete the partition KEY.",
            (KEY,),
            Effect.CHANGE,
            has_source=False,
            confirm="Delete the partition {key} for good?",
        ),
    ),
    "bulk": (
        ApiCommand(
            "create",
            "bulk",
            "Send the records in FILE, each for itself, and print their receipts.",
            (_FILE,),
            Effect.SUBMIT,
        ),
        ApiCommand(
            "get",
            "get_bulk_result",
            "Print how a bulk stands, by its own endpoint; for ids of older bulks without a prefix.",
            (
                Parameter("target", "TARGET", choices=("RESOURCE", "RELATIONSHIP")),
                ID,
                RECEIPTS,
            ),
        ),
    ),
    "bundle": (
        ApiCommand(
            "create",
            "bundle",
            "Send the records in FILE, all or none, and print their receipts.",
            (_FILE,),
            Effect.SUBMIT,
        ),
    ),
    "browse": (
        ApiCommand(
            "",
            "browse",
            "Print every record of the collections KEYS, page after page.",
            (
                Parameter("collection_keys", "KEYS", kind=Kind.KEYS, many=True),
                PER_PAGE,
                Parameter("filter", "--filter", "Which records: a JSON object.", Kind.FILTER, required=False),
                Parameter("include", "--include", "Fields to print, by commas.", Kind.KEYS, required=False),
                Parameter(
                    "exclude", "--exclude", "Fields to leave out, by commas.", Kind.KEYS, required=False
                ),
            ),
            Effect.LIST,
        ),
    ),
    "purge": (
        ApiCommand(
            "create",
            "purge",
            "Delete all records of the collection KEY; of resources, the relationships attached to them too.",
            (
                Parameter("collection_type", "KIND", choices=("resources", "relationships")),
                Parameter("collection_key", "KEY"),
            ),
            Effect.SUBMIT,
            confirm="Delete all records of {collection_type} {collection_key} for good?",
        ),
        ApiCommand("get", "get_purge", "Print how a purge stands.", (ID,)),
    ),
}
