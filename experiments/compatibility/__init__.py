"""Programs of other authors, run on our flows by exchanging their constructors."""
