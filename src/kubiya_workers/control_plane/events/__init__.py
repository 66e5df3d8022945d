"""The one event log of every execution, and the readers who follow it live.

    append ─▶ log ──(one transaction for all who wait)──▶ store/events
               │                                             │
               └──▶ hub ──▶ one bounded queue a reader ──▶ sse ◀── replay from a cursor

`ledger` decides what may be appended (fencing, duplicates, offsets) and `journal` what becomes a row and what goes
to readers when: both pure, one object an execution. `log` does the IO around them. `cursor` decides what a reader
has not seen yet, for replay and live alike. Several control planes may serve one execution: the row lock on
`executions.last_seq` orders their writes, and each takes over the rows of the others before it judges its own.
"""
