"""The audit trail where others look: each ledger entry is also handed to sinks, in order, after it was recorded."""
