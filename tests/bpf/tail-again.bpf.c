// SPDX-License-Identifier: Apache-2.0 OR MIT OR GPL-2.0-only
//
// The next version of tail.bpf.c, as it should be.

#define VERSION 3
#include "tail.bpf.h"
