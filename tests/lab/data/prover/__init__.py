"""Writes numbered rows from outside a cluster and compares what was acknowledged with what is found at the end.

Run by tests and by people: ``tools/prover --help``.
"""
