#!/usr/bin/env bash
# Creates the peers' Python environments in a cache outside the repository, one per peer because their requirements
# conflict. Skips existing ones. RESINIT_PYTHON is a Python 3.11, by default python3.
set -euo pipefail
cd "$(dirname "$0")/.."

folder=${XDG_CACHE_HOME:-$HOME/.cache}/resinit/bench
python=${RESINIT_PYTHON:-python3}
version=$("$python" -c 'import sys; print(f"{sys.version_info.major}.{sys.version_info.minor}")')
if [[ $version != 3.11 ]]; then
  echo "bench: $python is Python $version, but the pinned packages need 3.11; set RESINIT_PYTHON to one" >&2
  exit 1
fi

# environment NAME REQUIREMENTS [PIP-OPTION]: creates $folder/NAME, again if the requirements or the Python have changed.
# The files in bench/python list every package, so --no-deps applies to them.
environment() {
  local venv=$folder/$1 stamp
  stamp=$("$python" --version && cat "$2")
  [[ -f $venv/stamp && $(<"$venv/stamp") == "$stamp" ]] && return
  echo "bench: $1: installing $(grep -c == "$2") packages into $venv"
  rm -rf "$venv"
  "$python" -m venv "$venv"
  "$venv/bin/python" -m pip install --disable-pip-version-check --no-input "${@:3}" -r "$2"
  printf '%s\n' "$stamp" >"$venv/stamp"
}

mkdir -p "$folder"
environment model bench/python/requirements-model.txt --no-deps
environment litserve bench/python/requirements-litserve.txt --no-deps
environment kserve bench/python/requirements-kserve.txt --no-deps
environment triton bench/python/requirements-triton.txt --no-deps
environment keras test/golden/requirements.txt

# Triton's Python backend has one program per Python version, under another name than Triton looks for. It loads a
# libpython: the distribution's package (libpython3.11), or the interpreter's own if that is a shared build.
tritonserver=$folder/triton/lib/python$version/site-packages/pytriton/tritonserver
stub=$tritonserver/python_backend_stubs/$version/triton_python_backend_stub
chmod +x "$stub"
ln -sf "$stub" "$tritonserver/backends/python/triton_python_backend_stub"
missing=$(ldd "$stub" "$tritonserver/bin/tritonserver" "$tritonserver/backends/python/libtriton_python.so" | grep 'not found' || true)
if [[ -n $missing ]]; then
  echo "bench: triton needs libraries that this machine lacks; on Debian: apt-get install libpython$version" >&2
  echo "$missing" >&2
  exit 1
fi
