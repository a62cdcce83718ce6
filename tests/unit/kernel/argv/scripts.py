"""Scripts of projects and of people that start vLLM in a shell, for `forms`."""

RESOLVE = """
attempts=${RESOLVE_ATTEMPTS:-30}
for ((i=1; i<=attempts; i++)); do
  DP_ADDRESS=$(getent hosts ${LWS_LEADER_ADDRESS} | cut -d' ' -f1)
  if [ -n "$DP_ADDRESS" ]; then
    echo "DP_ADDRESS=${DP_ADDRESS} (attempt $i)"
    break
  else
    sleep 1
  fi
done
if [ "$INFER_ROCE" = "true" ]; then
  active=()
  for dir in /sys/class/infiniband/mlx5_*; do
    if [ -d "$dir" ] && grep -q "ACTIVE" "$dir/ports/1/state" 2>/dev/null; then active+=("$(basename "$dir")"); fi
  done
  if [ ${#active[@]} -gt 0 ]; then hcas=$(IFS=,; echo "${active[*]}"); export NCCL_IB_HCA=${NCCL_IB_HCA:-${hcas}}; fi
fi
START_RANK=$(( ${LWS_WORKER_INDEX:-0} * 8 ))
LOG_ARGS="--disable-uvicorn-access-log"
VERSION=$(vllm --version 2>/dev/null | tail -1 | awk '{print $NF}')
if [[ "$VERSION" =~ ^[0-9]+\\.[0-9]+ ]] && [ "$(printf '%s\\n' 0.16.0 "$VERSION" | sort -V | head -1)" = 0.16.0 ]; then
  LOG_ARGS="--disable-access-log-for-endpoints /health,/metrics,/ping"
fi
STOP_ARGS=""
if [[ "$VERSION" =~ ^[0-9]+ ]]; then
  STOP_ARGS="--shutdown-timeout 15"
fi
"""
EVAL = (
    RESOLVE
    + """
eval "exec vllm serve \\
  /mnt/models \\
  --served-model-name "llama" "publishers/ns/models/llama" \\
  --port 8000 \\
  --api-server-count ${VLLM_API_SERVER_COUNT:-8} \\
  --enable-expert-parallel --tensor-parallel-size 8 \\
  --data-parallel-size 16 --data-parallel-size-local 8 \\
  --data-parallel-address ${DP_ADDRESS} --data-parallel-rpc-port 5555 --data-parallel-start-rank $START_RANK \\
  ${LOG_ARGS} ${STOP_ARGS} \\
  ${VLLM_ADDITIONAL_ARGS} \\
  $@"
"""
)
EVALUATED = [
    "--served-model-name",
    "llama",
    "publishers/ns/models/llama",
    "--port",
    "8000",
    "--api-server-count",
    "8",
    "--enable-expert-parallel",
    "--tensor-parallel-size",
    "8",
    "--data-parallel-size",
    "16",
    "--max-num-seqs",
    "64",
    "--quantization",
    "fp8",
]
FLEET = """ulimit -n 65536 && echo "[INFO] Starting Ray head node..." && eval "$KUBERAY_GEN_RAY_START_CMD" &

echo "[INFO] Waiting ..." &&
until curl --max-time 5 --fail http://127.0.0.1:8265 > /dev/null 2>&1; do
  echo "[WAITING] $(date -u +'%H:%M:%SZ') - not ready yet...";
  sleep 2;
done &&
echo "[SUCCESS] available!" &&

vllm serve Qwen/Qwen2.5-Coder-7B-Instruct \\
  --tensor-parallel-size 2 \\
  --distributed-executor-backend ray
"""
HUGGINGFACE = """ray start --head --disable-usage-stats --include-dashboard false
# wait for the other node's join
until [[ $(ray status | grep -c node_) -eq ${PIPELINE_PARALLEL_SIZE} ]]; do
  sleep 1
done
export MODEL=${MODEL_ID}
if [[ ! -z ${MODEL_DIR} ]]
then
  MODEL=${MODEL_DIR}
fi
python3 -m huggingfaceserver --model_name=${MODEL_NAME}  --model_dir=${MODEL} --tensor-parallel-size=${TP}
"""
ROLE = """
if [ "${LWS_WORKER_INDEX}" = "0" ]; then
  ray start --head --port=6379
  vllm serve meta-llama/Llama-3.1-405B --tensor-parallel-size 8
else
  ray start --address="${LWS_LEADER_ADDRESS}:6379" --block
fi
"""
PROFILES = """case "$PROFILE" in
  large|huge) MODEL=org/large; TP=8 ;;
  *) MODEL=org/small; TP=1 ;;
esac
vllm serve "$MODEL" -tp "$TP"
"""
EITHER = "if [ -f /x ]; then S=small; else S=big; fi"
CHOICE = "case $S in small) M=a/small;; *) M=a/big;; esac"
