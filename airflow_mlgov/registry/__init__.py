"""MLflow's model registry: read it, promote in it, explain it. No Airflow; evidence decides, never MLflow's tags."""
