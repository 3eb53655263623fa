"""How many users a server supports on this machine, in one sentence."""
