// Ends QEMU with an exit code, through its isa-debug-exit device at port 0xf4: qemu-exit CODE. QEMU then exits with 2 * CODE + 1.

#include <stdlib.h>
#include <sys/io.h>

int main(int argc, char **argv)
{
    if (argc != 2 || ioperm(0xf4, 4, 1))
        return 1;
    outb(atoi(argv[1]), 0xf4);
    return 1;
}
