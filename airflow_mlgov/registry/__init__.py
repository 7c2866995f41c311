"""MLflow's model registry alone: read it, hash the bytes it holds, move stage and alias. Decides nothing."""
