"""What people do with evidence: promote, roll back, reconcile, waive, audit, explain. No Airflow; MLflow only through
:mod:`airflow_mlgov.registry`, and evidence decides, never MLflow's tags."""
