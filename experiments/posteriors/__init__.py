"""What `posterior_inference` is made of."""
