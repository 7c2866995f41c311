"""The policy file and the decision over verified evidence. No Airflow, no MLflow."""
