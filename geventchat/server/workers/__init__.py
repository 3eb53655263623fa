"""Workers: several nodes on one machine, started and watched by a parent.

The parent opens the ports and never accepts. Each worker is the same program, run by exec, with the
listening sockets inherited; so while a worker is restarted the others accept, and when none runs
what connects waits in the kernel.
"""
