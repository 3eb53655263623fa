"""People: accounts and the rooms they are in, whether they are connected or not."""
