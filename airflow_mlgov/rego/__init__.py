"""Rego: which engines evaluate rules, what rules may say so that every engine reads them alike, and what a rule is
called. Knows nothing of models, pipelines or releases; refuses rather than guesses."""
