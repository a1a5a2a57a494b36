// SPDX-License-Identifier: Apache-2.0 OR MIT OR GPL-2.0-only
//
// A map for ten thousand entries and some more.

#include "test.bpf.h"

MAP(HASH, large_total, 4, 16384);
