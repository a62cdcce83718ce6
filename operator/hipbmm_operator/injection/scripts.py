"""Shell texts of the injected containers. POSIX sh; none of them can keep a pod from starting.

`python3 -I`: PYTHONHOME and PYTHONPATH are for the server's Python, which need not be the first of PATH.

The kubelet expands `$(NAME)` and `$$` in commands, so neither occurs here. BOOT is between single quotes and has
none.
"""

from hipbmm_operator.injection.spelling import ENV_FILE, HOME, KERNEL_KEY, PROGRAM

BOOT = f"""
import hashlib, io, json, os, shutil, sys, zipfile
def end(reason, message):
    with open("/dev/termination-log", "w") as log:
        json.dump(dict(v=1, state="Failed", reason=reason, message=message), log)
    sys.exit("hipbmm: " + message)
if sys.version_info < (3, 10):
    end("PythonTooOld", "the kernel program needs Python 3.10, python3 of this image is " + sys.version.split()[0])
try:
    with open("{PROGRAM}/{KERNEL_KEY}", "rb") as file:
        data = file.read(1 << 20)
except OSError as error:
    end("KernelMissing", "the kernel program is not there: " + str(error))
digest = hashlib.sha256(data).hexdigest()
if digest != sys.argv[1]:
    end("KernelMismatch", "the kernel program has sha256 " + digest + ", the profile names " + sys.argv[1])
if not os.path.isdir("{HOME}/kernel"):
    try:
        shutil.rmtree("{HOME}/kernel.new", ignore_errors=True)
        zipfile.ZipFile(io.BytesIO(data)).extractall("{HOME}/kernel.new")
        os.rename("{HOME}/kernel.new", "{HOME}/kernel")
    except OSError as error:
        end("KernelMissing", "the kernel program cannot be unpacked: " + str(error))
"""
"""Unpacks the program if it is the one that the profile's status names. It appears whole or not at all."""

WARM = f"""
umask 022
p=
trap 'kill $p; wait $p; exit 0' TERM
[ -e {HOME}/{ENV_FILE} ] || true > {HOME}/{ENV_FILE}
sha=$1
shift
if command -v python3 >/dev/null 2>&1; then
  python3 -I -c '{BOOT}' "$sha" && {{ python3 -I {HOME}/kernel warm -- "$@" & p=$!; wait $p; }}
else
  echo "hipbmm: this image has no python3" | tee /dev/termination-log
fi
exit 0
""".strip()
"""`$1` is the sha256 of the program, the rest the server's own command line.

At SIGTERM the shell waits: the container ends with it, and the program publishes what it has.
"""

SERVER = f"""
if [ -r {HOME}/kernel/__main__.py ] && command -v python3 >/dev/null 2>&1; then
  exec python3 -I {HOME}/kernel exec --foreign -- "$@"
fi
exec "$@"
""".strip()
"""In front of a server's command, which starts also where the kernel program is missing."""

HARVEST = f"""
p=
trap 'kill $p; wait $p; exit 0' TERM
if [ -r {HOME}/kernel/__main__.py ]; then python3 -I {HOME}/kernel harvest & p=$!; wait $p; fi
while :; do sleep 3600 & p=$!; wait $p; done
""".strip()
"""Never ends by itself: a sidecar that restarts again and again would make the pod look broken because of us."""
