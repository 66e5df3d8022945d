"""The bodies of the activities that `workflows/calls.py` names: one file each.

`edge` wraps every one of them: it beats, counts, logs, and turns what went wrong into what Temporal should do about
it. A body publishes its step's facts and deltas as they happen; its closing fact is stored before it returns, so
that a step whose result Temporal never heard of is found finished by the next attempt instead of being run again.
"""
