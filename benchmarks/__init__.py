"""Speed side by side with the peers: each program prints one table."""
