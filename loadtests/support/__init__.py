"""What the load tests share: servers, addresses, checks, measurements."""
