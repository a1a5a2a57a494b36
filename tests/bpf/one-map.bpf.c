// SPDX-License-Identifier: Apache-2.0 OR MIT OR GPL-2.0-only
//
// As little as a unit can have, for hundreds of them: one number, and no program.

#include "test.bpf.h"

MAP(ARRAY, one_total, 4, 1);
