"""What of FHIR is loaded, and what is not, by reason. Read without the modules that read FHIR."""

from collections import Counter
from enum import StrEnum


class FhirContent(StrEnum):
    """What of a FHIR file is loaded."""

    REFERENCES = "references"
    """Each reference, as a relationship."""
    RESOURCES = "resources"
    """Each resource, its `data` all but `resourceType` and `id`."""
    BOTH = "both"
    """All resources, and once they are stored the relationships."""


PassedOver = Counter[str]
"""How many references are no relationships, by reason; and of `RESOURCE_REASONS`, how many resources."""
DELETED = "deleted last in their history"
CHANGE_REASONS = {
    "DELETE": "to be deleted, with the resources",
    "PATCH": "to be changed by a PATCH",
}
"""Why an entry of a transaction loads nothing where references alone are loaded."""
COPIES = "with other references than in another copy, all of which are loaded"
"""Counts copies of resources; they are not passed over."""
RESOURCE_REASONS = frozenset({DELETED, *CHANGE_REASONS.values()})
"""Those of the reasons that count resources."""
