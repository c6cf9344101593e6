#!/usr/bin/env bash
# Prints the shell scripts of the tree, by their first lines.
set -euo pipefail
cd "$(dirname "$0")/.."
git ls-files | while read -r file; do
    if [[ -f $file ]] && head -n 1 "$file" 2>/dev/null | tr -d '\0' | grep -qE '^#!.*\b(ba)?sh\b'; then
        printf '%s\n' "$file"
    fi
done
