# What the identity of one duty (${duty}) may do in Vault, and nothing else:
# sign with its own key, read that key's public half, read its own MLflow account.
path "${transit}/sign/${key}" {
  capabilities = ["update"]
}

path "${transit}/keys/${key}" {
  capabilities = ["read"]
}

path "${kv}/data/mlflow/${duty}" {
  capabilities = ["read"]
}
