#!/usr/bin/env bash
# The fast tests on every Python that is supported: bash tests/pythons.sh [pytest's options …]
# Takes the interpreters that are here (PATH, pyenv, uv's own), in environments below .venvs; says which are missing,
# and fails for those, too.
set -uo pipefail
cd "$(dirname "$0")/.."
read -r -a versions <<<"${PYTHONS:-3.11 3.12 3.13 3.14}"
[ $# -gt 0 ] || set -- tests --ignore=tests/benchmarks -m "not conformance" -n 2
uv="$(command -v uv || echo .venv/bin/uv)"
[ -x "$uv" ] || { python3 -m venv .venv && .venv/bin/python -m pip install --quiet --disable-pip-version-check uv && uv=.venv/bin/uv; }

find_python() {  # the newest of pyenv's patch versions, else what uv finds
    local each
    each="$(ls -d "${PYENV_ROOT:-$HOME/.pyenv}/versions/$1."*/bin/python 2>/dev/null | sort -V | tail -1)"
    [ -n "$each" ] && { echo "$each"; return; }
    "$uv" python find --no-python-downloads "$1" 2>/dev/null
}

failed=()
for version in "${versions[@]}"; do
    python="$(find_python "$version")"
    if [ -z "$python" ]; then
        echo "== Python $version: not found here" >&2
        failed+=("$version (missing)")
        continue
    fi
    echo "== Python $version: $python"
    home=".venvs/$version"
    { [ -x "$home/bin/python" ] || "$uv" venv --quiet --python "$python" "$home"; } &&
        "$uv" pip install --quiet --python "$home" --compile-bytecode --requirement requirements.lock &&
        "$uv" pip install --quiet --python "$home" --no-deps --editable . &&
        "$home/bin/python" -m pytest "$@" || failed+=("$version")
done
[ ${#failed[@]} -eq 0 ] || { echo "Failed: ${failed[*]}" >&2; exit 1; }
