"""Signed, chained, verifiable records of what happened to a model. No Airflow, no network but the key's own Vault."""
