"""Programs of others, run on our flows with only their flow constructors exchanged."""
