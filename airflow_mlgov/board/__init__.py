"""The pages on which people look at the ledger: the board, a model's story, what is owed, the audit log, the policy.

They read and decide nothing: a verdict is that of ``release.explanation`` and ``governance.decision``. No Airflow.
"""
