// SPDX-License-Identifier: Apache-2.0 OR MIT OR GPL-2.0-only
//
// A map for 150,000 entries.

#include "test.bpf.h"

MAP(HASH, huge_total, 4, 262144);
