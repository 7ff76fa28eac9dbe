#!/usr/bin/env bash
# The whole story: one command per stage, with why and how long (on 2 CPU cores).
#     ./run.sh         set up .venv, then the main job on a small synthetic data set (no download, no data set needed)
#     ./run.sh test    set up .venv, then the tests
# Python 3.11 to 3.13; PYTHON=/path/to/python3.12 ./run.sh chooses one.
set -euo pipefail
cd "$(dirname "$0")"
PY=.venv/bin/python

# Set-up: about 2 minutes with an empty cache; done again only when the pins have changed, or when it was cut short.
setup() {
  local stamp=.venv/set-up pins
  pins=$(cat pyproject.toml constraints.txt | cksum)
  [ -f "$stamp" ] && [ "$(cat "$stamp")" = "$pins" ] && return
  echo "setting up .venv from constraints.txt ..." >&2
  "${PYTHON:-python3}" -c 'import sys; v = sys.version_info; sys.exit(0 if (3, 11) <= v[:2] <= (3, 13) else f"Python {v[0]}.{v[1]} found, 3.11 to 3.13 needed: PYTHON=/path/to/python3.12 ./run.sh")'
  [ -x "$PY" ] || "${PYTHON:-python3}" -m venv .venv
  "$PY" -m pip install --quiet --disable-pip-version-check uv
  # bytecode now, once: without it every command pays seconds for its imports
  "$PY" -m uv pip install --quiet --python "$PY" --compile-bytecode -c constraints.txt -e '.[dev]'
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
  # clocks and features, one decode a clip (half a minute; once, another half to compile librosa)
  abaw extract "$data" --store "$store" --encoder face_hog --encoder voice_mel
  # one run learns valence-arousal and expression (about 1 minute)
  abaw train configs/synthetic.yaml
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

setup
case "${1:-}" in
  "") main_job ;;
  test)
    shift
    # one thread a worker: two workers that each spin two threads are many times slower; no hub call may hang
    export OMP_NUM_THREADS=1 HF_HUB_OFFLINE=1
    exec "$PY" -m pytest -n 2 "$@" ;;
  *) echo "usage: ./run.sh [test [pytest arguments]]" >&2; exit 2 ;;
esac
