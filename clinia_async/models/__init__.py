"""The values of the API: frozen, with no JSON and no I/O.

May import nothing else of the package. Wire names, formats and requests do not belong here.

Names are loaded when they are first used; `__init__.pyi` says to type checkers where each is defined.
"""

from clinia_async.models.lazy_loading import lazy_names

__all__, __getattr__, __dir__ = lazy_names(
    __name__,
    {
        "definitions": (
            "Cardinality Collection CollectionProfile DefinitionEnd Profile ProfileType"
            " RelationshipDefinition Source SourceType"
        ),
        "json_types": (
            "CollectionConnectionJson CollectionJson CollectionProfileJson ConnectionEndJson"
            " ContainedInJson ContainedJson DataSourceJson DefinitionEndJson IdentifierJson MdmJson"
            " MetaJson ModulesJson PartitionJson PatchJson PeriodJson ProfileJson"
            " ReconciliationRulesJson RefJson RelationshipBodyJson RelationshipConnectionJson"
            " RelationshipDefinitionJson RelationshipJson ResourceJson SourceCollectionJson"
            " SourceMappingJson"
        ),
        "open_enum": "OpenEnum",
        "batch_result": "BatchResult",
        "pages": "BrowseMeta BrowsePage Hit HitType OtherRecord Page PageMeta",
        "patches": "Patch PatchOp",
        "partitions": (
            "CollectionConnection ConnectionEnd DataSource Mdm Modules OtherSource Partition"
            " PartitionStatus ReconciliationRules ReconciliationType RelationshipConnection"
            " SearchModule SourceCollection SourceMapping"
        ),
        "records": "Contained Identifier Meta Period Ref Relationship Resource",
        "tasks": (
            "Action CollectionType ErrorInfo ErrorType PipelineExecution PipelineStatus"
            " PurgeOperation Receipt SubmissionStatus TargetType TaskSnapshot TaskStatus"
            " TaskSubmission"
        ),
        "value": "Json JsonDocument Value",
    },
)
