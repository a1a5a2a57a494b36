// SPDX-License-Identifier: Apache-2.0 OR MIT OR GPL-2.0-only
//
// A program that counts by way of a program array.

#define VERSION 1
#include "tail.bpf.h"
