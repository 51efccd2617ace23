# Sourced by demo.sh and test.sh: `install_extras clip,demo` makes .venv and installs the project with these extras, once.

find_python() {
  local name
  for name in python3 python3.13 python3.12 python3.11; do
    if command -v "$name" >/dev/null && "$name" -c 'import sys; sys.exit(sys.version_info < (3, 11))'; then
      command -v "$name"
      return
    fi
  done
  echo "curate needs Python 3.11 or newer, and no python3 here is" >&2
  return 1
}

install_extras() {
  local extras=$1 stamp wanted
  [ -x .venv/bin/python ] || "$(find_python)" -m venv .venv
  stamp=.venv/installed-$extras
  wanted=$(cat pyproject.toml infra/constraints.txt | sha256sum)
  if [ ! -f "$stamp" ] || [ "$(cat "$stamp")" != "$wanted" ]; then
    echo "installing curate[$extras] into .venv (some minutes the first time) ..." >&2
    .venv/bin/python -m pip install -qq --disable-pip-version-check -c infra/constraints.txt -e ".[$extras]"
    echo "$wanted" >"$stamp"
  fi
}
