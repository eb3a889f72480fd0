"""Ingestion: many records, one outcome each, and a report that is true on every exit.

May import session and what is below. What proves an outcome belongs to calls, and the sending of one request
to session and transport.

Public names are imported from `clinia_async`, which loads each with its module alone.
"""
