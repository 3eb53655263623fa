"""Workers: several nodes on one machine, started and watched by a parent.

The parent takes the ports and never accepts: the first worker that does listens on them. Each is
the same program, run by exec, with the sockets inherited; so while a worker is restarted the others
accept, and when none runs any more what connects waits in the kernel.
"""
