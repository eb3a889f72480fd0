"""All mutants."""

from tests.mutants import ingest_mutants, proof_mutants, value_mutants, wire_mutants

MUTANTS = [
    *proof_mutants.MUTANTS,
    *wire_mutants.MUTANTS,
    *ingest_mutants.MUTANTS,
    *value_mutants.MUTANTS,
]
