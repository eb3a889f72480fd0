"""Writes that are made at the same time, sent together in one bulk.

May import session.submissions, tasks, transport and what is below. What an answer proves belongs to calls.
"""
