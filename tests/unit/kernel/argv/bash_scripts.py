"""Scripts that start vLLM, for `test_against_bash`: the ways of shells to set variables, to choose, and to go on."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple


class Script(NamedTuple):
    text: str
    arguments: tuple[str, ...] = ()
    env: Mapping[str, str] = MappingProxyType({})


READ = {
    "colon assign default": Script(': "${MODEL:=org/m}"\n: ${TP:=8}\nvllm serve "$MODEL" -tp $TP'),
    "colon assign set": Script(': "${TP:=8}"; vllm serve org/m -tp "$TP"', (), {"TP": "4"}),
    "assign in use": Script('vllm serve "${MODEL:=org/m}" --served-model-name "$MODEL" -tp ${TP=2}; echo $TP'),
    "dollar0": Script('exec vllm serve "$0" "$@"', ("org/m", "-tp", "2")),
    "exec 0 at": Script('exec "$0" "$@"', ("vllm", "serve", "org/m", "-tp", "2")),
    "shift2b": Script('M=$1 T=$2; shift 2; vllm serve $M -tp $T "$@"', ("x", "org/m", "4", "--enforce-eager")),
    "function that may fail": Script("f() { curl x || return 1; echo; }; f && vllm serve org/m"),
    "function that may return early": Script("f() { [ -f /x ] && return; curl x; }; f; vllm serve org/m"),
    "shift too many": Script('shift 2; shift 3 || T=4; vllm serve org/m -tp ${T-2} "$@"', ("x", "--enforce-eager")),
    "parameters behind one of two words": Script(
        "f() { vllm serve org/m --node-rank $1 -tp $2 --seed $#; }; if curl x; then P=1; else P=2; fi; f $P 4"
    ),
    "shift of one of two words": Script(
        'if curl x; then P=1; else P=2; fi; set -- $P org/m 4; shift; vllm serve "$1" -tp $2'
    ),
    "element behind one of two words": Script(
        "if curl x; then P=1; else P=2; fi; A=($P 4); vllm serve org/m --node-rank ${A[0]} -tp ${A[1]}"
    ),
    "parameters if there are any": Script('vllm serve org/m ${@+"$@"}'),
    "star": Script("vllm serve $*", ("x", "org/m", "-tp", "4")),
    "tilde": Script("vllm serve ~/models/llama", (), {"HOME": "/root"}),
    "tilde eq": Script("M=~/models/llama; vllm serve $M --download-dir=~/x", (), {"HOME": "/root"}),
    "array": Script('ARGS=(--tensor-parallel-size 4 --max-num-seqs 64)\nvllm serve org/m "${ARGS[@]}"'),
    "array append": Script(
        'ARGS=(org/m)\nif [ -n "${TP:-}" ]; then ARGS+=(-tp "$TP"); fi\nvllm serve "${ARGS[@]}"',
        (),
        {"TP": "4"},
    ),
    "array cond": Script(
        'A=()\n[[ -n "$TP" ]] && A+=(-tp $TP)\n[[ "$EP" == 1 ]] && A+=(--enforce-eager)\nvllm serve org/m "${A[@]}"',
        (),
        {"TP": "4"},
    ),
    "default in an array": Script('A=(${S:=1} 2); vllm serve org/m --seed "${A[0]}" -tp ${S:-2}'),
    "array empty": Script('A=()\nvllm serve org/m "${A[@]}" -tp 2'),
    "array comment": Script('A=(\n  --enforce-eager   # slow\n  # -tp 4\n  -tp 2\n)\nvllm serve org/m "${A[@]}"'),
    "nothing in quotes": Script('vllm serve org/m --seed \'\'$A ""$@ "$A"$B "$@" ${A:+x}\'\' -tp 2'),
    "assign in for": Script("for i in 2 ${T:=4}; do :; done; vllm serve org/m -tp $T --seed $i"),
    "assign twice": Script('vllm serve "${M:=org/m}" --served-model-name "${M:=x}" ${E:=} --seed ${S:=1}${S}'),
    "default for empty ones": Script('vllm serve "${@:-org/m}"', ("x", "")),
    "array elem": Script("A=(org/m 4); vllm serve ${A[0]} -tp ${A[1]}"),
    "array first": Script("A=(org/m 4); vllm serve $A"),
    "array cmd": Script('CMD=(vllm serve org/m -tp 2); exec "${CMD[@]}"'),
    "string cmd append": Script(
        'CMD="vllm serve org/m"; CMD="$CMD -tp 2"; CMD+=" --enforce-eager"; echo "$CMD"; eval "$CMD"'
    ),
    "exec a": Script("exec -a vllm-server vllm serve org/m"),
    "declare dyn": Script('TP=1; K=TP; declare "$K=8"; vllm serve org/m -tp $TP'),
    "export dyn": Script("TP=1; K=TP; export $K=8; vllm serve org/m -tp $TP"),
    "local leak": Script("TP=4; f() { local TP=8; }; f; vllm serve org/m -tp $TP"),
    "fn set": Script("TP=4; f() { TP=8; }; f; vllm serve org/m -tp $TP"),
    "fn subshell": Script("TP=4; f() ( TP=8 ); f; vllm serve org/m -tp $TP"),
    "unset": Script("unset TP; vllm serve org/m -tp ${TP:-2}", (), {"TP": "8"}),
    "subshell assign": Script("TP=4; (TP=8); vllm serve org/m -tp $TP"),
    "subshell exit": Script("(sleep 1; exit 0) & vllm serve org/m -tp 2"),
    "subshell exec": Script("(exec ray start --head); vllm serve org/m -tp 2"),
    "subshell serve bg": Script("( cd /; vllm serve org/m -tp 2 ) & wait"),
    "background group exit": Script("{ sleep 1; exit; } & vllm serve org/m"),
    "background assign": Script("TP=4; TP=8 & vllm serve org/m -tp $TP"),
    "pipe assign": Script("TP=4; echo 8 | TP=8; vllm serve org/m -tp $TP"),
    "pipe read": Script("TP=4; echo 8 | read TP; vllm serve org/m -tp $TP"),
    "pipe exit": Script("echo x | (read; exit 1); vllm serve org/m"),
    "tee process": Script("exec > >(cat) 2>&1; vllm serve org/m -tp 2"),
    "test prec": Script('TP=4; [[ -n "$A" || -n "$B" && -n "$C" ]] && TP=8; vllm serve org/m -tp $TP', (), {"A": "1"}),
    "test glob quoted": Script('TP=4; [[ $M == "L*" ]] && TP=8; vllm serve org/m -tp $TP', (), {"M": "Llama"}),
    "test glob": Script("TP=4; [[ $M == L* ]] && TP=8; vllm serve org/m -tp $TP", (), {"M": "Llama"}),
    "test glob single": Script('TP=4; [ "$M" = "L*" ] && TP=8; vllm serve org/m -tp $TP', (), {"M": "Llama"}),
    "test empty unquoted": Script("TP=4; [ $X ] && TP=8; vllm serve org/m -tp $TP"),
    "test n unquoted": Script("TP=4; [ -n $X ] && TP=8; vllm serve org/m -tp $TP"),
    "case quoted": Script('case "$M" in "L*") TP=1;; L*) TP=8;; esac; vllm serve org/m -tp $TP', (), {"M": "Llama"}),
    "case neg": Script('case "$M" in [!A-Z]*) TP=8;; *) TP=1;; esac; vllm serve org/m -tp $TP', (), {"M": "llama"}),
    "case escape": Script('case "$M" in \\*) TP=8;; *) TP=1;; esac; vllm serve org/m -tp $TP', (), {"M": "x"}),
    "case default": Script('case "${M:=org/m}" in org/*) TP=8;; esac; vllm serve $M -tp $TP'),
    "case exit": Script('case "$(id -u)" in x) exit 1;; *) TP=8;; esac; vllm serve org/m -tp $TP'),
    "if result": Script("if true; then false; fi || TP=8; vllm serve org/m -tp ${TP:-2}"),
    "case result": Script("case a in b) ;; a) false;; esac || TP=8; vllm serve org/m -tp ${TP:-2}"),
    "for result": Script("for i in 1; do false; done || TP=8; vllm serve org/m -tp ${TP:-2}"),
    "while result": Script('while [ -z "$A" ]; do A=1; false; done || TP=8; vllm serve org/m -tp ${TP:-2}'),
    "for break in if": Script(
        "for i in 2 4 8; do if [ $i = 4 ]; then break; fi; TP=$i; done; vllm serve org/m -tp $TP"
    ),
    "for continue": Script("for i in 2 4 8; do TP=$i; [ $i = 4 ] || continue; break; done; vllm serve org/m -tp $TP"),
    "for break in case": Script(
        "for i in 2 4; do B=1$B; case $i in 2) break;; esac; done && vllm serve org/m --seed $B -tp $i"
    ),
    "for empty serve": Script("for x in $NONE; do vllm serve org/a; done; vllm serve org/b"),
    "for args2": Script('for a in "$@"; do L="$L $a"; done; vllm serve org/m $L', ("x", "-tp", "4")),
    "for break": Script("for i in 1; do break; vllm serve org/a; done; vllm serve org/b"),
    "while break": Script("while true; do TP=4; break; TP=8; done; vllm serve org/m -tp $TP"),
    "while shift": Script(
        'while [ $# -gt 0 ]; do case $1 in --m) M=$2; shift 2;; *) R="$R $1"; shift;; esac; done; vllm serve $M $R',
        ("x", "--m", "org/m", "-tp", "4"),
    ),
    "if exec else": Script(
        'if [ "$LWS_WORKER_INDEX" = "0" ]; then exec vllm serve org/m -tp 8; else exec ray start --block; fi',
        (),
        {"LWS_WORKER_INDEX": "0"},
    ),
    "set dashdash": Script('set -- -tp 4 "$@"; vllm serve org/m "$@"', ("x", "--enforce-eager")),
    "set opt args": Script("set -e org/m 4; vllm serve $1 -tp $2"),
    "locale q": Script('vllm serve $"org/m" -tp 2'),
    "continuation mid": Script("vllm serve org/m --tensor-par\\\nallel-size 2"),
    "redirect mid": Script("vllm serve org/m >/dev/null -tp 2 2>&1"),
    "heredoc indent mark": Script("cat <<EOF >/dev/null\n  EOF\nvllm serve org/x\nEOF\nvllm serve org/m"),
    "heredoc quote in": Script("cat <<EOF >/dev/null\nit's \"fine\nEOF\nvllm serve org/m -tp 2"),
    "comment apostrophe": Script("# don't stop\nvllm serve org/m -tp 2"),
    "multi assign": Script("A=1 B=2 C=$A vllm serve org/m"),
    "cd and nl": Script("cd / && export TP=8\nvllm serve org/m -tp $TP"),
    "mkdir and nl": Script("mkdir -p /tmp && TP=8\nvllm serve org/m -tp $TP"),
    "ray and": Script("ray start --head --port=6379 && vllm serve org/m -tp 2"),
    "download and": Script("hf download org/m --local-dir /m && vllm serve /m -tp 2"),
    "cmd or brace exit": Script("rocm-smi || { echo no; exit 1; }; vllm serve org/m"),
    "default in quotes": Script(
        "M=${M:-'org/m'}; export T=${T:-\"2\"}; vllm serve $M -tp ${U:-'8'} --seed \"${S:-7}\""
    ),
    "default of several words": Script("vllm serve org/m ${E:--tp 2} ${S:-'--hf-overrides' '{\"a\": 1}'}"),
    "default of JSON": Script('S=${S:-\'{"method": "ngram"}\'}; vllm serve org/m --speculative-config "$S"'),
    "default for all": Script('vllm serve "${@:-org/m}"', ("x", "org/a", "-tp", "2")),
    "quotes are no patterns": Script(
        'vllm serve org/m --hf-overrides \'{"a":1,"b":[2]}\' --allowed-origins ["*"] -tp 2'
    ),
    "cd": Script("cd /usr && cd share/../lib; vllm serve $PWD/m"),
    "cd home": Script("cd; vllm serve $PWD/m"),
    "cd in a subshell": Script("cd /usr; (cd /tmp && true); vllm serve $PWD/m"),
    "cd in a shell in a shell": Script("cd /usr; bash -c 'vllm serve $PWD/m'"),
    "cd to what is not known": Script('cd "$(mktemp -d)" && vllm serve org/m'),
    "set -a": Script("set -a; T=2; set +a; S=3; bash -c 'vllm serve org/m -tp ${T:-1} --seed ${S:-7}'"),
    "set -o allexport": Script("set -e -o allexport; T=2; bash -c 'vllm serve org/m -tp ${T:-1}'"),
    "sums": Script(
        'M=$((2 * BS - 1)); vllm serve org/m --max-num-batched-tokens $M --max-num-seqs $((64*TP)) -tp "$((G/2))"',
        (),
        {"BS": "528", "TP": "4", "G": "8"},
    ),
    "sums of sums": Script(
        'vllm serve org/m --seed $(( ${RANK:-0} * N + $((N - 7)) )) -dp $(( $N*" 2" / 4 - D ))',
        (),
        {"N": "8", "D": "1"},
    ),
    "sum of signs": Script("vllm serve org/m --seed $((D * 2 - 7 / 2))", (), {"D": "-4"}),
    "while count": Script("i=0; while [ $i -lt 2 ]; do i=$((i+1)); done; vllm serve org/m -tp $i"),
    "rounds of a known server": Script(
        "n=0; until curl -s x; do n=$((n + 1)); [ $n -lt 3 ] || break; done; vllm serve org/m -tp 2"
    ),
    **{
        f"rounds, and then {text[:30]}": Script(f"{text}; done && TP=2; vllm serve org/m -tp $TP")
        for text in (
            "until [ -d / ]; do sleep 1",
            "while [ ! -d / ]; do sleep 1",
            "until test -d / && test -d /usr; do sleep 1",
            "while read -r each; do echo $each; done < /dev/null; until [ -d / ]; do :",
            "i=0; until [ -d / ] || [ $i -ge 30 ]; do i=$((i + 1)); sleep 1",
            "i=0; while [ $i -lt 100 ]; do i=$((i + 1)); echo $i",
        )
    },
    "outside of loops and functions": Script(
        "break; return; continue 2 && TP=4; f() { break; T=8; }; for i in 1; do f; done; vllm serve org/m -tp $TP$T"
    ),
    "retry loop": Script("for i in 1 2 3; do vllm serve org/m -tp 2 && break; sleep 0; done"),
}
"""What is found in them is what bash starts."""
DOUBTS = {
    "its return": "f() { [ -d / ] && return; A=2; }; f",
    "a return in a branch": "f() { if [ -d / ]; then return; fi; A=2; }; f",
    "a return in a loop": "f() { for i in 1 2; do [ -d / ] && return; A=2; done; }; f",
    "a return of success": "f() { [ -d / ] && return 0; false; }; f || A=2",
    "what it returns": "f() { curl x || return 1; echo; }; if f; then A=2; fi",
    "its last command": "f() { curl x; }; if f; then A=2; fi",
    "a text's command": "if eval 'curl x'; then A=2; fi",
}
"""What a function sets, or is asked for, where that depends on more than the script."""
UNREAD = {
    **{name: Script(f"{text}; vllm serve org/m$A") for name, text in DOUBTS.items()},
    "a variable before the command that exports it": Script("A=2 export A; vllm serve org/m$A"),
    "flags behind a port": Script("vllm serve org/m --port 8000 $(cat /etc/flags)"),
    "flags behind a switch": Script("vllm serve org/m --disable-log-stats $(cat /etc/flags)"),
    "flags behind what is of a pod": Script("vllm serve org/m --node-rank 1 $(cat /etc/flags)"),
    "shift of an unknown number": Script('set -- $(nproc) 8; shift; vllm serve org/m "$@"'),
    "element behind an unknown one": Script("A=($(nproc) 8); vllm serve org/m -tp ${A[1]}"),
    "parameter behind one of two words or one": Script(
        'if x; then A=1; else A="2 3"; fi; set -- $A 4; vllm serve m $2'
    ),
    "parameters, some of them unknown": Script("if x; then A=; else A=2; fi; set -- $A 4; vllm serve m -tp $#"),
    "local outside of a function": Script("T=1; local T=2; vllm serve org/m -tp $T"),
    "length of the options": Script('vllm serve org/m --seed "${#-}" --port ${#?}'),
    "shift of words that are two or one": Script(
        'if x; then A=1; else A="2 3"; fi; set -- $A 4; shift; vllm serve m $1'
    ),
    "at slice": Script('vllm serve "$1" "${@:2}"', ("x", "org/m", "-tp", "4")),
    "array unknown element": Script('A=(-tp $(nproc)); vllm serve org/m "${A[@]}"'),
    "ifs read": Script('IFS=, read -r M T <<< "org/m,4"; vllm serve $M -tp $T'),
    "mapfile": Script('mapfile -t ARGS < /etc/args; vllm serve org/m "${ARGS[@]}"'),
    "mapfile plain": Script("TP=4; readarray TP < /etc/args; vllm serve org/m -tp $TP"),
    "printf v": Script('TP=1; printf -v TP "%s" 8; vllm serve org/m -tp $TP'),
    "let": Script("TP=1; let TP=8; vllm serve org/m -tp $TP"),
    "let with an asterisk": Script("TP=1; let TP=2*4; vllm serve org/m -tp $TP"),
    **{
        f"sum {text}": Script(f"vllm serve org/m -tp $(({text}))", (), {"A": "8", "O": "010", "N": "A", "W": "1+1"})
        for text in (
            *(
                "A ** 1",
                "(A)",
                "A % 5",
                "A > 4 ? 4 : 2",
                "010",
                "O + 0",
                "N",
                "W",
                "0x8",
                "8#10",
                "MISSING + 4",
                "A, 4",
            ),
            *("$(nproc) * 1", "A / 0", "A A", "A +", "* A", "A * 999999999 * 9 * 9 / 9", "RANDOM", "A << 0", "A == 8"),
        )
    },
    "arith expansion assign": Script('TP=1; echo $((TP=8)) "$((++N, TP=4))"; vllm serve org/m -tp $TP'),
    "arith cmd assign": Script("TP=1; ((TP=8)); vllm serve org/m -tp $TP"),
    "getopts": Script("TP=1; while getopts t: o; do TP=$OPTARG; done; vllm serve org/m -tp $TP", ("x", "-t", "8")),
    "export xargs": Script("export $(echo TP=8 | xargs); vllm serve org/m -tp ${TP:-1}"),
    "export subst": Script("TP=1; export $(echo TP=8); vllm serve org/m -tp $TP"),
    "eval subst": Script('TP=1; eval "$(echo TP=8)"; vllm serve org/m -tp $TP'),
    "eval subst default": Script('eval "$(echo TP=8)"; vllm serve org/m -tp ${TP:-1}'),
    "nameref": Script("TP=1; declare -n R=TP; R=8; vllm serve org/m -tp $TP"),
    "declare i": Script("declare -i TP=2*4; vllm serve org/m -tp $TP"),
    "fn return value": Script("f() { return 1; }; TP=4; f && TP=8; vllm serve org/m -tp $TP"),
    "grep and assign": Script("TP=4; grep -q MI300 /etc/hostname && TP=8; vllm serve org/m -tp $TP"),
    "grep and or": Script("grep -q MI300 /etc/hostname && TP=8 || TP=4; vllm serve org/m -tp $TP"),
    "grep or assign": Script("TP=8; grep -q MI300 /etc/hostname || TP=4; vllm serve org/m -tp $TP"),
    "pgrep or serve": Script("pgrep vllm || vllm serve org/m"),
    "grep and exec": Script("grep -q x /etc/hostname && exec vllm serve org/a; exec vllm serve org/b"),
    "cmd or exec": Script("rocm-smi || exec vllm serve org/cpu; exec vllm serve org/gpu"),
    "arith and": Script("TP=4; (( GPUS > 4 )) && TP=8; vllm serve org/m -tp $TP", (), {"GPUS": "2"}),
    "not cmd": Script("TP=4; ! grep -q x /etc/hostname && TP=8; vllm serve org/m -tp $TP"),
    "test paren": Script(
        'TP=4; [[ ( -n "$A" || -n "$B" ) && -n "$C" ]] && TP=8; vllm serve org/m -tp $TP', (), {"A": "1"}
    ),
    "test lt": Script("TP=4; [[ 9 < 10 ]] && TP=8; vllm serve org/m -tp $TP"),
    "test num octal": Script("TP=4; [[ 010 -eq 10 ]] && TP=8; vllm serve org/m -tp $TP"),
    **{
        f"rounds {text[:40]}": Script(f"n=0; {text}; done; vllm serve org/m -tp ${{TP:-2}}")
        for text in (
            "until curl -s x; do n=$((n + 1)); if [ $n -gt 2 ]; then TP=4; break; fi",
            'until curl -s x; do n=x$n; if [ "$n" = xxx0 ]; then TP=4; break; fi',
            "for each in /sys/class/*; do n=$((n + 1)); if [ $n -eq 3 ]; then TP=4; fi",
            'until curl -s x; do TP=$A; A=$B; B=4; [ "$TP" = 4 ] && break',
            "while TP=$((TP + 1)); [ $TP -lt 5 ] && ! curl -s x; do :",
        )
    },
    "source override": Script("TP=4; . /tmp/of-a-test; vllm serve org/m -tp $TP"),
    "if perhaps false": Script("if [ -d /usr ]; then false; fi || TP=8; vllm serve org/m -tp ${TP:-2}"),
    "while perhaps false": Script("while [ -d /x ]; do false; done || TP=8; vllm serve org/m -tp ${TP:-2}"),
    "while run": Script(
        'while [ -z "$W" ]; do W=1; grep -q x /etc/hostname; done && TP=8; vllm serve org/m -tp ${TP:-2}'
    ),
    "either run": Script(
        "if [ -d /x ]; then grep -q x /etc/hostname; else A=1; fi && TP=8; vllm serve org/m -tp ${TP:-2}"
    ),
    "break perhaps": Script("for i in 2 4; do TP=$i; [ -d /usr ] && break; done; vllm serve org/m -tp $TP"),
    "break perhaps, and back": Script(
        "TP=2; for i in 1 2; do TP=4; if [ -d /usr ]; then break; fi; TP=2; done; vllm serve org/m -tp $TP"
    ),
    "continue perhaps": Script(
        "TP=2; for i in 1 2; do TP=4; if [ -d /usr ]; then continue; fi; TP=2; done; vllm serve org/m -tp $TP"
    ),
    "break of two": Script("for i in 1 2; do for j in 1 2; do TP=$i$j; break 2; done; done; vllm serve org/m -tp $TP"),
    "user": Script('if [ "$UID" = 0 ]; then M=org/a; else M=org/b; fi; vllm serve $M'),
    "host": Script('case "$HOSTNAME" in *-0) TP=8;; *) TP=4;; esac; vllm serve org/m -tp $TP'),
    "which shell": Script('if [ -n "$BASH_VERSION" ]; then M=org/a; else M=org/b; fi; vllm serve $M'),
    "system": Script("[[ $OSTYPE == linux* ]] && M=org/a; vllm serve ${M:-org/b}"),
    "matched": Script("[[ $S =~ tp([0-9]+) ]]; vllm serve org/m -tp ${BASH_REMATCH[1]} --seed 8", (), {"S": "x-tp4"}),
    "option's value": Script("getopts t: o; vllm serve org/m -tp $OPTARG --seed 0", ("x", "-t", "8")),
    "options shifted": Script('getopts t: o; shift $((OPTIND-1)); vllm serve "$@"', ("x", "-t", "8", "org/m")),
    "reply": Script("read <<< org/m; vllm serve $REPLY -tp 2"),
    "random": Script("vllm serve org/m --max-num-seqs $RANDOM"),
    "cd by a command": Script('cd "$(dirname /usr/x)" && vllm serve ./m'),
    "cd perhaps": Script("if [ -d /usr ]; then cd /usr; fi; vllm serve --config c.yaml"),
    "cd back": Script("cd /usr; cd /tmp; cd -; vllm serve $PWD/m"),
    "files": Script("vllm serve /usr/*/m*"),
    "files in a class": Script("vllm serve /usr/l[i]b"),
    "braces of a declaration": Script("export A={a,b}; vllm serve org/m --seed $A"),
    "default for later words": Script("vllm serve org/m --seed 1$S --x ${S:=2}"),
    "sum in an array": Script("T=2; A=(x $((T=4))); vllm serve org/m -tp $T"),
    "files in an array": Script('A=(/usr/l?b); vllm serve "${A[@]}"'),
    "files of a variable": Script("vllm serve $M", (), {"M": "/usr/li?"}),
    "braces": Script("vllm serve org/m --cudagraph-capture-sizes {1,2,4}"),
    "braces of numbers": Script("vllm serve org/m --cudagraph-capture-sizes {1..4}"),
    "somebody's home": Script("vllm serve ~root/m"),
    "joined": Script('A=(1 2); IFS=,; vllm serve org/m --served-model-name x --cudagraph-capture-sizes "${A[*]}"'),
    "ifs changed": Script("IFS=,; vllm serve org/m $E", (), {"E": "-tp,4"}),
}
"""What they start depends on what only running them would show."""
