# One node that keeps its data itself. It unseals itself with a key of its own machine, so that a restart needs nobody.
storage "raft" {
  path    = "/openbao/file"
  node_id = "openbao"
}
seal "static" {
  current_key_id = "1"
  current_key    = "file:///run/secrets/openbao_seal_key"
}
listener "tcp" {
  address         = "0.0.0.0:8200"
  cluster_address = "127.0.0.1:8201"
  tls_disable     = true # the network of this container holds the governance worker and OPA alone
}
api_addr     = "http://openbao:8200"
cluster_addr = "http://127.0.0.1:8201"
