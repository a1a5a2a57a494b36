/* SPDX-License-Identifier: Apache-2.0 OR MIT
 *
 * Passes the static probe exporter_test:arguments once, with an argument of each kind that an assembler can write; and on x86
 * exporter_test:indexed, whose argument is memory at two registers. The notes are written out, as in usdt-target.c.
 */
#if defined(__x86_64__)
#define REGISTER(number, name, other) register unsigned long number asm(name)
#define ARGUMENTS "-4@%%edi 8@%%r15 1@%%bl -2@%%si -1@$-7 8@$71 -4@-8(%%rax) 8@(%%rax)"
#else
#define REGISTER(number, name, other) register unsigned long number asm(other)
#define ARGUMENTS "-4@x0 8@x19 1@x2 -2@x3 -1@-7 8@71 -4@[x1, -8] 8@[x1]"
#endif

#define PROBE(name, arguments)                                     \
    "990: nop\n"                                                   \
    ".pushsection .note.stapsdt,\"?\",\"note\"\n"                  \
    ".balign 4\n"                                                  \
    ".4byte 992f-991f, 994f-993f, 3\n"                             \
    "991: .asciz \"stapsdt\"\n"                                    \
    "992: .balign 4\n"                                             \
    "993: .8byte 990b\n"                                           \
    ".8byte 0\n"                                                   \
    ".8byte 0\n"                                                   \
    ".asciz \"exporter_test\"\n"                                   \
    ".asciz \"" name "\"\n"                                        \
    ".asciz \"" arguments "\"\n"                                   \
    "994: .balign 4\n"                                             \
    ".popsection\n"

static struct {
    int before;
    int unused;
    unsigned long here;
} memory = {-77, 0, 0x1122334455667788};

int main(void)
{
    REGISTER(first, "rdi", "x0") = 0xffffffff80000001;
    REGISTER(second, "r15", "x19") = 0x0123456789abcdef;
    REGISTER(third, "rbx", "x2") = 0xfff5;
    REGISTER(fourth, "rsi", "x3") = 0x1fffe;
    REGISTER(pointer, "rax", "x1") = (unsigned long)&memory.here;
    asm volatile(PROBE("arguments", ARGUMENTS)
                 :
                 : "r"(first), "r"(second), "r"(third), "r"(fourth), "r"(pointer)
                 : "memory");
#if defined(__x86_64__)
    static unsigned int numbers[] = {1, 2, 3, 4, 5};
    register unsigned long base asm("rdx") = (unsigned long)numbers;
    register unsigned long index asm("rcx") = 2;
    asm volatile(PROBE("indexed", "4@4(%%rdx,%%rcx,4)") : : "r"(base), "r"(index) : "memory");
#endif
    return 0;
}
