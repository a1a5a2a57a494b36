#!/bin/sh
# Needs componentize-py: pip install -r requirements.txt
set -e
cd "$(dirname "$0")"
exec componentize-py --wit-path wit --world collector-plugin componentize --stub-wasi app --output load_average.wasm
