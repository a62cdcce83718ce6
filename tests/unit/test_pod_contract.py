"""docs/pod-contract.md, the operator's side and the program's side say the same."""

import io
import json
import os
import re
from pathlib import Path

import pytest

from hipbmm_kernel.contract import progress, settings
from hipbmm_kernel.foreign import decision, env_file
from hipbmm_kernel.pod import exec as launch
from hipbmm_kernel.system.clock import Clock
from hipbmm_kernel.system.volume import Volume
from hipbmm_operator.api.spec import Spec
from hipbmm_operator.injection import spelling
from hipbmm_operator.pods import contract, report
from hipbmm_operator.resources import environment
from hipbmm_operator.resources.server_args import resolve

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "pod-contract.md").read_text()


def documented_variables() -> dict[str, str]:
    found: dict[str, str] = {}
    for line in PAGE.splitlines():
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        names = re.findall(r"`(HIPBMM_[A-Z_]+)`", cells[0])
        if not line.startswith("| `HIPBMM_") or not names:
            continue
        defaults = re.findall(r"`([^`]*)`", cells[1]) or [""]
        defaults = defaults * len(names) if len(defaults) == 1 else defaults
        found |= dict(zip(names, defaults, strict=True))
    return found


def documented_values(field: str) -> set[str]:
    line = next(line for line in PAGE.splitlines() if line.startswith(f"| `{field}` |"))
    return set(re.findall(r"`([A-Z][A-Za-z]+)`", line))


def test_every_variable_and_default_is_documented() -> None:
    assert documented_variables() == settings.DEFAULTS


@pytest.mark.parametrize("service", ["hipbmm", *(f"hipbmm-{each}" for each in ("metrics", "home", "store", "tune"))])
def test_a_service_of_any_name_is_no_setting(service: str) -> None:
    """Kubernetes gives each pod of a namespace variables of its Services, unless the pod wants none."""
    name = service.upper().replace("-", "_")
    ends = ("SERVICE_HOST", "SERVICE_PORT", "PORT", "PORT_80_TCP", "PORT_80_TCP_PROTO", "PORT_80_TCP_PORT")
    links = {f"{name}_{end}": "tcp://10.96.0.7:80" if end.startswith("PORT") else "10.96.0.7" for end in ends}
    assert settings.parse_settings(links) == settings.parse_settings({})


def test_both_sides_inject_and_expect_the_same_flags() -> None:
    line = next(line for line in PAGE.splitlines() if line.startswith("`VLLM_ROCM_USE_AITER=1"))
    documented = dict(word.split("=") for word in line.strip("`.").split())
    assert dict(contract.FLAGS) == settings.CONTRACT_ENV == documented


def test_the_operator_sets_only_variables_that_the_program_knows() -> None:
    spec = Spec.model_validate(
        {
            "image": "localhost/image:1",
            "model": {"name": "Qwen/Qwen3-32B", "configMapRef": {"name": "config"}},
            "tuning": {"linears": [{"n": 32, "k": 32}], "tokens": [1, 2], "retuneToken": "again"},
            "server": {"args": ["--max-num-seqs", "64"]},
        }
    )
    entries = [*environment.of_warm(spec, resolve(spec)), *environment.of_harvest(spec)]
    set_here = {entry["name"]: entry.get("value", "x") for entry in entries if entry["name"].startswith("HIPBMM_")}
    assert set(set_here) <= set(settings.DEFAULTS)
    settings.parse_settings(set_here)


def test_a_setting_that_is_left_out_is_the_programs_own_default() -> None:
    assert contract.DEFAULTS.items() <= settings.DEFAULTS.items()
    spec = Spec.model_validate({"image": "localhost/image:1", "model": {"name": "org/model"}})
    decided = environment.program(spec, resolve(spec))
    entries = environment.of_warm(spec, resolve(spec))
    given = {entry["name"]: entry["value"] for entry in entries if "value" in entry}
    parsed = settings.parse_settings({name: value for name, value in given.items() if name.startswith("HIPBMM_")})
    assert parsed == settings.parse_settings(decided)


def as_kubernetes(text: str, env: dict[str, str]) -> str:
    """What the kubelet makes of a word of a command or of a variable's value (k8s.io/kubernetes, expansion.Expand)."""
    out, at = "", 0
    while at < len(text):
        if text[at] != "$" or at + 1 == len(text):
            out, at = out + text[at], at + 1
        elif text[at + 1] == "(" and ")" in text[at:]:
            end = text.index(")", at)
            out, at = out + env.get(text[at + 2 : end], text[at : end + 1]), end + 1
        else:
            out, at = out + ("$" if text[at + 1] == "$" else text[at : at + 2]), at + 2
    return out


@pytest.mark.parametrize(
    "argument",
    [
        "$(SEQS)",
        "--max-num-seqs=$(SEQS)",
        '{"cudagraph_capture_sizes": [$(SEQS)]}',
        "$(QUOTED)",
        "$(FROM)",
        "$(NOT_THERE)",
        "$$(SEQS)",
        "$$$(SEQS)",
        "$(SEQS",
        "$",
        "a$b$",
        "$()",
        '"\\$(SEQS)',
        "\u00fc$(SEQS)",
    ],
)
def test_the_plan_reads_the_arguments_that_the_server_gets(argument: str) -> None:
    """Kubernetes puts variables into the command; of `warm` it sees the same arguments in a variable."""
    values = {"SEQS": "64", "QUOTED": '"]\\ {$(SEQS)}', "FROM": "of a ConfigMap"}
    given = [{"name": name, "value": value} for name, value in values.items() if name != "FROM"]
    spec = Spec.model_validate(
        {"image": "i:1", "model": {"name": "org/model"}, "server": {"args": [argument], "env": given}}
    )
    command = resolve(spec)

    def environment_of(entries: list[dict[str, str]]) -> dict[str, str]:
        env = {"FROM": values["FROM"]}
        for entry in entries:
            env[entry["name"]] = as_kubernetes(entry.get("value", ""), env)
        return env

    server = environment_of(environment.of_server(spec, command))
    got = [as_kubernetes(word, server) for word in command.argv]
    planned = settings.parse_settings(environment_of(environment.of_warm(spec, command))).server_args
    assert list(planned) == got[got.index("org/model") + 1 :]


def test_the_example_report_is_understood_in_full() -> None:
    example = re.search(r"```json\n(.*?)```", PAGE, re.DOTALL)
    assert example
    text = example[1].replace("sha256:…", "sha256:" + "0" * 64)
    parsed = report.parse_report(json.dumps(json.loads(text)))
    assert parsed
    assert parsed.complete
    assert (parsed.problems, parsed.rows, parsed.geomean, parsed.stack["simulated"]) == (204, 204, "1.11", False)


def test_states_and_sources_are_those_of_the_page() -> None:
    assert documented_values("state") == report.STATES
    assert documented_values("source") == report.SOURCES


def test_the_example_progress_line_is_understood() -> None:
    line = next(line for line in PAGE.splitlines() if line.startswith("hipbmm progress"))
    assert report.parse_progress(f"other\n{line}\n") == report.Progress("Tuning", 38, 204, 0)


def test_phases_are_those_of_the_page() -> None:
    sentence = re.search(r"`phase` is one of ([A-Za-z, ]+)\.", PAGE)
    assert sentence is not None
    assert tuple(sentence[1].split(", ")) == progress.PHASES
    assert report.LAST_PHASES == (progress.IMPROVING, progress.CHECKING)


def test_the_example_of_a_start_is_understood() -> None:
    line = next(line for line in PAGE.splitlines() if line.startswith("hipbmm exec: start"))
    assert report.parse_start(f"{line}\n") == report.Start("NoTable", "the server ended 2 times soon after its start")


def test_what_exec_says_of_its_starts_is_understood(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    parsed = settings.parse_settings({"HIPBMM_HOME": str(tmp_path)})
    modes = []
    (tmp_path / "report.json").write_text('{"hipbmm": true}')
    for _ in range(5):
        log = io.StringIO()
        launch.Start(parsed, Volume(), Clock(), launch.Log(log)).prepare(dict(os.environ))
        start = report.parse_start(log.getvalue())
        assert start
        modes.append((start.mode, bool(start.reason)))
    assert modes == [("Tuned", False), *((mode, mode != "Tuned") for mode in report.MODES)]


def test_both_sides_name_the_same_file_and_variables_of_a_pod_that_is_not_ours() -> None:
    assert decision.KEYS == spelling.ENV_KEYS
    assert env_file.NAME == spelling.ENV_FILE
    assert (settings.WRAP, settings.ENV_FILE) == (spelling.WRAP, spelling.ENV_FILE_MODE)
    decided, reason = decision.variables({"hipbmm": True, "dispatch": "Memory"}, {}, (), spelling.HOME, {})
    assert reason == ""
    assert set(decided) <= set(spelling.ENV_KEYS)
