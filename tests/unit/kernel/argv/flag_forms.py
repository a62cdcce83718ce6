"""Command lines whose model stands behind flags: which word is the model depends on what is known of each flag."""

from tests.unit.kernel.argv.forms import Form, sh

FLAG_FORMS = {
    "model behind a switch": Form(
        ["vllm", "serve", "--enforce-eager", "org/m"], ("VllmServe", "org/m", ["--enforce-eager"])
    ),
    "model behind a flag with its value": Form(
        ["vllm", "serve", "-tp", "2", "org/m", "--port", "1"], ("VllmServe", "org/m", ["-tp", "2", "--port", "1"])
    ),
    "model behind a key of a JSON flag": Form(
        sh("vllm serve -cc.mode 3 --no-enable-prefix-caching --max_num_seqs=8 org/m"),
        ("VllmServe", "org/m", ["-cc.mode", "3", "--no-enable-prefix-caching", "--max_num_seqs=8"]),
    ),
    "model behind a level, and a switch of the front end": Form(
        ["vllm", "serve", "-O3", "--disable-log-stats", "org/m"], ("VllmServe", "org/m", ["-O3", "--disable-log-stats"])
    ),
    "model behind flags that a plan is made of": Form(
        ["vllm", "serve", "-ep", "-sc", "{}", "--max-cudagraph-capture-size", "64", "--performance-mode", "x", "org/m"],
        (
            "VllmServe",
            "org/m",
            ["-ep", "-sc", "{}", "--max-cudagraph-capture-size", "64", "--performance-mode", "x"],
        ),
    ),
    "model behind a list that may hold it": Form(
        ["vllm", "serve", "--disable-access-log-for-endpoints", "/health", "org/m"], ("ModelUnknown", "", [])
    ),
    "model behind flags of a recipe": Form(
        sh("vllm serve --tool-call-parser hermes --async-scheduling --attention-backend ROCM_AITER_FA --seed 1 org/m"),
        (
            "VllmServe",
            "org/m",
            [
                "--tool-call-parser",
                "hermes",
                "--async-scheduling",
                "--attention-backend",
                "ROCM_AITER_FA",
                "--seed",
                "1",
            ],
        ),
    ),
    "model behind two dashes": Form(
        ["serve", "--cudagraph-capture-sizes", "1", "2", "--", "org/m"],
        ("VllmServe", "org/m", ["--cudagraph-capture-sizes", "1", "2", "--"]),
        has_command=False,
    ),
    "model behind a configuration file": Form(
        ["vllm", "serve", "--config", "/c.yaml", "org/m"], ("VllmServe", "org/m", [])
    ),
    "what changes no plan behind a configuration file": Form(
        sh('test -n "$(id)" && KEY="--api-key x" || KEY=; vllm serve --config /c.yaml --max-num-seqs 8 $KEY'),
        ("VllmServe", "", ["--max-num-seqs", "8"]),
    ),
    "model behind a flag with several values": Form(
        ["vllm", "serve", "--api-key", "a", "org/m"], ("ModelUnknown", "", [])
    ),
    "model behind a flag that is not known": Form(["vllm", "serve", "--new-flag", "org/m"], ("ModelUnknown", "", [])),
}
