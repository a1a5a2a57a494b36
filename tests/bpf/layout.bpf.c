// SPDX-License-Identifier: Apache-2.0 OR MIT OR GPL-2.0-only
//
// Counts the test's events as reads, in a value of two numbers.

#define FIRST reads
#define SECOND writes
#include "layout.bpf.h"
