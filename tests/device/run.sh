#!/bin/sh
# Runs the device tests with the Python that has PyTorch for the GPU: tests/device/run.sh [DIRECTORY for junit.xml]
set -eu
cd "$(dirname "$0")/../.."
export PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
python=${HIPBMM_DEVICE_PYTHON:-python3}
"$python" -c 'import torch; assert torch.cuda.is_available(), "no GPU"; print(torch.__version__, torch.cuda.get_device_name())'
exec "$python" -m pytest -c tests/device/pytest.ini --rootdir . tests/device -q --durations=5 ${1:+--junitxml="$1/junit.xml"}
