#!/usr/bin/env bash
# Trains on several machines under Slurm, one worker a machine with all its GPUs:
#
#   sbatch --nodes 4 --gpus-per-node 8 tools/launch/slurm.sh GIN_FILE MODEL_DIR
#
# MODEL_DIR is on storage that all machines share. Slurm sends SIGTERM two minutes before the time
# limit: the workers save and leave, the job is put into the queue again and goes on.
#SBATCH --job-name=trivd
#SBATCH --ntasks-per-node=1
#SBATCH --signal=TERM@120
#SBATCH --requeue
set -euo pipefail

export GIN_FILE=${1:?a gin file} MODEL_DIR=${2:?a folder that all machines share}
export PORT=${PORT:-2222}
hosts=$(scontrol show hostnames "$SLURM_JOB_NODELIST")
export WORKERS
WORKERS=$(printf '"%s:'"$PORT"'",' $hosts)

status=0
srun bash -c '
  export TF_CONFIG="{\"cluster\": {\"worker\": [${WORKERS%,}]},
    \"task\": {\"type\": \"worker\", \"index\": $SLURM_PROCID}}"
  exec trivd train --gin_file "$GIN_FILE" --model_dir "$MODEL_DIR" --strategy multi_worker
' || status=$?
# 143: stopped and saved.
if [ "$status" -eq 143 ]; then scontrol requeue "$SLURM_JOB_ID"; fi
exit "$status"
