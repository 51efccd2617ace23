#!/usr/bin/env bash
# Everything about scoring that needs a GPU, in one call from a bare checkout: installs, measures, prints JSON lines.
#
#     bash infra/bench/score_on_gpu.sh [options of score.py]
#
# Bounded to 10 minutes in all. A torch that `python3` has already, and that sees the GPU, is used as it is; without one
# the pinned torch is installed. WHEELS=folder installs from wheels alone, for a machine without a network.
# The last line of each measurement is its JSON; a copy lies in $OUT (default ./score-on-gpu).
set -euo pipefail
cd "$(dirname "$0")/../.."

seconds_left() { echo $((590 - SECONDS)); }

work=${OUT:-score-on-gpu}
mkdir -p "$work"
environment=${VENV:-$(mktemp -d)/venv}
packages=(open_clip_torch transformers safetensors)
constraints=$(mktemp)
if python3 -c 'import sys, torch; sys.exit(not torch.cuda.is_available())' 2>/dev/null; then
  python3 -m venv --system-site-packages "$environment"
  # The pins would bring another torch, or move what this one was built with.
  grep -viE '^(torch|torchvision|triton|numpy|nvidia[^=]*|cuda[^=]*)==' infra/constraints.txt >"$constraints"
else
  python3 -m venv "$environment"
  packages+=(torch torchvision)
  cp infra/constraints.txt "$constraints"
fi
source=()
if [ -n "${WHEELS:-}" ]; then source=(--no-index --find-links "$WHEELS"); fi
timeout "$(seconds_left)" "$environment/bin/python" -m pip install -qq --disable-pip-version-check \
  "${source[@]}" -c "$constraints" "${packages[@]}" -e .
"$environment/bin/python" -c 'import torch; assert torch.cuda.is_available(), "torch sees no GPU here"'
nvidia-smi --query-gpu=name,driver_version,memory.total --format=csv,noheader || true

measure() { # NAME options: as many seconds as are left, and what came out is kept whatever ends it
  local name=$1 left
  shift
  left=$(seconds_left)
  if [ "$left" -lt 30 ]; then
    echo "no time left for $name" >&2
    return
  fi
  timeout "$left" "$environment/bin/python" infra/bench/score.py --device cuda "$@" | tee "$work/$name.json" ||
    echo "$name did not end well" >&2
}

measure bf16-ViT-L-14 --models ViT-L-14 "$@"
measure bf16-ViT-B-32 --models ViT-B-32 "$@"
measure bf16-ViT-B-16 --models ViT-B-16 "$@"
measure fp16-ViT-L-14 --models ViT-L-14 --precision fp16 --rounds 1 "$@"
measure fp32-ViT-B-32 --models ViT-B-32 --precision fp32 --rounds 1 --images 4096 "$@"
# Scores on the GPU beside those of the CPU, with the demo's checkpoint: the resizing and the precision together.
left=$(seconds_left)
if [ "$left" -gt 20 ]; then
  timeout "$left" "$environment/bin/python" infra/bench/score_devices.py | tee "$work/devices.json"
fi
