/* SPDX-License-Identifier: Apache-2.0 OR MIT
 *
 * Passes its static probe exporter_test:step once for each of its arguments, with that number. It waits for a line on its standard input
 * first, and says that it is there.
 *
 * The probe is written out (a nop, and a note that says where it is and where its argument is found) so that <sys/sdt.h> need not be
 * installed. See https://sourceware.org/systemtap/wiki/UserSpaceProbeImplementation for the format.
 */
#include <stdio.h>
#include <stdlib.h>

#if defined(__x86_64__)
#define ARGUMENT_OPERAND "-4@%%edi"
#else
#define ARGUMENT_OPERAND "-4@x0"
#endif

__attribute__((noinline)) static void step(int number)
{
#if defined(__x86_64__)
    register int argument asm("edi") = number;
#else
    register int argument asm("w0") = number;
#endif
    asm volatile("990: nop\n"
                 ".pushsection .note.stapsdt,\"?\",\"note\"\n"
                 ".balign 4\n"
                 ".4byte 992f-991f, 994f-993f, 3\n"
                 "991: .asciz \"stapsdt\"\n"
                 "992: .balign 4\n"
                 "993: .8byte 990b\n"
                 ".8byte _.stapsdt.base\n"
                 ".8byte 0\n"
                 ".asciz \"exporter_test\"\n"
                 ".asciz \"step\"\n"
                 ".asciz \"" ARGUMENT_OPERAND "\"\n"
                 "994: .balign 4\n"
                 ".popsection\n"
                 ".ifndef _.stapsdt.base\n"
                 ".pushsection .stapsdt.base,\"aG\",\"progbits\",.stapsdt.base,comdat\n"
                 ".weak _.stapsdt.base\n"
                 ".hidden _.stapsdt.base\n"
                 "_.stapsdt.base: .space 1\n"
                 ".size _.stapsdt.base, 1\n"
                 ".popsection\n"
                 ".endif\n"
                 :
                 : "r"(argument));
}

int main(int argc, char **argv)
{
    puts("here");
    fflush(stdout);
    getchar();
    for (int i = 1; i < argc; i++)
        step(atoi(argv[i]));
    return 0;
}
