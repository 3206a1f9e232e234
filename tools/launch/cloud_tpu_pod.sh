#!/usr/bin/env bash
# Trains on a slice of a TPU pod (several hosts, such as v3-32 or v4-64).
#
#   ZONE=europe-west4-a TPU=my-slice MODEL_DIR=/mnt/runs/mine tools/launch/cloud_tpu_pod.sh GIN_FILE
#
# One process trains: it runs on the first host and reaches the other hosts' TPUs through the TPU
# runtime, by the slice's name. MODEL_DIR is shared storage, mounted under the same path on all hosts
# (Filestore, a bucket through Cloud Storage FUSE), or gs://BUCKET/RUN: each host writes its part of
# a checkpoint.
set -euo pipefail

: "${ZONE:?the zone of the slice}" "${TPU:?its name}" "${MODEL_DIR:?a folder that all hosts share}"
gin_file=${1:?a gin file}

gcloud compute tpus tpu-vm ssh "$TPU" --zone "$ZONE" --worker 0 --command "
  cd ~/trivd_tf
  export TPU_NAME='$TPU' TPU_LOAD_LIBRARY=0
  .venv/bin/trivd train --gin_file '$gin_file' --model_dir '$MODEL_DIR' \
    --strategy tpu --tpu '$TPU' --watch_maintenance
"
