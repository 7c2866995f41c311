"""The cluster's door: what an API server asks about an object before it lets it in, answered from the ledger and by
OPA."""
