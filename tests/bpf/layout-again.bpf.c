// SPDX-License-Identifier: Apache-2.0 OR MIT OR GPL-2.0-only
//
// The next version of layout.bpf.c: the two numbers of the value have changed places.

#define FIRST writes
#define SECOND reads
#include "layout.bpf.h"
