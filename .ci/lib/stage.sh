# Sourced by .ci/run, by every stage and by most setups. CI_WORK holds environments and reports: .ci/run shares one among
# its stages; a stage that runs alone creates its own and removes it.
set -uo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.." || exit
export CI=true
own_work=
if [[ -z ${CI_WORK:-} ]]; then
  CI_WORK=$(mktemp -d) || exit
  own_work=$CI_WORK
  trap remove_work EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM
fi
export CI_WORK

remove_work() { [[ -z $own_work ]] || rm -rf "$own_work"; }

# need NAME...: runs .ci/setup/NAME once per CI_WORK; stages that need the same setup wait for it. Prints its log if it failed.
need() {
  local name
  for name; do
    (
      flock 9
      [[ -f $CI_WORK/$name.status ]] || {
        bash ".ci/setup/$name" >"$CI_WORK/$name.log" 2>&1 </dev/null 9>&-
        echo $? >"$CI_WORK/$name.status"
      }
    ) 9>"$CI_WORK/$name.lock"
    (($(<"$CI_WORK/$name.status") == 0)) || { echo "ci: setup of $name failed"; cat "$CI_WORK/$name.log"; return 1; }
  done
}

# with_apt COMMAND...: runs a command that uses apt, one at a time, after the package lists were updated once.
with_apt() {
  (
    flock 9
    [[ -f $CI_WORK/apt.updated ]] || { apt-get update -qq && touch "$CI_WORK/apt.updated"; } || exit
    "$@" 9>&-
  ) 9>"$CI_WORK/apt.lock"
}

install_packages() {
  DEBIAN_FRONTEND=noninteractive with_apt apt-get install -y -qq --no-install-recommends "$@"
}

# make_venv NAME REQUIREMENTS [PYTHON [OPTION...]]: a Python environment with pinned packages.
make_venv() {
  local name=$1 requirements=$2 python=${3:-python3}
  shift 2
  (($# == 0)) || shift
  # Debian packages venv separately.
  "$python" -m venv "$@" "$CI_WORK/$name" ||
    { install_packages python3-venv && "$python" -m venv --clear "$@" "$CI_WORK/$name"; } || return
  "$CI_WORK/$name/bin/python" -m pip install -q --disable-pip-version-check -r "$requirements"
}

# run_vitest COMMAND...: runs vitest by this command and writes "passed failed" of its report to CI_WORK/STAGE.counts.
run_vitest() {
  local status=0 stage passed failed
  stage=$(basename "$0")
  "$@" --reporter=default --reporter=json --outputFile.json="$CI_WORK/$stage.json" </dev/null || status=$?
  node .ci/lib/count.mjs "$CI_WORK/$stage.json" "$status" >"$CI_WORK/$stage.counts" 2>"$CI_WORK/$stage.failures" ||
    echo '0 1' >"$CI_WORK/$stage.counts"
  read -r passed failed <"$CI_WORK/$stage.counts"
  echo "$passed passed, $failed failed"
  ((failed == 0))
}
