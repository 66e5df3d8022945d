"""Jobs: what is due is taken from the database and submitted, each time once.

    loop.py      sleeps until something is due, and takes it     ┐
    routes/      a delivery to a webhook, a trigger by hand      ┴→ firing.py → services/submitting.py

`firing.py` stores that a job fires, or why it does not, in one transaction that one control plane of a database wins;
only then is the execution submitted, under an identity that follows from the firing. Whoever dies in between leaves a
row that says so, and the same execution is submitted by the next who looks. The rest is pure: `schedule` (cron and time
zones), `due` (what a late look does), `template` (prompts), `webhooks` (tokens and signatures). `services/jobs.py`
keeps the jobs themselves.
"""
