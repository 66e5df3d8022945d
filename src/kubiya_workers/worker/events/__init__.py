"""What a running step says, on its way to the event log: facts that must arrive, and chunks that must be fast.

A step's `Publisher` keeps them in order, sends the first at once and joins what comes while it is on its way; it
sends again what was lost, so that a restart of the control plane costs nothing. It stands on `client.events`.
"""
