"""How many users a server carries on this machine, as one sentence."""
