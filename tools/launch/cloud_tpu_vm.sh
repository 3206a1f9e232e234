#!/usr/bin/env bash
# Trains on a Cloud TPU VM with one host (v3-8, v4-8, v5e up to 8 chips).
#
#   ZONE=europe-west4-a TPU=my-tpu MODEL_DIR=/mnt/runs/mine tools/launch/cloud_tpu_vm.sh GIN_FILE
#
# The TPU exists already (`gcloud compute tpus tpu-vm create`), this checkout lies on it under
# ~/trivd_tf, installed as docs/scaling.md says. MODEL_DIR is on a disk that is mounted there and
# outlives the TPU (Filestore, a persistent disk, a bucket through Cloud Storage FUSE), or
# gs://BUCKET/RUN.
set -euo pipefail

: "${ZONE:?the zone of the TPU}" "${TPU:?its name}" "${MODEL_DIR:?a folder on a disk that outlives the TPU}"
gin_file=${1:?a gin file}

gcloud compute tpus tpu-vm ssh "$TPU" --zone "$ZONE" --command "
  cd ~/trivd_tf
  .venv/bin/trivd train --gin_file '$gin_file' --model_dir '$MODEL_DIR' \
    --strategy tpu --tpu local --watch_maintenance
"
