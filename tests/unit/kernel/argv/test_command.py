"""Command lines of pods, and what they say about the server."""

import json
from pathlib import Path

import pytest
from tests.unit.kernel.argv.flag_forms import FLAG_FORMS
from tests.unit.kernel.argv.forms import FORMS, Form, sh

from hipbmm_kernel.argv import command, known_flags
from hipbmm_kernel.argv.command import Server, Unread

OPTIONS = Path(__file__).parents[4] / "dev/simulator/python/vllm/options.json"
"""All flags of the newest vLLM, asked of its own parser."""


@pytest.mark.parametrize("form", [*FORMS.values(), *FLAG_FORMS.values()], ids=[*FORMS, *FLAG_FORMS])
def test_forms(form: Form) -> None:
    found = command.find(form.argv, form.env, has_command=form.has_command)
    word, text, arguments = form.expected
    if isinstance(found, Server):
        assert (found.form, found.model, list(found.arguments)) == (word, text, arguments)
    else:
        assert found.reason == word, found
        assert text in found.about


def test_what_a_script_sets_for_its_server_is_known() -> None:
    apart = "(set -a; f() { export APART=1; }); f() { true; }; (f() { export APART=1; }); f"
    text = f"{apart}; export VLLM_USE_V1=1 OTHER=2; LOCAL=3; HIP_ONLINE_TUNING=0 vllm serve org/m"
    found = command.find(sh(text), {"OTHER": "2"})
    assert isinstance(found, Server)
    assert found.env == (("HIP_ONLINE_TUNING", "0"), ("VLLM_USE_V1", "1"))


@pytest.mark.parametrize(
    "argv",
    [
        sh("env V=$(hostname -i) vllm serve m/x"),
        sh("V=$(hostname -i) vllm serve m/x"),
        sh("export V=$(hostname -i); exec vllm serve m/x"),
        ["env", "-u", "V", "vllm", "serve", "m/x"],
        ["env", "--unset=V", "vllm", "serve", "m/x"],
        sh("export V; unset V; exec vllm serve m/x"),
        sh("export -n V; exec vllm serve m/x", program="bash"),
        sh("unset V; V=1; exec vllm serve m/x"),
        sh("if [ -f /x ]; then unset V; fi; V=1; exec vllm serve m/x"),
        sh("export V=$(hostname -i); sh -c 'vllm serve m/x'"),
        sh("if [ -f /x ]; then V=1; else V=2; fi; export V; exec vllm serve m/x"),
    ],
)
def test_what_a_script_computes_for_its_server_is_hidden(argv: list[str]) -> None:
    found = command.find(argv, {"V": "own"})
    assert isinstance(found, Server)
    assert (found.model, found.env, found.hidden) == ("m/x", (), ("V",))


@pytest.mark.parametrize(
    ("argv", "hidden"),
    [
        (["env", "-i", "vllm", "serve", "m"], True),
        (["env", "-", "vllm", "serve", "m"], True),
        (["env", "-u", "PYTHONPATH", "vllm", "serve", "m"], True),
        (["env", "--unset=PYTHONPATH", "vllm", "serve", "m"], True),
        (["env", "-i", "PYTHONPATH=/app", "vllm", "serve", "m"], False),
        (["env", "-uHIP_VISIBLE_DEVICES", "vllm", "serve", "m"], False),
        (["env", "-iu", "HIP_VISIBLE_DEVICES", "vllm", "serve", "m"], True),
        (["env", "A=-i", "vllm", "serve", "m"], False),
        (["nice", "-n", "5", "env", "-i", "vllm", "serve", "m"], True),
        (["env", "PYTHONPATH=/app", "stdbuf", "-oL", "sudo", "vllm", "serve", "m"], True),
        (["env", "-i", "nohup", "env", "PYTHONPATH=/app", "vllm", "serve", "m"], False),
        (["time", "-p", "python3", "-m", "vllm", "serve", "m"], False),
        (["uv", "run", "-p", "python3.12", "vllm", "serve", "m"], False),
        (["sudo", "vllm", "serve", "m"], True),
        (["sudo", "-E", "vllm", "serve", "m"], True),
        (["runuser", "-u", "vllm", "--", "vllm", "serve", "m"], False),
        (["runuser", "-l", "vllm", "-c", "--", "vllm", "serve", "m"], True),
        (["setpriv", "--reuid=7", "--reset-env", "vllm", "serve", "m"], True),
        (sh("exec env -i bash -c 'exec vllm serve m'"), True),
        (["python3", "-E", "-m", "vllm", "serve", "m"], True),
        (["python3", "-X", "faulthandler", "-uI", "/usr/bin/vllm", "serve", "m"], True),
        (["python3", "-u", "-m", "vllm", "serve", "m", "-EI"], False),
        (["python3", "-Im", "vllm", "serve", "m"], True),
        (["python3", "-umvllm", "serve", "m"], False),
        (sh("unset PYTHONPATH; vllm serve m"), True),
    ],
)
def test_a_command_line_may_take_pythonpath_away(argv: list[str], hidden: bool) -> None:
    found = command.find(argv, {"PYTHONPATH": "/hipbmm/kernel"})
    assert isinstance(found, Server)
    assert ("PYTHONPATH" in found.hidden) == hidden


@pytest.mark.parametrize("wrapper", [["env", "-i"], ["nice", "env", "-"], ["sudo"], ["setpriv", "--reset-env"]])
def test_what_a_wrapper_takes_away_a_script_behind_it_does_not_see(wrapper: list[str]) -> None:
    env = {"MODEL": "org/m", "PWD": "/app"}
    assert isinstance(command.find([*wrapper, *sh("vllm serve $MODEL")], env), Unread)
    found = command.find([*wrapper, "env", "MODEL=org/x", *sh("vllm serve $MODEL")], env)
    assert isinstance(found, Server)
    assert found.model == "org/x"
    assert isinstance(command.find([*wrapper, "vllm", "serve", "./m"], env), Server)
    assert isinstance(command.find(["env", "NAME=org/m", *wrapper, *sh("vllm serve $NAME")], {}), Unread)


@pytest.mark.parametrize("option", ["-E", "-nE", "--preserve-env"])
def test_sudo_may_keep_variables(option: str) -> None:
    found = command.find(["sudo", option, "-u", "vllm", *sh("vllm serve $MODEL")], {"MODEL": "org/m"})
    assert isinstance(found, Server)
    assert isinstance(command.find(["sudo", "-uEve", *sh("vllm serve $MODEL")], {"MODEL": "org/m"}), Unread)
    assert found.model == "org/m"


@pytest.mark.parametrize(
    ("wrapper", "here"),
    [
        (["env", "-C", "/app"], "/app"),
        (["env", "-C/app"], "/app"),
        (["env", "-iC", "/app", "A=b"], "/app"),
        (["env", "--chdir=/app"], "/app"),
        (["env", "--chdir", "/x", "-C", "/app"], "/app"),
        (["sudo", "-D", "/app"], "/app"),
        (["uv", "run", "--directory", "/app"], "/app"),
        (["env", "-C", "app"], None),
        (["uv", "--directory=app", "run"], None),
        (["numactl", "-C", "0-3"], "/root"),
    ],
)
def test_a_wrapper_may_enter_another_directory(wrapper: list[str], here: str | None) -> None:
    found = command.find([*wrapper, "vllm", "serve", "./m"], {"PWD": "/root"})
    if here is None:
        assert isinstance(found, Unread)
        assert found.reason == "Substitution"
    else:
        assert isinstance(found, Server)
        assert dict(found.env).get("PWD", "/root") == here


@pytest.mark.parametrize("options", [["-m"], ["-um"], ["-Xfaulthandler", "-Oum"], ["-W", "ignore", "-m"]])
def test_a_module_may_stand_beside_other_options_of_python(options: list[str]) -> None:
    api = "vllm.entrypoints.openai.api_server"
    for words in ([*options, api], [*options[:-1], options[-1] + api]):
        found = command.find(["python3", *words, "--model", "org/m"], {})
        assert isinstance(found, Server)
        assert (found.form, found.model) == ("ApiServer", "org/m")


def test_a_word_of_a_variable_that_names_of_files_may_replace_hides_itself_only() -> None:
    found = command.find(sh("vllm serve m $MORE"), {"MORE": '-tp 2 --allowed-origins ["*"] --seed 1'})
    assert isinstance(found, Server)
    assert found.arguments == ("-tp", "2", "--seed", "1")
    assert isinstance(command.find(sh("vllm serve m $MORE"), {"MORE": "-tp ? --seed 1"}), Unread)


@pytest.mark.parametrize(
    "text",
    ['vllm serve $"m"', "shift || A=2; vllm serve m$A", 'vllm serve m ${@+"-O0"}', "A=1; A+=2; vllm serve $A"],
)
def test_what_shells_do_differently_is_not_known_of_any_shell(text: str) -> None:
    """Behind `sh` may be dash: it leaves `$`, ends where `shift` fails, and takes no parameters for some."""
    assert isinstance(command.find(sh(text), {}), Unread)
    assert isinstance(command.find(sh(text, program="bash"), {}), Server)


@pytest.mark.parametrize("text", ['shift || true; vllm serve m "$@"', 'vllm serve m ${@+"$@"}'])
@pytest.mark.parametrize("program", ["sh", "bash"])
def test_what_is_the_same_in_all_shells_in_which_the_server_starts_is_read(text: str, program: str) -> None:
    found = command.find(sh(text, program=program), {})
    assert isinstance(found, Server)
    assert found.arguments == ()


def test_known_flags_take_as_many_values_as_in_vllm() -> None:
    single = {*known_flags.INTEGERS, *known_flags.TEXTS, *known_flags.JSON, *known_flags.OTHER_SETTINGS}
    alone = {*known_flags.SWITCHES, *known_flags.OTHER_SWITCHES}
    counts = {name.lstrip("-"): count for names, _, count, *_ in json.loads(OPTIONS.read_text()) for name in names}
    assert {counts[name] for name in single & counts.keys()} == {None}
    assert {counts[name] for name in alone & counts.keys()} == {0}
    assert {*known_flags.OTHER_SETTINGS, *known_flags.OTHER_SWITCHES} <= counts.keys()


def test_a_configuration_file_is_named() -> None:
    found = command.find(["vllm", "serve", "--config", "/etc/vllm.yaml", "--port", "80"], {})
    assert isinstance(found, Server)
    assert (found.model, found.config_file, found.arguments) == ("", "/etc/vllm.yaml", ("--port", "80"))


@pytest.mark.parametrize(
    "text",
    [
        "if",
        "case x in",
        "$(",
        "${",
        "a() {",
        "((",
        "`",
        "while true; do",
        "}",
        "fi",
        "<<",
        "x=(",
        "[[",
        "\\",
        "$'",
        "eval $@",
        "f() { f; f; }; f",
        "eval 'eval \"eval x\"' " * 30,
        "(" * 200,
        "{ " * 200,
        "if a; then " * 100,
        "a && " * 3000,
        f"[[ {' || '.join(['$a'] * 3000)} ]]",
        "shift ²",
        f"shift {'9' * 5000}",
        f"[ {'1' * 5000} -eq 1 ]",
        'A=ab; while true; do A="$A$A"; done',
        f"A={'a' * 60_000}; while true; do echo $A$A$A; B=$(x)$B; done",
        f"A={'a' * 60_000}; B=({'$A ' * 1000}); while true; do B+=(${{B[@]}}); done",
        'while true; do B+=("" "${B[@]}"); done',
        f": $(({'A' * 120_000}))",
        f": $((1{' ' * 120_000}?))",
        f": {'$((' * 2000}1{'))' * 2000}",
        f"A=({'[' * 120_000})",
        f"echo {'/' * 40_000} {'{' * 40_000} {'{,' * 20_000}",
    ],
)
def test_no_text_is_too_odd(text: str) -> None:
    for script in (text, f"{text}\nvllm serve org/m", f"vllm serve org/m; {text}"):
        found = command.find(sh(script, "name", "$@"), {"V": text})
        assert isinstance(found, (Server, Unread))


ROUNDS = "x " * 60
LONG = {
    "sums": f"for i in {ROUNDS}; do : $((1{'+1' * 40_000})); done",
    "sums in sums": f": {'$((' * 3000}1{'))' * 3000}",
    "defaults in defaults": f": {'${a:-' * 9000}1{'}' * 9000}",
    "commands": "while x; do A=$B; B=$C; C=$D; D=1; done; " * 2000,
    "shells": "bash -c 'while x; do A=$B; B=$C; C=1; done';" * 2000,
    "words": f"for i in {ROUNDS}; do echo {'a ' * 50_000}; done",
    "text that is read again": f"A='{'a ' * 50_000}'; {'eval $A; ' * 12}",
    "variables": f"export {' '.join(f'a{i}=1' for i in range(14_000))}",
    "variables of each command": f"{''.join(f'export a{i}=1;' for i in range(2000))} {'echo;' * 10_000}",
    "variables that branches set": f"case $A in {''.join(f'{i}) B{i}=$A;;' for i in range(2000))} esac",
    "patterns": "".join(f"[[ x == *a{i} ]];" for i in range(6000)),
    "here-documents": f"cat {'<<a ' * 25_000}",
    "arguments": f"set -- {'a ' * 8000}; echo {'$1' * 20_000}",
    "fields of arrays": f"A=({'x ' * 8000}); {'A+=(x);' * 14_000}",
}


@pytest.mark.parametrize("text", LONG.values(), ids=LONG)
def test_what_takes_long_to_read_is_not_known(text: str) -> None:
    found = command.find(sh(f"{text}\nvllm serve org/m"), {})
    assert found == Unread("ShellSyntax", "it takes too long to read")


def test_what_is_only_large_is_read() -> None:
    services = {f"SERVICE_{at}_PORT": f"tcp://10.0.0.1:{at}" for at in range(7000)}
    text = f"""# {"a comment " * 4000}
cat > /tmp/file <<END
{"a line of a file, in which $VARIABLES stay as they are" * 1000}
END
if [ -f /opt/env ]; then export A=1; fi
for i in 1 2 3 4 5 6 7 8; do export "PART_$i=$((i * 2))"; echo part $i; done
{"if [ -f /etc/set ]; then A=1; fi; echo set;" * 100}
exec vllm serve org/m --seed $PART_8"""
    found = command.find(sh(text), services)
    assert isinstance(found, Server)
    assert found.arguments == ("--seed", "16")


@pytest.mark.parametrize(
    "argv",
    [
        ["server", "--api-key", "s3cret"],
        ["sh", "-c", "vllm serve org/m --max-num-seqs s3cret$(nproc)"],
        ["sh", "-c", "vllm serve org/m --max-num-seqs=s3cret$(nproc)"],
        ["sh", "-c", "curl -H s3cret x; server s3cret"],
        ["sh", "-c", "vllm serve 's3cret"],
        ["python3", "-c", "serve('s3cret')"],
        ["python3", "-mserver", "--api-key", "s3cret"],
    ],
)
def test_why_nothing_was_found_shows_no_value(argv: list[str]) -> None:
    found = command.find(argv, {})
    assert isinstance(found, Unread)
    assert "s3cret" not in found.about
