#!/usr/bin/env bash
# Everything about scoring that needs a GPU, in one call from a bare checkout: installs, measures, prints JSON lines.
#
#     bash infra/bench/score_on_gpu.sh [options of score.py]
#
# Bounded to 10 minutes in all, of which installing takes 5 at the most. A torch that `python3` has already, and that
# sees the GPU, is used as it is; without one the pinned torch is installed. WHEELS=folder installs from wheels alone, for
# a machine without a network. PYTHON=path is an interpreter that has `curate[clip]` already: nothing is installed.
# DEVICE=cpu tries the script where there is no GPU, with small sizes in its options.
# The last line of each measurement is its JSON; a copy lies in $OUT (default ./score-on-gpu). What one measurement
# ends in keeps no other from its turn; the script ends with 1 if any failed.
set -euo pipefail
cd "$(dirname "$0")/../.."

device=${DEVICE:-cuda}
work=${OUT:-score-on-gpu}
mkdir -p "$work"
failed=()

seconds_left() { echo $((590 - SECONDS)); }

sees_gpu() { "$1" -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' 2>/dev/null; }

install() { # into $1, a new environment: what scoring needs
  local environment=$1 constraints packages=(open_clip_torch transformers safetensors) source=()
  constraints=$(mktemp)
  if sees_gpu python3; then
    python3 -m venv --system-site-packages "$environment"
    # The pins would bring another torch, or move what this one was built with.
    grep -viE '^(torch|torchvision|triton|numpy|nvidia[^=]*|cuda[^=]*)==' infra/constraints.txt >"$constraints"
    python3 -c 'import torch; print("torch==" + torch.__version__)' >>"$constraints"
  else
    python3 -m venv "$environment"
    packages+=(torch torchvision)
    cp infra/constraints.txt "$constraints"
  fi
  if [ -n "${WHEELS:-}" ]; then source=(--no-index --find-links "$WHEELS"); fi
  timeout 300 "$environment/bin/python" -m pip install -qq --disable-pip-version-check \
    ${source[@]+"${source[@]}"} -c "$constraints" "${packages[@]}" -e .
  rm -f "$constraints"
}

if [ -z "${PYTHON:-}" ]; then
  environment=${VENV:-$(mktemp -d)/venv}
  install "$environment"
  PYTHON=$environment/bin/python
fi
export PYTHONPATH=$PWD${PYTHONPATH:+:$PYTHONPATH}
if [ "$device" = cuda ]; then
  sees_gpu "$PYTHON" || { echo "torch sees no GPU here" >&2; exit 2; }
  nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader || true
fi

measure() { # NAME SCRIPT options: as many seconds as are left, and what came out is kept whatever ends it
  local name=$1 script=$2 left
  shift 2
  left=$(seconds_left)
  if [ "$left" -lt 20 ]; then
    echo "no time left for $name" >&2
    failed+=("$name")
    return
  fi
  if ! timeout "$left" "$PYTHON" "infra/bench/$script" "$@" | tee "$work/$name.json"; then
    echo "$name did not end well" >&2
    failed+=("$name")
  fi
}

measure bf16-ViT-L-14 score.py --device "$device" --precision bf16 --models ViT-L-14 "$@"
measure bf16-ViT-B-32 score.py --device "$device" --precision bf16 --models ViT-B-32 "$@"
measure bf16-ViT-B-16 score.py --device "$device" --precision bf16 --models ViT-B-16 "$@"
measure fp16-ViT-L-14 score.py --device "$device" --precision fp16 --models ViT-L-14 --rounds 1 "$@"
measure fp32-ViT-B-32 score.py --device "$device" --precision fp32 --models ViT-B-32 --rounds 1 --images 4096 "$@"
# Scores on the GPU beside those of the CPU, with the demo's checkpoint: the resizing and the precision together.
measure devices score_devices.py --device "$device"

if [ ${#failed[@]} -gt 0 ]; then
  echo "failed: ${failed[*]}" >&2
  exit 1
fi
