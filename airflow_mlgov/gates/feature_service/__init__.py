"""The gate over a Feast feature service: owners, PII tags, freshness of the features that a model reads."""
