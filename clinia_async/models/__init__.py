"""The values of the API: frozen, and innocent of JSON. Wire names and formats live in `codec`.

Names are loaded when they are first used: most programs need few of them.
"""

from clinia_async.lazily import home_of, load

_HOME_OF = home_of(
    {
        "definitions": (
            "Cardinality Collection CollectionProfile DefinitionEnd Profile ProfileType"
            " RelationshipDefinition Source SourceType"
        ),
        "open_enum": "OpenEnum",
        "pages": "BrowseMeta BrowsePage Hit HitType Page PageMeta",
        "partitions": (
            "CollectionConnection ConnectionEnd DataSource Mdm Modules OtherSource Partition"
            " PartitionStatus ReconciliationRules ReconciliationType RelationshipConnection SearchModule"
            " SourceCollection SourceMapping"
        ),
        "records": "Contained Identifier Json Meta Patch PatchOp Period Ref Relationship Resource",
        "tasks": (
            "Action CollectionType ErrorInfo ErrorType PipelineExecution PipelineStatus PurgeOperation"
            " Receipt SubmissionStatus TargetType TaskSnapshot TaskStatus TaskSubmission"
        ),
    }
)

__all__ = sorted(_HOME_OF)  # noqa: PLE0605  the table above is the one list of the names


def __getattr__(name: str) -> object:
    return load(__name__, _HOME_OF, name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]
