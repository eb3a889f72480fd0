"""Defences taken away one by one: for each there are tests that fail without it.

python -m tests.mutants
"""
