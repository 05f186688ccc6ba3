#!/usr/bin/env bash
# Schemathesis in an environment of its own, outside the repository; done at once where it is there already. The last line
# is its program. PYTHON is the Python that it is made of, default python3.
set -euo pipefail
cd "$(dirname "$0")"

python=${PYTHON:-python3}
folder=${XDG_CACHE_HOME:-$HOME/.cache}/resinit/proof
stamp=$("$python" --version && cat lib/schemathesis.txt)
if [[ ! -f $folder/stamp || $(<"$folder/stamp") != "$stamp" ]]; then
  rm -rf "$folder"
  "$python" -m venv "$folder"
  # The file names every package, so nothing is resolved.
  "$folder/bin/python" -m pip install -q --disable-pip-version-check --no-input --no-deps -r lib/schemathesis.txt >&2
  printf '%s\n' "$stamp" >"$folder/stamp"
fi
echo "$folder/bin/schemathesis"
