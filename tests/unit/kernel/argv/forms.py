"""Command lines shaped like those of the projects that run vLLM in pods, and what they say about the server.

Shapes are those of the templates of vLLM's docs and chart, LeaderWorkerSet, KServe, llm-d, production-stack, AIBrix,
Dynamo, KubeRay, KubeAI, KAITO, and of start scripts that people write (read 2026-11).
"""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from tests.unit.kernel.argv.scripts import CHOICE, EITHER, EVAL, EVALUATED, FLEET, HUGGINGFACE, PROFILES, ROLE


class Form(NamedTuple):
    argv: list[str]
    expected: tuple[str, str, list[str]]
    env: Mapping[str, str] = MappingProxyType({})
    has_command: bool = True


def sh(text: str, *arguments: str, program: str = "sh") -> list[str]:
    return [program, "-c", text, *arguments]


TP = ["--tensor-parallel-size", "8"]
LEADER = "bash /vllm-workspace/examples/online_serving/multi-node-serving.sh leader --ray_cluster_size=2"
FORMS = {
    "vLLM docs, Deployment": Form(
        sh("vllm serve mistralai/Mistral-7B --trust-remote-code --max-num-batched-tokens 1024"),
        ("VllmServe", "mistralai/Mistral-7B", ["--trust-remote-code", "--max-num-batched-tokens", "1024"]),
    ),
    "vLLM chart": Form(
        ["vllm", "serve", "/data/", "--served-model-name", "m", "--dtype", "auto", "--host", "::"],
        ("VllmServe", "/data/", ["--served-model-name", "m", "--dtype", "auto"]),
    ),
    "API server": Form(
        ["python3", "-m", "vllm.entrypoints.openai.api_server", "--model", "org/m", "-tp", "4", "--port=80"],
        ("ApiServer", "org/m", ["-tp", "4", "--port=80"]),
    ),
    "API server with an interpreter's options": Form(
        [
            "/opt/venv/bin/python3.12",
            "-u",
            "-X",
            "faulthandler",
            "-m",
            "vllm.entrypoints.openai.api_server",
            "--model=/m",
            "--max_num_seqs=64",
        ],
        ("ApiServer", "/m", ["--max_num_seqs=64"]),
    ),
    "API server by its file": Form(
        ["python", "/usr/lib/python3/dist-packages/vllm/entrypoints/openai/api_server.py", "--model", "/m"],
        ("ApiServer", "/m", []),
    ),
    "vLLM's command line as a module": Form(
        ["python3", "-m", "vllm.entrypoints.cli.main", "serve", "org/m"], ("VllmServe", "org/m", [])
    ),
    "production-stack": Form(
        [
            "/opt/venv/bin/vllm",
            "serve",
            "facebook/opt-125m",
            "--host",
            "::",
            "--port",
            "8000",
            "--no-enable-prefix-caching",
            "--gpu_memory_utilization",
            "0.9",
        ],
        (
            "VllmServe",
            "facebook/opt-125m",
            ["--port", "8000", "--no-enable-prefix-caching", "--gpu_memory_utilization", "0.9"],
        ),
    ),
    "production-stack, multi-node worker": Form(
        [
            "vllm",
            "serve",
            "org/m",
            "--distributed-executor-backend",
            "mp",
            "--pipeline-parallel-size",
            "2",
            "--nnodes",
            "2",
            "--node-rank",
            "1",
            "--master-addr",
            "vllm-0.vllm",
            "--headless",
        ],
        ("VllmServe", "org/m", ["--pipeline-parallel-size", "2"]),
    ),
    "LeaderWorkerSet leader with Ray": Form(
        sh(f"{LEADER}; python3 -m vllm.entrypoints.openai.api_server --port 80 --model org/m --tensor-parallel-size 8"),
        ("ApiServer", "org/m", ["--port", "80", *TP]),
    ),
    "LeaderWorkerSet leader, lines continued": Form(
        sh(f"{LEADER}; \\\n    vllm serve org/m \\\n      --tensor-parallel-size 8 \\\n"),
        ("VllmServe", "org/m", TP),
    ),
    "LeaderWorkerSet worker with Ray": Form(
        sh("bash /vllm-workspace/examples/online_serving/multi-node-serving.sh worker --ray_address=leader"),
        ("RayNode", "", []),
    ),
    "LeaderWorkerSet, one script for both roles": Form(
        sh(ROLE, program="/bin/bash"), ("VllmServe", "meta-llama/Llama-3.1-405B", TP), {"LWS_WORKER_INDEX": "0"}
    ),
    "LeaderWorkerSet, the other role": Form(sh(ROLE), ("RayNode", "", []), {"LWS_WORKER_INDEX": "1"}),
    "LeaderWorkerSet, role unknown": Form(sh("source /env; " + ROLE), ("Conditional", "", [])),
    "fusioninfer": Form(
        ["/bin/sh", "-c", "ray start --head --port=6379 && vllm serve org/m --tensor-parallel-size 8"],
        ("VllmServe", "org/m", TP),
    ),
    "LLMInferenceService, exec form": Form(
        ["vllm", "serve", "/mnt/models", "--served-model-name", "llama"],
        ("VllmServe", "/mnt/models", ["--served-model-name", "llama"]),
    ),
    "LLMInferenceService, data parallel": Form(
        sh(EVAL, "--", "--quantization", "fp8", program="/bin/bash"),
        ("VllmServe", "/mnt/models", EVALUATED),
        {"VLLM_ADDITIONAL_ARGS": "--max-num-seqs 64", "LWS_LEADER_ADDRESS": "lws-0.lws"},
    ),
    "KServe vllmserver": Form(
        [
            "bash",
            "-c",
            (
                "export MODEL=${MODEL_DIR}\nif [[ -z ${MODEL_DIR} ]] && [[ ! -z ${MODEL_ID} ]]\nthen\n"
                "  export MODEL=${MODEL_ID}\nfi\n\nvllm serve ${MODEL} --host 0.0.0.0 --port 8000 $@\n"
            ),
            "bash",
            "--tensor-parallel-size=2",
        ],
        ("VllmServe", "org/m", ["--port", "8000", "--tensor-parallel-size=2"]),
        {"MODEL_ID": "org/m"},
    ),
    "KServe huggingfaceserver": Form(
        ["--model_name=llama", "--dtype=bfloat16"],
        ("HuggingfaceServer", "/mnt/models", ["--dtype=bfloat16"]),
        has_command=False,
    ),
    "KServe huggingfaceserver, model by id": Form(
        ["--model_name=llama", "--model_id=org/m", "--backend=vllm"],
        ("HuggingfaceServer", "org/m", []),
        has_command=False,
    ),
    "KServe huggingfaceserver, multi-node": Form(
        sh(HUGGINGFACE, program="bash"),
        ("HuggingfaceServer", "/mnt/models", ["--tensor-parallel-size=4"]),
        {"MODEL_ID": "org/m", "MODEL_DIR": "/mnt/models", "MODEL_NAME": "llama", "TP": "4"},
    ),
    "llm-d modelservice, image's ENTRYPOINT": Form(
        ["Qwen/Qwen3-32B", "--port", "8000", "--max-model-len", "16000"],
        ("ArgumentsOnly", "Qwen/Qwen3-32B", ["--port", "8000", "--max-model-len", "16000"]),
        has_command=False,
    ),
    "older image's ENTRYPOINT": Form(
        ["--model", "org/m", "--tensor-parallel-size", "8"], ("ArgumentsOnly", "org/m", TP), has_command=False
    ),
    "ENTRYPOINT vllm": Form(["serve", "org/m"], ("VllmServe", "org/m", []), has_command=False),
    "ENTRYPOINT a shell": Form(["-c", "vllm serve org/m"], ("ModelUnknown", "", []), has_command=False),
    "llm-d wide EP": Form(
        sh(
            "START_RANK=$(( ${LWS_WORKER_INDEX:-0} * DP_SIZE_LOCAL ))\nsource /opt/vllm/bin/activate\n"
            'exec vllm serve org/deepseek --disable-uvicorn-access-log --data-parallel-size 16 -tp "1"'
            " --data-parallel-address ${LWS_LEADER_ADDRESS} --data-parallel-start-rank $START_RANK"
            ' --kv-transfer-config \'{"kv_connector": "NixlConnector"}\'',
            program="/bin/bash",
        ),
        (
            "VllmServe",
            "org/deepseek",
            [
                "--disable-uvicorn-access-log",
                "--data-parallel-size",
                "16",
                "-tp",
                "1",
                "--kv-transfer-config",
                '{"kv_connector": "NixlConnector"}',
            ],
        ),
    ),
    "AIBrix StormService": Form(
        sh('python3 -m vllm.entrypoints.openai.api_server \\\n--host "::" \\\n--model /models/Qwen3-8B \\\n'),
        ("ApiServer", "/models/Qwen3-8B", []),
    ),
    "AIBrix fleet": Form(
        sh(FLEET, program="/bin/bash"),
        ("VllmServe", "Qwen/Qwen2.5-Coder-7B-Instruct", ["--tensor-parallel-size", "2"]),
        {"KUBERAY_GEN_RAY_START_CMD": "ray start --head --dashboard-host=0.0.0.0"},
    ),
    "KubeRay": Form(
        ["/bin/bash", "-c", "--", "ulimit -n 65536; ray start --head --block --dashboard-host=0.0.0.0"],
        ("RayNode", "", []),
    ),
    "Dynamo": Form(
        [
            "python3",
            "-m",
            "dynamo.vllm",
            "--model",
            "Qwen/Qwen3-0.6B",
            "--disaggregation-mode",
            "decode",
            "--max-num-seqs",
            "32",
        ],
        ("DynamoVllm", "Qwen/Qwen3-0.6B", ["--max-num-seqs", "32"]),
    ),
    "Dynamo, shell": Form(
        sh("python3 -m dynamo.frontend & python3 -m dynamo.vllm --model $MODEL_PATH --enforce-eager --connector none"),
        ("DynamoVllm", "/models/m", ["--enforce-eager"]),
        {"MODEL_PATH": "/models/m"},
    ),
    "KubeAI": Form(
        ["python3", "-m", "vllm.entrypoints.openai.api_server", "--model=/model", "--served-model-name=m"],
        ("ApiServer", "/model", ["--served-model-name=m"]),
    ),
    "KAITO": Form(
        ["/bin/sh", "-c", "python3 /workspace/vllm/inference_api.py --model=phi-4"],
        ("ScriptFile", "/workspace/vllm/inference_api.py", []),
    ),
    "a start script in the image": Form(["/entrypoint.sh", "org/m"], ("ScriptFile", "/entrypoint.sh", [])),
    "production-stack, Ray head": Form(
        ['/bin/bash -c "cp /entrypoint/vllm-entrypoint.sh $HOME/ && $HOME/vllm-entrypoint.sh &"'],
        ("NoServerCommand", "", []),
    ),
    "wrappers": Form(
        [
            "/usr/bin/tini",
            "--",
            "numactl",
            "--membind=0",
            "env",
            "VLLM_USE_V1=1",
            "/opt/venv/bin/vllm",
            "serve",
            "org/m",
        ],
        ("VllmServe", "org/m", []),
    ),
    "secrets from a vault": Form(["/vault/vault-env", "vllm", "serve", "org/m"], ("VllmServe", "org/m", [])),
    "a mesh that must be there": Form(
        [
            "/linkerd-await",
            "--shutdown",
            "--",
            "python3",
            "-m",
            "vllm.entrypoints.openai.api_server",
            "--model",
            "org/m",
        ],
        ("ApiServer", "org/m", []),
    ),
    "another user": Form(
        ["setpriv", "--reuid=1000", "--clear-groups", "sh", "-c", "exec vllm serve org/m"], ("VllmServe", "org/m", [])
    ),
    "uv with an interpreter": Form(
        ["uv", "run", "--python", "python3.12", "vllm", "serve", "org/m"], ("VllmServe", "org/m", [])
    ),
    "Ray on each node": Form(
        ["ray", "symmetric-run", "--address", "leader:6379", "--min-nodes", "2", "--", "vllm", "serve", "org/m", *TP],
        ("VllmServe", "org/m", TP),
    ),
    "Ray on each node, another program": Form(
        ["ray", "symmetric-run", "--address", "leader:6379", "--", "python3", "train.py"],
        ("ScriptFile", "train.py", []),
    ),
    "uv": Form(["uv", "run", "--no-sync", "vllm", "serve", "org/m"], ("VllmServe", "org/m", [])),
    "variables before the command": Form(
        sh("HF_HOME=/tmp VLLM_ROCM_USE_AITER=0 exec vllm serve 'org/m'"), ("VllmServe", "org/m", [])
    ),
    "defaults": Form(
        sh('vllm serve "${MODEL:-org/m}" --max-num-seqs "${SEQS:-$DEFAULT}" ${EAGER:+--enforce-eager} ${NO:+--never}'),
        ("VllmServe", "org/m", ["--max-num-seqs", "32", "--enforce-eager"]),
        {"DEFAULT": "32", "EAGER": "1", "NO": ""},
    ),
    "a role by case": Form(sh(PROFILES), ("VllmServe", "org/large", ["-tp", "8"]), {"PROFILE": "huge"}),
    "a pipe to a log": Form(
        sh("set -euo pipefail; cd /app || exit 1; vllm serve org/m 2>&1 | tee /var/log/vllm.log"),
        ("VllmServe", "org/m", []),
    ),
    "a loop that starts it again": Form(
        sh("while true; do vllm serve org/m; sleep 5; done"), ("VllmServe", "org/m", [])
    ),
    "a function": Form(
        sh('serve() {\n  exec vllm serve "$@"\n}\nserve org/m --enforce-eager'),
        ("VllmServe", "org/m", ["--enforce-eager"]),
    ),
    "a here-document first": Form(
        sh('cat > /tmp/c.json <<\'EOF\'\n{"a": "vllm serve no/thing"}\nEOF\nvllm serve org/m'),
        ("VllmServe", "org/m", []),
    ),
    "a program and its arguments behind the text": Form(
        ["sh", "-c", 'cd /app; exec "$0" "$@"', "vllm", "serve", "org/m"], ("VllmServe", "org/m", [])
    ),
    "a shell in a shell": Form(
        sh("exec bash -lc 'vllm serve org/m --seed \"1 2\"'"), ("VllmServe", "org/m", ["--seed", "1 2"])
    ),
    "the model is computed": Form(sh("vllm serve $(cat /model-name)"), ("Substitution", "", [])),
    "a size is computed": Form(sh("vllm serve org/m -tp $(nproc)"), ("Substitution", "-tp ?", [])),
    "a size may be either": Form(
        sh("if [ -e /dev/kfd ]; then N=8; else N=1; fi; vllm serve org/m -tp $N"), ("Substitution", "-tp ?", [])
    ),
    "only if a file is there": Form(sh("[ -f /ready ] && vllm serve org/m"), ("Conditional", "", [])),
    "a case of alternatives": Form(sh(f"{EITHER}; {CHOICE}; vllm serve $M"), ("Substitution", "", [])),
    "a case of alternatives, each decided": Form(
        sh(f"{EITHER}; case $S in s*|b*) M=org/m;; *) M=org/x;; esac; vllm serve $M"), ("VllmServe", "org/m", [])
    ),
    "another server if a file is there": Form(
        sh("if [ -f /x ]; then exec vllm serve org/a; fi; exec vllm serve org/b"), ("Conditional", "", [])
    ),
    "another server behind &&": Form(
        sh("[ -f /x ] && exec vllm serve org/a; exec vllm serve org/b"), ("Conditional", "", [])
    ),
    "the same server either way": Form(
        sh("if [ -f /x ]; then exec vllm serve org/a; fi; exec vllm serve org/a"), ("VllmServe", "org/a", [])
    ),
    "an alternative for a shell in a shell": Form(
        sh(f"{EITHER}; sh -c 'vllm serve $1' sh $S"), ("Substitution", "", [])
    ),
    "a test that is bash's alone, in a shell that may be another": Form(
        sh('TP=1; if [ "$A" == x ]; then TP=8; fi; vllm serve org/m -tp $TP'), ("Substitution", "-tp ?", []), {"A": "x"}
    ),
    "brackets that are bash's alone": Form(
        sh("TP=1; [[ -n $A ]] && TP=8; vllm serve org/m -tp $TP"), ("Substitution", "-tp ?", []), {"A": "x"}
    ),
    "a declaration that is bash's alone": Form(
        sh("TP=1; declare TP=8; vllm serve org/m -tp $TP"), ("Substitution", "-tp ?", [])
    ),
    "a test that is false in each shell": Form(
        sh("[[ -n $A ]] && TP=8; vllm serve org/m ${TP:+-tp $TP}"), ("VllmServe", "org/m", [])
    ),
    "a word added as only bash adds it": Form(
        sh("A='--seed 1'; A+=' -tp 2'; vllm serve org/m $A"), ("Substitution", "? ?", [])
    ),
    "two models": Form(sh("vllm serve org/a --port 1 & vllm serve org/b --port 2; wait"), ("SeveralServers", "", [])),
    "a quote that never ends": Form(sh("vllm serve 'org/m"), ("ShellSyntax", "", [])),
    "an echo of it": Form(sh('echo vllm serve org/m; echo "vllm serve org/m"'), ("NoServerCommand", "", [])),
    "a return that ends it, as only bash goes on": Form(sh("return; vllm serve org/m"), ("NoServerCommand", "", [])),
    "two that may be models": Form(["vllm", "serve", "-tp", "2", "a", "b"], ("ModelUnknown", "", [])),
    "a value that may be the model": Form(
        sh("vllm serve --port 1 $(cat /model) --enforce-eager"), ("Substitution", "the model", [])
    ),
    "ENTRYPOINT that runs a script": Form(
        ["/scripts/start.sh", "org/m"], ("ScriptFile", "/start.sh", []), has_command=False
    ),
    "ENTRYPOINT an interpreter": Form(
        ["/app/main.py", "--model", "org/m"], ("ScriptFile", "/main.py", []), has_command=False
    ),
    "ENTRYPOINT that starts a group": Form(
        ["/vllm/multi-node-serving.sh", "leader"], ("RayNode", "", []), has_command=False
    ),
    "ENTRYPOINT that starts Ray": Form(["/opt/bin/ray", "start", "--head"], ("RayNode", "", []), has_command=False),
    "nothing": Form([], ("NoServerCommand", "", []), has_command=False),
}
