"""The budgets of the product, measured beside bare Temporal on the same server in the same run.

    python -m benchmarks [--only NAME] [--quick] [--json FILE]

`installation` starts the real processes in a private home; each measurement is a file with one coroutine, `measure`,
that gives `figures`; `table` shows them and keeps them. `wire` is the API's cheapest client, so that what is measured
is the product, and `bare` is what it is compared with.
"""
