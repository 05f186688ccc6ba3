# Sourced by .ci/run and by every stage. CI_WORK holds environments and reports: .ci/run shares one among its stages; a stage
# that runs alone creates its own and removes it.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit
export CI=true
if [[ -z ${CI_WORK:-} ]]; then
  CI_WORK=$(mktemp -d)
  trap 'rm -rf "$CI_WORK"' EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
fi
export CI_WORK

# need NAME...: runs .ci/setup/NAME once per CI_WORK; stages that need the same setup wait for it. Prints its log if it failed.
need() {
  local name
  for name; do
    (
      flock 9
      [[ -f $CI_WORK/$name.status ]] || {
        bash ".ci/setup/$name" >"$CI_WORK/$name.log" 2>&1 </dev/null
        echo $? >"$CI_WORK/$name.status"
      }
    ) 9>"$CI_WORK/$name.lock"
    (($(<"$CI_WORK/$name.status") == 0)) || { echo "ci: setup of $name failed"; cat "$CI_WORK/$name.log"; return 1; }
  done
}

# Debian's packages, installed by one process at a time.
install_packages() {
  (
    flock 9
    apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"
  ) 9>"$CI_WORK/apt.lock"
}

# make_venv NAME REQUIREMENTS [PYTHON [OPTION...]]: a Python environment with pinned packages.
make_venv() {
  local name=$1 requirements=$2 python=${3:-python3}
  shift 2
  (($# == 0)) || shift
  # Debian packages venv separately.
  "$python" -m venv "$@" "$CI_WORK/$name" || { install_packages python3-venv && "$python" -m venv --clear "$@" "$CI_WORK/$name"; } || return
  "$CI_WORK/$name/bin/python" -m pip install -q --disable-pip-version-check -r "$requirements"
}

# run_vitest SCRIPT: runs an npm script of vitest and writes "passed failed" of its report to CI_WORK/STAGE.counts.
run_vitest() {
  local script=$1 status=0 stage
  stage=$(basename "$0")
  npm run "$script" -- --reporter=default --reporter=json --outputFile.json="$CI_WORK/$stage.json" </dev/null || status=$?
  node .ci/lib/count.mjs "$CI_WORK/$stage.json" "$status" >"$CI_WORK/$stage.counts" 2>>"$CI_WORK/failures" || echo '0 1' >"$CI_WORK/$stage.counts"
  read -r passed failed <"$CI_WORK/$stage.counts"
  echo "$passed passed, $failed failed"
  ((failed == 0))
}
