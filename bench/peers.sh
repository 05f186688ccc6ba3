#!/usr/bin/env bash
# The peers' Python environments, one each because their requirements conflict, in a cache outside the repository; done
# at once where they are there already. RESINIT_PYTHON is the Python 3.11 they are made of, default python3; pip shows its
# progress.
set -euo pipefail
cd "$(dirname "$0")/.."

folder=${XDG_CACHE_HOME:-$HOME/.cache}/resinit/bench
python=${RESINIT_PYTHON:-python3}
version=$("$python" -c 'import sys; print(f"{sys.version_info.major}.{sys.version_info.minor}")')
if [[ $version != 3.11 ]]; then
  echo "bench: $python is Python $version, but what is pinned needs 3.11; set RESINIT_PYTHON to one" >&2
  exit 1
fi

# environment NAME REQUIREMENTS [PIP-OPTION]: $folder/NAME, made anew when the requirements or the Python have changed.
# The files here name every package, so with --no-deps nothing is resolved.
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

# Triton's Python backend is a program per Python version, beside it under another name than it looks for. It embeds a
# libpython: a distribution's package (libpython3.11), or the interpreter's own where that was built shared.
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
