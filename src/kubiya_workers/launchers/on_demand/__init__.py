"""Workers that are started for one execution, and removed after it: one port, and a way a place they can be.

    port        what a control plane needs of whatever starts them
    processes   processes of this machine
    containers  containers of a Docker daemon
    jobs        Jobs of a cluster
    choice      which of them the settings ask for

Names are decided by whoever orders a worker, so that one that was started just before a crash is found again.
"""
