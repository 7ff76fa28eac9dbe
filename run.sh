#!/usr/bin/env bash
# The whole story: one command per stage, with why and how long (on 2 CPU cores).
#     ./run.sh         set up .venv, then the main job on a small synthetic data set (no download, no data set needed)
#     ./run.sh test    set up .venv, then the tests
#     ./run.sh lint    set up .venv, then ruff (rules and format) and mypy
#     ./run.sh full AFFWILD2_ROOT [recipe [options of abaw recipe]]
#                      a whole competition on the real data, from abaw/configs/va.yaml or another recipe; goes on where it stopped
#     ./run.sh test-mediapipe    the same in an environment with MediaPipe, which wants older packages
# Python 3.11 to 3.13; PYTHON=/path/to/python3.12 ./run.sh chooses one.
set -euo pipefail
cd "$(dirname "$0")"

# Set-up: about 2 minutes with an empty cache; done again only when the pins have changed, or when it was cut short.
# The environment's folder, its pins, the extras it gets.
setup() {
  local venv=$1 constraints=$2 extras=$3 pins
  local stamp=$venv/set-up
  PY=$venv/bin/python
  pins=$(cat pyproject.toml "$constraints" | cksum)
  [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$pins" ] && return
  echo "setting up $venv from $constraints ..." >&2
  "${PYTHON:-python3}" -c 'import sys; v = sys.version_info; sys.exit(0 if (3, 11) <= v[:2] <= (3, 13) else f"Python {v[0]}.{v[1]} found, 3.11 to 3.13 needed: PYTHON=/path/to/python3.12 ./run.sh")'
  [ -x "$PY" ] || "${PYTHON:-python3}" -m venv "$venv"
  "$PY" -m pip install --quiet --disable-pip-version-check uv
  # bytecode now, once: without it every command pays seconds for its imports
  "$PY" -m uv pip install --quiet --python "$PY" --compile-bytecode -c "$constraints" -e ".[$extras]"
  echo "$pins" > "$stamp"
}

# The stages say one line each; a stage that is done already is skipped by its verb, not here.
abaw() { echo "\$ abaw $*" >&2; "$PY" -m abaw "$@"; }

main_job() {
  local data=work/synthetic store=work/store run=runs/synthetic out=work/submission
  # 36 clips of 12 seconds in Aff-Wild2's layout, with its traps, whose answers are known (half a minute)
  abaw synth "$data"
  # what it holds and what will hurt (seconds)
  abaw check "$data"
  # clocks and features, one decode a clip (half a minute)
  abaw extract "$data" --store "$store" --encoder face_hog --encoder voice_mel
  # one run learns valence-arousal and expression (about 1 minute)
  abaw train abaw/configs/synthetic.yaml
  # predictions for the test clips, then the two challenge files, row for row as the templates ask (seconds)
  abaw predict "$run" --split test --out work/predictions
  abaw submit work/predictions --template "$data/test_set/ABAW_VA_test_set_sample.txt" --out "$out/va.txt"
  abaw submit work/predictions --template "$data/test_set/ABAW_EXPR_test_set_sample.txt" --out "$out/expr.txt"
  # what came of it
  abaw score "$run" --split validation > work/scores.txt
  abaw verify "$out/va.txt" --template "$data/test_set/ABAW_VA_test_set_sample.txt" --task va
  abaw verify "$out/expr.txt" --template "$data/test_set/ABAW_EXPR_test_set_sample.txt" --task expr
  tail -n 2 work/scores.txt
}

# Days, most of them extraction: a second call goes on with the stage at which the first was stopped.
full() {
  local data=$1 recipe=${2:-abaw/configs/va.yaml} device
  shift $(($# > 1 ? 2 : 1))
  device=$("$PY" -c 'import torch; print("cuda" if torch.cuda.is_available() else "cpu")')
  abaw recipe "$recipe" --data "$data" --download --device "$device" "$@"
}

run_tests() {
  # one thread a worker: two workers that each spin two threads are many times slower; no hub call may hang; where a
  # process of a test crashes, it says where
  export OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 PYTHONFAULTHANDLER=1 RAY_USAGE_STATS_ENABLED=0
  exec "$PY" -m pytest -n 2 "$@"
}

# every finding of all three, then the verdict
lint() {
  local failed=0
  "$PY" -m ruff check . || failed=1
  "$PY" -m ruff format --check . || failed=1
  "$PY" -m mypy || failed=1
  return "$failed"
}

what=${1:-}
if [ "$what" = full ] && [ $# -lt 2 ]; then what=unknown; fi
case "$what" in
  "" | test | lint | full) setup .venv constraints.txt dev ;;
  test-mediapipe) setup .venv-mediapipe constraints-mediapipe.txt dev,mediapipe ;;
  *) echo "usage: ./run.sh [full AFFWILD2_ROOT [recipe [options]] | test [pytest arguments] | lint | test-mediapipe [pytest arguments]]" >&2; exit 2 ;;
esac
case "$what" in
  "") main_job ;;
  full) shift; full "$@" ;;
  test) shift; run_tests "$@" ;;
  lint) lint ;;
  test-mediapipe)
    shift
    [ $# -gt 0 ] || set -- tests/unit/extract/encoders/test_landmarks.py tests/unit/extract/faces tests/unit/extract/store/test_store.py
    run_tests "$@" ;;
esac
