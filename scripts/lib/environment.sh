# Sourced by the scripts: gives them Python >= 3.11, uv and the project's virtual environment, on a machine that has
# nothing but a Python.
#
# Usage: environment demo | dev | train      (what is installed: see the case below)

_fail() { echo "error: $*" >&2; exit 1; }

_python() {
  local candidate
  for candidate in "${SIDECAR_PYTHON:-}" python3 python3.13 python3.12 python3.11 python; do
    [ -n "$candidate" ] && command -v "$candidate" >/dev/null 2>&1 || continue
    "$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1 && { echo "$candidate"; return; }
  done
  _fail "no Python >= 3.11 found; install one, or name it in SIDECAR_PYTHON"
}

_uv() {
  if command -v uv >/dev/null 2>&1; then echo uv; return; fi
  if [ ! -x .tools/bin/uv ]; then
    local python; python=$(_python)
    echo "installing uv into .tools" >&2
    if ! "$python" -m venv .tools >/dev/null 2>&1; then
      rm -rf .tools
      "$python" -m pip --version >/dev/null 2>&1 || _fail "$python has neither venv nor pip; install uv (https://docs.astral.sh/uv) and run this again"
      "$python" -m pip install --quiet --disable-pip-version-check --target .tools uv >&2
    else
      .tools/bin/python -m pip install --quiet --disable-pip-version-check uv >&2
    fi
  fi
  [ -x .tools/bin/uv ] || _fail "uv could not be installed; install it (https://docs.astral.sh/uv) and run this again"
  echo .tools/bin/uv
}

environment() {
  local uv python; uv=$(_uv); python=$(_python)
  export UV_PYTHON_DOWNLOADS=${UV_PYTHON_DOWNLOADS:-never}
  # Where bytecode may not be kept, every command that is started compiles all that it imports: twice the time.
  unset PYTHONDONTWRITEBYTECODE
  local wanted
  case "$1" in
    demo)  wanted=(--no-default-groups --extra server --extra local --extra eval --inexact) ;;
    dev)   wanted=(--all-extras) ;;
    train) wanted=(--all-extras --group train) ;;
    *) _fail "environment: demo, dev or train" ;;
  esac
  "$uv" sync --quiet --locked --python "$python" "${wanted[@]}"
  export VIRTUAL_ENV="$PWD/.venv" PATH="$PWD/.venv/bin:$PATH"
}
