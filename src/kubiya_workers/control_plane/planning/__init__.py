"""Plans: a model is asked who should run a prompt, where, and what that takes, before anything runs.

    candidates   who and what there is to choose from, by the database
    question     what the model is asked, and the schema of its answer
    draft        its answer, read without trust
    settling     the plan that becomes of it: only candidates, our own prices
    planner      one plan from its request to its end, with one repair at most

Nothing is stored: a plan belongs to whoever asked for it. The model is called through the gateway, as the caller's own
call; how that is reached is told by who starts the process.
"""
