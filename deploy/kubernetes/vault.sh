#!/bin/sh
# Vault or OpenBao for the governance workers: a key and a policy for each duty, and a role that their service account
# logs in to. Needs the programs bao (or vault, as BAO=vault) and mlgov, and a token that may do this. May run again.
#
#   SERVICE_ACCOUNT   mlgov-governance where not set; of a worker of one duty, its own
#   DUTIES            every duty where not set
#   KUBERNETES_HOST   https://kubernetes.default.svc where not set
#   KUBERNETES_CA     file with the certificate of the cluster's API, where Vault runs outside of the cluster
set -eu
bao=${BAO:-bao}
account=${SERVICE_ACCOUNT:-mlgov-governance}
host=${KUBERNETES_HOST:-https://kubernetes.default.svc}
duties=${DUTIES:-"$(python3 -c 'from airflow_mlgov.evidence.signing import duties; print(*duties())')"}

has() { $bao "$1" list -format=json | grep -q "\"$2/\""; }

has secrets transit || $bao secrets enable transit
has secrets secret || $bao secrets enable -path=secret -version=2 kv
has auth kubernetes || $bao auth enable kubernetes
# whoever logs in shows a token that the cluster's API is asked about: outside of the cluster, with its certificate
if [ -n "${KUBERNETES_CA:-}" ]; then
  $bao write auth/kubernetes/config kubernetes_host="$host" kubernetes_ca_cert=@"$KUBERNETES_CA" disable_local_ca_jwt=true
else
  $bao write auth/kubernetes/config kubernetes_host="$host"
fi
policies=""
for duty in $duties; do
  name=mlgov-$(echo "$duty" | tr _ -)
  $bao write -f "transit/keys/$name" type=ed25519
  mlgov vault-policy "$duty" | $bao policy write "$name" -
  policies="${policies:+$policies,}$name"
done
$bao write "auth/kubernetes/role/$account" \
  bound_service_account_names="$account" bound_service_account_namespaces=mlgov-governance \
  audience=vault token_policies="$policies" token_ttl=15m token_max_ttl=1h
