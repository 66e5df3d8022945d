"""Workers on demand: started for executions that have none, kept while those run, removed with them.

    loop    what is wanted, by the database, brought in line with who looks after it
    care    one worker, from its start until nothing is left of it
    news    how it hears that an execution is over

What is wanted is stored with the execution, what is there is asked of the provisioner. So it does not matter where a
control plane was interrupted, or which one goes on.
"""
