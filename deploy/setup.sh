#!/bin/sh
# Runs once per `docker compose up`, before the services: migrations, then the first way in.
set -eu
querykeep migrate
if [ "${QUERYKEEP_DEMO:-0}" = 1 ]; then
    python -m querykeep_demo.compose seed
else
    querykeep create-owner --if-none
fi
