/* What a Linux program of Hexagon needs where there is no C library: start code, system calls, and the functions that
   compilers call of themselves: memory and division. */
#include <stddef.h>
#include <stdint.h>

int main(void);

enum { SYS_READ = 63, SYS_WRITE = 64, SYS_EXIT = 94 };

static long system_call(long number, long a, long b, long c) {
    register long r6 __asm__("r6") = number;
    register long r0 __asm__("r0") = a;
    register long r1 __asm__("r1") = b;
    register long r2 __asm__("r2") = c;
    __asm__ volatile("trap0(#1)" : "+r"(r0) : "r"(r6), "r"(r1), "r"(r2) : "memory");
    return r0;
}

long read(int file, void *data, size_t bytes) { return system_call(SYS_READ, file, (long)data, (long)bytes); }

long write(int file, const void *data, size_t bytes) { return system_call(SYS_WRITE, file, (long)data, (long)bytes); }

__attribute__((noreturn)) void begin(void) {
    system_call(SYS_EXIT, main(), 0, 0);
    __builtin_unreachable();
}

__asm__(".globl _start\n_start:\n{ r29 = and(r29, #-128) }\n call begin\n");

void *memcpy(void *target, const void *source, size_t bytes) {
    uint8_t *to = target;
    const uint8_t *from = source;
    for (; bytes >= 8 && (((uintptr_t)to | (uintptr_t)from) & 7) == 0; bytes -= 8, to += 8, from += 8) {
        *(uint64_t *)to = *(const uint64_t *)from;
    }
    while (bytes-- > 0) {
        *to++ = *from++;
    }
    return target;
}

void *memmove(void *target, const void *source, size_t bytes) {
    uint8_t *to = target;
    const uint8_t *from = source;
    if (to <= from) {
        return memcpy(target, source, bytes);
    }
    while (bytes-- > 0) {
        to[bytes] = from[bytes];
    }
    return target;
}

void *memset(void *target, int value, size_t bytes) {
    uint8_t *to = target;
    while (bytes-- > 0) {
        *to++ = (uint8_t)value;
    }
    return target;
}

void __hexagon_memcpy_likely_aligned_min32bytes_mult8bytes(void *target, const void *source, size_t bytes) {
    memcpy(target, source, bytes);
}

typedef struct {
    uint64_t quotient, remainder;
} division;

static division divided(uint64_t a, uint64_t b) {
    division d = {0, 0};
    for (int bit = 63; bit >= 0; --bit) {
        d.remainder = d.remainder << 1 | (a >> bit & 1u);
        if (d.remainder >= b) {
            d.remainder -= b;
            d.quotient |= (uint64_t)1 << bit;
        }
    }
    return d;
}

static uint64_t magnitude(int64_t a) { return a < 0 ? -(uint64_t)a : (uint64_t)a; }

static int64_t signed_as(uint64_t a, int negative) { return (int64_t)(negative ? -a : a); }

uint32_t __hexagon_udivsi3(uint32_t a, uint32_t b) { return (uint32_t)divided(a, b).quotient; }
uint32_t __hexagon_umodsi3(uint32_t a, uint32_t b) { return (uint32_t)divided(a, b).remainder; }
uint64_t __hexagon_udivdi3(uint64_t a, uint64_t b) { return divided(a, b).quotient; }
uint64_t __hexagon_umoddi3(uint64_t a, uint64_t b) { return divided(a, b).remainder; }

int64_t __hexagon_divdi3(int64_t a, int64_t b) {
    return signed_as(divided(magnitude(a), magnitude(b)).quotient, (a < 0) != (b < 0));
}

int64_t __hexagon_moddi3(int64_t a, int64_t b) { return signed_as(divided(magnitude(a), magnitude(b)).remainder, a < 0); }

int32_t __hexagon_divsi3(int32_t a, int32_t b) { return (int32_t)__hexagon_divdi3(a, b); }
int32_t __hexagon_modsi3(int32_t a, int32_t b) { return (int32_t)__hexagon_moddi3(a, b); }
