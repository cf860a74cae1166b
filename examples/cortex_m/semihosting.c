/* Semihosting calls: operation number in r0, address of its arguments in r1, `bkpt 0xab`. */
#include "semihosting.h"

#include <stdint.h>
#include <string.h>

enum { SYS_OPEN = 0x01, SYS_CLOSE = 0x02, SYS_WRITE0 = 0x04, SYS_WRITE = 0x05, SYS_EXIT_EXTENDED = 0x20 };
enum { MODE_WRITE_BINARY = 5, APPLICATION_EXIT = 0x20026 };

static int call(uint32_t operation, const void *arguments) {
    register uint32_t r0 __asm("r0") = operation;
    register const void *r1 __asm("r1") = arguments;
    __asm volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return (int)r0;
}

void semihosting_write(const char *text) { call(SYS_WRITE0, text); }

int semihosting_create(const char *path) {
    const uint32_t arguments[3] = {(uint32_t)(uintptr_t)path, MODE_WRITE_BINARY, (uint32_t)strlen(path)};
    return call(SYS_OPEN, arguments);
}

size_t semihosting_append(int file, const void *data, size_t size) {
    const uint32_t arguments[3] = {(uint32_t)file, (uint32_t)(uintptr_t)data, (uint32_t)size};
    return (size_t)call(SYS_WRITE, arguments);
}

void semihosting_close(int file) {
    const uint32_t arguments[1] = {(uint32_t)file};
    call(SYS_CLOSE, arguments);
}

_Noreturn void semihosting_exit(int status) {
    const uint32_t arguments[2] = {APPLICATION_EXIT, (uint32_t)status};
    call(SYS_EXIT_EXTENDED, arguments);
    for (;;) {
    }
}
