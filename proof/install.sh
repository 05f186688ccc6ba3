#!/usr/bin/env bash
# Installs Schemathesis into an environment outside the repository unless it exists. The last line of the output is the
# path of the program. PYTHON is the interpreter, by default python3.
set -euo pipefail
cd "$(dirname "$0")"

python=${PYTHON:-python3}
folder=${XDG_CACHE_HOME:-$HOME/.cache}/resinit/proof
stamp=$("$python" --version && cat lib/schemathesis.txt)
if [[ ! -f $folder/stamp || $(<"$folder/stamp") != "$stamp" ]]; then
  rm -rf "$folder"
  "$python" -m venv "$folder"
  # The file lists every package, hence --no-deps.
  "$folder/bin/python" -m pip install -q --disable-pip-version-check --no-input --no-deps -r lib/schemathesis.txt >&2
  printf '%s\n' "$stamp" >"$folder/stamp"
fi
echo "$folder/bin/schemathesis"
