"""One line on each command, for the help of the program, which so loads none of them."""

from collections.abc import Mapping

JOBS: Mapping[str, str] = {
    "ingest": "Send the records in FILE, and report the outcome of each.",
    "validate": "Check the records in FILE as `ingest` does, and send nothing.",
    "retry": "Send the records in LETTERS, the dead-letter file of `ingest` or `validate`, once they are"
    " mended.",
    "fhir": "Make a source ready for the resources and the references of FHIR files.",
    "journal": "Read the journal of a job.",
}
"""Commands that work on many records; each is in the module of its name, as the others are."""

CALLS: Mapping[str, str] = {
    "relationship": "Create, read, change or delete one relationship.",
    "resource": "Create, read, replace or delete one resource.",
    "contained": "Create, replace or delete a resource inside another.",
    "source": "Create, read, list or delete sources.",
    "profile": "Create or replace the profile of a type of resources.",
    "definition": "Create, read or list relationship definitions.",
    "collection": "Create, replace or read a collection.",
    "partition": "Create, read, list or delete partitions.",
    "bulk": "Send up to a few thousand records in one request; `ingest` sends any number.",
    "bundle": "Send records in one request that stores all of them, or none.",
    "browse": "Print every record of the collections KEYS, page after page.",
    "purge": "Delete all records of a collection, or read how that stands.",
}
"""Calls of the API, by the kind of what they are about; `api_table` has a row for each."""

OTHERS: Mapping[str, str] = {
    "task": "Read the state of a task, or wait for it: by its token, or by its id and its source.",
    "doctor": "Find out what a service needs: its hosts, its credential, its clock and its limits.",
    "emulator": "Serve a registry and catalog on this machine until SIGINT or SIGTERM; no account is needed.",
    "completion": "Print the completion script of SHELL.",
}

SUMMARIES: Mapping[str, str] = {**JOBS, **CALLS, **OTHERS}
