// SPDX-License-Identifier: Apache-2.0 OR MIT OR GPL-2.0-only
//
// Maps whose keys come and go, and no program: the tests write the entries themselves.

#include "test.bpf.h"

MAP(HASH, many_total, 4, 262144);
MAP(HASH, hash_total, 4, 256);
MAP(LRU_HASH, lru_total, 4, 64);
