#!/bin/sh
# Serves what may be served, or nothing: the files are those whose digest the evidence names.
set -e
mlgov verify models:/credit_risk@champion --target production --into served
exec mlflow models serve --model-uri served --env-manager local --host 127.0.0.1 --port "$PORT"
