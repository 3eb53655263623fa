"""Transport: from a listening socket to the links that sessions read and write."""
