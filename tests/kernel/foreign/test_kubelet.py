"""The env file against kubelet's own parser, compiled from the module of Kubernetes that this machine has."""

import json
import random
import shutil
import string
import subprocess
from pathlib import Path

import pytest

from hipbmm_kernel.foreign import decision, env_file

MODULES = Path.home() / "go/pkg/mod/k8s.io"
PARSERS = sorted(MODULES.glob("kubernetes@*/pkg/kubelet/util/env/env_util.go"))
FILES = 10_000
READ = """package main

import (
	"encoding/json"
	"fmt"
	"os"
)

func main() {
	found := []map[string]string{}
	for number := 0; number < %d; number++ {
		values := map[string]string{}
		for _, key := range os.Args[1:] {
			value, err := ParseEnv(fmt.Sprintf("files/%%d", number), key)
			if err != nil {
				panic(err)
			}
			if value != "" {
				values[key] = value
			}
		}
		found = append(found, values)
	}
	json.NewEncoder(os.Stdout).Encode(found)
}
"""
ALPHABET = string.printable.translate(str.maketrans("", "", "'\t\n\r\x0b\x0c")) + 'äß€😀 #=\\"$`'


@pytest.mark.skipif(not PARSERS or shutil.which("go") is None, reason="needs Go and the module of Kubernetes")
@pytest.mark.timeout(600)
def test_kubelet_reads_what_is_written(tmp_path: Path) -> None:
    chance = random.Random(17)
    (tmp_path / "files").mkdir()
    written = []
    for number in range(FILES):
        names = chance.sample(decision.KEYS, chance.randrange(len(decision.KEYS) + 1))
        variables = {name: "".join(chance.choices(ALPHABET, k=chance.randrange(1, 60))) for name in names}
        (tmp_path / "files" / str(number)).write_bytes(env_file.encode(variables))
        written.append(variables)
    parser = PARSERS[-1].read_text().replace("package env", "package main")
    (tmp_path / "parser.go").write_text(parser)
    (tmp_path / "main.go").write_text(READ % FILES)
    (tmp_path / "go.mod").write_text("module example.invalid/envfile\n\ngo 1.21\n")
    command = ["go", "run", ".", *decision.KEYS]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == written
